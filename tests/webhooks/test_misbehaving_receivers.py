"""What receivers do wrong, byte by byte over real sockets, and what becomes of the event each time.

The second event of every case shows that the receiver's mistake is forgiven: it
is answered well and taken.
"""

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest
from flask import Flask

from database import db
from models import WebhookEndpoint
from tests.conftest import Tenant, wait_until
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import make_events
from webhooks.outbound import Limits
from webhooks.schedule import HOUR, MINUTE

AddEndpoint = Callable[..., dict[str, Any]]
DeliveriesOf = Callable[..., list[dict[str, Any]]]
Behaviour = Callable[[socket.socket, "RawReceiver"], None]

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
SHORT = Limits(connect=0.5, total=0.5)
PATIENT = Limits(connect=15, total=15)


def read_request(connection: socket.socket) -> bytes:
    """Return the next request, or nothing when the sender has closed the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@dataclass
class RawReceiver:
    """Treats each connection as the next of ``behaviours`` says, and as a good receiver when there is none left."""

    behaviours: list[Behaviour] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            behaviour = self.behaviours.pop(0) if self.behaviours else answer_well
            threading.Thread(target=self._treat, args=(connection, behaviour), daemon=True).start()

    def _treat(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with connection:
            try:
                behaviour(connection, self)
            except OSError:
                return  # the sender has had enough

    def take(self, connection: socket.socket) -> bool:
        request = read_request(connection)
        if request:
            self.requests.append(request)
        return bool(request)


@pytest.fixture
def raw() -> Iterator[RawReceiver]:
    receiver = RawReceiver()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        threading.Thread(target=receiver.serve, args=(listener,), daemon=True).start()
        yield receiver
        receiver.over.set()
        listener.shutdown(socket.SHUT_RDWR)


# -- Behaviours ------------------------------------------------------------------------


def answer_well(connection: socket.socket, receiver: RawReceiver) -> None:
    while receiver.take(connection):
        connection.sendall(OK)


def says(*answer: bytes, close: bool = True) -> Behaviour:
    """Take one request, answer it so, and close; or go on as a good receiver on the same connection."""

    def behave(connection: socket.socket, receiver: RawReceiver) -> None:
        receiver.take(connection)
        connection.sendall(b"".join(answer))
        if not close:
            answer_well(connection, receiver)

    return behave


def status(line: str, *headers: str, body: bytes = b"") -> Behaviour:
    head = [f"HTTP/1.1 {line}", *headers, f"Content-Length: {len(body)}", "", ""]
    return says("\r\n".join(head).encode(), body, close=False)


def retry_after(code: int, value: str) -> Behaviour:
    return status(f"{code} Later", f"Retry-After: {value}")


def goes_on(begin: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Begin an answer, and add to it until the sender has had enough."""

    def behave(connection: socket.socket, receiver: RawReceiver) -> None:
        receiver.take(connection)
        connection.sendall(begin)
        while not receiver.over.wait(pause):
            connection.sendall(piece)

    return behave


def says_nothing(connection: socket.socket, receiver: RawReceiver) -> None:
    receiver.take(connection)
    receiver.over.wait(20)


def closes_unread(_connection: socket.socket, _receiver: RawReceiver) -> None:
    """Close before anything was read."""


def speaks_no_tls(connection: socket.socket, _receiver: RawReceiver) -> None:
    connection.recv(65536)
    connection.sendall(b"I speak no TLS\r\n")


def resets(connection: socket.socket, receiver: RawReceiver) -> None:
    receiver.take(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# -- The table -------------------------------------------------------------------------

NOTHING_KEPT = None
BOMB = gzip.compress(b"\0" * 50_000_000)  # within what is read of an answer


def as_text(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")


@dataclass(frozen=True)
class Case:
    """One behaviour, and what the attempt and its delivery must say."""

    what: str
    behaviour: Behaviour
    status: int | None
    error: str | None = None
    kept: str | None = ""
    wait: int = MINUTE
    limits: Limits = PATIENT

    @property
    def state(self) -> str:
        taken = self.error is None and self.status is not None and 200 <= self.status < 300
        return "succeeded" if taken else "pending"


CLOSED = "without an answer"
BROKEN_OFF = "middle of the answer"
NO_HTTP = "not HTTP"
LATE = "No whole answer within"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: "
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

CASES = [
    # Answers
    Case("takes it", status("200 OK", body=b"thanks"), 200, kept="thanks"),
    Case("has accepted it", status("202 Accepted"), 202),
    Case("has failed", status("500 No", body=b"no"), 500, kept="no"),
    Case("does not know the path", status("404 Not Found"), 404),
    Case("sends it elsewhere for ever", status("301 Moved", "Location: /elsewhere"), 301),
    Case("sends it elsewhere for now", status("307 Moved", "Location: /elsewhere"), 307),
    Case("answers 200 and is slow about it", says(LENGTH, b"2\r\n\r\n", b"o", b"k"), 200, kept="ok"),
    # Retry-After
    Case("asks for two minutes", retry_after(429, "120"), 429, wait=120_000),
    Case("asks for two minutes, being down", retry_after(503, "120"), 503, wait=120_000),
    Case("asks for two minutes, having failed", retry_after(500, "120"), 500, wait=120_000),
    Case("asks for less than the schedule gives", retry_after(503, "1"), 503),
    Case("asks for no time", retry_after(429, "0"), 429),
    Case("asks for a million years", retry_after(429, "9" * 30), 429, wait=24 * HOUR),
    Case("asks for less than nothing", retry_after(503, "-5"), 503),
    Case("asks for soon", retry_after(503, "soon"), 503),
    Case("asks for a zone beyond all numbers", retry_after(429, "1 Jan 2030 00:00:00 +" + "9" * 30), 429),
    # Time
    Case("says nothing", says_nothing, None, LATE, NOTHING_KEPT, limits=SHORT),
    Case("drips its headers", goes_on(b"HTTP/1.1 200 OK\r\n", b"X", 0.01), None, LATE, NOTHING_KEPT, limits=SHORT),
    Case("drips its body", goes_on(LENGTH + b"99999\r\n\r\n", b".", 0.01), 200, LATE, ".", limits=SHORT),
    Case("keeps promising", goes_on(b"", b"HTTP/1.1 102 Wait\r\n\r\n", 0.01), None, LATE, NOTHING_KEPT, limits=SHORT),
    # Too much
    Case("never stops", goes_on(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096), 200, kept="x" * 4096),
    Case("never stops in chunks", goes_on(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"), 200, kept="x" * 4096),
    Case("never stops in tiny chunks", goes_on(CHUNKED, b"1\r\nx\r\n" * 999), 200, kept="x" * 4096),
    Case("has endless headers", goes_on(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 50), None, NO_HTTP, NOTHING_KEPT),
    Case("has one endless header", goes_on(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 4096), None, NO_HTTP, NOTHING_KEPT),
    Case("promises without end", goes_on(b"", b"HTTP/1.1 100 Go\r\n\r\n" * 99), None, "too long", NOTHING_KEPT),
    Case("has endless trailers", goes_on(CHUNKED + b"0\r\n", b"X: y\r\n" * 99), 200, "too long"),
    Case(
        "sends a gzip bomb, which stays folded",
        status("200 OK", "Content-Encoding: gzip", body=BOMB), 200, kept=as_text(BOMB[:4096]),
    ),
    # Broken off
    Case("closes unread", closes_unread, None, "closed", NOTHING_KEPT),
    Case("closes without a word", says(b""), None, CLOSED, NOTHING_KEPT),
    Case("resets the connection", resets, None, "closed by the receiver", NOTHING_KEPT),
    Case("breaks off in the status line", says(b"HTTP/1.1 200"), None, BROKEN_OFF, NOTHING_KEPT),
    Case("breaks off after the status line", says(b"HTTP/1.1 200 OK\r\n"), None, BROKEN_OFF, NOTHING_KEPT),
    Case("breaks off in a header", says(b"HTTP/1.1 200 OK\r\nContent-Le"), None, BROKEN_OFF, NOTHING_KEPT),
    Case("breaks off in the body", says(LENGTH, b"10\r\n\r\nhalf"), 200, BROKEN_OFF, "half"),
    Case("breaks off in a chunk", says(CHUNKED, b"a\r\nhalf"), 200, BROKEN_OFF, "half"),
    Case("breaks off between chunks", says(CHUNKED, b"4\r\nhalf\r\n"), 200, BROKEN_OFF, "half"),
    # Lies and nonsense
    Case("says more than it announced", says(LENGTH, b"2\r\n\r\nok and more", close=False), 200, kept="ok"),
    Case("answers twice", says(OK, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", close=False), 204),
    Case("has a length that is no number", says(LENGTH, b"many\r\n\r\nok"), 200, kept="ok"),
    Case("has a length below zero", says(LENGTH, b"-5\r\n\r\nok"), 200, kept="ok"),
    Case("has chunks of no size", says(CHUNKED, b"zz\r\nok\r\n"), 200, BROKEN_OFF),
    Case("answers 204 with a body", says(b"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody", close=False), 204),
    Case("is no web server", says(b"SSH-2.0-OpenSSH_9.6\r\n"), None, NO_HTTP, NOTHING_KEPT),
    Case("has a status of letters", says(b"HTTP/1.1 abc OK\r\n\r\n"), None, NO_HTTP, NOTHING_KEPT),
    Case("has a status of four digits", says(b"HTTP/1.1 2000 OK\r\n\r\n"), None, NO_HTTP, NOTHING_KEPT),
    Case("speaks HTTP of the future", says(b"HTTP/9.9 200 OK\r\n\r\n"), None, NO_HTTP, NOTHING_KEPT),
    Case("speaks HTTP/1.0", says(b"HTTP/1.0 200 OK\r\n\r\nold"), 200, kept="old"),
    # Answers before the answer (RFC 9110 §15.2)
    Case("says continue first", says(b"HTTP/1.1 100 Continue\r\n\r\n", OK, close=False), 204),
    Case("hints first", says(b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n", LENGTH, b"2\r\n\r\nok"), 200, kept="ok"),
    Case("fails after a hint", says(b"HTTP/1.1 103 Hints\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n"), 500),
    Case("only says continue", says(b"HTTP/1.1 100 Continue\r\n\r\n"), None, BROKEN_OFF, NOTHING_KEPT),
    Case("changes the protocol", says(b"HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\n", b"\1\2", close=False), 101),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_receiver_that(
    case: Case, acme: Tenant, raw: RawReceiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, raw)
    raw.behaviours = [case.behaviour]
    make_events(acme)
    post.limits = case.limits
    assert post.deliver(endpoint["id"]) == 1

    [delivery] = deliveries_of(acme, endpoint)
    [attempt] = delivery["attempts"]
    assert (delivery["state"], attempt["status"]) == (case.state, case.status)
    assert attempt["error"] is None if case.error is None else case.error in attempt["error"]
    if case.limits is SHORT:
        assert attempt["milliseconds"] >= 500
    if case.kept and case.error == LATE:
        assert set(attempt["response_body"]) == set(case.kept)
    else:
        assert attempt["response_body"] == case.kept
    if case.state == "pending":
        assert delivery["next_attempt_at"] == post.now + case.wait
    assert len(raw.requests) <= 1, "no redirect is followed, and nothing is sent again at once"

    post.limits = PATIENT
    post.later(case.wait)
    make_events(acme)
    post.deliver(endpoint["id"])
    assert [delivery["state"] for delivery in deliveries_of(acme, endpoint)] == ["succeeded"] * 2
    first = deliveries_of(acme, endpoint)[0]
    assert len(first["attempts"]) == (1 if case.state == "succeeded" else 2)
    assert all(request.startswith(b"POST /hook ") for request in raw.requests)


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (Limits().total, Limits().kept) == (15, 4096)


def test_a_date_in_retry_after_is_waited_for(
    acme: Tenant, raw: RawReceiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, raw)
    make_events(acme)
    post.carrier()
    asked = post.now // 1000 + 600
    raw.behaviours = [retry_after(503, formatdate(asked, usegmt=True))]
    post.deliver(endpoint["id"])
    assert deliveries_of(acme, endpoint)[0]["next_attempt_at"] == asked * 1000


# -- Connections -----------------------------------------------------------------------


def test_a_connection_closed_between_two_events_is_opened_again_without_a_failed_attempt(
    acme: Tenant, raw: RawReceiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, raw)

    def closes_after_one(connection: socket.socket, receiver: RawReceiver) -> None:
        receiver.take(connection)
        connection.sendall(OK)

    def closes_on_the_second(connection: socket.socket, receiver: RawReceiver) -> None:
        closes_after_one(connection, receiver)
        read_request(connection)  # the close crosses the request on its way

    raw.behaviours = [closes_after_one, closes_on_the_second]
    make_events(acme, 6)
    assert post.deliver(endpoint["id"]) == 6
    assert [len(delivery["attempts"]) for delivery in deliveries_of(acme, endpoint)] == [1] * 6
    assert {delivery["state"] for delivery in deliveries_of(acme, endpoint)} == {"succeeded"}
    assert raw.connections == 3


def test_a_new_connection_that_is_closed_too_is_a_failed_attempt(
    acme: Tenant, raw: RawReceiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, raw)

    def closes_on_the_second(connection: socket.socket, receiver: RawReceiver) -> None:
        receiver.take(connection)
        connection.sendall(OK)
        receiver.take(connection)

    raw.behaviours = [closes_on_the_second, says(b"")]
    make_events(acme, 3)
    assert post.deliver(endpoint["id"]) == 3
    first, second, third = deliveries_of(acme, endpoint)
    assert [len(delivery["attempts"]) for delivery in (first, second, third)] == [1, 1, 1]
    assert (second["state"], second["next_attempt_at"]) == ("pending", post.now + MINUTE)
    assert (first["state"], third["state"]) == ("succeeded", "succeeded")
    assert raw.connections == 3


# -- No connection at all ------------------------------------------------------------------


def nobody_there() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/hook"


def no_such_host(_host: str, _port: int) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (lambda raw: nobody_there(), "refused"),
        (lambda raw: raw.url.replace("127.0.0.1", "hooks.invalid"), "cannot be resolved"),
        (lambda raw: raw.url.replace("http:", "https:"), "No secure connection"),
        (lambda raw: raw.url.replace("127.0.0.1", "169.254.169.254"), "not public"),
    ],
    ids=["that is not there", "without a name", "without TLS", "in the cloud's own network"],
)
def test_a_receiver_that_cannot_be_reached_fails_on_the_schedule(
    url: Callable[[RawReceiver], str],
    error: str,
    app: Flask,
    acme: Tenant,
    raw: RawReceiver,
    post: Post,
    add_endpoint: AddEndpoint,
    deliveries_of: DeliveriesOf,
) -> None:
    endpoint = add_endpoint(acme, raw)
    with app.app_context(), db.unit_of_work() as session:
        session.get_one(WebhookEndpoint, endpoint["id"]).url = url(raw)
    if "resolved" in error:
        post.options["resolve"] = no_such_host
    raw.behaviours = [speaks_no_tls]
    make_events(acme)
    for attempts, wait in enumerate([MINUTE, 5 * MINUTE, 30 * MINUTE], start=1):
        assert post.deliver(endpoint["id"]) == 1
        [delivery] = deliveries_of(acme, endpoint)
        assert (delivery["state"], delivery["next_attempt_at"]) == ("pending", post.now + wait)
        assert len(delivery["attempts"]) == attempts
        assert error in delivery["attempts"][-1]["error"]
        assert delivery["attempts"][-1]["status"] is None
        raw.behaviours = [speaks_no_tls]
        post.later(wait)


def test_an_endpoint_that_comes_and_goes_for_ever_keeps_every_attempt(
    acme: Tenant, raw: RawReceiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, raw)
    raw.behaviours = [says(b""), status("503 Down"), resets, status("502 Bad", body=b"gateway"), says(b"?\r\n")]
    make_events(acme)
    for wait in (MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, 12 * HOUR):
        post.deliver(endpoint["id"])
        post.later(wait)
    [delivery] = deliveries_of(acme, endpoint)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [None, 503, None, 502, None, 204]
    assert [attempt["response_body"] for attempt in delivery["attempts"]] == [None, "", None, "gateway", None, ""]
    assert delivery["state"] == "succeeded"
    assert len({request.partition(b"\r\n\r\n")[2] for request in raw.requests}) == 1
    wait_until(lambda: len(raw.requests) == 6)
