"""A load generator in a process and on a processor of its own, with kept-alive connections; it reads every answer.

Its own cost is some 20 µs a request, a tenth of what the fastest of the measured servers needs.
"""

import itertools
import json
import multiprocessing
import random
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection as pipes
from typing import Any

from bench.measuring import VoidRun, on_processor

CONNECTIONS = 8
# Between two connections, so that not one process of the server accepts them all.
PAUSE_SECONDS = 0.02
# Every so many answers one is kept, and read as JSON when the clock has stopped.
SAMPLED = 50
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire, and what its answer must be: the status, and a text in the body."""

    message: bytes
    status: int
    expected: bytes

    @classmethod
    def of(cls, method: str, path: str, *, token: str, body: Any = None, status: int = 200, expected: str) -> "Request":
        """Return a request of JSON with a bearer token; a space between a name and its value is not heeded."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n"
        if body is not None:
            head += f"Content-Type: application/scim+json\r\nContent-Length: {len(content)}\r\n"
        return cls(f"{head}\r\n".encode() + content, status, expected.encode())


@dataclass(frozen=True)
class Work:
    """Requests without end, made from values in the generator's own process: ``make(*values)``."""

    make: Callable[..., Iterator[Request]]
    values: tuple[Any, ...]
    # Judges a body as JSON; None when nothing is wrong with it.
    judge: Callable[[Any], str | None]


@dataclass(frozen=True)
class Round:
    """What came of one round: the requests and the seconds they took, and each one's seconds in order."""

    requests: int
    seconds: float
    latencies: Sequence[float]

    @property
    def per_second(self) -> float:
        """Return the requests per second."""
        return self.requests / self.seconds

    def percentile(self, part: float) -> float:
        """Return the milliseconds within which this part of the requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))] * 1000


class Connection:
    """One kept-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, request: Request) -> None:
        self.request = request
        self.sent_at = time.perf_counter()
        self.socket.sendall(request.message)

    def receive(self) -> bytes | None:
        """Return the body once the answer is whole; None before.

        :raises VoidRun: When it is not the one that the request must get.
        """
        data = self.socket.recv(262_144)
        if not data:
            raise VoidRun(f"the connection was closed instead of an answer to {self.request.message[:200]!r}")
        self.received = self.received + data if self.received else data
        end = self.received.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        head = self.received[:end].lower()
        body = _body(head, self.received[end:])
        if body is None:
            return None
        self.received = b""
        if int(head[9:12]) != self.request.status or self.request.expected not in body.replace(b'": ', b'":'):
            raise VoidRun(f"{self.request.message[:200]!r} was answered {head[:12]!r} {body[:500]!r}")
        return body


def _body(head: bytes, received: bytes) -> bytes | None:
    """Return the body of an answer, or None while it is not whole. Nothing follows it: one request is on its way."""
    if head[9:12] == b"204":
        return b""
    _, is_sized, rest = head.partition(b"content-length:")
    if is_sized:
        return received if len(received) == int(rest.partition(b"\r\n")[0]) else None
    if b"transfer-encoding: chunked" not in head:
        raise VoidRun(f"an answer has no length: {head!r}")
    if not received.endswith(b"0\r\n\r\n"):
        return None
    body = b""
    while (size := int(received.partition(b"\r\n")[0], 16)) > 0:
        start = received.index(b"\r\n") + 2
        body, received = body + received[start : start + size], received[start + size + 2 :]
    return body


class _Generator:
    """Sends works to one server, each where it was left off the last time."""

    def __init__(self, port: int, works: dict[str, Work]) -> None:
        self.port = port
        self.works = {name: (work.make(*work.values), work) for name, work in works.items()}

    def run(self, name: str, seconds: float) -> Round:
        """Send requests over new connections for so many seconds, and wait for the last answers."""
        requests, work = self.works[name]
        connections = []
        for _ in range(CONNECTIONS):
            connections.append(Connection(self.port))
            time.sleep(PAUSE_SECONDS)
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            done, samples = _exchange(selector, connections, requests, seconds)
        for connection in connections:
            connection.socket.close()
        for body in filter(None, samples):
            wrong = work.judge(json.loads(body))
            if wrong:
                raise VoidRun(f"{name}: {wrong}: {body[:500]!r}")
        return done


def _exchange(
    selector: selectors.BaseSelector, connections: list[Connection], requests: Iterator[Request], seconds: float
) -> tuple[Round, list[bytes]]:
    """Return the round, and the bodies that are kept to be read."""
    latencies: list[float] = []
    samples: list[bytes] = []
    began = time.perf_counter()
    for connection in connections:
        connection.send(next(requests))
    while selector.get_map():
        ready = selector.select(WAIT_SECONDS)
        if not ready:
            raise VoidRun(f"no answer within {WAIT_SECONDS:.0f} s")
        for key, _ in ready:
            connection = key.data
            body = connection.receive()
            if body is None:
                continue
            now = time.perf_counter()
            latencies.append(now - connection.sent_at)
            if len(latencies) % SAMPLED == 1:
                samples.append(body)
            if now - began < seconds:
                connection.send(next(requests))
            else:
                selector.unregister(key.fileobj)
    return Round(len(latencies), time.perf_counter() - began, sorted(latencies)), samples


def _main(control: pipes.Connection, port: int, works: dict[str, Work]) -> None:
    random.seed(9)
    generator = _Generator(port, works)
    control.send(None)
    while True:
        name, seconds = control.recv()
        try:
            control.send(generator.run(name, seconds))
        except VoidRun as wrong:
            control.send(wrong)


@contextmanager
def load(port: int, works: dict[str, Work]) -> Iterator[Callable[[str, float], Round]]:
    """Yield what runs a round of a work against the server on a port.

    :raises VoidRun: From a round of which an answer was wrong.
    """
    processes = multiprocessing.get_context("spawn")
    ours, its = processes.Pipe()
    process = processes.Process(target=_main, args=(its, port, works), daemon=True)
    with on_processor(1):
        process.start()
    its.close()  # so that a process that ends early is noticed

    def run(name: str, seconds: float) -> Round:
        ours.send((name, seconds))
        result = ours.recv()
        if isinstance(result, VoidRun):
            raise result
        assert isinstance(result, Round)
        return result

    try:
        ours.recv()
        yield run
    finally:
        process.kill()
        process.join()


def shuffled_for_ever(things: Sequence[Any]) -> Iterator[Any]:
    """Return the things again and again in one order that is not theirs."""
    order = list(things)
    random.shuffle(order)
    return itertools.cycle(order)
