"""The form in which names that ignore case are compared: user names, e-mail addresses, group names."""

from typing import Any
from unicodedata import combining, normalize

# Numbers are compared as 64-bit floats, which hold no more than some 1.8e308.
LARGEST_NUMBER = 10**308
# Normalizing puts the marks on a letter in order, in a time that grows with the square of how many there are. No
# language has more than a few; a text with more in a row than Unicode's stream-safe format allows is no name.
MOST_MARKS = 30
LONG_TEXT = 256
# Marks by what they are normalized to, and not by themselves: Tibetan vowels, half-width voiced sound marks.
HIDDEN_MARKS = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")


def fold(text: str) -> str:
    """Return the comparison key of a text: NFKC, case-folded, NFKC again.

    The second normalization makes the function give its own output back, so a
    stored key can be compared with a folded operand. Full-width and other
    compatibility forms fall together; different letters never do. A text with
    more marks in a row than any name has is case-folded only.
    """
    if text.isascii():
        return text.lower()
    folded = text.casefold()
    if is_tangled(folded):
        return folded
    return normalize("NFKC", normalize("NFKC", folded).casefold())


def is_tangled(text: str) -> bool:
    """Tell whether a long text has more marks in a row than can be normalized in reasonable time (UAX #15 §13)."""
    if len(text) <= LONG_TEXT or text.isascii():
        return False
    marks = 0
    for character in text:
        marks = marks + 1 if combining(character) or character in HIDDEN_MARKS else 0
        if marks > MOST_MARKS:
            return True
    return False


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
