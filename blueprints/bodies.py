"""Reading the body of a request, whatever its sender made of it."""

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from errors import DomainError


def request_body() -> bytes:
    """Return the body of this request.

    :raises DomainError: When it breaks off, or its transfer encoding is broken.
    :raises RequestEntityTooLarge: When it is larger than this server accepts.
    """
    try:
        body = request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # each server has its own, and all mean that the sender broke the body
        raise DomainError("The body could not be read: it broke off, or its transfer encoding is broken.") from error
    if request.content_length is None and request.max_content_length and len(body) >= request.max_content_length:
        raise RequestEntityTooLarge  # a chunked body is silently cut at the limit
    return body
