"""Bodies are mended in the same way, whether a name is looked at closely or known to be right as it is."""

from typing import Any

import pytest

from scim.bodies import AS_SENT, mend_resource
from tests.okta import USER_SCHEMA

VALUES: list[Any] = ["text", True, False, 0, 1, "", None, [], {}, [{"value": "a"}], {"value": ""}, {"formatted": None}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("name", sorted(AS_SENT))
def test_what_is_known_to_be_right_is_mended_as_in_another_spelling(name: str, value: Any) -> None:
    known, spelled = (mend_resource({each: value, "groups": []}, USER_SCHEMA) for each in (name, name.swapcase()))
    assert spelled == {each.swapcase(): item for each, item in known.items()}
    if value:
        assert known == {name: value}
