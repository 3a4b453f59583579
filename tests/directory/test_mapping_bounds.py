"""However a mapping and a resource are made, the work for one person is bounded: counted in calls, not time."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from directory.evaluation import Evaluation
from directory.expressions import parse_expression
from directory.liquid_filters import FILTERS, FilterProblem
from directory.mapping import compile_mapping
from directory.reading import MAX_WORK, Exhausted, Reading

# Calls of functions, of Python and of C, for one person. Each takes about a tenth of a microsecond.
MAX_CALLS = 170_000


def calls_of(function: Callable[[], Any]) -> int:
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def named(*names: Any) -> list[dict[str, Any]]:
    return [{"value": name, "display": name, "id": f"id{number}"} for number, name in enumerate(names)]


ROLE = "organization_role"
UPCASE = "{{ value" + " | upcase" * 10 + " }}.organization_role"
TERMS = " or ".join(f"a{number} pr" for number in range(45))
THOUSAND = named(*(f"Group {number}" for number in range(1000)))
HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = {
    "conditions": ({f"groups[x{number} pr or {TERMS}].value": ROLE for number in range(60)}, {}, THOUSAND),
    "conditions on other alphabets": (
        {f'groups[value co "ß{number}" or value co "é"].value': ROLE for number in range(100)},
        {},
        named(*["ß" * 1000] * 1000),
    ),
    "filters": ({"groups[*].value": [UPCASE] * 20}, {}, THOUSAND),
    "filters on long texts": ({"groups[*].value": UPCASE}, {}, named(*["ß" * 600] * 1000)),
    "replace": (
        {"groups[*].value": "{{ value" + " | replace: '', 'x' | replace: 'x', ''" * 5 + " }}.organization_role"},
        {},
        named(*["y" * 1000] * 1000),
    ),
    "failures": ({"groups[*].value": ["{{ value | first }}.organization_role"] * 20}, {}, THOUSAND),
    "split": (
        {"groups[*].value": "{{ value" + " | append: value | split: '' | first" * 3 + " }}.organization_role"},
        {},
        named(*["x" * 64] * 1000),
    ),
    "candidates": ({"groups[*].value": [ROLE] * 20}, {}, THOUSAND),
    "lists": ({"groups[*].value": "{{ value }}.organization_role"}, {}, named(*[["x"] * 500] * 1000)),
    "lists of lists": ({".".join(["a[*]"] * 8): ROLE}, {"a": [{"a": [{"a": [{"a": [1] * 30}] * 30}] * 30}] * 30}, []),
    "objects": ({"a[*]": ROLE}, {"a": [{"value": {"value": [1] * 600}}] * 1000}, []),
    "many attributes": (
        {f"a{number}": ["username"] * 10 for number in range(100)},
        {f"b{number}": number for number in range(20_000)},
        [],
    ),
    "metadata": (
        {f"a{n}[*]": [f"public_metadata.b{n}_{place}" for place in range(10)] for n in range(100)},
        {f"a{n}": [{"x": ["y"] * 300}] * 1000 for n in range(100)},
        [],
    ),
    "large metadata": (
        {f"a{n}": [f"public_metadata.b{n}_{place}" for place in range(10)] for n in range(100)},
        {f"a{n}": {"x": ["y"] * 3000} for n in range(100)},
        [],
    ),
    "large texts": ({f"a{n}": ["username"] * 10 for n in range(100)}, {f"a{n}": "ß" * 100_000 for n in range(100)}, []),
    "large numbers": ({"a[*]": ROLE}, {"a": [10**3000] * 1000}, []),
    "addresses that are none": ({"emails[*].value": ["email_address"] * 20}, {"emails": named(*["a b"] * 1000)}, []),
    "sent groups": ({"groups[*].value": ROLE}, {"groups": named(*range(50_000))}, THOUSAND),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_for_one_person_is_bounded(name: str) -> None:
    override, resource, groups = HOSTILE[name]
    mapping = compile_mapping(override)
    mapped = mapping.evaluate(resource, groups)

    assert calls_of(lambda: mapping.evaluate(resource, groups)) < MAX_CALLS
    assert len(json.dumps(mapped.public_metadata)) < 80_000
    assert len(mapped.warnings) <= 20
    assert not any("unexpectedly" in warning for warning in mapped.warnings)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_explanation_is_bounded_too(name: str) -> None:
    override, resource, groups = HOSTILE[name]
    mapping = compile_mapping(override)
    explanation = mapping.explain(resource, groups)

    assert len(explanation.steps) <= 1000
    assert explanation.mapped == mapping.evaluate(resource, groups)
    assert len(json.dumps([[step.raw, step.result, step.warning] for step in explanation.steps])) < 4_000_000


def test_somebody_in_a_thousand_groups_is_not_too_much_for_the_walkthroughs_recipe() -> None:
    recipe = '{{ value | downcase | replace: "admins", "org:admin" | default: "org:member" }}.organization_role'
    mapped = compile_mapping({"groups[*].value": recipe}).evaluate({}, [*THOUSAND[1:], *named("Admins")])

    assert mapped.role_candidates[-1] == "org:admin"
    assert mapped.warnings == []


def test_work_is_counted_before_it_is_done() -> None:
    reading = Reading({}, work=3)
    reading.spend(3)

    with pytest.raises(Exhausted):
        reading.spend(1)


def test_who_may_come_in_is_decided_before_anything_that_could_use_the_work_up() -> None:
    override, _, groups = HOSTILE["conditions"]
    resource = {"active": False, "userName": "a@acme.example"}
    mapped = compile_mapping(override).evaluate(resource, groups)

    assert mapped.fields["active"] is False
    assert mapped.fields["email_address"] == "a@acme.example"
    assert mapped.role_failed


def test_work_is_used_up_for_one_evaluation_only() -> None:
    evaluation = Evaluation({}, maps_role=False)

    assert evaluation.reading.work_left == MAX_WORK


# -- Text of every alphabet -----------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value", "result"),
    [
        ("{{ value | upcase }}", "straße", "STRASSE"),
        ("{{ value | downcase }}", "İ", "i̇"),
        ("{{ value | upcase }}", "ΐ" * 300, "\u0399\u0308\u0301" * 300),
        ("{{ value | upcase }}", "ﬃ", "FFI"),
        ("{{ value | downcase }}", "\ud800A", "\ud800a"),
        ("{{ value | append: '😀' }}", "\x00", "\x00😀"),
        ("{{ value | split: '' | last }}", "a😀", "😀"),
        ("{{ value | strip }}", "\u00a0\u2003x\u3000", "x"),
        ("{{ value | replace: 'ADMINS', 'x' }}", "Admınſ", "Admınſ"),
    ],
)
def test_filters_work_on_every_alphabet(expression: str, value: str, result: str) -> None:
    assert parse_expression(expression).evaluate(value) == result


@pytest.mark.parametrize("filter_name", ["upcase", "downcase"])
@pytest.mark.parametrize("letter", ["ΐ", "İ", "ﬃ", "ŉ", "ß"])
def test_a_text_that_grows_with_its_case_is_bounded_after_it_grew(filter_name: str, letter: str) -> None:
    text = letter * 1300

    with pytest.raises(FilterProblem, match=r"(2048|4096) bytes"):
        parse_expression(f"{{{{ value | {filter_name} }}}}").evaluate(text)


@pytest.mark.parametrize("filter_name", [name for name, known in FILTERS.items() if known.fewest == 0])
@pytest.mark.parametrize("value", [None, True, 7, 1.5, "", "x", [], ["x"], {}, {"value": "x"}, {"a": {"b": ["c"]}}])
def test_no_filter_fails_in_another_way_than_with_a_sentence(filter_name: str, value: Any) -> None:
    try:
        json.dumps(parse_expression(f"{{{{ value | {filter_name} }}}}").evaluate(value))
    except FilterProblem as problem:
        assert str(problem)
