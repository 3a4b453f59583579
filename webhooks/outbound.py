"""Outbound HTTP: the only place from which a request leaves, and only to addresses that may be sent to.

The host is resolved once for a connection; every address it has is judged, and
the connection is made to a judged address itself, so no second look-up can give
another one. Redirects are not followed and no proxy is read from the
environment.

The sockets are made here, and not by an HTTP library, because a deadline for the
whole exchange has to hold for every single read of a receiver that drips.
"""

import functools
import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from webhooks.addresses import Address
from webhooks.destinations import (
    CheckedUrl,
    Destination,
    OutboundError,
    OutboundPolicy,
    Resolver,
    check_url,
    destination_of,
    judged_addresses,
    system_resolve,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Answer", "CheckedUrl", "Limits", "OutboundError", "OutboundPolicy", "Sender", "check_url"]

Clock = Callable[[], float]


@dataclass(frozen=True)
class Limits:
    """How long one exchange may take, in seconds, and how much of an answer is read and kept, in bytes.

    ``lines`` is for all that is no content: status lines, headers, sizes of chunks, trailers.
    """

    connect: float = 5.0
    total: float = 15.0
    lines: int = 256 * 1024
    read: int = 64 * 1024
    kept: int = 4 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back. ``body`` is its beginning; ``error`` says why the answer is not whole, if it is not."""

    status: int
    retry_after: str | None
    body: bytes
    error: str | None = None


# -- Sockets with a deadline --------------------------------------------------------


@dataclass
class Deadline:
    """A moment on the given clock; shared by a socket and the exchange that is using it."""

    clock: Clock
    moment: float = field(default=0.0)

    def begin(self, seconds: float) -> None:
        """Move the deadline to that many seconds from now."""
        self.moment = self.clock() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: When none are.
        """
        seconds = self.moment - self.clock()
        if seconds <= 0:
            raise TimeoutError("deadline passed")
        return seconds


class _TimedSocket(socket.socket):
    """A socket of which every read and write ends at one deadline, however little each of them brings."""

    deadline: Deadline

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.deadline.remaining())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.settimeout(self.deadline.remaining())
        super().sendall(data, flags)


class _TimedTLSSocket(ssl.SSLSocket):
    """The same over TLS, where ``sendall`` is a loop over ``send``."""

    deadline: Deadline

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(self.deadline.remaining())
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        self.settimeout(self.deadline.remaining())
        return super().send(data, flags)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of this process: the system's authorities, host names checked. Loading takes a while."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TimedTLSSocket
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connect(destination: Destination, addresses: list[Address], deadline: Deadline, seconds: float) -> socket.socket:
    """Return a socket connected to the first of the judged addresses that answers, with TLS where the URL says so."""
    for address in addresses[:-1]:
        try:
            return _connect_to(address, destination, deadline, seconds)
        except OSError:
            deadline.remaining()  # the next address is tried only while there is time
    return _connect_to(addresses[-1], destination, deadline, seconds)


def _connect_to(address: Address, destination: Destination, deadline: Deadline, seconds: float) -> socket.socket:
    plain = _TimedSocket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    plain.deadline = deadline
    try:
        plain.settimeout(min(seconds, deadline.remaining()))
        plain.connect((str(address), destination.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not destination.secure:
            return plain
        secured = tls_context().wrap_socket(plain, server_hostname=destination.host)
        assert isinstance(secured, _TimedTLSSocket)
        secured.deadline = deadline
        return secured
    except TimeoutError as error:
        plain.close()
        raise ConnectTimeout(f"no connection within {seconds:g} s") from error
    except BaseException:
        plain.close()
        raise


class ConnectTimeout(TimeoutError):
    """The receiver did not accept the connection in time."""


# -- Answers --------------------------------------------------------------------


class EndlessHead(http.client.HTTPException):
    """The answer has more lines around its content than are read."""


class _WholeLines(io.BufferedReader):
    """What an answer is read from. To ``http.client`` a head that breaks off is one that has ended; here it is not."""

    def __init__(self, raw: io.RawIOBase, limit: int) -> None:
        super().__init__(raw)
        self.left = self.limit = limit

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line with its end; nothing when the connection was closed before the first one.

        :raises http.client.IncompleteRead: When the connection was closed since.
        """
        line = super().readline(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        begun = self.left < self.limit
        self.left -= len(line)
        if self.left < 0:
            raise EndlessHead
        if not line.endswith(b"\n") and len(line) != size and (line or begun):
            raise http.client.IncompleteRead(line)
        return line


class _Response(http.client.HTTPResponse):
    """An answer as ``http.client`` reads it, without those that only say that another one comes (RFC 9110 §15.2)."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        super().__init__(connection, method="POST")
        raw = self.fp.detach()  # nothing was read yet
        assert isinstance(raw, io.RawIOBase)
        self.fp = _WholeLines(raw, limit)

    def begin(self) -> None:
        """Read the status and the headers of the final answer."""
        super().begin()
        while 100 <= self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]  # as before the first answer
            super().begin()


# -- Requests -------------------------------------------------------------------


class Sender:
    """Sends requests to one URL, over one connection for as long as the receiver keeps it. A context manager."""

    def __init__(
        self,
        policy: OutboundPolicy,
        url: str,
        *,
        resolve: Resolver | None = None,
        limits: Limits | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._policy = policy
        self._url = url
        self._resolve = resolve or system_resolve
        self._limits = limits or Limits()
        self._deadline = Deadline(clock)
        self._destination: Destination | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a POST.

        A kept connection that turns out to be closed is replaced once, within
        the same deadline: the receiver may see a message twice, under one id.

        :raises OutboundError: When it could not be sent, or was not answered in time.
        """
        self._deadline.begin(self._limits.total)
        try:
            destination = self._destination = self._destination or destination_of(self._policy, self._url)
            request = request_bytes(destination, body, headers)
            kept = self._kept_connection()
            if kept is not None:
                try:
                    return self._exchange(kept, request)
                except ConnectionError:
                    self.close()
            return self._exchange(self._open(destination), request)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OutboundError(explain(error, self._limits)) from error
        except BaseException:
            self.close()
            raise

    def _kept_connection(self) -> socket.socket | None:
        """Return the connection, if the receiver kept it. A readable one was closed, or says what nobody asked for."""
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if poll.poll(0):
                self.close()
        return self._socket

    def _open(self, destination: Destination) -> socket.socket:
        addresses = judged_addresses(self._policy, destination, self._resolve, self._deadline.remaining())
        self._socket = _connect(destination, addresses, self._deadline, self._limits.connect)
        return self._socket

    def _exchange(self, connection: socket.socket, request: bytes) -> Answer:
        connection.sendall(request)
        response = _Response(connection, self._limits.lines)
        response.begin()
        content, error = self._read(response)
        # After 101 the receiver no longer speaks HTTP.
        if response.will_close or not response.isclosed() or response.status == http.client.SWITCHING_PROTOCOLS:
            self.close()
        return Answer(response.status, response.headers.get("Retry-After"), content[: self._limits.kept], error)

    def _read(self, response: http.client.HTTPResponse) -> tuple[bytes, str | None]:
        """Return the body as far as the limit, and why it is not whole, if it is not."""
        content = b""
        try:
            while len(content) < self._limits.read:
                piece = response.read1(self._limits.read - len(content))
                if not piece:
                    break
                content += piece
            if response.length and len(content) < self._limits.read:
                raise http.client.IncompleteRead(content, response.length)
            if response.length == 0:
                response.read()  # tells the response that it is over, so that the connection can be used again
        except (OSError, http.client.HTTPException) as error:
            return content, explain(error, self._limits)
        return content, None


def request_bytes(destination: Destination, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a POST request as it is sent (RFC 9112 §2.1), head and body in one piece.

    :raises ValueError: When a header holds a line break or is not ASCII.
    """
    fields = {"Host": destination.authority, "Accept": "*/*", "Content-Length": str(len(body)), **headers}
    if any("\r" in value or "\n" in value for value in fields.values()):
        raise ValueError("a header holds a line break")
    lines = [f"POST {destination.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def explain(error: Exception, limits: Limits) -> str:
    """Return what went wrong as a sentence, without any address."""
    sentences: list[tuple[type[Any], str]] = [
        (ConnectTimeout, f"No connection within {limits.connect:g} s."),
        (TimeoutError, f"No whole answer within {limits.total:g} s."),
        (ssl.SSLCertVerificationError, "The certificate is not valid: " + getattr(error, "verify_message", "") + "."),
        (
            ssl.SSLError,
            "No secure connection: " + str(getattr(error, "reason", None) or "the TLS handshake failed") + ".",
        ),
        (ConnectionRefusedError, "The connection was refused."),
        (http.client.RemoteDisconnected, "The connection was closed without an answer."),
        (http.client.IncompleteRead, "The connection was closed in the middle of the answer."),
        (EndlessHead, "The headers of the answer are too long."),
        (ConnectionError, "The connection was closed by the receiver."),
        (http.client.HTTPException, "The answer is not HTTP."),
    ]
    for kind, sentence in sentences:
        if isinstance(error, kind):
            return sentence
    return f"The network reported an error: {getattr(error, 'strerror', None) or type(error).__name__}."
