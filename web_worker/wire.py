"""What passes through a connection, where gunicorn's own way takes as long as the application does with a read."""

import time
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.http.errors import NoMoreData
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import HEADER_VALUE_RE, Response
from gunicorn.util import http_date

# Names that need no judging: proper ones, which say nothing about the connection or about how long the answer is.
PLAIN_NAMES = frozenset(
    {
        "Cache-Control",
        "Content-Security-Policy",
        "Content-Type",
        "ETag",
        "Location",
        "Referrer-Policy",
        "Vary",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-Request-Id",
    }
)


class LengthOrNothing(LengthReader):  # type: ignore[misc]
    """A body of a length that was announced; one that breaks off before is not taken for whole (RFC 9112 §8)."""

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        :raises NoMoreData: When the client has sent fewer than it announced.
        """
        before = self.length
        part: bytes = super().read(size)
        if len(part) < before - self.length:
            raise NoMoreData
        return part


class Arriving(Request):  # type: ignore[misc]
    """A request, read and checked by gunicorn."""

    def set_body_reader(self) -> None:
        """Find out how the body is read."""
        super().set_body_reader()
        if isinstance(self.body.reader, LengthReader):
            self.body.reader = LengthOrNothing(self.unreader, self.body.reader.length)

    def _peer_is_trusted_proxy(self) -> bool:
        """Tell whether the peer may say what it forwards: found out once for each connection."""
        connection = self.unreader
        if not hasattr(connection, "is_of_proxy"):
            connection.is_of_proxy = super()._peer_is_trusted_proxy()
        is_of_proxy: bool = connection.is_of_proxy
        return is_of_proxy


class Requests(RequestParser):  # type: ignore[misc]
    """The requests of a connection, one after another."""

    mesg_class = Arriving

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Tell whether nothing is left of the body of the last request, after reading what is."""
        if self.mesg is not None and _is_read(self.mesg.body):
            return True
        finished: bool = super().finish_body(deadline, max_bytes)
        return finished


def is_whole(body: Any) -> bool:
    """Tell whether a body has arrived to its end, or is none."""
    reader = body.reader
    return not reader.length if isinstance(reader, LengthReader) else reader.parser is None


def _is_read(body: Any) -> bool:
    """Tell whether a body was read to its end, or is none."""
    return not body.failed and isinstance(body.reader, LengthReader) and not body.reader.length and not body.buf.tell()


class Answer(Response):  # type: ignore[misc]
    """An answer, whose head and body leave together where that is all of it: the client is woken up once."""

    headers_sent: bool

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Take the headers of the application.

        :raises InvalidResponseHeader: When one of them could end the line that it stands on.
        """
        judged = []
        for header in headers:
            if header[0] in PLAIN_NAMES and HEADER_VALUE_RE.fullmatch(header[1]):
                self.headers.append(header)
            else:
                judged.append(header)
        super().process_headers(judged)

    def write(self, data: bytes) -> None:
        """Send a part of the body, after the head if that was not sent yet."""
        if self.headers_sent or self._omits_body or len(data) != self.response_length:
            super().write(data)
            return
        self.headers_sent, self.sent = True, len(data)
        self.sock.sendall(self._head() + data)

    def _head(self) -> bytes:
        major, minor = self.req.version
        connection = "close" if self.should_close() else "keep-alive"
        lines = [f"HTTP/{major}.{minor} {self.status}", f"Server: {self.version}", f"Date: {date.now()}"]
        lines += [f"Connection: {connection}", *[f"{name}: {value}" for name, value in self.headers], "\r\n"]
        return "\r\n".join(lines).encode("latin-1")


class HttpDate:
    """The date as a header has it, which is another one once a second."""

    def __init__(self) -> None:
        self._known: tuple[int, str] = (0, "")

    def now(self) -> str:
        """Return the date of this second (RFC 9110 §5.6.7)."""
        second = int(time.time())
        known = self._known  # in one piece, since all threads ask
        if known[0] != second:
            known = self._known = (second, http_date(second))
        return known[1]


date = HttpDate()
