"""Receivers, endpoints and deliveries at a time that the test decides."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask

from clock import now_ms
from database import db
from tests.webhooks.receiving import LOCAL, Receiver, handler_for
from webhooks.delivery import Carrier, deliver_due
from webhooks.outbound import Limits


@pytest.fixture
def start_receiver() -> Iterator[Callable[[], Receiver]]:
    started: list[tuple[Receiver, ThreadingHTTPServer]] = []

    def start() -> Receiver:
        receiver = Receiver()
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(receiver))
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append((receiver, server))
        return receiver

    yield start
    for receiver, server in started:
        receiver.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver(start_receiver: Callable[[], Receiver]) -> Receiver:
    return start_receiver()


@dataclass
class Post:
    """Delivers as a worker would, at a time that the test moves forward."""

    app: Flask
    now: int = field(default_factory=now_ms)
    limits: Limits = field(default_factory=lambda: Limits(connect=2, total=2))
    options: dict[str, Any] = field(default_factory=dict)

    def later(self, milliseconds: int) -> "Post":
        self.now = max(self.now, now_ms()) + milliseconds  # however long the test took so far
        return self

    def carrier(self) -> Carrier:
        # Events carry the real time, so the clock of the test never stands before it.
        self.now = max(self.now, now_ms())
        return Carrier(
            policy=LOCAL,
            secret_box=self.app.extensions["secret_box"],
            now=lambda: self.now,
            random=lambda: 0.0,
            limits=self.limits,
            **self.options,
        )

    def deliver(self, endpoint_id: str) -> int:
        with self.app.app_context():
            return deliver_due(db, endpoint_id, self.carrier())


@pytest.fixture
def post(app: Flask) -> Post:
    return Post(app)


@pytest.fixture
def add_endpoint() -> Callable[..., dict[str, Any]]:
    def add(tenant: Any, receiver: Receiver, **body: Any) -> dict[str, Any]:
        body = {"url": receiver.url, "organization_id": tenant.organization_id, **body}
        answer = tenant.api("POST", "/webhook-endpoints", body)
        assert answer.status_code == 201, answer.json
        endpoint: dict[str, Any] = answer.json
        return endpoint

    return add


@pytest.fixture
def deliveries_of() -> Callable[..., list[dict[str, Any]]]:
    def of(tenant: Any, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
        """Return all deliveries of an endpoint, oldest event first."""
        answer = tenant.api("GET", f"/webhook-deliveries?endpoint_id={endpoint['id']}&limit=200")
        assert answer.status_code == 200, answer.json
        found: list[dict[str, Any]] = answer.json["data"]
        return found[::-1]

    return of
