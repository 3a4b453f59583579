"""What leaves through a connection, where gunicorn's own way takes as long as the application does with a read."""

import time

from gunicorn.http.wsgi import HEADER_VALUE_RE, Response
from gunicorn.util import http_date

# Names that need no judging: proper ones, which say nothing about the connection or about how long the answer is.
PLAIN_NAMES = frozenset(
    {
        "Cache-Control",
        "Content-Location",
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
# Those of them that say the same in most answers. What they said is remembered, once it was judged, up to this many.
STEADY_NAMES = PLAIN_NAMES - {"Content-Location", "ETag", "Location", "X-Request-Id"}
JUDGED: set[tuple[str, str]] = set()
MOST_JUDGED = 256


class Answer(Response):  # type: ignore[misc]
    """An answer, whose head and body leave together where that is all of it: the client is woken up once."""

    headers_sent: bool

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Take the headers of the application.

        :raises InvalidResponseHeader: When one of them could end the line that it stands on.
        """
        plain, judged = self.headers, []
        for header in headers:
            if header in JUDGED:
                plain.append(header)
                continue
            name, value = header
            if name in PLAIN_NAMES and HEADER_VALUE_RE.fullmatch(value):
                plain.append(header)
                if name in STEADY_NAMES and len(JUDGED) < MOST_JUDGED:
                    JUDGED.add(header)
            elif name == "Content-Length" and value.isdecimal() and value.isascii():
                self.response_length = int(value)
                plain.append(header)
            else:
                judged.append(header)
        if judged:
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
        lines += [f"Connection: {connection}", *map(": ".join, self.headers), "\r\n"]
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
