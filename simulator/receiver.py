"""The product's end of the webhooks: verifies each delivery with a library that is not ours, and keeps what it says."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from simulator.exchange import JsonObject, Misbehaviour

SECRET_SECONDS = 10
# How soon the receiver notices that it is to end.
POLL_SECONDS = 0.05
# No event is nearly as long.
MAX_BODY = 4 * 1024 * 1024

Answer = Callable[[bytes, dict[str, str]], int]


@dataclass(frozen=True)
class Event:
    """One verified event; ``subject`` is the id of the person or group that it is about."""

    id: str
    type: str
    sequence: int
    subject: str | None
    body: JsonObject


class DeliveryServer:
    """An HTTP server in a thread, as a context manager. ``answer`` gets body and headers, and returns the status.

    :raises OSError: When the port is taken or the host is none of this machine.
    """

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler_for(answer))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def url(self) -> str:
        """Where deliveries are to be sent."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def __enter__(self) -> "DeliveryServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_for(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdigit()) or int(length[:9]) > MAX_BODY:
                self.close_connection = True
                self._say(413)
                return
            body = self.rfile.read(int(length))
            self._say(answer(body, {name.lower(): value for name, value in self.headers.items()}))

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: whoever answers tells what arrived."""

    return Handler


class WebhookReceiver:
    """A server for deliveries. It keeps events by id; a delivery it cannot verify is refused and remembered.

    Use it as a context manager, and give it the ``signing_secret`` as soon as the endpoint is registered.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.events: list[Event] = []
        self.duplicates = 0
        self.late_arrivals = 0
        self._complaints: list[str] = []
        self._changed = threading.Condition()
        self._verifier: Webhook | None = None
        self._server = DeliveryServer(host, 0, lambda body, headers: 204 if self.accept(body, headers) else 400)

    @property
    def url(self) -> str:
        """Where deliveries are to be sent."""
        return self._server.url

    def __enter__(self) -> "WebhookReceiver":
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def trust(self, signing_secret: str) -> None:
        """Verify deliveries with this secret from now on."""
        with self._changed:
            self._verifier = Webhook(signing_secret)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise Misbehaviour when any delivery could not be verified or contradicted another one."""
        with self._changed:
            if self._complaints:
                raise Misbehaviour("A delivery must not be believed. " + "\n".join(self._complaints))

    def wait_until(self, satisfied: Callable[[list[Event]], bool], quiet_seconds: float) -> bool:
        """Wait until the events satisfy; return False when none arrived for ``quiet_seconds``.

        :raises Misbehaviour: As ``check`` does.
        """
        last_count, deadline = -1, 0.0
        with self._changed:
            while not self._complaints:
                if satisfied(list(self.events)):
                    return True
                if len(self.events) != last_count:
                    last_count, deadline = len(self.events), time.monotonic() + quiet_seconds
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return False
        self.check()
        return False

    def accept(self, body: bytes, headers: dict[str, str]) -> bool:
        """Keep a delivery, and tell whether it could be believed."""
        with self._changed:
            self._changed.wait_for(lambda: self._verifier is not None, SECRET_SECONDS)
            try:
                if self._verifier is None:
                    raise ValueError("it came before the endpoint had a secret")
                # The library reads the headers by splitting, and fails with other errors than its own on crooked ones.
                content = self._verifier.verify(body, headers)
                self._keep(event_of(headers["webhook-id"], content))
            except (WebhookVerificationError, ValueError) as error:
                shown = body[:500].decode("utf-8", "replace")
                self._complaints.append(f"{error}: {_signed_headers(headers)}\n{shown}")
                return False
            finally:
                self._changed.notify_all()
            return True

    def _keep(self, event: Event) -> None:
        """Add an event that is new.

        :raises ValueError: When an id comes again with other content, or an event under another id.
        """
        for known in self.events:
            if known.id == event.id and known.body == event.body:
                self.duplicates += 1
                return
            if known.id == event.id:
                raise ValueError("the same webhook-id came with another body")
            if known.sequence == event.sequence and known.body["organization_id"] == event.body["organization_id"]:
                raise ValueError("the same sequence number came under two ids")
        if self.events and event.sequence < max(known.sequence for known in self.events):
            self.late_arrivals += 1
        self.events.append(event)


def event_of(webhook_id: str, content: Any) -> Event:
    """Return the event of an envelope.

    :raises ValueError: When a member is missing or of another kind.
    """
    if not isinstance(content, dict) or content.get("object") != "event" or not isinstance(content.get("data"), dict):
        raise ValueError("the body is no event")
    if content.get("id") != webhook_id:
        raise ValueError("webhook-id is not the id of the event")
    kind, sequence = content.get("type"), content.get("sequence")
    if not isinstance(kind, str) or not isinstance(sequence, int) or not isinstance(content.get("occurred_at"), int):
        raise ValueError("type, sequence and occurred_at must be there")
    about = content["data"].get("user") or content["data"].get("group") or {}
    return Event(webhook_id, kind, sequence, about.get("id"), content)


def _signed_headers(headers: dict[str, str]) -> str:
    return json.dumps({name: value for name, value in headers.items() if name.startswith("webhook-")})
