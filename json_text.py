"""JSON text as it is stored and sent: every character as itself, and no space between.

It is written and read by pydantic's core in a quarter of the time that the standard library takes, which does what
goes deeper than that goes.
"""

from json import JSONDecoder, JSONEncoder
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

_write = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = JSONDecoder().raw_decode


def compact(value: Any) -> str:
    """Return a value as JSON text.

    :raises TypeError: When it holds what JSON has no word for.
    """
    try:
        return to_json(value).decode()
    except PydanticSerializationError:
        return _write(value)


def read_compact(text: str | bytes) -> Any:
    """Return the value of a text that ``compact`` wrote, or a database that had it from us."""
    try:
        return from_json(text)
    except ValueError:
        return _read(text if isinstance(text, str) else text.decode())[0]
