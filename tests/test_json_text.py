"""JSON text means what the standard library's means, whoever writes and reads it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_text import compact, read_compact

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


@given(VALUES)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    text = compact(value)
    for read in (read_compact(text), read_compact(text.encode()), json.loads(text)):
        assert (read, json.dumps(read)) == (value, json.dumps(value))


@given(VALUES)
def test_what_was_written_with_spaces_and_escapes_is_read(value: Any) -> None:
    assert read_compact(json.dumps(value)) == value


def test_nothing_stands_between_and_every_character_is_itself() -> None:
    assert compact({"a": [1, "ä\u2028/<", None], "b": {}}) == '{"a":[1,"ä\u2028/<",null],"b":{}}'


@pytest.mark.parametrize("depth", [100, 200, 201, 254, 255, 256, 900])
def test_a_value_may_be_deep(depth: int) -> None:
    value = nested(depth)
    text = compact(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert read_compact(text) == read_compact(text.encode()) == value


@pytest.mark.parametrize("number", [2**63, -(2**64), 10**400, 1e16, 1e-7, 5e-324, -0.0])
def test_no_number_loses_a_digit(number: float) -> None:
    assert json.dumps(read_compact(compact([number]))) == json.dumps([number])


def test_what_is_half_of_a_character_is_read_as_it_was_stored() -> None:
    assert read_compact('"\\ud800"') == read_compact(b'"\\ud800"') == "\ud800"


@pytest.mark.parametrize("value", [object(), {"a": [object()]}])
def test_what_json_has_no_word_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        compact(value)
