"""A whole server as ``flask serve`` runs it: Redis, web processes, worker and sweep, each a process of its own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment, free_port, wait_until
from tests.deployment.receiving import Product
from tests.deployment.running import Running


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a server with the given settings; everything of it is gone at the end of the test."""
    with servers(tmp_path) as start:
        yield start


@contextmanager
def servers(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Yield what starts servers, and end all that were started."""
    started: list[Running] = []

    def start(**settings: str) -> Running:
        port = free_port()
        home = tmp_path / f"machine {len(started) + 1}"  # a path with a space in it is a path
        home.mkdir()
        environ = {
            **clean_environment(home),
            "PORT": str(port),
            "DATA_DIR": str(home / "data"),
            "WEBHOOK_ALLOW_HTTP": "1",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "SWEEP_SECONDS": "1",
            "WORKER_CONCURRENCY": "1",
            **settings,
        }
        output = home / "output"
        command = [sys.executable, "-m", "flask", "--app", "app", "serve"]
        with output.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        server = Running(process, f"http://127.0.0.1:{port}", output)
        started.append(server)
        wait_until(lambda: "Sign-in link" in output.read_text(), 60)
        wait_until(server.is_healthy)
        return server

    yield start
    for server in started:
        server.kill_all()


@pytest.fixture
def product() -> Iterator[Product]:
    server = Product()
    yield server
    server.shutdown()
    server.server_close()
