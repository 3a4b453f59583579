"""docs/security.md promises what tests show: each test that it names is there."""

import re

import pytest

from tests.conftest import ROOT

NAMED = sorted(set(re.findall(r"`(test_\w+|tests/[\w/]+\.py)`", (ROOT / "docs" / "security.md").read_text())))
THERE = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in (str(path.relative_to(ROOT)), *re.findall(r"def (test_\w+)", path.read_text()))
}


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_is_there(name: str) -> None:
    assert name in THERE


def test_tests_are_named() -> None:
    assert len(NAMED) > 30
