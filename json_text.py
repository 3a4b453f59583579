"""JSON text as it is stored and sent: every character as itself, and no space between."""

from collections.abc import Callable
from json import JSONDecoder, JSONEncoder
from typing import Any

# Returns a value as JSON text. One encoder is kept: ``json.dumps`` makes one for each text that is not of its own form.
compact: Callable[[Any], str] = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = JSONDecoder().raw_decode


def read_compact(text: str) -> Any:
    """Return the value of a text that ``compact`` wrote, before and after which there is nothing to look for."""
    return _read(text)[0]
