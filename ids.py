"""Identifiers: a prefix that names the kind of object, and a ULID that sorts by the time it was made."""

from ulid import ULID


def new_id(prefix: str) -> str:
    """Return a new identifier, such as ``user_01JD…`` (26 Crockford base32 characters after the prefix)."""
    return f"{prefix}_{ULID()}"
