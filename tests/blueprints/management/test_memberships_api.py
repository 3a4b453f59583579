"""Memberships by the management API: added, read, changed and ended by hand."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, params, refused
from tests.conftest import Tenant
from tests.events import events_of


def path(tenant: Tenant, user_id: str = "") -> str:
    return f"/organizations/{tenant.organization_id}/memberships" + (f"/{user_id}" if user_id else "")


def test_a_member_is_added_changed_and_ended(app: Flask, acme: Tenant) -> None:
    made = ok(acme.api("POST", path(acme), {"email_address": "ada@acme.example", "role": "org:admin"}), 201)
    user_id = made["user"]["id"]

    assert ok(acme.api("GET", path(acme, user_id))) == made
    changed = ok(acme.api("PATCH", path(acme, user_id), {"role": "org:member"}))
    assert (changed["role"], changed["role_source"], changed["id"]) == ("org:member", "manual", made["id"])
    assert acme.api("DELETE", path(acme, user_id)).status_code == 204
    assert refused(acme.api("GET", path(acme, user_id)), 404) == "membership_not_found"
    kinds = [event["type"].split(".")[1] for event in events_of(app, acme.organization_id, "organizationMembership")]
    assert kinds == ["created", "created", "updated", "deleted"]


def test_members_are_filtered_by_role_and_by_where_it_comes_from(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    def found(query: str) -> list[str]:
        return [membership["user"]["id"] for membership in ok(acme.api("GET", f"{path(acme)}?{query}"))["data"]]

    assert found("role=org:admin") == found("role_source=manual") == [acme.admin_id]
    assert found("role=org:member&role_source=default") == [user_id]
    assert found("role=org:member&role_source=manual") == found("role=org:unknown") == []


def test_acts_on_memberships_are_in_the_audit_log(acme: Tenant) -> None:
    user_id = ok(acme.api("POST", path(acme), {"email_address": "ada@acme.example"}), 201)["user"]["id"]
    acme.api("PATCH", path(acme, user_id), {"role": "org:admin"})
    acme.api("DELETE", path(acme, user_id))

    log = ok(acme.api("GET", f"/audit-log?organization_id={acme.organization_id}&limit=3"))["data"]
    assert [entry["action"].split(".")[1] for entry in log] == ["deleted", "updated", "created"]
    assert log[1]["details"] == {"user_id": user_id, "role": "org:admin", "former_role": "org:member"}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["email_address"]),
        ({"email_address": "x", "role": "org:x"}, ["email_address", "role"]),
        ({"email_address": 5, "age": 3}, ["email_address", "age"]),
        ({"email_address": "a@b.example", "user_id": "user_x"}, ["email_address"]),
    ],
)
def test_a_bad_member_is_refused_by_place(acme: Tenant, body: dict[str, Any], places: list[str]) -> None:
    assert params(acme.api("POST", path(acme), body)) == places
    assert len(ok(acme.api("GET", path(acme)))["data"]) == 1


def test_what_contradicts_is_refused(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    assert refused(acme.api("POST", path(acme), {"user_id": acme.admin_id}), 409) == "already_member"
    assert refused(acme.api("POST", path(acme), {"user_id": user_id}), 409) == "inactive_in_directory"
    assert refused(acme.api("POST", path(acme), {"user_id": "user_none"}), 404) == "user_not_found"
    assert refused(acme.api("PATCH", path(acme, acme.admin_id), {"role": "org:member"}), 409) == "last_admin"
    assert refused(acme.api("DELETE", path(acme, acme.admin_id)), 409) == "last_admin"
    assert acme.api("DELETE", path(acme, acme.admin_id) + "?force=perhaps").status_code == 422
    assert acme.api("DELETE", path(acme, acme.admin_id) + "?force=true").status_code == 204


def test_a_key_of_another_organization_reaches_no_member(app: Flask, acme: Tenant, globex: Tenant) -> None:
    other = key_of(app, globex)
    for method, body in (("GET", None), ("PATCH", {"role": "org:member"}), ("DELETE", None)):
        assert other.api(method, path(acme, acme.admin_id), body).status_code == 404
    assert other.api("POST", path(acme), {"email_address": "eve@globex.example"}).status_code == 404
    assert refused(other.api("POST", path(globex), {"user_id": acme.admin_id}), 404) == "user_not_found"
    assert names(acme.api("GET", path(acme)), "role") == ["org:admin"]


def test_a_person_managed_elsewhere_is_shown_without_what_the_other_directory_says(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    acme.scim("POST", "/Users", okta.user(title="Spy"))
    other = key_of(app, globex)

    made = ok(other.api("POST", path(globex), {"email_address": "nadia.petrov@acme.example"}), 201)

    assert (made["user"]["first_name"], made["user"]["managed_by_organization_id"]) == (None, None)
    assert acme.organization_id not in str(ok(other.api("GET", path(globex))))
