"""How names that ignore case are compared: what falls together, and that no text takes long."""

from time import process_time
from unicodedata import combining, normalize

import pytest

from folding import HIDDEN_MARKS, fold
from organizations.passwords import normal_password

# Marks in an order that is not theirs: to sort them took a minute and more of this many.
TANGLES = ["\u0300" * 80_000 + "\u0316" * 80_000, "\uff9e\u0300" * 80_000, "ͅ" * 80_000 + "\u0316" * 80_000]


@pytest.mark.parametrize("marks", TANGLES)
def test_a_text_of_nothing_but_marks_is_folded_at_once(marks: str) -> None:
    began = process_time()
    folded = fold(f"a{marks}")
    assert process_time() - began < 1.0
    assert fold(folded) == folded


def test_a_password_of_nothing_but_marks_is_normalized_at_once() -> None:
    began = process_time()
    assert len(normal_password(f"a{TANGLES[0]}")) < 1000
    assert process_time() - began < 1.0


def test_a_long_text_with_some_marks_is_normalized() -> None:
    assert fold("E\u0301" * 1000) == "é" * 1000
    assert fold("ｶﾞ" * 1000) == "ガ" * 1000


def test_every_character_that_becomes_a_mark_is_known() -> None:
    letters = (chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000)
    becoming = {letter for letter in letters if not combining(letter) and combining(normalize("NFKD", letter)[0])}
    assert becoming == HIDDEN_MARKS


def test_folding_gives_its_own_output_back_for_every_character() -> None:
    characters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    assert [one for one in characters if fold(fold(one)) != fold(one)] == []
    assert [one for one in characters if fold(one) != normalize("NFKC", normalize("NFKC", one).casefold())] == []
