"""What is answered at once is answered one after another, in the order in which it came; all else side by side."""

import select
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until
from tests.web_worker.test_worker import EPOLL, Client, Server, request, serving

pytestmark = pytest.mark.slow

THREADS = 8
# So that nobody's connection ends while others are waited for.
KEPT = ("--keep-alive", "60")


def patient(directory: Path, seconds: float = 3600) -> tuple[str, str]:
    """Return the option that lets nobody in for so long who was not let in by the one who is."""
    conf = directory / "gunicorn.conf.py"
    shared = (ROOT / "deploy/gunicorn.conf.py").read_text()
    patience = f"from web_worker import epoll\nepoll.ALONE_SECONDS = {seconds}"
    conf.write_text(f"{shared}\nimport sys\nsys.path.append({str(ROOT)!r})\n{patience}\n")
    return "--config", str(conf)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(Server(tmp_path, EPOLL, *KEPT)) as server:
        yield server


@pytest.fixture
def patient_server(tmp_path: Path) -> Iterator[Server]:
    with serving(Server(tmp_path, EPOLL, *KEPT, *patient(tmp_path))) as server:
        yield server


def known(server: Server) -> Client:
    """Return a connection whose head is known."""
    client = server.client()
    assert client.ask("/").endswith(b"GET / 0")
    return client


def told_at_once(clients: list[Client], path: str) -> list[bytes]:
    """Return what each is told when all ask the same at the same moment."""
    for client in clients:
        client.send(request(path))
    return [client.read().rpartition(b"GET ")[2] for client in clients]


def has_answer(client: Client) -> bool:
    return bool(select.select([client.socket], [], [], 0)[0])


def test_requests_that_are_answered_at_once_are_answered_one_after_another(patient_server: Server) -> None:
    assert told_at_once([known(patient_server) for _ in range(4)], "/quick/meets") == [b"/1 0"] * 4


def test_however_many_they_are_since_each_takes_little(tmp_path: Path) -> None:
    with serving(Server(tmp_path, EPOLL, *KEPT, *patient(tmp_path, seconds=1))) as server:

        def ask_on(client: Client) -> set[bytes]:
            return {client.ask("/quick/meets").rpartition(b"GET ")[2] for _ in range(6)}

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask_on, [known(server) for _ in range(4)])) == [{b"/1 0"}] * 4


def test_other_requests_are_answered_side_by_side(patient_server: Server) -> None:
    assert b"/4 0" in told_at_once([known(patient_server) for _ in range(4)], "/meets")


def test_a_head_that_was_not_judged_before_may_have_to_be_waited_for(patient_server: Server) -> None:
    assert b"/4 0" in told_at_once([patient_server.client() for _ in range(4)], "/quick/meets-long")


@pytest.mark.parametrize("follows", [b"GET /quick", b"x", request("/quick"), request("/")])
def test_what_is_more_than_one_request_may_have_to_be_waited_for(patient_server: Server, follows: bytes) -> None:
    clients = [known(patient_server) for _ in range(4)]
    for client in clients:
        client.send(request("/quick/meets-long") + follows)
    assert b"/4 0" in [client.read().rpartition(b"GET ")[2] for client in clients]


def test_a_connection_is_answered_again_and_again(server: Server) -> None:
    client = known(server)
    for path in ("/quick/1", "/2", "/quick/3", "/quick/4", "/5"):
        assert client.ask(path).endswith(f"GET {path} 0".encode())


def test_requests_of_both_kinds_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    client = known(server)
    paths = [f"{'/quick' if number % 3 else ''}/{number}" for number in range(30)]
    client.send(b"".join(map(request, paths)))
    assert [client.read().rpartition(b"\n")[2] for _ in paths] == [f"GET {path} 0".encode() for path in paths]


def test_what_came_later_is_not_answered_before_what_was_received_already(server: Server) -> None:
    client = known(server)
    client.send(request("/sleeps") + request("/1"))
    wait_until((server.directory / "asleep").exists)
    client.send(request("/quick/2"))
    assert [client.read().rpartition(b"\n")[2] for _ in range(3)] == [b"GET /sleeps 0", b"GET /1 0", b"GET /quick/2 0"]


def test_who_does_not_read_an_answer_holds_nobody_up(server: Server) -> None:
    deaf, client = [known(server) for _ in range(THREADS - 1)], known(server)
    for other in deaf:
        other.send(request("/quick/large"))
    wait_until(lambda: all(map(has_answer, deaf)))
    assert client.ask("/quick").endswith(b"GET /quick 0")
    assert [len(other.read().partition(b"\r\n\r\n")[2]) for other in deaf] == [1 << 25] * len(deaf)


def test_who_has_gone_is_not_waited_for(server: Server) -> None:
    going, at_work = [known(server) for _ in range(2 * THREADS)], [known(server) for _ in range(THREADS)]
    for client in at_work:
        client.send(request("/sleeps"))
    for number, gone in enumerate(going):
        if number % 2:
            gone.send(request("/quick"))
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # which resets it
        gone.socket.close()
    assert known(server).ask("/quick").endswith(b"GET /quick 0")
    assert [client.read()[-13:] for client in at_work] == [b"GET /sleeps 0"] * THREADS
    assert "Traceback" not in server.log()


def test_who_takes_long_holds_others_up_for_a_moment_only(server: Server) -> None:
    asleep, client = [known(server) for _ in range(THREADS - 1)], known(server)
    for other in asleep:
        other.send(request("/quick/sleeps"))
    wait_until((server.directory / "asleep").exists)
    assert client.ask("/quick").endswith(b"GET /quick 0")
    assert not any(map(has_answer, asleep))
    assert [other.read()[-19:] for other in asleep] == [b"GET /quick/sleeps 0"] * len(asleep)


def test_a_server_that_stops_does_so_although_requests_keep_coming(server: Server) -> None:
    clients, answered = [known(server) for _ in range(4)], set[Client]()

    def ask_on(client: Client) -> None:
        with suppress(ConnectionError):  # with what it could not read any more
            while client.ask("/quick").endswith(b"GET /quick 0"):
                answered.add(client)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask_on, client) for client in clients]
        wait_until(lambda: len(answered) == len(clients))
        server.process.terminate()
        server.process.wait(9)
    assert [future.result() for future in asking] == [None] * len(clients)
