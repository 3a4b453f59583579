"""A webhook receiver that costs as little as possible, in a process of its own; it keeps every request it got."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.measuring import on_processor

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 15\r\n\r\n" + b'{"received": 1}'
)
Request = tuple[dict[str, str], bytes]


class _Protocol(asyncio.Protocol):
    """Answers each request of one connection as soon as it is whole."""

    def __init__(self, received: list[tuple[bytes, bytes]], connections: list[None]) -> None:
        self.received = received
        self.connections = connections
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connections.append(None)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n") + 4) > 3:
            head = self.buffer[:end]
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + length:
                return
            self.received.append((head, self.buffer[end : end + length]))
            self.buffer = self.buffer[end + length :]
            self.transport.write(ANSWER)


async def _serve(control: Connection) -> None:
    received: list[tuple[bytes, bytes]] = []
    connections: list[None] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(received, connections), "127.0.0.1", 0)
    ended = loop.create_future()

    def take() -> None:
        if control.poll() and control.recv() == "take":
            control.send(([(_headers(head), body) for head, body in received], len(connections)))
            received.clear()
            connections.clear()
        else:
            ended.set_result(None)

    loop.add_reader(control.fileno(), take)
    control.send(server.sockets[0].getsockname()[1])
    await ended


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("ascii").split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _main(control: Connection) -> None:
    asyncio.run(_serve(control))


@dataclass(frozen=True)
class Receiver:
    """The receiver as the benchmark sees it."""

    url: str
    control: Connection

    def take(self) -> tuple[list[Request], int]:
        """Return the requests since the last look, in order, and over how many new connections they came."""
        self.control.send("take")
        taken: tuple[list[Request], int] = self.control.recv()
        return taken


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver, apart from the sender's processor."""
    processes = multiprocessing.get_context("spawn")
    ours, its = processes.Pipe()
    process = processes.Process(target=_main, args=(its,), daemon=True)
    with on_processor(1):
        process.start()
    its.close()  # so that a process that ends early is noticed
    try:
        yield Receiver(f"http://127.0.0.1:{ours.recv()}/hook", ours)
        ours.send("end")
        process.join(10)
    finally:
        process.kill()
