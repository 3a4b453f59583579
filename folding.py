"""The form in which names that ignore case are compared: user names, e-mail addresses, group names."""

from typing import Any
from unicodedata import normalize

# Numbers are compared as 64-bit floats, which hold no more than some 1.8e308.
LARGEST_NUMBER = 10**308


def fold(text: str) -> str:
    """Return the comparison key of a text: NFKC, case-folded, NFKC again.

    The second normalization makes the function give its own output back, so a
    stored key can be compared with a folded operand. Full-width and other
    compatibility forms fall together; different letters never do.
    """
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text).casefold())


def fold_json(value: Any) -> Any:
    """Return a JSON value with every key and every text folded, as filters compare it.

    A whole number that no database holds as a number becomes null: it equals nothing.
    """
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, dict):
        return {fold(name): fold_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [fold_json(item) for item in value]
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return None
    return value
