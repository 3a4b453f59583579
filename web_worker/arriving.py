"""Requests as they arrive: read and judged by gunicorn, each thing once.

A client says the same in the head of each request of a connection, but for the first line. gunicorn reads that line by
line, judges it and makes the variables of WSGI of it, which takes as long as the application does with a third of a
read. Of the same bytes it would find the same, so that is kept for as long as the connection is; and of a request with
such a head, and a first line of which nothing is to be judged, only that line is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import NoMoreData
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.util import unquote_to_wsgi_str
from gunicorn.workers.gthread import TConn

from web_worker.wire import Answer

# A first line of which nothing is to be judged: what is asked for is a path of this server, and has no fragment.
PLAIN_LINE = re.compile(
    r"""(GET|HEAD|POST|PUT|PATCH|DELETE)[ ]
    (  (/[!-"$->@-~]*)  (?:\?([!-"$-~]*))?  )
    [ ]HTTP/1\.1""",
    re.VERBOSE,
)
# How many heads are kept for a connection, and of what length: those of a client differ in the length of what it sends.
KEPT_HEADS, KEPT_BYTES = 8, 2048
SHORT_LINE = 2048
# Which attributes of a request are only for that one; and those that lead back to its head, which nothing would free.
OF_ARRIVING = frozenset({"method", "uri", "path", "query", "fragment", "req_number", "headers", "trailers", "body"})
LEADING_BACK = frozenset({"head", "unreader"})
# What says of a request what is not in its head, or is only for that one.
OF_REQUEST = frozenset({"PATH_INFO", "QUERY_STRING", "RAW_URI", "REQUEST_METHOD", "wsgi.early_hints", "wsgi.input"})


@dataclass(slots=True)
class Head:
    """What gunicorn finds in the lines of a head after the first: the fields, and what they make of the scheme."""

    fields: list[tuple[str, str]]
    scheme: str
    # How long the body of every request with this head is, and its other attributes; None where they are not all known.
    length: int = 0
    request: dict[str, Any] | None = None
    # The variables of WSGI of every such request, once there was one.
    environ: dict[str, Any] = field(default_factory=dict)


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

    scheme: str
    # What is known of its head; None where that is not kept.
    head: Head | None = None
    _closes: bool | None = None

    def __init__(self, cfg: Config, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        if not self._is_like_a_former_one(unreader, req_number):
            super().__init__(cfg, unreader, peer_addr, req_number)
            self._let_others_be_alike()

    def _is_like_a_former_one(self, unreader: Any, req_number: int) -> bool:
        """Take a request that differs in nothing but a plain first line and its body from one before, and tell if so.

        If not, all of it is left to gunicorn.
        """
        former, unreader.taken = unreader.taken, None
        if former is None:
            if not unreader.known_heads:
                return False
            data: bytes = unreader.read()
            former = _former(unreader.known_heads, data)
            if former is None:
                unreader.unread(data)
                return False
        head, plain, rest = former
        self.__dict__.update(head.request or {})
        self.head, self.unreader = head, unreader
        self.method, self.uri, self.path, query = plain.groups()
        self.query, self.fragment, self.req_number = query or "", "", req_number
        self.headers, self.trailers = head.fields.copy(), list[tuple[str, str]]()
        self.body = Body(LengthOrNothing(unreader, head.length))
        if head.length and len(rest) >= head.length:  # it is here already
            self.body.buf.write(rest[: head.length])
            self.body.reader.length, rest = 0, rest[head.length :]
        if rest:
            unreader.unread(rest)
        return True

    def _let_others_be_alike(self) -> None:
        """Keep what is the same for all requests with this head, if how long their bodies are is a part of that."""
        head, reader = self.head, self.body.reader
        is_special = self.proxy_protocol_info or self.method == "CONNECT" or 0 < self.limit_request_line < SHORT_LINE
        if head is not None and isinstance(reader, LengthReader) and not is_special:
            self.should_close()  # which the head says as well
            head.length = reader.length
            others = OF_ARRIVING | LEADING_BACK
            head.request = {name: value for name, value in vars(self).items() if name not in others}

    def parse_request_line(self, line_bytes: bytes) -> None:
        """Take the method, the target and the version.

        :raises ParseException: When the line is not one of HTTP/1.
        """
        plain = PLAIN_LINE.fullmatch(line_bytes.decode("latin-1"))
        if plain is None:
            super().parse_request_line(line_bytes)
            return
        self.method, self.uri, self.path, query = plain.groups()
        self.query, self.fragment, self.version = query or "", "", (1, 1)

    def parse_headers(self, data: bytes, from_trailer: bool = False) -> list[tuple[str, str]]:
        """Return the fields of a head, or of what follows a body.

        :raises ParseException: When it is not as HTTP/1 has it, or says what may be understood in two ways.
        """
        known: dict[tuple[Any, bytes], Head] = self.unreader.known_heads
        head = None if from_trailer else known.get((self.version, data))
        if head is None:
            fields: list[tuple[str, str]] = super().parse_headers(data, from_trailer)
            if from_trailer or self._expected_100_continue or len(data) > KEPT_BYTES:
                return fields
            if len(known) >= KEPT_HEADS:
                known.clear()
            head = known[self.version, data] = Head(fields, self.scheme)
        self.head, self.scheme = head, head.scheme
        return head.fields.copy()

    def set_body_reader(self) -> None:
        """Find out how the body is read."""
        super().set_body_reader()
        if isinstance(self.body.reader, LengthReader):
            self.body.reader = LengthOrNothing(self.unreader, self.body.reader.length)

    def should_close(self) -> bool:
        """Tell whether it is the last of its connection."""
        if self.must_close:
            return True
        if self._closes is None:
            self._closes = bool(super().should_close())
        return self._closes

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

    def __init__(self, cfg: Config, source: Any, source_addr: Any) -> None:
        super().__init__(cfg, source, source_addr)
        self.unreader.known_heads = {}
        # The next request, where it was taken already.
        self.unreader.taken = None

    def take_get(self, data: bytes, is_wanted: Callable[[str], bool]) -> bool:
        """Take what arrived as the next request if it is one whole GET with a known head, of a target that is wanted.

        If not, it is left to be read.
        """
        former = _former(self.unreader.known_heads, data)
        if former is not None:
            head, plain, rest = former
            method, target = plain[1], plain[2]
            if method == "GET" and not (head.length or rest) and is_wanted(target):
                self.unreader.taken = former
                return True
        self.unreader.unread(data)
        return False

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Tell whether nothing is left of the body of the last request, after reading what is."""
        if self.mesg is not None and _is_read(self.mesg.body):
            return True
        finished: bool = super().finish_body(deadline, max_bytes)
        return finished


def _former(known: Mapping[tuple[Any, bytes], Head], data: bytes) -> tuple[Head, re.Match[str], bytes] | None:
    """Return the known head of a request, its plain first line and what follows; None where it has no such two."""
    line, _, lines = data.partition(b"\r\n")
    fields, end, rest = lines.partition(b"\r\n\r\n")
    head = known.get(((1, 1), fields)) if end and len(line) <= SHORT_LINE else None
    if head is None or head.request is None:
        return None
    plain = PLAIN_LINE.fullmatch(line.decode("latin-1"))
    return None if plain is None else (head, plain, rest)


def is_whole(body: Any) -> bool:
    """Tell whether a body has arrived to its end, or is none."""
    reader = body.reader
    return not reader.length if isinstance(reader, LengthReader) else reader.parser is None


def _is_read(body: Any) -> bool:
    """Tell whether a body was read to its end, or is none."""
    return not body.failed and isinstance(body.reader, LengthReader) and not body.reader.length and not body.buf.tell()


def answering(req: Any, conn: TConn, cfg: Config) -> tuple[Answer, dict[str, Any]]:
    """Return what a request is answered with, and its variables of WSGI."""
    head: Head | None = getattr(req, "head", None)
    if head is not None and head.environ:
        environ = head.environ.copy()
        environ["PATH_INFO"] = req.path if "%" not in req.path else unquote_to_wsgi_str(req.path)
        environ["QUERY_STRING"], environ["RAW_URI"] = req.query, req.uri
        environ["REQUEST_METHOD"], environ["wsgi.input"] = req.method, req.body
        return Answer(req, conn.sock, cfg), environ
    answer, environ = wsgi.create(req, conn.sock, conn.client, conn.server, cfg, response_class=Answer)
    environ["wsgi.multithread"] = True
    del environ["wsgi.early_hints"]  # which nobody gives here
    if head is not None and not (environ["SCRIPT_NAME"] or req.proxy_protocol_info):
        head.environ = {name: value for name, value in environ.items() if name not in OF_REQUEST}
    return answer, environ
