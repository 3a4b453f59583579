"""Runs every example of ``docs/attribute-mapping.md``.

A fence says what it is after its language: ``mapping``, ``resource``, ``groups`` (names) or ``pushed`` (groups with
more than a name), and ``result``. A result belongs to the mapping above it, and to the resource and the groups given
since the mapping or the last result. ``refused`` is a mapping with the ``problems`` below it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from directory.destinations import find_destination
from directory.liquid_filters import FILTERS
from directory.mapping import compile_mapping
from directory.mapping_rules import DEFAULTS
from errors import InvalidInput

PAGE = Path(__file__).resolve().parents[2] / "docs" / "attribute-mapping.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"^```json (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PERSON = {"userName": "nadia@acme.example"}


@dataclass(frozen=True)
class Example:
    """A mapping, what it is given, and what the page says comes out."""

    line: int
    mapping: dict[str, Any]
    resource: dict[str, Any]
    groups: list[dict[str, Any]]
    result: Any


def read_examples() -> tuple[list[Example], list[Example]]:
    """Return the examples that give a result, and those that are refused."""
    results, refused = [], []
    mapping: dict[str, Any] = {}
    resource: dict[str, Any] = PERSON
    groups: list[dict[str, Any]] = []
    for match in FENCE.finditer(TEXT):
        line = TEXT.count("\n", 0, match.start()) + 1
        kind, content = match[1], json.loads(match[2])
        if kind in ("mapping", "refused"):
            mapping, resource, groups = content, PERSON, []
        elif kind == "resource":
            resource = content
        elif kind == "groups":
            groups = [{"value": name, "display": name, "id": name, "externalId": None} for name in content]
        elif kind == "pushed":
            groups = [{**group, "display": group["value"], "id": group["value"]} for group in content]
        elif kind == "result":
            results.append(Example(line, mapping, resource, groups, content))
        elif kind == "problems":
            refused.append(Example(line, mapping, {}, [], content))
        else:
            raise AssertionError(f"line {line}: an unknown kind of example, {kind!r}")
    return results, refused


RESULTS, REFUSED = read_examples()


def named(example: Example) -> str:
    return f"line-{example.line}"


@pytest.mark.parametrize("example", RESULTS, ids=named)
def test_an_example_gives_what_the_page_says(example: Example) -> None:
    mapped = compile_mapping(example.mapping).evaluate(example.resource, example.groups)
    given = {
        **mapped.fields,
        "public_metadata": mapped.public_metadata,
        "organization_role": mapped.role_candidates,
    }

    assert {name: given[name] for name in example.result} == example.result
    assert mapped.warnings == []
    assert bool(mapped.public_metadata) == bool(example.result.get("public_metadata"))
    assert mapped.maps_role == ("organization_role" in example.result)


@pytest.mark.parametrize("example", REFUSED, ids=named)
def test_a_mapping_that_the_page_calls_refused_is_refused_with_those_problems(example: Example) -> None:
    with pytest.raises(InvalidInput) as caught:
        compile_mapping(example.mapping)

    assert [problem.meta for problem in caught.value.problems] == example.result
    assert {problem.code for problem in caught.value.problems} == {"invalid_mapping"}


def test_every_mapping_on_the_page_is_followed_by_what_it_gives() -> None:
    kinds = [match[1] for match in FENCE.finditer(TEXT)]

    assert len(RESULTS) > 20
    assert kinds.count("mapping") <= len(RESULTS)
    for before, after in zip(kinds, [*kinds[1:], "mapping"], strict=True):
        assert before not in ("result", "problems") or after not in ("result", "problems")
        assert before not in ("mapping", "refused", "resource", "groups", "pushed") or after not in (
            "mapping",
            "refused",
        )


def test_the_page_names_every_default_filter_and_destination() -> None:
    defaults = re.findall(
        r"^\| `([^`]+)` \| `(\w+)`", TEXT.partition("## Defaults")[2].partition("```")[0], re.MULTILINE
    )
    section = TEXT.partition("### Expressions")[2].partition("```")[0]
    filters = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section, re.MULTILINE)))
    destinations = re.findall(r"`(\w+)`", TEXT.partition("### Destinations")[2].partition("In `public")[0])

    assert defaults == list(DEFAULTS)
    assert set(filters) == set(FILTERS)
    assert {name for name in destinations if find_destination(name)} == {
        "first_name", "last_name", "username", "external_id", "email_address", "active", "organization_role"
    }  # fmt: skip
