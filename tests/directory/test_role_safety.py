"""No accident makes anyone an admin, or keeps anyone an admin: each way that it could is a test."""

import itertools
from typing import Any

import pytest
from flask import Flask

from database import db
from ids import new_id
from models import Role
from organizations.members import get_membership
from organizations.roles import find_role, get_role
from tests import okta
from tests.conftest import Tenant
from tests.events import events_of

EXPRESSION = '{{ value | downcase | replace: "admins", "org:admin" | default: "org:member" }}'
WALKTHROUGH = {"groups[0].value": f"{EXPRESSION}.organization_role"}
BY_NAME = {'groups[display eq "Admins"].value': '{{ "org:admin" }}.organization_role'}


def map_roles(tenant: Tenant, mapping: dict[str, Any]) -> None:
    path = f"/organizations/{tenant.organization_id}/scim/attribute-mappings"
    response = tenant.api("PUT", path, {"mapping": mapping})
    assert response.status_code == 200, response.text


def make_user(tenant: Tenant, name: str = "nadia.petrov", **changes: Any) -> str:
    response = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def make_group(tenant: Tenant, name: str, *members: str, **changes: Any) -> str:
    response = tenant.scim("POST", "/Groups", {**okta.group(name, *members), **changes})
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def change(tenant: Tenant, path: str, **values: Any) -> None:
    operations = [{"op": "replace", "path": name, "value": value} for name, value in values.items()]
    response = tenant.scim("PATCH", path, okta.patch(*operations))
    assert response.status_code in (200, 204), response.text


def membership_of(tenant: Tenant, user_id: str) -> dict[str, Any]:
    path = f"/organizations/{tenant.organization_id}/memberships?include=deleted&limit=200"
    return next(m for m in tenant.api("GET", path).json["data"] if m["user"]["id"] == user_id)


def role_of(tenant: Tenant, user_id: str) -> str:
    return str(membership_of(tenant, user_id)["role"])


def set_by_hand(app: Flask, tenant: Tenant, user_id: str, role: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        membership = get_membership(session, tenant.organization_id, user_id)
        membership.role, membership.role_source = get_role(session, role), "manual"


def add_role(app: Flask, key: str, *permissions: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id=new_id("role"), key=key, name=key, permissions=list(permissions)))


# -- What a mapping cannot compute ------------------------------------------------------


def test_an_expression_that_fails_takes_the_role_away(acme: Tenant) -> None:
    map_roles(acme, {"title": "{{ value | downcase }}.organization_role"})
    user_id = make_user(acme, title="org:admin")
    assert role_of(acme, user_id) == "org:admin"

    change(acme, f"/Users/{user_id}", title="org:admin" * 1000)

    assert role_of(acme, user_id) == "org:member"


@pytest.mark.parametrize("title", ["", " ", "org:admin" + "n" * 120, "org:admin;" * 100, "org:admin\u200b", "org:adm"])
def test_an_empty_a_long_and_a_truncated_value_are_no_role(acme: Tenant, title: str) -> None:
    map_roles(acme, {"title": "organization_role"})
    user_id = make_user(acme, title="org:admin")

    change(acme, f"/Users/{user_id}", title=title)

    assert role_of(acme, user_id) == "org:member"


def test_a_role_that_is_too_much_work_to_find_is_not_kept(acme: Tenant) -> None:
    expensive = "{{ value" + " | upcase" * 9 + " | downcase }}.organization_role"
    map_roles(acme, {"roles[*].value": [expensive] * 10})
    user_id = make_user(acme, roles=[{"value": "org:admin"}])
    assert role_of(acme, user_id) == "org:admin"

    roles = [{"value": f"org:none{index}"} for index in range(990)]
    assert acme.scim("PUT", f"/Users/{user_id}", okta.user(roles=[*roles, {"value": "org:admin"}])).status_code == 200

    assert role_of(acme, user_id) == "org:member"


def test_a_mapping_that_fails_does_not_undo_what_a_hand_took_away(app: Flask, acme: Tenant) -> None:
    map_roles(acme, {"title": "{{ value | downcase }}.organization_role"})
    user_id = make_user(acme, title="org:admin")
    set_by_hand(app, acme, user_id, "org:member")

    for title in ("x" * 5000, "org:admin"):
        change(acme, f"/Users/{user_id}", title=title)
        assert membership_of(acme, user_id)["role_source"] == "manual"

    assert role_of(acme, user_id) == "org:member"


@pytest.mark.parametrize("title", ["org:unknown", "x" * 5000])
def test_the_default_role_gives_nobody_more_by_mistake(app: Flask, acme: Tenant, title: str) -> None:
    add_role(app, "org:guest")
    map_roles(acme, {"title": "{{ value | downcase }}.organization_role"})
    user_id = make_user(acme, title="org:guest")
    assert role_of(acme, user_id) == "org:guest"

    change(acme, f"/Users/{user_id}", title=title)
    assert role_of(acme, user_id) == "org:guest"

    change(acme, f"/Users/{user_id}", title="")
    assert role_of(acme, user_id) == "org:member"


def test_the_default_role_gives_nobody_more_by_mistake_than_a_hand_left(app: Flask, acme: Tenant) -> None:
    add_role(app, "org:guest")
    map_roles(acme, {"title": "organization_role"})
    user_id = make_user(acme, title="org:admin")
    set_by_hand(app, acme, user_id, "org:guest")

    change(acme, f"/Users/{user_id}", title="org:unknown")

    assert (role_of(acme, user_id), membership_of(acme, user_id)["role_source"]) == ("org:guest", "manual")


def test_a_role_that_was_deleted_falls_back_and_raises_nobody(app: Flask, acme: Tenant) -> None:
    add_role(app, "org:auditor", "org:sys_memberships:read", "org:sys_profile:read", "a", "b", "c")
    map_roles(acme, {"title": "organization_role"})
    user_id = make_user(acme, title="org:auditor")
    assert role_of(acme, user_id) == "org:auditor"
    set_by_hand(app, acme, user_id, "org:member")
    with app.app_context(), db.unit_of_work() as session:
        session.delete(find_role(session, "org:auditor"))

    change(acme, f"/Users/{user_id}", nickName="Nadja")

    assert role_of(acme, user_id) == "org:member"


def test_a_constant_with_a_default_is_not_for_those_whom_the_path_leaves_out(acme: Tenant) -> None:
    map_roles(
        acme, {'groups[display eq "Admins"].value': '{{ "org:admin" | default: "org:member" }}.organization_role'}
    )
    nadia, li = make_user(acme), make_user(acme, "li.wei")

    make_group(acme, "Admins", nadia)

    assert (role_of(acme, nadia), role_of(acme, li)) == ("org:admin", "org:member")


# -- Names -------------------------------------------------------------------------------

CRAFTED = [
    '{{ "org:admin" }}',
    "{{ value }}",
    "{{ 'org:admin' }}.organization_role",
    "ORG:ADMIN",
    "Org:Admin",
    "org:admin\u200b",
    "org:аdmin",  # a Cyrillic letter
    "not admins",
    "admins;org:admin",
]


@pytest.mark.parametrize("name", CRAFTED)
def test_the_name_of_a_group_is_never_run_and_is_a_role_only_letter_by_letter(acme: Tenant, name: str) -> None:
    map_roles(acme, {"groups[*].value": "{{ value }}.organization_role"})
    user_id = make_user(acme)

    make_group(acme, name, user_id)

    assert role_of(acme, user_id) == "org:member"


@pytest.mark.parametrize("name", [*CRAFTED, "org:admin", "Admins of nothing", "Admin", "Admins\u200b"])
def test_a_mapping_by_the_whole_name_is_not_fooled_by_another_name(acme: Tenant, name: str) -> None:
    map_roles(acme, BY_NAME)
    user_id = make_user(acme)

    make_group(acme, name, user_id)

    assert role_of(acme, user_id) == "org:member"


# -- Groups that change ------------------------------------------------------------------


@pytest.mark.parametrize("mapping", [WALKTHROUGH, BY_NAME])
def test_a_group_that_is_renamed_deleted_or_left_makes_nobody_an_admin_any_more(
    acme: Tenant, mapping: dict[str, Any]
) -> None:
    map_roles(acme, mapping)
    user_id = make_user(acme)

    for end in ("rename", "delete", "leave"):
        group_id = make_group(acme, "Admins", user_id)
        assert role_of(acme, user_id) == "org:admin"
        if end == "rename":
            change(acme, f"/Groups/{group_id}", displayName="Former administrators")
            assert role_of(acme, user_id) == "org:member"
            acme.scim("DELETE", f"/Groups/{group_id}")
        elif end == "delete":
            acme.scim("DELETE", f"/Groups/{group_id}")
        else:
            acme.scim("PATCH", f"/Groups/{group_id}", okta.patch({"op": "remove", "path": "members"}))
        assert role_of(acme, user_id) == "org:member"


def test_a_group_known_by_its_external_id_counts_no_longer_under_another(acme: Tenant) -> None:
    map_roles(acme, {'groups[externalId eq "okta-admins"].value': '{{ "org:admin" }}.organization_role'})
    user_id = make_user(acme)
    group_id = make_group(acme, "Admins", user_id, externalId="okta-admins")
    assert role_of(acme, user_id) == "org:admin"

    change(acme, f"/Groups/{group_id}", externalId="another")

    assert role_of(acme, user_id) == "org:member"


def test_whoever_left_a_group_while_inactive_comes_back_without_its_role(acme: Tenant) -> None:
    map_roles(acme, WALKTHROUGH)
    user_id = make_user(acme)
    group_id = make_group(acme, "Admins", user_id)

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    acme.scim("DELETE", f"/Groups/{group_id}")
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))

    assert role_of(acme, user_id) == "org:member"


def test_whoever_is_deleted_and_made_again_is_in_no_group_and_has_no_role_of_one(acme: Tenant) -> None:
    map_roles(acme, WALKTHROUGH)
    user_id = make_user(acme)
    make_group(acme, "Admins", user_id)

    acme.scim("DELETE", f"/Users/{user_id}")

    assert make_user(acme) == user_id
    assert role_of(acme, user_id) == "org:member"


@pytest.mark.parametrize("form", ["object", "text"])
def test_the_id_of_a_group_that_an_idp_read_here_is_no_group_of_its_own(acme: Tenant, form: str) -> None:
    map_roles(acme, {'groups[display eq "Admins"].display': '{{ "org:admin" }}.organization_role', **BY_NAME})
    user_id = make_user(acme)
    group_id = make_group(acme, "Admins", user_id)
    echo: Any = {"value": group_id, "display": "Admins"} if form == "object" else group_id
    acme.scim("PUT", f"/Users/{user_id}", okta.user(groups=[echo], title="x"))
    assert role_of(acme, user_id) == "org:admin"

    acme.scim("DELETE", f"/Groups/{group_id}")

    assert role_of(acme, user_id) == "org:member"


def test_the_order_of_groups_does_not_matter_where_all_of_them_count(acme: Tenant) -> None:
    map_roles(acme, {"groups[*].value": f"{EXPRESSION}.organization_role"})
    for number, names in enumerate(itertools.permutations(["Staff", "org:member", "Admins"])):
        user_id = make_user(acme, f"person{number}.x")
        groups = [make_group(acme, name, user_id) for name in names]
        assert role_of(acme, user_id) == "org:admin"
        for group_id in groups:
            acme.scim("DELETE", f"/Groups/{group_id}")
        assert role_of(acme, user_id) == "org:member"


def test_a_change_of_a_group_is_followed_for_exactly_the_people_it_touches(app: Flask, acme: Tenant) -> None:
    names = ("stays", "joins", "leaves", "outside")
    stays, joins, leaves, _outside = (make_user(acme, f"{name}.x", title=name) for name in names)
    group_id = make_group(acme, "Staff", stays, leaves)
    map_roles(acme, {"groups[*].value": "{{ value | downcase }}.organization_role", "title": "public_metadata.seen"})
    before = len(events_of(app, acme.organization_id, "scimUser"))

    def seen() -> list[str]:
        changed = events_of(app, acme.organization_id, "scimUser")[before:]
        return sorted(event["data"]["user"]["public_metadata"]["seen"] for event in changed)

    acme.scim("PUT", f"/Groups/{group_id}", okta.group("Staff", stays, joins))
    assert seen() == ["joins", "leaves"]

    change(acme, f"/Groups/{group_id}", displayName="org:admin")
    assert seen() == ["joins", "joins", "leaves", "stays"]
    assert [role_of(acme, user_id) for user_id in (stays, joins, leaves)] == ["org:admin", "org:admin", "org:member"]


# -- Mappings that change ------------------------------------------------------------------


def test_a_mapping_that_says_nothing_of_roles_any_more_takes_its_roles_back(acme: Tenant) -> None:
    map_roles(acme, WALKTHROUGH)
    user_id = make_user(acme)
    make_group(acme, "Admins", user_id)
    assert role_of(acme, user_id) == "org:admin"

    map_roles(acme, {})
    change(acme, f"/Users/{user_id}", nickName="Nadja")

    assert role_of(acme, user_id) == "org:member"


def test_the_mapping_of_one_organization_gives_no_role_in_another(acme: Tenant, globex: Tenant) -> None:
    map_roles(acme, {"title": "organization_role"})
    map_roles(globex, {"title": "public_metadata.title"})
    for tenant, role in ((acme, "org:admin"), (globex, "org:member"), (acme, "org:admin")):
        user_id = make_user(tenant, f"p{new_id('x')}.y", title="org:admin")
        assert role_of(tenant, user_id) == role


def test_groups_of_another_organization_are_no_groups_here(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        map_roles(tenant, WALKTHROUGH)
    here, there = make_user(acme), make_user(globex)

    make_group(globex, "Admins", here, there)

    assert (role_of(acme, here), role_of(globex, there)) == ("org:member", "org:admin")


# -- When nobody is left who may manage provisioning --------------------------------------


def test_the_last_admins_who_lose_their_role_with_a_group_are_told_of_once(app: Flask, acme: Tenant) -> None:
    map_roles(acme, BY_NAME)
    group_id = make_group(acme, "Admins", *(make_user(acme, name) for name in ("a", "b", "c")))
    set_by_hand(app, acme, acme.admin_id, "org:member")

    assert acme.scim("DELETE", f"/Groups/{group_id}").status_code == 204

    assert len(events_of(app, acme.organization_id, "organization.lastAdminRemoved")) == 1
