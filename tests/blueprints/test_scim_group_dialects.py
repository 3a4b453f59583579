"""Groups as each identity provider writes them: who joins, who leaves, and what is refused."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from models import DirectoryActivity
from tests import okta
from tests.conftest import Tenant
from tests.events import event_types, events_of

MEMBERS_URN = f"{okta.GROUP_SCHEMA}:members"


@pytest.fixture
def people(acme: Tenant) -> list[str]:
    return [acme.scim("POST", "/Users", okta.user(f"person.{letter}")).json["id"] for letter in "abc"]


def make_group(tenant: Tenant, name: str, *members: str) -> str:
    return str(tenant.scim("POST", "/Groups", okta.group(name, *members)).json["id"])


def member_ids(tenant: Tenant, group_id: str) -> set[str]:
    return {member["value"] for member in tenant.scim("GET", f"/Groups/{group_id}").json.get("members", [])}


def warnings(app: Flask) -> list[str]:
    with app.app_context(), db.reading() as session:
        latest = session.scalars(select(DirectoryActivity).order_by(DirectoryActivity.id.desc())).first()
        return list(latest.warnings) if latest is not None else []


def filled(operations: Any, people: list[str], group_id: str) -> Any:
    """Operations with the ids of the people a, b and c, and of the group."""
    if isinstance(operations, str):
        for letter, person in zip("abc", people, strict=True):
            operations = operations.replace(f"<{letter}>", person)
        return operations.replace("<group>", group_id)
    if isinstance(operations, list):
        return [filled(item, people, group_id) for item in operations]
    if isinstance(operations, dict):
        return {name: filled(item, people, group_id) for name, item in operations.items()}
    return operations


# What is sent to a group of a and b, and who is in it then.
UNDERSTOOD = [
    ([{"op": "Add", "path": "members", "value": [{"$ref": None, "value": "<c>"}]}], "abc"),
    ([{"op": "add", "path": "members", "value": {"value": "<c>"}}], "abc"),
    ([{"op": "add", "path": "members", "value": ["<c>"]}], "abc"),
    (
        [{"op": "add", "path": "Members", "value": [{"Value": "<c>", "type": "User", "display": "C", "$ref": "x"}]}],
        "abc",
    ),
    ([{"op": "add", "path": MEMBERS_URN, "value": [{"value": "<c>"}]}], "abc"),
    ([{"op": "add", "value": {"members": [{"value": "<c>"}]}}], "abc"),
    ([{"op": "add", "value": {MEMBERS_URN: [{"value": "<c>"}], "externalId": "g"}}], "abc"),
    ([{"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "<a>"}]}], "b"),
    ([{"op": "Remove", "path": "members", "value": [{"value": "<a>"}, {"value": "<b>"}]}], ""),
    ([{"op": "Remove", "path": "members", "value": []}], "ab"),
    ([{"op": "remove", "path": 'members[value eq "<a>"]'}], "b"),
    ([{"op": "remove", "path": 'members[value eq "<a>"].value'}], "b"),
    ([{"op": "Remove", "path": 'MEMBERS[Value EQ "<a>" or value eq "<c>"]'}], "b"),
    ([{"op": "remove", "path": f'{MEMBERS_URN}[value eq "<a>"]'}], "b"),
    ([{"op": "remove", "path": 'members[value eq "grp_x"]'}], "ab"),
    ([{"op": "remove", "path": "members"}], ""),
    ([{"op": "replace", "path": "members", "value": None}], ""),
    ([{"op": "replace", "path": "members", "value": []}], ""),
    ([{"op": "replace", "path": "members", "value": [{"value": "<b>"}, {"value": "<c>"}]}], "bc"),
    ([{"op": "replace", "value": {"members": [{"value": "<c>"}]}}], "c"),
    ([{"op": "replace", "value": {"externalId": "from Microsoft's validator"}}], "ab"),
    ([], "ab"),
    # In the order in which they were sent
    ([{"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": [{"value": "<a>"}]}], "a"),
    ([{"op": "add", "path": "members", "value": [{"value": "<c>"}]}, {"op": "remove", "path": "members"}], ""),
    (
        [
            {"op": "add", "path": "members", "value": [{"value": "<c>"}]},
            {"op": "remove", "path": 'members[value eq "<c>"]'},
        ],
        "ab",
    ),
    (
        [
            {"op": "remove", "path": 'members[value eq "<a>"]'},
            {"op": "add", "path": "members", "value": [{"value": "<a>"}]},
        ],
        "ab",
    ),
    (
        [
            {"op": "replace", "path": "members", "value": [{"value": "<c>"}]},
            {"op": "add", "path": "members", "value": [{"value": "<a>"}]},
        ],
        "ac",
    ),
    # Okta's Push Groups
    (
        [
            {"op": "replace", "value": {"id": "<group>", "displayName": "Finance"}},
            {"op": "remove", "path": 'members[value eq "<a>"]'},
            {"op": "add", "path": "members", "value": [{"value": "<c>", "display": "c@acme.example"}]},
        ],
        "bc",
    ),
]


@pytest.mark.parametrize(("operations", "expected"), UNDERSTOOD)
def test_a_patch_of_members_is_understood(
    app: Flask, acme: Tenant, people: list[str], operations: Any, expected: str
) -> None:
    a, b = people[:2]
    group_id = make_group(acme, "Finance", a, b)
    before, events = acme.scim("GET", f"/Groups/{group_id}").json, event_types(app, acme.organization_id)

    response = acme.scim("PATCH", f"/Groups/{group_id}", okta.patch(*filled(operations, people, group_id)))

    assert response.status_code == 200, response.text
    names = dict(zip("abc", people, strict=True))
    wanted = {names[letter] for letter in expected}
    after = acme.scim("GET", f"/Groups/{group_id}").json
    assert response.json == after
    assert {member["value"] for member in after.get("members", [])} == wanted
    for person in people:
        groups = [group["value"] for group in acme.scim("GET", f"/Users/{person}").json.get("groups", [])]
        assert groups == ([group_id] if person in wanted else [])
    if after["meta"]["version"] == before["meta"]["version"]:
        assert after == before and event_types(app, acme.organization_id) == events
    else:
        (event,) = events_of(app, acme.organization_id)[len(events) :]
        assert event["data"]["members"] == {"added": sorted(wanted - {a, b}), "removed": sorted({a, b} - wanted)}


REFUSED = [
    ([{"op": "add", "path": "members", "value": [{"value": "<group>"}]}], "invalidValue", "cannot be a member"),
    (
        [{"op": "add", "path": "members", "value": [{"value": "x", "type": "Group"}]}],
        "invalidValue",
        "cannot be a member",
    ),
    ([{"op": "add", "path": "members", "value": [{"value": 5}]}], "invalidValue", "needs a value"),
    ([{"op": "add", "path": "members", "value": [{"display": "C"}]}], "invalidValue", "needs a value"),
    ([{"op": "add", "path": "members", "value": [5]}], "invalidValue", "a value"),
    ([{"op": "remove", "path": 'members[display eq "C"]'}], "invalidFilter", "by their ids"),
    ([{"op": "remove", "path": 'members[value ne "x"]'}], "invalidFilter", "by their ids"),
    ([{"op": "remove", "path": "members[value eq"}], "invalidPath", "cannot be read"),
    ([{"op": "replace", "path": 'members[value eq "<a>"].display', "value": "A"}], "invalidPath", "as a whole"),
    ([{"op": "add", "path": "members.value", "value": "<c>"}], "invalidPath", "as a whole"),
    ([{"op": "replace", "path": "displayName", "value": ""}], "invalidValue", "displayName"),
    ([{"op": "remove", "path": "displayName"}], "mutability", "displayName"),
    ([{"op": "replace", "path": "nowhere", "value": "x"}], "invalidPath", "nowhere"),
    ([{"op": "replace", "value": {"id": "grp_other"}}], "mutability", "id"),
]


@pytest.mark.parametrize(("operations", "scim_type", "words"), REFUSED)
def test_a_patch_that_is_refused_changes_no_member(
    app: Flask, acme: Tenant, people: list[str], operations: Any, scim_type: str, words: str
) -> None:
    group_id = make_group(acme, "Finance", *people[:2])
    before, events = acme.scim("GET", f"/Groups/{group_id}").json, event_types(app, acme.organization_id)
    first = {"op": "add", "path": "members", "value": [{"value": people[2]}]}

    response = acme.scim("PATCH", f"/Groups/{group_id}", okta.patch(first, *filled(operations, people, group_id)))

    assert (response.status_code, response.json["scimType"]) == (400, scim_type), response.text
    assert words in response.json["detail"]
    assert acme.scim("GET", f"/Groups/{group_id}").json == before
    assert event_types(app, acme.organization_id) == events


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_group_in_a_group_is_refused_with_what_to_do(acme: Tenant, people: list[str], method: str) -> None:
    group_id = make_group(acme, "Finance", people[0])
    body = okta.group("Other" if method == "POST" else "Finance", group_id)

    response = acme.scim(method, "/Groups" if method == "POST" else f"/Groups/{group_id}", body)

    assert (response.status_code, response.json["scimType"]) == (400, "invalidValue")
    assert "Send the people" in response.json["detail"]
    assert member_ids(acme, group_id) == {people[0]}


def test_people_whom_a_replacement_takes_out_are_named_in_the_activity_log(
    app: Flask, acme: Tenant, people: list[str]
) -> None:
    group_id = make_group(acme, "Finance", *people[:2])

    # The validator's "Add Member": one member where an addition is meant.
    one = okta.patch({"op": "replace", "path": "members", "value": [{"value": people[2]}]})
    acme.scim("PATCH", f"/Groups/{group_id}", one)

    (warning,) = warnings(app)
    assert "took 2 people out" in warning and all(person in warning for person in people[:2])
    add = okta.patch({"op": "add", "path": "members", "value": [{"value": people[0]}]})
    acme.scim("PATCH", f"/Groups/{group_id}", add)
    assert warnings(app) == []


def test_a_group_is_never_joined_by_somebody_of_another_organization(
    app: Flask, acme: Tenant, globex: Tenant, people: list[str]
) -> None:
    stranger = globex.scim("POST", "/Users", okta.user("stran.ger")).json["id"]
    theirs = make_group(globex, "Finance", stranger)
    mine = make_group(acme, "Finance", people[0])

    for operation in (
        {"op": "add", "path": "members", "value": [{"value": stranger}]},
        {"op": "replace", "path": "members", "value": [{"value": stranger}, {"value": people[0]}]},
    ):
        assert acme.scim("PATCH", f"/Groups/{mine}", okta.patch(operation)).status_code == 200
        assert member_ids(acme, mine) == {people[0]}
        assert any("not in this directory" in warning for warning in warnings(app))
    for operation in (
        {"op": "remove", "path": "members"},
        {"op": "add", "path": "members", "value": [{"value": people[0]}]},
    ):
        assert acme.scim("PATCH", f"/Groups/{theirs}", okta.patch(operation)).status_code == 404
    assert acme.scim("PUT", f"/Groups/{theirs}", okta.group("Mine")).status_code == 404
    assert acme.scim("DELETE", f"/Groups/{theirs}").status_code == 404
    assert member_ids(globex, theirs) == {stranger}


def test_a_patch_of_a_group_heeds_if_match(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])
    add = okta.patch({"op": "add", "path": "members", "value": [{"value": people[1]}]})

    stale = acme.scim("PATCH", f"/Groups/{group_id}", add, headers={"If-Match": 'W/"9"'})
    fresh = acme.scim("PATCH", f"/Groups/{group_id}", add, headers={"If-Match": 'W/"1"'})

    assert (stale.status_code, fresh.status_code) == (412, 200)


def test_the_answer_to_a_patch_shows_what_was_asked_for(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])
    add = okta.patch({"op": "add", "path": "members", "value": [{"value": people[1]}]})

    without = acme.scim("PATCH", f"/Groups/{group_id}?excludedAttributes=members", add).json
    only = acme.scim("PATCH", f"/Groups/{group_id}?attributes=members", add).json

    assert "members" not in without and without["displayName"] == "Finance"
    assert {m["value"] for m in only["members"]} == set(people[:2]) and "displayName" not in only
