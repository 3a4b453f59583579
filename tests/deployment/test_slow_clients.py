"""Clients that send a request byte by byte hold no thread for ever; one that is whole may take longer."""

import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import make_url

from app import create_app
from config import Settings
from database import db
from organizations.organizations import bootstrap
from tests import okta
from tests.conftest import ROOT, SECRET_KEY, clean_environment, free_port, wait_until

pytestmark = pytest.mark.slow
THREADS = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow")


@pytest.fixture(scope="module")
def environ(data: Path, redis_url: str, module_sqlite_url: str) -> dict[str, str]:
    return {
        **clean_environment(data),
        "DATA_DIR": str(data),
        "DATABASE_URL": module_sqlite_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
    }


@pytest.fixture(scope="module")
def address(data: Path, environ: dict[str, str]) -> Iterator[tuple[str, int]]:
    """One web process that waits one second for a request to arrive."""
    conf = data / "gunicorn.conf.py"
    shared = (ROOT / "deploy" / "gunicorn.conf.py").read_text()
    conf.write_text(f"{shared}\nimport web_worker.worker\nweb_worker.worker.RECEIVE_SECONDS = 1.0\n")
    port = free_port()
    gunicorn = Path(sys.executable).parent / "gunicorn"
    process = subprocess.Popen(
        [gunicorn, "--config", conf, "--bind", f"127.0.0.1:{port}", "app:create_app()"], cwd=ROOT, env=environ
    )
    try:
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def token(environ: dict[str, str]) -> str:
    app = create_app(Settings.from_environment(environ))
    with app.app_context(), db.unit_of_work() as session:
        return bootstrap(session, "Acme").scim_token


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\n",
        b"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{",
    ],
    ids=["headers", "body"],
)
def test_slow_clients_hold_no_thread_for_ever(address: tuple[str, int], begun: bytes) -> None:
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        while not over.wait(0.1):
            try:
                client.send(b"x")
            except OSError:
                return

    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(THREADS)]
        for client in clients:
            client.send(begun)
        threads = [threading.Thread(target=drip, args=[client]) for client in clients]
        for thread in threads:
            thread.start()
        try:
            assert httpx.get(f"http://127.0.0.1:{address[1]}/healthz", timeout=20).status_code == 200
        finally:
            over.set()
            for thread in threads:
                thread.join()


def test_a_request_that_is_whole_is_answered_however_long_that_takes(
    address: tuple[str, int], module_sqlite_url: str, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with (
        sqlite3.connect(str(make_url(module_sqlite_url).database), isolation_level=None) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        url = f"http://127.0.0.1:{address[1]}/scim/v2/Users"
        answer = pool.submit(httpx.post, url, json=okta.user(), headers=headers, timeout=30)
        with pytest.raises(TimeoutError):
            answer.result(3)
        other.execute("ROLLBACK")
        assert answer.result(30).status_code == 201
    other.close()
