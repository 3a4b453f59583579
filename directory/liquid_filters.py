"""The Liquid filters of an attribute mapping, each bounded before and after it works.

``replace`` and ``append`` multiply what they are given, so the size of a result
is computed before it is made, and checked after every filter. What goes in and
out is plain data only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from directory.sizes import MAX_INTEGER_BITS, Oversize, plain_copy, text_bytes

MAX_INPUT_BYTES = 4096
MAX_RESULT_BYTES = 2048
MAX_PARTS = 64


class FilterProblem(ValueError):
    """A value that an expression cannot work on; its text is a sentence for the IT admin, without the value."""


@dataclass(frozen=True)
class LiquidFilter:
    """A filter, the fewest and most arguments it takes, and the named ones it knows."""

    apply: Callable[..., Any]
    fewest: int = 0
    most: int = 0
    named: tuple[str, ...] = ()

    @property
    def arguments(self) -> str:
        """How many arguments it takes, in words."""
        if self.most == 0:
            return "no argument"
        if self.fewest == self.most:
            return f"{self.most} argument" + ("s" if self.most > 1 else "")
        return f"{self.fewest} or {self.most} arguments"


def text_of(value: Any) -> str:
    """Return a value as the text that a filter works on. An object stands for its ``value``; nothing is an empty text.

    :raises FilterProblem: For a list, an object without ``value``, or a text that is too long.
    """
    if isinstance(value, dict):
        value = value.get("value", value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= MAX_INTEGER_BITS):
        value = str(value)
    if not isinstance(value, str):
        raise FilterProblem("the value is no text, where the expression needs text")
    if text_bytes(value, MAX_INPUT_BYTES) > MAX_INPUT_BYTES:
        raise FilterProblem(f"the value is longer than {MAX_INPUT_BYTES} bytes")
    return value


def as_result(value: Any) -> Any:
    """Return a copy of the result of a filter or an expression.

    :raises FilterProblem: When it is larger than ``MAX_RESULT_BYTES``, or no plain data.
    """
    if isinstance(value, str) and len(value) * 4 <= MAX_RESULT_BYTES:
        return value
    try:
        return plain_copy(value, MAX_RESULT_BYTES)
    except Oversize as error:
        raise FilterProblem(f"what the expression makes of the value {error}") from error


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def bounded(value: Any, *args: Any, **kwargs: Any) -> Any:
        return as_result(function(value, *args, **kwargs))

    return bounded


@_bounded
def _downcase(value: Any) -> str:
    return text_of(value).lower()


@_bounded
def _upcase(value: Any) -> str:
    return text_of(value).upper()


@_bounded
def _strip(value: Any) -> str:
    return text_of(value).strip()


@_bounded
def _split(value: Any, separator: Any) -> list[str]:
    """Split as Liquid does: an empty separator gives single characters, one space any run of space."""
    text, between = text_of(value), text_of(separator)
    if between == "":
        parts = list(text[: MAX_PARTS + 1])
    elif text in ("", between):
        parts = []
    else:
        parts = text.split(None if between == " " else between, MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise FilterProblem(f"'split' makes more than {MAX_PARTS} parts of the value")
    return parts


@_bounded
def _first(value: Any) -> Any:
    return _end_of(value, 0, "first")


@_bounded
def _last(value: Any) -> Any:
    return _end_of(value, -1, "last")


def _end_of(value: Any, index: int, name: str) -> Any:
    if isinstance(value, list):
        return value[index] if value else None
    if value is None:
        return None
    raise FilterProblem(f"'{name}' needs a list, and the value is none: split it before")


@_bounded
def _replace(value: Any, wanted: Any, substitute: Any = "") -> str:
    text, old, new = text_of(value), text_of(wanted), text_of(substitute)
    size = len(text) + text.count(old) * (len(new) - len(old))
    if size > MAX_RESULT_BYTES:
        raise FilterProblem(f"'replace' makes more than {MAX_RESULT_BYTES} bytes of the value")
    return text.replace(old, new)


@_bounded
def _prepend(value: Any, text: Any) -> str:
    return text_of(text) + text_of(value)


@_bounded
def _append(value: Any, text: Any) -> str:
    return text_of(value) + text_of(text)


@_bounded
def _default(value: Any, fallback: Any = "", *, allow_false: Any = False) -> Any:
    """Return the fallback for nothing, false, and an empty text, list or object."""
    if value is False:
        return value if allow_false is True else fallback
    absent = value is None or value in ("", [], {})
    return fallback if absent else value


FILTERS = {
    "downcase": LiquidFilter(_downcase),
    "upcase": LiquidFilter(_upcase),
    "strip": LiquidFilter(_strip),
    "split": LiquidFilter(_split, 1, 1),
    "first": LiquidFilter(_first),
    "last": LiquidFilter(_last),
    "replace": LiquidFilter(_replace, 1, 2),
    "prepend": LiquidFilter(_prepend, 1, 1),
    "append": LiquidFilter(_append, 1, 1),
    "default": LiquidFilter(_default, 0, 1, ("allow_false",)),
}

NICKNAMES = {
    "lower": "downcase",
    "lowercase": "downcase",
    "upper": "upcase",
    "uppercase": "upcase",
    "trim": "strip",
    "sub": "replace",
    "concat": "append",
    "suffix": "append",
    "prefix": "prepend",
    "replace_first": "replace",
}
