"""docs/security.md and docs/faults.md promise what tests show: each test that they name is there."""

import re

import pytest

from tests.conftest import ROOT

NAMED = [
    (page, name)
    for page in ("security", "faults")
    for name in sorted(set(re.findall(r"`(test_\w+|tests/[\w/]+\.py)`", (ROOT / "docs" / f"{page}.md").read_text())))
]
THERE = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in (str(path.relative_to(ROOT)), *re.findall(r"def (test_\w+)", path.read_text()))
}


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_a_named_test_is_there(page: str, name: str) -> None:
    assert name in THERE


def test_tests_are_named() -> None:
    assert len(NAMED) > 40


def test_every_fault_has_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 15
    assert not [row for row in rows if "`test_" not in row.split("|")[-2]]
