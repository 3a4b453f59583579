"""Users by the management API: found, read, changed where no directory manages them, deleted."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, params, refused
from tests.conftest import Tenant
from tests.events import events_of


def add(tenant: Tenant, address: str = "ada@acme.example", **more: Any) -> str:
    body = {"email_address": address, **more}
    made = ok(tenant.api("POST", f"/organizations/{tenant.organization_id}/memberships", body), 201)
    return str(made["user"]["id"])


def provision(tenant: Tenant, who: str = "nadia.petrov", /, **more: Any) -> str:
    return str(tenant.scim("POST", "/Users", okta.user(who, **more)).json["id"])


def found(tenant: Tenant, query: str) -> list[str]:
    return names(tenant.api("GET", f"/users?{query}"), "id")


def test_users_are_found_by_what_a_support_engineer_knows(acme: Tenant, globex: Tenant) -> None:
    nadia, ada = provision(acme), add(globex, "ada@globex.example", first_name="Ädä")

    assert found(acme, "") == sorted([acme.admin_id, globex.admin_id, nadia, ada])
    assert found(acme, "email_address=NADIA.Petrov@acme.example") == [nadia]
    assert found(acme, "external_id=00unadia.petrov") == [nadia]
    assert found(acme, "username=admin") == [acme.admin_id, globex.admin_id]
    assert found(acme, f"organization_id={globex.organization_id}") == [globex.admin_id, ada]
    assert found(acme, "q=petrov+nadia") == [nadia] and found(acme, "q=%C3%A4D%C3%84") == [ada]
    assert found(acme, "q=%25") == []
    assert found(acme, "email_address=nobody@acme.example") == []


def test_former_people_are_listed_when_asked_for(acme: Tenant) -> None:
    nadia = provision(acme)
    acme.scim("PATCH", f"/Users/{nadia}", okta.set_active(False))

    assert nadia not in found(acme, "")
    assert found(acme, "active=false") == [nadia]
    assert nadia in found(acme, f"include=deleted&organization_id={acme.organization_id}")
    assert nadia not in found(acme, f"organization_id={acme.organization_id}")
    assert ok(acme.api("GET", f"/users/{nadia}"))["active"] is False


def test_users_are_paged(acme: Tenant) -> None:
    ids = sorted([acme.admin_id, *(add(acme, f"p{number}@acme.example") for number in range(4))])
    first = ok(acme.api("GET", "/users?limit=3"))
    rest = ok(acme.api("GET", f"/users?limit=3&cursor={first['meta']['next_cursor']}"))
    assert [user["id"] for user in first["data"] + rest["data"]] == ids and rest["meta"]["next_cursor"] is None


def test_a_key_of_one_organization_sees_its_people_and_of_them_only_what_is_its_own(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    nadia = provision(acme, name={"givenName": "Zelda", "familyName": "Quill"})
    provision(globex, externalId="g-1", userName="contractor")
    other = key_of(app, globex)

    assert found(other, "") == sorted([globex.admin_id, nadia])
    shown = ok(other.api("GET", f"/users/{nadia}"))
    assert (shown["first_name"], shown["external_id"], shown["managed_by_organization_id"]) == (None, None, None)
    assert found(other, "email_address=nadia.petrov@acme.example") == [nadia]
    for query in ("external_id=00unadia.petrov", "q=Zelda", "username=nadia"):
        assert found(other, query) == [], query
    assert refused(other.api("GET", f"/users/{acme.admin_id}"), 404) == "user_not_found"
    assert refused(other.api("GET", f"/users?organization_id={acme.organization_id}"), 404) == "organization_not_found"


def test_a_profile_that_no_directory_manages_is_changed(acme: Tenant) -> None:
    ada = add(acme)
    changes = {"first_name": "Ada", "username": "ada", "email_address": "Ada.L@acme.example", "last_name": None}
    changed = ok(acme.api("PATCH", f"/users/{ada}", {**changes, "public_metadata": {"team": {"a": 1, "b": 2}}}))
    assert {name: changed[name] for name in changes} == changes

    merged = ok(acme.api("PATCH", f"/users/{ada}", {"public_metadata": {"team": {"a": None, "c": 3}}}))
    assert merged["public_metadata"] == {"team": {"b": 2, "c": 3}} and merged["first_name"] == "Ada"
    assert found(acme, "email_address=ada.l@acme.example") == [ada]


def test_what_a_directory_manages_is_not_changed_by_hand_and_the_refusal_names_the_organization(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    ok(acme.api("PUT", path, {"mapping": {"title": "public_metadata.job.title"}}))
    nadia = provision(acme, title="Engineer")

    for body in (
        {"first_name": "X"},
        {"email_address": None},
        {"public_metadata": {"job": {"title": "X"}}},
        {"public_metadata": {"job": None}},
    ):
        refusal = acme.api("PATCH", f"/users/{nadia}", body)
        assert refused(refusal, 409) == "managed_by_directory", body
        assert refusal.json["errors"][0]["meta"]["organization_id"] == acme.organization_id
    changed = ok(acme.api("PATCH", f"/users/{nadia}", {"public_metadata": {"plan": "pro", "job": {"level": 3}}}))
    assert changed["public_metadata"] == {"plan": "pro", "job": {"title": "Engineer", "level": 3}}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"first_name": " ", "username": "x" * 201}, ["first_name", "username"]),
        ({"email_address": "none"}, ["email_address"]),
        ({"public_metadata": {"x": "y" * 20_000}}, ["public_metadata"]),
        ({"public_metadata": [], "active": False}, ["public_metadata", "active"]),
    ],
)
def test_a_bad_change_is_refused_by_place(acme: Tenant, body: dict[str, Any], places: list[str]) -> None:
    ada = add(acme)
    before = ok(acme.api("GET", f"/users/{ada}"))
    assert params(acme.api("PATCH", f"/users/{ada}", body)) == places
    assert ok(acme.api("GET", f"/users/{ada}")) == before


def test_an_address_belongs_to_one_user(acme: Tenant) -> None:
    provision(acme)
    change = {"email_address": "Nadia.Petrov@acme.example"}
    assert refused(acme.api("PATCH", f"/users/{add(acme)}", change), 409) == "email_address_taken"


def test_a_deleted_user_has_no_membership_anywhere(app: Flask, acme: Tenant, globex: Tenant) -> None:
    ada = add(acme)
    add(globex)

    assert acme.api("DELETE", f"/users/{ada}").status_code == 204
    assert acme.api("DELETE", f"/users/{ada}").status_code == 204

    assert ok(acme.api("GET", f"/users/{ada}"))["deleted_at"] is not None
    for tenant in (acme, globex):
        events = events_of(app, tenant.organization_id, "organizationMembership")
        assert [event["data"]["user"]["id"] for event in events if event["type"].endswith("deleted")] == [ada]
    assert refused(acme.api("DELETE", f"/users/{acme.admin_id}"), 409) == "last_admin"
    assert acme.api("DELETE", f"/users/{acme.admin_id}?force=true").status_code == 204


def test_people_are_changed_and_deleted_with_a_key_of_the_environment_only(app: Flask, acme: Tenant) -> None:
    ada, own = add(acme), key_of(app, acme)
    assert refused(own.api("PATCH", f"/users/{ada}", {"first_name": "X"}), 403) == "secret_key_scope"
    assert refused(own.api("DELETE", f"/users/{ada}"), 403) == "secret_key_scope"
