"""Reading the body of a request, whatever its sender made of it."""

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from errors import DomainError


def request_body(max_size: int | None = None) -> bytes:
    """Return the body of this request, of at most ``max_size`` bytes or what this server accepts of every request.

    :raises DomainError: When it breaks off, or its transfer encoding is broken.
    :raises RequestEntityTooLarge: When it is larger than this server accepts.
    """
    limit = max_size or request.max_content_length
    if request.content_length is None and limit is not None:
        request.max_content_length = limit + 1  # a chunked body is silently cut there, and so seen to be too large
    elif max_size is not None:
        request.max_content_length = max_size
    try:
        body = request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # each server has its own, and all mean that the sender broke the body
        raise DomainError("The body could not be read: it broke off, or its transfer encoding is broken.") from error
    if limit is not None and len(body) > limit:
        raise RequestEntityTooLarge
    return body
