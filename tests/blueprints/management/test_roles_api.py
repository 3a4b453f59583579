"""Roles by the management API: custom ones, protected ones, the default."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, params, refused
from tests.conftest import Tenant

READ, MANAGE = "org:sys_memberships:read", "org:sys_provisioning:manage"


def make(tenant: Tenant, key: str = "org:support", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = ok(
        tenant.api("POST", "/roles", {"key": key, "name": "Support", "permissions": [READ], **more}), 201
    )
    return made


def by_key(tenant: Tenant) -> dict[str, dict[str, Any]]:
    return {role["key"]: role for role in ok(tenant.api("GET", "/roles"))["data"]}


def give(tenant: Tenant, user_id: str, role: str) -> None:
    ok(tenant.api("PATCH", f"/organizations/{tenant.organization_id}/memberships/{user_id}", {"role": role}))


def test_a_role_is_made_read_changed_and_deleted(acme: Tenant) -> None:
    made = make(acme)
    assert (made["object"], made["is_default"], made["permissions"]) == ("role", False, [READ])
    assert ok(acme.api("GET", f"/roles/{made['id']}")) == made
    assert list(by_key(acme)) == ["org:admin", "org:member", "org:support"]

    changed = ok(acme.api("PATCH", f"/roles/{made['id']}", {"name": "Desk", "permissions": []}))
    assert (changed["name"], changed["permissions"], changed["key"]) == ("Desk", [], "org:support")
    assert acme.api("DELETE", f"/roles/{made['id']}").status_code == 204
    assert refused(acme.api("GET", f"/roles/{made['id']}"), 404) == "role_not_found"


@pytest.mark.parametrize(
    "key", ["support", "org:", "org:Support", "org:9", "org:a-b", "org:ä", f"org:{'a' * 200}", "org:a\n"]
)
def test_a_key_has_a_form(acme: Tenant, key: str) -> None:
    assert params(acme.api("POST", "/roles", {"key": key, "name": "X", "permissions": []})) == ["key"]


def test_what_cannot_be_accepted_is_named_all_at_once(acme: Tenant) -> None:
    body = {"key": "x", "name": " ", "permissions": ["org:none"], "is_default": True}
    assert params(acme.api("POST", "/roles", body)) == ["name", "key", "permissions"]
    body = {"key": "org:x", "name": "X", "permissions": [MANAGE], "is_default": True}
    assert params(acme.api("POST", "/roles", body)) == ["is_default"]
    assert (
        refused(acme.api("POST", "/roles", {"key": "org:admin", "name": "X", "permissions": []}), 409) == "role_exists"
    )


def test_the_roles_of_every_environment_are_protected(acme: Tenant) -> None:
    for key in ("org:admin", "org:member"):
        role_id = by_key(acme)[key]["id"]
        assert refused(acme.api("PATCH", f"/roles/{role_id}", {"permissions": []}), 409) == "role_protected"
        assert refused(acme.api("DELETE", f"/roles/{role_id}"), 409) == "role_protected"


def test_a_role_in_use_is_not_deleted_and_the_answer_says_how_many_have_it(acme: Tenant) -> None:
    made = make(acme)
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    give(acme, user_id, "org:support")

    refusal = acme.api("DELETE", f"/roles/{made['id']}")
    assert refused(refusal, 409) == "role_in_use" and refusal.json["errors"][0]["meta"] == {"members": 1}

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    assert acme.api("DELETE", f"/roles/{made['id']}").status_code == 204
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))
    assert names(acme.api("GET", f"/organizations/{acme.organization_id}/memberships"), "role")[-1] == "org:member"


def test_there_is_always_one_default_role(acme: Tenant) -> None:
    made = make(acme)
    changed = ok(acme.api("PATCH", f"/roles/{made['id']}", {"is_default": True}))
    assert changed["is_default"] and [key for key, role in by_key(acme).items() if role["is_default"]] == [
        "org:support"
    ]

    acme.scim("POST", "/Users", okta.user())
    assert names(acme.api("GET", f"/organizations/{acme.organization_id}/memberships"), "role")[-1] == "org:support"
    assert refused(acme.api("DELETE", f"/roles/{made['id']}"), 409) == "role_is_default"
    assert params(acme.api("PATCH", f"/roles/{made['id']}", {"is_default": False})) == ["is_default"]
    assert params(acme.api("PATCH", f"/roles/{made['id']}", {"permissions": [MANAGE]})) == ["is_default"]
    member = by_key(acme)["org:member"]["id"]
    assert ok(acme.api("PATCH", f"/roles/{member}", {"is_default": True}))["is_default"]


def test_a_role_keeps_what_an_organization_is_managed_by(acme: Tenant, globex: Tenant) -> None:
    made = make(acme, permissions=[MANAGE])
    give(acme, acme.admin_id, "org:support")

    refusal = acme.api("PATCH", f"/roles/{made['id']}", {"permissions": [READ]})
    assert refused(refusal, 409) == "last_admin" and refusal.json["errors"][0]["meta"] == {"organizations": 1}
    give(acme, acme.admin_id, "org:admin")
    assert ok(acme.api("PATCH", f"/roles/{made['id']}", {"permissions": [READ]}))["permissions"] == [READ]


def test_a_key_of_one_organization_reads_roles_and_changes_none(app: Flask, acme: Tenant) -> None:
    made, own = make(acme), key_of(app, acme)

    assert list(by_key(own)) == ["org:admin", "org:member", "org:support"]
    assert refused(own.api("PATCH", f"/roles/{made['id']}", {"name": "X"}), 403) == "secret_key_scope"
    assert refused(own.api("DELETE", f"/roles/{made['id']}"), 403) == "secret_key_scope"
    assert (
        refused(own.api("POST", "/roles", {"key": "org:x", "name": "X", "permissions": []}), 403) == "secret_key_scope"
    )
