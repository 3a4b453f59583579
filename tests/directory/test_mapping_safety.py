"""An attribute mapping is written by one person and read for all: it cannot raise, run long, or write elsewhere."""

import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from directory.destinations import PROFILE_FIELDS
from directory.expressions import parse_expression
from directory.liquid_filters import FILTERS, MAX_RESULT_BYTES, FilterProblem
from directory.mapping import Explanation, Mapped, Mapping, compile_mapping
from errors import DomainError, InvalidInput

FULL = "x" * 4096


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{{ value | replace: '', value }}", FULL),
        ("{{ value | replace: 'x', value }}", "x" * 2000),
        ("{{ value | replace: 'x', 'xxxxxxxxxxxxxxxx'" + " | replace: 'x', 'xxxxxxxxxxxxxxxx'" * 9 + " }}", "x"),
        ("{{ value | append: value | append: value }}", FULL),
        ("{{ value | prepend: value" + " | append: value" * 9 + " }}", "x" * 1000),
        ("{{ value }}{{ value }}", "x" * 1500),
        ("{{ value }}", "ß" * 1500),
        ("{{ value | downcase }}", "x" * 3000),
        ("{{ value | downcase }}", "x" * 5000),
        ("{{ value | append: value.other }}", {"value": "x", "other": "x" * 5000}),
        ("{{ value | split: '' }}", "x" * 65),
        ("{{ value | split: ',' }}", "," * 100),
        ("{{ value | default: 'x' }}", ["x" * 1000] * 3),
        ("{{ value }}", [[["x" * 100] * 10] * 10]),
        ("{{ value }}", 2**5000),
        pytest.param("{{ value | append: 'x' }}", 10**5000, id="a number too long"),
    ],
)
def test_nothing_grows_beyond_the_bounds(expression: str, value: Any) -> None:
    parsed = parse_expression(expression)
    tracemalloc.start()
    try:
        with pytest.raises(FilterProblem):
            parsed.evaluate(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("{{ value | downcase }}", ["a"]),
        ("{{ value | append: value.list }}", {"list": ["a"]}),
        ("{{ value | first }}", "text"),
        ("{{ value | last }}", {"a": 1}),
        ("{{ value }}", float("inf")),
        ("{{ value }}x", {"a": "b"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_problem_and_shows_nothing_of_python(expression: str, value: Any) -> None:
    with pytest.raises(FilterProblem) as caught:
        parse_expression(expression).evaluate(value)

    assert not any(word in str(caught.value) for word in ("dict", "tuple", "Undefined", "object at", "{'"))


@pytest.mark.parametrize(
    ("expression", "value", "result"),
    [
        ("{{ value }}", None, None),
        ("{{ value.missing.more }}", {"a": 1}, None),
        ("{{ value.size }}", "four", 4),
        ("{{ value[1] }}", ["a", "b"], "b"),
        ("{{ value[9] }}", ["a", "b"], None),
        ("{{ value.items }}", {"items": "own"}, "own"),
        ("{{ value.keys }}", {"a": 1}, None),
        ("{{ value.first }}", {"a": 1}, None),
        ("{{ value.first }}/{{ value.last }}/{{ value.size }}/{{ value[-1] }}", ["a", "b"], "a/b/2/b"),
        ("{{ value.upper }}", "text", None),
        ("{{ value | upcase }}", {"value": "name", "display": "Name"}, "NAME"),
        ("{{ value | first }}", None, None),
        ("{{ value | split: ',' | first }}", "", None),
        ("{{ value | split: ' ' | last }}", "  a  b ", "b"),
        ("{{ value | default: 'x' }}", False, "x"),
        ("{{ value | default: 'x', allow_false: true }}", False, False),
        ("{{ value | default: 'x' }}", 0, 0),
        ("{{ value | default: 'x' }}", [], "x"),
        ("{{ value.missing | default: 'x' }}", {"a": 1}, "x"),
        ("{{ value | replace: 'a' }}", "banana", "bnn"),
        ("{{ value | replace: '', '-' }}", "ab", "-a-b-"),
        ("{{ true }}/{{ nil }}/{{ 1.5 }}", "", "true//1.5"),
        ("{{ '{{' }}", "", "{{"),
    ],
)
def test_expressions_read_plain_data_only(expression: str, value: Any, result: Any) -> None:
    assert parse_expression(expression).evaluate(value) == result


def test_only_the_documented_filters_are_there() -> None:
    assert set(FILTERS) == {
        "downcase", "upcase", "strip", "split", "first", "last", "replace", "prepend", "append", "default"
    }  # fmt: skip


def test_groups_in_a_body_may_be_of_any_kind() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"value": deep}
    groups = [None, 1, [], {}, {"value": 10**5000}, {"value": deep}, {"value": ["x"], "display": 7}, deep]
    mapped = compile_mapping({"groups[*].value": ["organization_role", "public_metadata.groups"]}).evaluate(
        {"groups": groups}, [{"value": "org:member", "display": "org:member", "id": "grp_1", "externalId": None}]
    )

    assert mapped.role_candidates == ["x", "org:member"]
    assert mapped.public_metadata == {"groups": [["x"], "org:member"]}


def test_an_unexpected_failure_costs_one_field_and_says_nothing_of_the_person() -> None:
    class Hostile(str):
        def strip(self, *_: Any) -> str:
            raise RuntimeError("secret")

    mapped = compile_mapping({}).evaluate({"name": {"givenName": Hostile("Nadia"), "familyName": "Petrov"}}, [])

    assert "first_name" not in mapped.fields
    assert mapped.fields["last_name"] == "Petrov"
    assert mapped.warnings == ["first_name was left as it is: its mapping failed unexpectedly."]


@pytest.mark.parametrize(
    "expression", ["{{ value | first }}", "{{ value | append: 'x' }}", "{{ value | append: value }}"]
)
def test_no_mapping_keeps_somebody_whom_the_idp_deactivates(expression: str) -> None:
    mapping = compile_mapping({"active": expression, "title": "{{ value | first }}.active"})

    assert mapping.evaluate({"active": False}, []).fields["active"] is False
    assert mapping.evaluate({"active": False, "title": "true"}, []).fields["active"] is False
    assert mapping.evaluate({"active": True}, []).fields["active"] is True


# -- Anything at all -------------------------------------------------------------------

NAMES = st.sampled_from(["userName", "name", "givenName", "emails", "groups", "value", "type", "primary", "x", "title"])
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["a@acme.example", "Admins", "true", "False", "", "org:admin", "x" * 5000, "a,b,c", "ß" * 3000]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True, allow_infinity=True), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.one_of(NAMES, st.text(max_size=8)), inner, max_size=5)
    ),
    max_leaves=25,
)
EXTENSION = "urn:acme:params:hr:1.0:User"
RESOURCES = st.dictionaries(st.one_of(NAMES, st.just(EXTENSION), st.text(max_size=8)), JSON, max_size=8)

SELECTIONS = st.sampled_from(
    ["", "[0]", "[*]", "[3]", '[type eq "work"]', "[primary eq true]", "[value pr]", "[x gt 1]"]
)
STEPS = st.lists(st.builds("{}{}".format, NAMES, SELECTIONS), min_size=1, max_size=4).map(".".join)
PATHS = st.one_of(
    STEPS,
    STEPS.map(f"{EXTENSION}:{{}}".format),
    STEPS.map(f"{EXTENSION}.{{}}".format),
    st.text(alphabet='ab.[]*"eq 01:urn\\()_$', max_size=40),
)
ARGUMENTS = st.sampled_from(["''", "'a'", "' '", "value", "value.value", "1", "nil", "'org:admin'"])
CALLS = st.one_of(
    st.sampled_from(["downcase", "upcase", "strip", "first", "last", "default"]),
    st.builds("{}: {}".format, st.sampled_from(["split", "prepend", "append", "default", "replace"]), ARGUMENTS),
    st.builds("replace: {}, {}".format, ARGUMENTS, ARGUMENTS),
)
OUTPUTS = st.lists(CALLS, max_size=10).map(lambda calls: "{{ " + " | ".join(["value", *calls]) + " }}")
DESTINATIONS = st.one_of(
    st.sampled_from([*PROFILE_FIELDS, "organization_role", "public_metadata.a", "public_metadata.b.c", "id", "role"]),
    st.text(alphabet="abc_.<>{}", max_size=20),
)
VALUES = st.one_of(
    DESTINATIONS,
    st.builds(
        "{}{}.{}".format, st.lists(OUTPUTS, min_size=1, max_size=3).map("-".join), st.text(max_size=3), DESTINATIONS
    ),
    st.text(alphabet="{}%|'\"value .:,[]()_-", max_size=60),
    JSON,
)
OVERRIDES = st.dictionaries(PATHS, st.one_of(VALUES, st.lists(VALUES, max_size=4)), max_size=5)
GROUPS = st.lists(
    TEXTS.map(lambda name: {"value": name, "display": name, "id": "grp_1", "externalId": None}), max_size=6
)


def check_bounds(mapped: Mapped) -> None:
    assert set(mapped.fields) <= set(PROFILE_FIELDS)
    for name, value in mapped.fields.items():
        assert value is None or isinstance(value, bool if name == "active" else str)
        assert not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) <= 4096
    assert len(json.dumps(mapped.public_metadata, ensure_ascii=False, allow_nan=False)) < 80_000
    assert all(isinstance(role, str) and 0 < len(role) <= 128 for role in mapped.role_candidates)
    assert mapped.maps_role or not mapped.role_candidates
    assert len(mapped.warnings) <= 20
    assert all(len(warning) < 2000 for warning in mapped.warnings)


def check_problem(problem: DomainError, override: dict[str, Any]) -> None:
    assert problem.code == "invalid_mapping"
    assert problem.message
    if problem.meta:
        assert problem.meta["key"] in override
        assert problem.meta["place"] in ("path", "value")
        assert problem.meta.get("column", 1) >= 1
        assert problem.long_message.startswith(problem.message.partition(":")[0])


def check_explanation(explanation: Explanation, mapping: Mapping) -> None:
    rules = [(rule.destination.name, rule.path.text) for _, rules in mapping.plan for rule in rules]
    assert [place for place, _ in itertools.groupby((step.destination, step.path) for step in explanation.steps)] == [
        place for place, _ in itertools.groupby(rules)
    ]
    for step in explanation.steps:
        assert step.outcome in ("used", "overruled", "empty", "unusable")
        assert (step.outcome in ("used", "overruled")) <= (step.result is not None)
        assert (step.outcome == "unusable") <= (step.warning is not None)
        assert len(json.dumps([step.raw, step.result])) < 20_000


def compiled_parts(override: dict[str, Any]) -> list[dict[str, Any]]:
    """The override, if it is accepted, and each of its entries that is accepted alone."""
    accepted = []
    for part in [override, *({key: value} for key, value in override.items())]:
        try:
            compile_mapping(part)
        except InvalidInput as refused:
            assert refused.problems
            for problem in refused.problems:
                check_problem(problem, part)
        else:
            accepted.append(part)
    return accepted


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(override=OVERRIDES, document=RESOURCES, groups=GROUPS)
def test_no_mapping_raises_writes_elsewhere_or_gives_without_bound(
    override: dict[str, Any], document: dict[str, Any], groups: list[dict[str, Any]]
) -> None:
    before = json.dumps(document)
    for part in compiled_parts(override):
        mapping = compile_mapping(part)
        mapped = mapping.evaluate(document, groups)
        check_bounds(mapped)
        assert set(mapped.metadata_paths) <= set(mapping.metadata_paths)
        explanation = mapping.explain(document, groups)
        check_explanation(explanation, mapping)
        assert explanation.mapped == mapped or "NaN" in before
        assert not any("unexpectedly" in warning for warning in mapped.warnings)
        assert mapped == compile_mapping(dict(part)).evaluate(document, groups) or "NaN" in before
    assert json.dumps(document) == before


@settings(max_examples=250, deadline=None, derandomize=True)
@given(expression=st.lists(OUTPUTS, min_size=1, max_size=3).map(" ".join), value=JSON)
def test_no_expression_gives_more_than_its_bound(expression: str, value: Any) -> None:
    try:
        result = parse_expression(expression).evaluate(value)
    except (FilterProblem, ValueError) as problem:
        assert str(problem)
    else:
        assert len(json.dumps(result, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= 3 * MAX_RESULT_BYTES
