"""Push Groups: the group, its members, and the roles that follow."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from models import DirectoryActivity
from organizations.members import get_membership
from organizations.roles import get_role
from tests import okta
from tests.conftest import Tenant
from tests.events import event_types, events_of

EXPRESSION = '{{ value | downcase | replace: "admins", "org:admin" | default: "org:member" }}'
ROLES_BY_GROUP = {"groups[0].value": f"{EXPRESSION}.organization_role"}


@pytest.fixture
def people(acme: Tenant) -> list[str]:
    return [acme.scim("POST", "/Users", okta.user(name)).json["id"] for name in ("nadia.petrov", "li.wei", "ana.silva")]


def make_group(tenant: Tenant, name: str, *members: str) -> str:
    response = tenant.scim("POST", "/Groups", okta.group(name, *members))
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def member_ids(tenant: Tenant, group_id: str) -> set[str]:
    return {member["value"] for member in tenant.scim("GET", f"/Groups/{group_id}").json.get("members", [])}


def role_of(tenant: Tenant, user_id: str) -> str:
    data = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships").json["data"]
    return next(m["role"] for m in data if m["user"]["id"] == user_id)


def test_okta_pushes_a_group_in_its_own_way(acme: Tenant, people: list[str]) -> None:
    first, second, third = people
    assert (
        acme.scim("GET", '/Groups?filter=displayName eq "Platform Team"&startIndex=1&count=100').json["Resources"] == []
    )
    group_id = make_group(acme, "Platform Team", first)

    response = acme.scim(
        "PATCH",
        f"/Groups/{group_id}",
        okta.patch(
            {"op": "replace", "value": {"id": group_id, "displayName": "Platform Team"}},
            {"op": "remove", "path": f'members[value eq "{first}"]'},
            {"op": "add", "path": "members", "value": [{"value": second, "display": "li.wei@acme.example"}]},
        ),
    )
    assert response.status_code == 200
    assert member_ids(acme, group_id) == {second}

    push_now = okta.patch({"op": "replace", "path": "members", "value": [{"value": first}, {"value": third}]})
    acme.scim("PATCH", f"/Groups/{group_id}", push_now)
    assert member_ids(acme, group_id) == {first, third}

    acme.scim("PUT", f"/Groups/{group_id}", {**okta.group("Renamed", second), "id": group_id})
    assert acme.scim("GET", f"/Groups/{group_id}").json["displayName"] == "Renamed"
    assert member_ids(acme, group_id) == {second}

    assert acme.scim("DELETE", f"/Groups/{group_id}").status_code == 204
    assert acme.scim("GET", f"/Groups/{group_id}").status_code == 404


def test_entra_removes_members_by_value_and_never_clears_the_group(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", *people)

    removal = okta.patch({"op": "Remove", "path": "members", "value": [{"$ref": None, "value": people[0]}]})
    acme.scim("PATCH", f"/Groups/{group_id}", removal)

    assert member_ids(acme, group_id) == set(people[1:])


def test_adding_somebody_twice_and_removing_nobody_change_nothing(app: Flask, acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])
    before, events = acme.scim("GET", f"/Groups/{group_id}").json, event_types(app, acme.organization_id)

    again = okta.patch({"op": "add", "path": "members", "value": [{"value": people[0]}, {"value": people[0]}]})
    nobody = okta.patch({"op": "remove", "path": f'members[value eq "{people[1]}"]'})
    for change in (again, nobody):
        assert acme.scim("PATCH", f"/Groups/{group_id}", change).status_code == 200

    assert acme.scim("GET", f"/Groups/{group_id}").json == before
    assert event_types(app, acme.organization_id) == events


def test_a_group_tells_its_members_and_a_user_its_groups(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])

    (member,) = acme.scim("GET", f"/Groups/{group_id}").json["members"]
    (group,) = acme.scim("GET", f"/Users/{people[0]}").json["groups"]

    base = "https://acme.authn.test/scim/v2"
    assert member == {
        "value": people[0],
        "$ref": f"{base}/Users/{people[0]}",
        "type": "User",
        "display": "Nadia Petrov",
    }
    assert group == {"value": group_id, "$ref": f"{base}/Groups/{group_id}", "display": "Finance", "type": "direct"}


def test_inactive_people_stay_in_their_groups_and_deleted_ones_leave(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0], people[1])

    acme.scim("PATCH", f"/Users/{people[0]}", okta.set_active(False))
    acme.scim("DELETE", f"/Users/{people[1]}")

    assert member_ids(acme, group_id) == {people[0]}


def test_group_names_are_unique_in_a_directory(acme: Tenant) -> None:
    make_group(acme, "Finance")

    response = acme.scim("POST", "/Groups", okta.group("FINANCE"))

    assert (response.status_code, response.json["scimType"]) == (409, "uniqueness")


def test_members_can_be_left_out_of_an_answer(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", *people)

    assert "members" not in acme.scim("GET", f"/Groups/{group_id}?excludedAttributes=members").json
    listed = acme.scim("GET", '/Groups?excludedAttributes=members&filter=displayName eq "finance"').json
    assert "members" not in listed["Resources"][0]


def test_a_stale_member_does_not_keep_the_others_out(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0], "user_long_gone")

    assert member_ids(acme, group_id) == {people[0]}


def test_group_events_say_who_joined_and_left(app: Flask, acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])
    acme.scim("PUT", f"/Groups/{group_id}", okta.group("Finance", people[1]))
    acme.scim("DELETE", f"/Groups/{group_id}")

    events = events_of(app, acme.organization_id, "scimGroup")
    assert [event["type"] for event in events] == ["scimGroup.created", "scimGroup.updated", "scimGroup.deleted"]
    assert [event["data"]["members"] for event in events] == [
        {"added": [people[0]], "removed": []},
        {"added": [people[1]], "removed": [people[0]]},
        {"added": [], "removed": [people[1]]},
    ]


def test_the_walkthroughs_recipe_gives_roles_from_pushed_groups(app: Flask, acme: Tenant, people: list[str]) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    assert acme.api("PUT", path, {"mapping": ROLES_BY_GROUP}).status_code == 200
    assert role_of(acme, people[0]) == "org:member"

    group_id = make_group(acme, "Admins", people[0])

    assert (role_of(acme, people[0]), role_of(acme, people[1])) == ("org:admin", "org:member")
    event = events_of(app, acme.organization_id, "scimUser")[-1]
    assert event["type"] == "scimUser.updated"
    assert event["data"]["changes"] == {"role": {"from": "org:member", "to": "org:admin"}}

    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "remove", "path": "members"}))
    assert role_of(acme, people[0]) == "org:member"


def test_a_renamed_or_deleted_group_changes_the_roles_of_its_members(acme: Tenant, people: list[str]) -> None:
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": ROLES_BY_GROUP})
    group_id = make_group(acme, "Nobodies", people[0])

    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "replace", "path": "displayName", "value": "Admins"}))
    assert role_of(acme, people[0]) == "org:admin"

    acme.scim("DELETE", f"/Groups/{group_id}")
    assert role_of(acme, people[0]) == "org:member"


def test_an_unknown_role_falls_back_with_a_warning_and_never_fails_the_write(app: Flask, acme: Tenant) -> None:
    mapping: dict[str, Any] = {"title": "organization_role"}
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": mapping})

    user_id = acme.scim("POST", "/Users", okta.user(title="org:emperor")).json["id"]

    assert role_of(acme, user_id) == "org:member"
    with app.app_context(), db.reading() as session:
        (warnings,) = session.scalars(select(DirectoryActivity.warnings).where(DirectoryActivity.method == "POST"))
    assert any("org:emperor" in warning for warning in warnings)


def test_a_role_set_by_hand_stays_until_the_directory_changes_it(app: Flask, acme: Tenant, people: list[str]) -> None:
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": ROLES_BY_GROUP})
    group_id = make_group(acme, "Admins", people[0])
    with app.app_context(), db.unit_of_work() as session:
        membership = get_membership(session, acme.organization_id, people[0])
        membership.role, membership.role_source = get_role(session, "org:member"), "manual"

    acme.scim("PATCH", f"/Users/{people[0]}", okta.patch({"op": "replace", "path": "title", "value": "Boss"}))
    assert role_of(acme, people[0]) == "org:member"

    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "replace", "path": "displayName", "value": "Others"}))
    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "replace", "path": "displayName", "value": "Admins"}))
    assert role_of(acme, people[0]) == "org:admin"


def test_a_deleted_member_changes_the_group_for_whoever_kept_a_copy(
    app: Flask, acme: Tenant, people: list[str]
) -> None:
    group_id = make_group(acme, "Finance", people[0])
    etag = acme.scim("GET", f"/Groups/{group_id}").headers["ETag"]

    acme.scim("DELETE", f"/Users/{people[0]}")

    assert acme.scim("GET", f"/Groups/{group_id}", headers={"If-None-Match": etag}).status_code == 200
    event = events_of(app, acme.organization_id, "scimGroup")[-1]
    assert event["data"]["members"] == {"added": [], "removed": [people[0]]}


def test_a_renamed_group_is_seen_by_whoever_kept_a_copy_of_its_member(acme: Tenant, people: list[str]) -> None:
    group_id = make_group(acme, "Finance", people[0])
    etag = acme.scim("GET", f"/Users/{people[0]}").headers["ETag"]

    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "replace", "path": "displayName", "value": "Money"}))

    fresh = acme.scim("GET", f"/Users/{people[0]}", headers={"If-None-Match": etag})
    assert fresh.json["groups"][0]["display"] == "Money"


def test_a_stale_member_sent_again_changes_nothing(app: Flask, acme: Tenant) -> None:
    group_id = make_group(acme, "Finance")
    before = event_types(app, acme.organization_id)

    for _ in range(2):
        acme.scim("PUT", f"/Groups/{group_id}", okta.group("Finance", "user_long_gone"))

    assert event_types(app, acme.organization_id) == before


def test_groups_that_a_body_carried_are_forgotten_with_the_person(acme: Tenant) -> None:
    mapping = {"groups[*].value": "organization_role"}
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": mapping})
    user_id = acme.scim("POST", "/Users", okta.user(groups=[{"value": "org:admin"}])).json["id"]
    assert role_of(acme, user_id) == "org:admin"

    acme.scim("DELETE", f"/Users/{user_id}")
    acme.scim("POST", "/Users", {key: value for key, value in okta.user().items() if key != "groups"})
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "x"}))

    assert role_of(acme, user_id) == "org:member"


def test_an_okta_that_sends_back_the_groups_it_read_does_not_keep_a_role_alive(acme: Tenant, people: list[str]) -> None:
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": ROLES_BY_GROUP})
    group_id = make_group(acme, "Admins", people[0])
    acme.scim("PUT", f"/Users/{people[0]}", {**acme.scim("GET", f"/Users/{people[0]}").json, "title": "x"})

    acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "remove", "path": "members"}))

    assert role_of(acme, people[0]) == "org:member"


def test_the_last_admin_demoted_by_a_group_is_told_of(app: Flask, acme: Tenant, people: list[str]) -> None:
    acme.api("PUT", f"/organizations/{acme.organization_id}/scim/attribute-mappings", {"mapping": ROLES_BY_GROUP})
    group_id = make_group(acme, "Admins", people[0])
    with app.app_context(), db.unit_of_work() as session:
        get_membership(session, acme.organization_id, acme.admin_id).role = get_role(session, "org:member")

    acme.scim("DELETE", f"/Groups/{group_id}")

    types = [event["type"] for event in events_of(app, acme.organization_id, "")]
    assert types[-3:] == ["scimGroup.deleted", "scimUser.updated", "organization.lastAdminRemoved"]


def test_roles_follow_a_large_group_a_part_of_its_members_at_a_time(
    app: Flask, acme: Tenant, people: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.group_membership.BATCH", 2)
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    acme.api("PUT", path, {"mapping": ROLES_BY_GROUP})
    other = acme.scim("POST", "/Users", okta.user("some.body")).json["id"]
    everybody = sorted([*people, acme.scim("POST", "/Users", okta.user("fif.th")).json["id"]])
    group_id = make_group(acme, "Staff", *everybody)

    def change(*operations: dict[str, Any]) -> list[str]:
        seen = len(events_of(app, acme.organization_id))
        assert acme.scim("PATCH", f"/Groups/{group_id}", okta.patch(*operations)).status_code == 200
        group, *users = events_of(app, acme.organization_id)[seen:]
        assert group["type"] == "scimGroup.updated" and {user["type"] for user in users} == {"scimUser.updated"}
        return [user["data"]["user"]["id"] for user in users]

    assert change({"op": "replace", "value": {"id": group_id, "displayName": "Admins"}}) == everybody
    assert {role_of(acme, person) for person in everybody} == {"org:admin"}
    leave = [{"op": "remove", "path": f'members[value eq "{person}"]'} for person in everybody[:2]]
    assert change(*leave, {"op": "add", "path": "members", "value": [{"value": other}]}) == sorted(
        [*everybody[:2], other]
    )
    assert {role_of(acme, person) for person in everybody[:2]} == {"org:member"}
    push_now = {"op": "replace", "path": "members", "value": [{"value": person} for person in everybody]}
    assert change(push_now) == sorted([*everybody[:2], other])
    assert role_of(acme, other) == "org:member"
