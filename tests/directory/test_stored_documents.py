"""A stored document and the form in which it is compared."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from directory.resources import stored_columns
from folding import LARGEST_NUMBER, fold_json

TEXTS = st.text(st.characters(codec="ascii"), max_size=8) | st.text(max_size=8)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
@example({"A": 1, "a": 2, "B": "Ä", "b": '\\N\n\x1f"Q'})
@example({"N": LARGEST_NUMBER, "M": LARGEST_NUMBER + 1, "L": -LARGEST_NUMBER - 1})
@example({"NaN": "NaN", "T": [True, None, 1e300, "TRUE"]})
def test_a_document_is_compared_by_its_folded_keys_and_texts(document: dict[str, Any]) -> None:
    columns = stored_columns(document)
    assert json.loads(columns["document"]) == document
    assert json.dumps(columns["document_key"]) == json.dumps(fold_json(document))


def test_what_the_schema_compares_with_its_case_keeps_it() -> None:
    document = {"userName": "Ada", "externalId": "00U", "photos": [{"value": "https://A/b", "type": "Photo"}]}
    assert stored_columns(document)["document_key"] == {
        "username": "ada",
        "externalid": "00U",
        "photos": [{"value": "https://A/b", "type": "photo"}],
    }
