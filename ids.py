"""Identifiers: a prefix that names the kind of object, and a ULID that sorts by the time it was made."""

from ulid import ULID

# What an identifier can hold of time: until the year 10889.
LAST_MOMENT = 2**48 - 1


def new_id(prefix: str) -> str:
    """Return a new identifier, such as ``user_01JD…`` (26 Crockford base32 characters after the prefix)."""
    return f"{prefix}_{ULID()}"


def first_id(prefix: str, moment: int) -> str:
    """Return the smallest identifier that can be made at a moment, in Unix milliseconds; the last ones never come."""
    return f"{prefix}_{ULID(min(moment, LAST_MOMENT).to_bytes(6, 'big') + bytes(10))}"


def time_of(identifier: str) -> int | None:
    """Return when an identifier was made, in Unix milliseconds; None for what is none."""
    try:
        return ULID.from_str(identifier.rpartition("_")[2]).milliseconds
    except ValueError:
        return None
