"""A real receiver on this machine that does what a test tells it, and events to send to it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from typing import Any

from webhooks.outbound import OutboundPolicy

LOCAL = OutboundPolicy(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))


@dataclass
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """An answer with a status, headers and a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drop(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


@dataclass
class Receiver:
    """Answers with what ``answers`` holds, one after the other, and then with 204."""

    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        return [request.id for request in self.received]

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Say nothing until the test is over."""
        self.released.wait(20)
        handler.close_connection = True

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """Begin an answer with 200 and never end it, a byte at a time."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.released.wait(0.01):
            handler.wfile.write(b".")
        handler.close_connection = True

    def drip_headers(self, handler: BaseHTTPRequestHandler) -> None:
        """Begin an answer with 200 and never end its headers."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.released.wait(0.01):
            handler.wfile.write(b"X-More: 1\r\n"[:1])
        handler.close_connection = True

    def endless(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer 200 with a body that goes on and on."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self.released.is_set():
            handler.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def handler_for(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            answer = receiver.answers.pop(0) if receiver.answers else status(204)
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the sender has had enough

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def make_events(tenant: Any, count: int = 1) -> list[str]:
    """Make that many events of one organization, and return the ids of the tokens that they are about."""
    ids = []
    for number in range(count):
        answer = tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": f"Token {number}"})
        assert answer.status_code == 201, answer.json
        ids.append(answer.json["id"])
    return ids
