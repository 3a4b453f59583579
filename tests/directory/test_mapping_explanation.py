"""An explanation tells of every rule what it read, what it made of it, and what became of that."""

from typing import Any

import pytest

from directory.mapping import Explanation, Step, compile_mapping

PERSON: dict[str, Any] = {
    "userName": "NADIA",
    "name": {"givenName": "Nadia", "familyName": ["x"]},
    "emails": [{"value": "no address"}],
    "title": "Engineer",
    "active": True,
}


def explain(override: dict[str, Any], resource: dict[str, Any], *groups: str) -> Explanation:
    pushed = [{"value": name, "display": name, "id": name, "externalId": None} for name in groups]
    mapping = compile_mapping(override)
    explanation = mapping.explain(resource, pushed)
    assert explanation.mapped == mapping.evaluate(resource, pushed)
    return explanation


def steps_of(explanation: Explanation, destination: str) -> list[Step]:
    return [step for step in explanation.steps if step.destination == destination]


def test_the_steps_of_the_defaults_are_in_the_order_of_evaluation() -> None:
    steps = explain({}, PERSON).steps
    no_address = "emails[primary eq true].value was not used for email_address: the value is no e-mail address."
    is_list = "name.familyName was not used for last_name: the value is a list, but text is needed"

    assert [(step.destination, step.path, step.raw, step.result, step.outcome) for step in steps] == [
        ("active", "active", True, True, "used"),
        ("email_address", "emails[primary eq true].value", "no address", None, "unusable"),
        ("email_address", "userName", "NADIA", None, "empty"),
        ("username", "userName", "NADIA", "NADIA", "used"),
        ("first_name", "name.givenName", "Nadia", "Nadia", "used"),
        ("last_name", "name.familyName", ["x"], None, "unusable"),
        ("external_id", "externalId", None, None, "empty"),
    ]
    assert {step.source for step in steps} == {"default"}
    first, second = (step.warning for step in steps if step.warning)
    assert first == no_address
    assert second.startswith(is_list)


def test_a_rule_that_was_not_needed_is_overruled_and_shows_what_it_would_have_given() -> None:
    explanation = explain({"title": "{{ value | upcase }}.first_name"}, PERSON)

    assert steps_of(explanation, "first_name") == [
        Step("first_name", "title", "{{ value | upcase }}", "override", "Engineer", "ENGINEER", "used", None),
        Step("first_name", "name.givenName", None, "default", "Nadia", "Nadia", "overruled", None),
    ]


def test_an_expression_that_fails_gives_its_destination_up() -> None:
    failed, behind = steps_of(explain({"title": "{{ value | first }}.first_name"}, PERSON), "first_name")

    assert (failed.outcome, failed.result) == ("unusable", None)
    assert failed.warning is not None
    assert "'first' needs a list" in failed.warning
    assert (behind.path, behind.outcome) == ("name.givenName", "overruled")


def test_a_value_that_finds_no_room_is_unusable() -> None:
    override = {f"a{index}": f"public_metadata.a{index}" for index in range(6)}
    steps = explain(override, {f"a{index}": "x" * 15_000 for index in range(6)}).steps

    assert [step.outcome for step in steps if step.source == "override"] == ["used"] * 4 + ["unusable"] * 2
    assert steps[-1].warning == "public_metadata.a5 was left as it is: there is no more room in public_metadata."


def test_each_candidate_for_the_role_is_a_step() -> None:
    override = {
        "groups[*].value": "{{ value | downcase | split: ';' }}.organization_role",
        "title": "organization_role",
    }
    steps = explain(override, PERSON, "org:admin;Staff", ";", "x" * 200)
    roles = steps_of(steps, "organization_role")

    assert [(step.path, step.raw, step.result, step.outcome) for step in roles] == [
        ("groups[*].value", "org:admin;Staff", "org:admin", "used"),
        ("groups[*].value", "org:admin;Staff", "staff", "used"),
        ("groups[*].value", ";", None, "empty"),
        ("groups[*].value", "x" * 200, None, "unusable"),
        ("title", "Engineer", "Engineer", "used"),
    ]
    assert roles[0].expression == "{{ value | downcase | split: ';' }}"
    assert steps.mapped.role_candidates == ["org:admin", "staff", "Engineer"]


@pytest.mark.parametrize("groups", [[], ["Admins"]])
def test_without_anything_at_the_path_a_default_is_shown_for_nothing(groups: list[str]) -> None:
    override = {"groups[0].value": "{{ value | default: 'org:member' }}.organization_role"}
    [step] = steps_of(explain(override, PERSON, *groups), "organization_role")

    assert (step.raw, step.result) == ((groups[0], groups[0]) if groups else (None, "org:member"))
    assert step.outcome == "used"


def test_candidates_beyond_the_bound_of_an_evaluation_are_unusable() -> None:
    names = [f"group {index}" for index in range(800)]
    upcase = "{{ value" + " | upcase" * 8 + " }}.organization_role"
    override = {"groups[*].value": upcase, "groups[*].display": upcase.replace("}}", "| append: '!' }}", 1)}
    steps = steps_of(explain(override, PERSON, *names), "organization_role")
    refused = [step for step in steps if step.outcome == "unusable"]

    assert refused
    assert all(step.warning and "too much to work through" in step.warning for step in refused)


def test_what_is_too_large_to_show_is_said_to_be() -> None:
    step = steps_of(explain({"title": "first_name"}, {"title": "x" * 3000}), "first_name")[0]

    assert step.raw == step.result == "(not shown: the value is larger than 1024 bytes)"
    assert step.outcome == "used"


def test_a_path_that_finds_several_values_shows_them_all() -> None:
    emails = {"emails": [{"value": "a@x.example"}, {"value": "b@x.example"}]}
    override = {"emails[*].value": ["public_metadata.all", "email_address"]}
    explanation = explain(override, emails)
    everything = steps_of(explanation, "public_metadata.all")[0]
    first = steps_of(explanation, "email_address")[0]

    assert everything.raw == everything.result == ["a@x.example", "b@x.example"]
    assert (first.raw, first.result) == (["a@x.example", "b@x.example"], "a@x.example")
