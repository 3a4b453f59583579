"""What leaves through a connection is what gunicorn would have sent, in fewer pieces."""

from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName
from gunicorn.http.wsgi import Response

from web_worker import wire
from web_worker.wire import Answer

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"


class Pieces:
    """Stands for a socket, and keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gunicorn.util.http_date", lambda *_: DATE)
    monkeypatch.setattr(wire.date, "now", lambda: DATE)


def sent_by(
    kind: type[Response], method: str, status: str, headers: list[Any], parts: list[bytes], **more: Any
) -> list[bytes]:
    request = SimpleNamespace(
        method=method, version=more.get("version", (1, 1)), should_close=lambda: more.get("closes", False)
    )
    pieces = Pieces()
    answer = kind(request, pieces, SimpleNamespace(protocol="http"))
    answer.start_response(status, headers)
    for part in parts:
        answer.write(part)
    answer.close()
    return pieces.sent


def length(number: int) -> tuple[str, str]:
    return ("Content-Length", str(number))


PLAIN = [("Content-Type", "application/scim+json"), ("ETag", 'W/"1"'), ("Location", "http://x/scim/v2/Users/du_1")]


@pytest.mark.parametrize(
    ("method", "status", "headers", "parts", "more"),
    [
        ("GET", "200 OK", [*PLAIN, length(4)], [b"body"], {}),
        ("GET", "200 OK", [*PLAIN, length(4)], [b"bo", b"dy"], {}),
        ("GET", "200 OK", [*PLAIN, length(4)], [b"body and more"], {}),
        ("GET", "200 OK", [*PLAIN, length(40)], [b"too little"], {}),
        ("GET", "200 OK", PLAIN, [b"chunk", b"", b"chunk"], {}),
        ("GET", "200 OK", PLAIN, [b"until the end"], {"version": (1, 0)}),
        ("GET", "200 OK", [*PLAIN, length(4)], [b"body"], {"closes": True}),
        ("GET", "200 OK", [length(0)], [b""], {}),
        ("GET", "200 OK", [length(0)], [], {}),
        ("HEAD", "200 OK", [*PLAIN, length(4)], [b"body"], {}),
        ("HEAD", "200 OK", [*PLAIN, length(4)], [], {}),
        ("DELETE", "204 NO CONTENT", [], [], {}),
        ("DELETE", "204 NO CONTENT", [length(0)], [b""], {}),
        ("GET", "304 NOT MODIFIED", [*PLAIN, length(4)], [b"body"], {}),
        ("GET", "200 OK", [("Connection", "close"), ("X-Own", "  ä  "), *PLAIN, length(4)], [b"body"], {}),
    ],
)
def test_an_answer_is_what_gunicorn_would_have_sent(
    method: str, status: str, headers: list[Any], parts: list[bytes], more: dict[str, Any]
) -> None:
    def told(sent: list[bytes]) -> tuple[list[bytes], bytes]:
        head, _, body = b"".join(sent).partition(b"\r\n\r\n")
        return sorted(head.split(b"\r\n")), body

    assert told(sent_by(Answer, method, status, headers, parts, **more)) == told(
        sent_by(Response, method, status, headers, parts, **more)
    )


def test_an_answer_of_one_part_leaves_at_once() -> None:
    assert len(sent_by(Answer, "GET", "200 OK", [*PLAIN, length(4)], [b"body"])) == 1


@pytest.mark.parametrize("name", ["Location", "X-Own"])
@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: a=b", "a\nb", "a\0b", "a\x7fb"])
def test_no_value_ends_its_line(name: str, value: str) -> None:
    with pytest.raises(InvalidResponseHeader):
        sent_by(Answer, "GET", "200 OK", [(name, value), length(4)], [b"body"])


@pytest.mark.parametrize("name", ["Lo cation", "Location:", "Location\r\nX", ""])
def test_no_name_is_more_than_one(name: str) -> None:
    with pytest.raises(InvalidResponseHeaderName):
        sent_by(Answer, "GET", "200 OK", [(name, "a"), length(4)], [b"body"])


def test_little_is_remembered_of_what_answers_said_and_nothing_that_is_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "JUDGED", set())
    for number in range(2 * wire.MOST_JUDGED):
        sent_by(Answer, "GET", "200 OK", [("ETag", f'W/"{number}"'), ("Vary", f"X-{number}"), length(0)], [b""])
    assert len(wire.JUDGED) == wire.MOST_JUDGED
    assert {name for name, _ in wire.JUDGED} == {"Vary"}


def test_the_date_is_that_of_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    date = wire.HttpDate()
    seen = []
    for now in (1_796_000_000.2, 1_796_000_000.9, 1_796_000_001.0):
        monkeypatch.setattr(wire.time, "time", lambda now=now: now)
        seen.append(date.now())
    assert seen[0] == seen[1] != seen[2]
