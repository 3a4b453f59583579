"""Web servers to measure: gunicorn as the product runs it, with the product or something else in it."""

import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.error import HTTPError, URLError

import psutil

from bench.measuring import on_processor
from bench.sandbox import ROOT, wait_until
from serving import web_server

PRODUCT = "app:create_app()"


@dataclass(frozen=True)
class Server:
    """A running server, and what tells the processor time that it has used."""

    port: int
    process: subprocess.Popen[bytes]
    beside: tuple[int, ...] = ()

    def processes(self) -> list[psutil.Process]:
        """Return the processes that answer requests, and those of the Redis and PostgreSQL that they ask."""
        asked = [psutil.Process(pid) for pid in self.beside]
        children = [child for process in asked for child in process.children(recursive=True)]
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True), *asked, *children]

    def cpu_seconds(self) -> float:
        """Return the processor seconds used so far by all who have a part in an answer, those who ended as well."""
        seconds = 0.0
        for process in reversed(self.processes()):  # children first: who ends meanwhile is counted with its parent
            with suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:4])  # its own, and of its children that ended
        return seconds

    def memory(self) -> float:
        """Return the MiB of the largest web process that are its own or shared in part (resident set size)."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return max((child.memory_info().rss for child in children), default=0) / 1024 / 1024


@contextmanager
def web(
    application: str,
    environ: Mapping[str, str],
    *,
    beside: tuple[int, ...] = (),
    processes: int = 1,
    on_one: Callable[[], object] = lambda: on_processor(0),
) -> Iterator[Server]:
    """Run gunicorn with the product's own command and settings, with this application in the place of the product."""
    port = free_port()
    command = [application if part == PRODUCT else part for part in web_server("127.0.0.1", port, processes).command]
    with on_one():  # type: ignore[attr-defined]
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ})
    try:
        wait_until(lambda: listens(port), f"{application} answers")
        yield Server(port, server, beside)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port() -> int:
    """Return a port on which nothing listens at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Tell whether a server answers on a port, whatever it says."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/scim/v2/ServiceProviderConfig", timeout=WAIT).close()
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
    return True


WAIT = 60
