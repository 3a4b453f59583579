"""The form in which names that ignore case are compared: user names, e-mail addresses, group names."""

from unicodedata import normalize


def fold(text: str) -> str:
    """Return the comparison key of a text: NFKC, case-folded, NFKC again.

    The second normalization makes the function give its own output back, so a
    stored key can be compared with a folded operand. Full-width and other
    compatibility forms fall together; different letters never do.
    """
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text).casefold())
