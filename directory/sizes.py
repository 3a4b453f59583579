"""How large plain data is, counted only as far as a limit, so that counting is never the expensive part."""

import math
from typing import Any

MAX_DEPTH = 16
# CPython writes no number of more than 4,300 digits; this one has 617.
MAX_INTEGER_BITS = 2048


class Oversize(ValueError):
    """Data that is too large, too deep or not plain; its text continues the sentence "the value …"."""


def text_bytes(text: str, limit: int) -> int:
    """Return the length of a text in bytes of UTF-8. Above the limit any number above it may come back."""
    length = len(text)
    if length > limit or text.isascii():
        return length
    return len(text.encode("utf-8", "surrogatepass"))


def count_parts(value: Any, limit: int) -> int:
    """Return of how many values a value consists, itself included. Above the limit any number above it may come."""
    count, waiting = 0, [value]
    while waiting and count <= limit:
        part = waiting.pop()
        count += 1
        if isinstance(part, dict | list):
            if len(part) > limit:
                return len(part)
            waiting.extend(part.values() if isinstance(part, dict) else part)
    return count


def plain_copy(value: Any, limit: int) -> Any:
    """Return a deep copy of plain data: texts, numbers, booleans, nulls, lists, and objects with text keys.

    :raises Oversize: When it has more than ``limit`` bytes, counting texts, keys
        and a few bytes for everything else; when it is nested more than
        ``MAX_DEPTH`` deep; or when something in it is no plain data.
    """
    return _Copy(limit).of(value, MAX_DEPTH)


class _Copy:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def of(self, value: Any, depth: int) -> Any:
        """Copy one value, taking its size from what is left."""
        if isinstance(value, str):
            self._take(text_bytes(value, self.left) + 2)
            return value
        if value is None or isinstance(value, bool):
            self._take(4)
            return value
        if isinstance(value, int) and value.bit_length() <= MAX_INTEGER_BITS:
            self._take(value.bit_length() // 3 + 1)
            return value
        if isinstance(value, float) and math.isfinite(value):
            self._take(8)
            return value
        if depth == 0:
            raise Oversize("is nested too deep")
        if isinstance(value, list):
            return [self._element(element, depth) for element in value]
        if isinstance(value, dict):
            return {self._key(key): self._element(element, depth) for key, element in value.items()}
        raise Oversize("is of a kind that cannot be stored")

    def _element(self, value: Any, depth: int) -> Any:
        self._take(1)
        return self.of(value, depth - 1)

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise Oversize("is of a kind that cannot be stored")
        self._take(text_bytes(key, self.left) + 3)
        return key

    def _take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Oversize(f"is larger than {self.limit} bytes")
