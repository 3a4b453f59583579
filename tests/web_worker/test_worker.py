"""A web process answers whoever sends a whole request, in the order of each connection, and holds on to nobody else."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, clean_environment, free_port, wait_until
from web_worker.worker import least_used

pytestmark = pytest.mark.slow

EPOLL = "web_worker.epoll.EpollWorker"
WORKERS = [EPOLL, "web_worker.worker.Worker"]
# Tells what it was asked, and does what it is asked to.
APPLICATION = """
import os
import time
from pathlib import Path

at_once, most_at_once = 0, 0

def meet(seconds):
    # Counts those who are here at the same time, and leaves when four of them are.
    global at_once, most_at_once
    at_once += 1
    most_at_once = max(most_at_once, at_once)
    until = time.monotonic() + seconds
    while most_at_once < 4 and time.monotonic() < until:
        time.sleep(0.01)
    at_once -= 1

def answer(environ, start_response):
    path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
    if path == "/exits":
        raise SystemExit("by mistake")
    if path == "/fails-halfway":
        start_response("200 OK", [("Content-Length", "8")])
        return failing()
    if path == "/process":
        path = f"/{os.getpid()}/{sorted(os.sched_getaffinity(0))}"
    if path in ("/meets", "/quick/meets", "/quick/meets-long"):
        meet(0.1 if path == "/quick/meets" else 20)
        path = f"/{most_at_once}"
    if path in ("/sleeps", "/quick/sleeps"):
        Path("asleep").touch()
        time.sleep(2)
    if path in ("/large", "/quick/large"):
        start_response("200 OK", [("Content-Length", str(1 << 25))])
        return [b"x" * (1 << 25)]
    if path == "/slowly":
        start_response("200 OK", [("Content-Length", "8")])
        return slowly()
    if path == "/file":
        start_response("200 OK", [("Content-Length", str(Path("file").stat().st_size))])
        return environ["wsgi.file_wrapper"](open("file", "rb"))
    text = f"{environ['REQUEST_METHOD']} {path} {len(body)}".encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]

answer.answers_at_once = lambda uri: uri.startswith("/quick")

def slowly():
    yield b"half"
    time.sleep(5)
    yield b"rest"

def failing():
    yield b"half"
    raise ValueError("halfway")
"""


class Client:
    """A connection to the server, read as bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)

    def ask(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
        self.send(request(path, *headers, method=method, body=body))
        return self.read()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Return the next answer whole, or what came before the connection ended."""
        received = b""
        while b"\r\n\r\n" not in received:
            if not (part := self.socket.recv(1)):
                return received
            received += part
        size = int(re.search(rb"Content-Length: (\d+)", received)[1])  # type: ignore[index]
        while size and (part := self.socket.recv(size)):
            received, size = received + part, size - len(part)
        return received

    def is_closed(self) -> bool:
        return self.socket.recv(1) == b""


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


class Server:
    """gunicorn with the settings of production."""

    def __init__(self, directory: Path, worker: str, *options: str, most_open: int | None = None) -> None:
        self.port = free_port()
        self.directory = directory
        command = [
            *(
                str(Path(sys.executable).parent / "gunicorn"),
                "told:answer",
                "--config",
                str(ROOT / "deploy/gunicorn.conf.py"),
            ),
            *("--pythonpath", f"{directory},{ROOT}", "--worker-class", worker, "--keep-alive", "1"),
            *("--bind", f"127.0.0.1:{self.port}", "--chdir", str(directory), *options),
        ]
        if most_open is not None:
            command = ["sh", "-c", f'ulimit -n {most_open} && exec "$@"', "sh", *command]
        (directory / "told.py").write_text(APPLICATION)
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=directory, env=clean_environment(directory), stderr=log)

    def client(self) -> Client:
        return Client(self.port)

    def log(self) -> str:
        return (self.directory / "log").read_text()


def in_a_hurry(directory: Path) -> tuple[str, str]:
    """Return the option that has a server wait half a second for a request, and two for an answer to be read."""
    conf = directory / "gunicorn.conf.py"
    shared = (ROOT / "deploy/gunicorn.conf.py").read_text()
    hurry = "from web_worker import worker\nworker.RECEIVE_SECONDS, worker.SEND_SECONDS = 0.5, 2"
    conf.write_text(f"{shared}\nimport sys\nsys.path.append({str(ROOT)!r})\n{hurry}\n")
    return "--config", str(conf)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Have a server answer, and stop it at the end."""
    try:
        wait_until(lambda: b"200 OK" in server.client().ask("/"))
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)


@pytest.fixture(params=WORKERS, ids=WORKERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(Server(tmp_path, request.param)) as server:
        yield server


def test_a_connection_is_answered_again_and_again(server: Server) -> None:
    client = server.client()
    for number in range(20):
        answer = client.ask(f"/{number}", method="POST", body=b"x" * number)
        assert answer.endswith(f"POST /{number} {number}".encode())
        assert b"Connection: keep-alive" in answer


def test_requests_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    client = server.client()
    client.send(b"".join(request(f"/{number}", method="POST", body=b"12") for number in range(30)))
    assert [client.read().rpartition(b"\n")[2] for _ in range(30)] == [b"POST /%d 2" % number for number in range(30)]


def test_many_connections_are_served_side_by_side(server: Server) -> None:
    def talk(number: int) -> list[bytes]:
        client = server.client()
        return [client.ask(f"/{number}/{turn}").rpartition(b"\n")[2] for turn in range(20)]

    with ThreadPoolExecutor(30) as pool:
        told = list(pool.map(talk, range(60)))
    assert told == [[b"GET /%d/%d 0" % (number, turn) for turn in range(20)] for number in range(60)]


def test_a_file_is_sent_whole(server: Server) -> None:
    content = bytes(range(256)) * 4_000
    (server.directory / "file").write_bytes(content)
    client = server.client()
    assert client.ask("/file").partition(b"\r\n\r\n")[2] == content
    assert client.ask("/after").endswith(b"GET /after 0")


def test_who_wants_the_connection_closed_is_answered_first(server: Server) -> None:
    client = server.client()
    assert b"Connection: close" in client.ask("/", "Connection: close")
    assert client.is_closed()


@pytest.mark.parametrize("has_asked", [True, False], ids=["after a request", "before any"])
def test_an_idle_connection_is_closed(server: Server, has_asked: bool) -> None:
    client = server.client()
    if has_asked:
        client.ask("/")
    assert client.is_closed()


@pytest.mark.parametrize("server", [EPOLL], indirect=True)
def test_idle_connections_hold_no_thread(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(server.client().socket)
        assert server.client().ask("/").endswith(b"GET / 0")


@pytest.mark.parametrize("data", [b"no request\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /\nHost: x\n\n"])
def test_what_is_no_request_is_refused_and_the_connection_closed(server: Server, data: bytes) -> None:
    client = server.client()
    client.send(data)
    assert client.read().startswith(b"HTTP/1.1 400 Bad Request")
    assert client.is_closed()


def test_an_answer_that_fails_halfway_is_seen_to_be_too_short(server: Server) -> None:
    client = server.client()
    assert client.ask("/fails-halfway").endswith(b"\r\n\r\nhalf")
    assert client.is_closed()
    assert "ValueError: halfway" in server.log()


def test_a_process_whose_application_wants_to_exit_goes_on(server: Server) -> None:
    for _ in range(20):  # more than it has threads
        server.client().ask("/exits")
    wait_until(lambda: server.client().ask("/").endswith(b"GET / 0"))


def test_a_server_that_stops_answers_what_has_begun_and_keeps_nobody(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        idle = [server.client() for _ in range(3)]
        for client in idle[:2]:
            client.ask("/")
        asleep = pool.submit(server.client().ask, "/sleeps")
        wait_until((server.directory / "asleep").exists)
        stopping_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert asleep.result(10).endswith(b"GET /sleeps 0")
        server.process.wait(10)
        assert time.monotonic() - stopping_at < 9
        assert all(client.is_closed() for client in idle)


def test_a_half_of_a_request_is_waited_for(server: Server) -> None:
    client = server.client()
    whole = request("/late", method="POST", body=b"12345")
    client.send(whole[:-2])
    time.sleep(1.5)
    client.send(whole[-2:])
    assert client.read().endswith(b"POST /late 5")


@pytest.mark.parametrize("server", [EPOLL], indirect=True)
def test_who_was_answered_for_the_last_time_and_does_not_leave_holds_no_thread(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            client = server.client()
            stack.enter_context(client.socket)
            assert b"Connection: close" in client.ask("/", "Connection: close")
        asked_at = time.monotonic()
        assert server.client().ask("/").endswith(b"GET / 0")
        assert time.monotonic() - asked_at < 2


@pytest.mark.parametrize("server", [EPOLL], indirect=True)
def test_an_answer_arrives_although_its_client_goes_on_sending(server: Server) -> None:
    client = server.client()
    client.send(b"no request\r\n\r\n" + b"x" * 30_000)
    client.send(b"x" * 30_000)
    assert client.read().startswith(b"HTTP/1.1 400 Bad Request")
    assert client.is_closed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_server_that_is_interrupted_ends_at_once(server: Server, number: signal.Signals) -> None:
    server.process.send_signal(number)
    server.process.wait(8)  # it would be killed after 10


def test_a_process_that_has_too_much_open_lets_new_connections_wait_and_goes_on(tmp_path: Path) -> None:
    with serving(Server(tmp_path, EPOLL, most_open=50)) as server:
        with ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(server.client().socket)
            wait_until(lambda: "has to wait" in server.log())
        assert server.client().ask("/").endswith(b"GET / 0")
        assert "exited" not in server.log()


def test_who_waits_for_a_place_among_the_connections_gets_the_first_that_is_free(tmp_path: Path) -> None:
    with serving(Server(tmp_path, EPOLL, "--worker-connections", "20")) as server, ExitStack() as stack:
        for _ in range(19):
            stack.enter_context(server.client().socket)
        asked_at = time.monotonic()
        for _ in range(4):
            client = server.client()
            client.ask("/", "Connection: close")
            client.socket.close()
        assert time.monotonic() - asked_at < 2


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.parametrize(
    "asked",
    [
        request("/sleeps"),
        request("/sleeps", method="POST", body=b"12345"),
        request("/sleeps", "Transfer-Encoding: chunked", method="POST") + b"5\r\n12345\r\n0\r\n\r\n",
    ],
    ids=["no body", "body", "chunked body"],
)
def test_after_a_request_that_took_long_the_next_is_answered_too(tmp_path: Path, worker: str, asked: bytes) -> None:
    with serving(Server(tmp_path, worker, *in_a_hurry(tmp_path))) as server:
        client = server.client()
        client.send(asked)
        assert b"Connection: keep-alive" in client.read()
        assert client.ask("/next").endswith(b"GET /next 0")


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.parametrize("path", ["/large", "/file"])
def test_who_does_not_read_an_answer_holds_no_thread_for_ever(tmp_path: Path, worker: str, path: str) -> None:
    (tmp_path / "file").write_bytes(b"x" * (1 << 25))
    with serving(Server(tmp_path, worker, *in_a_hurry(tmp_path))) as server:
        process = psutil.Process(int(server.client().ask("/process").split(b"/")[-2]))
        idle = [server.client() for _ in range(8)]  # as many as there are threads
        for client in idle:
            client.send(request(path))
        ports = {client.socket.getsockname()[1] for client in idle}

        def held() -> set[int]:
            return ports & {known.raddr.port for known in process.net_connections() if known.raddr}

        wait_until(lambda: held() == ports)
        wait_until(lambda: not held())
        assert server.client().ask("/next").endswith(b"GET /next 0")
        assert all(len(client.read()) < 1 << 25 for client in idle)


@pytest.mark.parametrize("worker", WORKERS)
def test_an_answer_may_take_longer_to_make_than_to_be_read(tmp_path: Path, worker: str) -> None:
    with serving(Server(tmp_path, worker, *in_a_hurry(tmp_path))) as server:
        assert server.client().ask("/slowly").endswith(b"halfrest")


@pytest.mark.parametrize("headers", [(), ("Transfer-Encoding: chunked",)], ids=["announced", "chunked"])
def test_a_body_that_breaks_off_is_not_taken_for_whole(server: Server, headers: tuple[str, ...]) -> None:
    client = server.client()
    client.send(request("/broken", *(headers or ("Content-Length: 9",)), method="POST") + b"8\r\nhalf")
    client.socket.shutdown(socket.SHUT_WR)
    assert b"200 OK" not in client.read()


def processes_answering(server: Server, clients: list[Client]) -> Counter[tuple[int, str]]:
    """Return which processes answer these clients, each with its processors, and how many of them."""
    answers = [client.ask("/process").decode().split(" /")[1].removesuffix(" 0") for client in clients]
    return Counter((int(process), kept) for process, _, kept in (answer.partition("/") for answer in answers))


def two_answering(server: Server, *, but: int = 0) -> dict[int, str]:
    """Wait until two processes answer, other than one that was killed, and return the processors of each.

    Connections are made one by one: which process takes those that come at once, gunicorn leaves to chance.
    """
    seen: dict[int, str] = {}

    def have_answered() -> bool:
        seen.update(processes_answering(server, [server.client()]).keys())
        seen.pop(but, None)
        return len(seen) == 2

    wait_until(have_answered)
    return seen


def test_connections_are_shared_by_the_processes(tmp_path: Path) -> None:
    with serving(Server(tmp_path, EPOLL, "--workers", "2")) as server:
        two_answering(server)  # the one that starts first has all to itself until then
        clients = []
        for _ in range(40):  # not all at once, which one process may sleep through on a busy machine
            clients.append(server.client())
            time.sleep(0.01)
        shared = processes_answering(server, clients)
    assert len(shared) == 2
    assert min(shared.values()) >= 5


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no process on a processor")
def test_each_process_stays_on_a_processor_of_its_own_and_so_does_the_next_in_its_place(
    tmp_path: Path, worker: str
) -> None:
    with serving(Server(tmp_path, worker, "--workers", "2")) as server:
        before = two_answering(server)
        assert all(re.fullmatch(r"\[\d+\]", kept) for kept in before.values())
        assert len(set(before.values())) == min(2, len(os.sched_getaffinity(0)))
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        after = two_answering(server, but=killed)
        assert sorted(after.values()) == sorted(before.values())


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no process on a processor")
def test_a_process_gets_the_processor_that_the_fewest_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 7})
    assert least_used([]) == 2
    assert least_used([2, 7]) == 5
    assert least_used([2, 5, 7, 2, 7]) == 5
