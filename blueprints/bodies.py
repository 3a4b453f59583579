"""Reading the body of a request, whatever its sender made of it."""

from flask import request

from errors import DomainError


def request_body() -> bytes:
    """Return the body of this request.

    :raises DomainError: When it breaks off, or its transfer encoding is broken.
    :raises werkzeug.exceptions.RequestEntityTooLarge: When it is larger than this server accepts.
    """
    try:
        return request.get_data()
    except (ValueError, OSError) as error:
        raise DomainError("The body could not be read: it broke off, or its transfer encoding is broken.") from error
