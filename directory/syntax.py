"""What can be wrong with the text of an attribute mapping, and what its author may have meant."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class SyntaxProblem(ValueError):
    """A path, an expression or a destination that cannot work.

    ``reason`` is a whole sentence, ``column`` counts from 1 within the text
    that was read (None where there is no one place), ``suggestion`` is what to
    write instead, if that can be guessed.
    """

    def __init__(self, reason: str, *, column: int | None = None, suggestion: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.suggestion = suggestion

    def shifted(self, offset: int) -> "SyntaxProblem":
        """Return the same problem for a text in which the one that was read begins at an offset."""
        column = None if self.column is None else self.column + offset
        return SyntaxProblem(self.reason, column=column, suggestion=self.suggestion)


def closest(word: str, choices: Iterable[str], nicknames: Mapping[str, str] | None = None) -> str | None:
    """Return the one of the choices that a misspelt word is nearest to, or None."""
    known = list(choices)
    lowered = word.lower()
    if nicknames and lowered in nicknames:
        return nicknames[lowered]
    close = get_close_matches(lowered, known, n=1, cutoff=0.7)
    if close:
        return close[0]
    containing = [choice for choice in known if len(lowered) >= 3 and lowered in choice.split("_")]
    return containing[0] if len(containing) == 1 else None


def check_characters(text: str) -> None:
    """Refuse control characters and lone surrogates, which no database stores.

    :raises SyntaxProblem: At the first of them.
    """
    for position, character in enumerate(text):
        if (character < " " and character not in "\t\n") or "\ud800" <= character <= "\udfff":
            raise SyntaxProblem("There is a character here that cannot be stored.", column=position + 1)
