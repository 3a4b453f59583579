"""Reading the body of a request, whatever its sender made of it."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from blueprints.arrivals import Arrival, this_request
from errors import DomainError


def has_no_body(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request announces no body, so that there is nothing to read (RFC 9112 §6.3)."""
    return environ.get("CONTENT_LENGTH", "") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ


def request_body(max_size: int | None = None) -> bytes:
    """Return the body of this request, of at most ``max_size`` bytes or what this server accepts of every request.

    :raises DomainError: When it breaks off, or its transfer encoding is broken.
    :raises RequestEntityTooLarge: When it is larger than this server accepts.
    """
    arrival = this_request()
    if arrival.body is not None:
        return arrival.body
    limit = max_size or arrival.max_content_length
    try:
        body = _read_announced(arrival.environ, limit)
        if body is None:
            body = _read_any(arrival, max_size, limit)
    except HTTPException:
        raise
    except Exception as error:  # each server has its own, and all mean that the sender broke the body
        raise DomainError("The body could not be read: it broke off, or its transfer encoding is broken.") from error
    if limit is not None and len(body) > limit:
        raise RequestEntityTooLarge
    arrival.body = body
    return body


def _read_announced(environ: Mapping[str, Any], limit: int | None) -> bytes | None:
    """Return the body of a request that says how long it is, of a server that reads no further; None of any other."""
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit() and "wsgi.input_terminated" in environ):
        return None
    if "HTTP_TRANSFER_ENCODING" in environ or limit is None or int(length) > limit:
        return None
    try:
        body: bytes = environ["wsgi.input"].read(int(length))
    except (OSError, ValueError) as error:
        raise ClientDisconnected from error
    return body


def _read_any(arrival: Arrival, max_size: int | None, limit: int | None) -> bytes:
    if arrival.content_length is None and limit is not None:
        arrival.max_content_length = limit + 1  # a chunked body is silently cut there, and so seen to be too large
    elif max_size is not None:
        arrival.max_content_length = max_size
    return arrival.get_data()


# Of a refused request's body so much is read to its end; the connection of a larger one is closed.
DRAINED_BYTES = 16 * 1024 * 1024
DRAINED_AT_ONCE = 64 * 1024


def drain_refused_body(response: Response) -> Response:
    """Read what a refusal left unread of the body.

    A client that is still sending would otherwise find the connection reset
    instead of its answer, or meet a closed one with its next request.
    """
    # Of a server that does not mark the end of a body, reading on would wait for the client.
    if response.status_code < 400 or not request.environ.get("wsgi.input_terminated"):
        return response
    stream, left = request.environ["wsgi.input"], DRAINED_BYTES
    try:
        while left > 0 and (part := stream.read(min(left, DRAINED_AT_ONCE))):
            left -= len(part)
    except Exception:  # each server has its own, and all mean that the sender broke the body
        left = 0
    if left <= 0:
        response.headers["Connection"] = "close"
    return response
