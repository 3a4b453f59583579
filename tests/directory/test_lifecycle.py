"""The table of the lifecycle: what each write of an IdP makes of directory user, person, membership and events."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from clock import now_ms
from database import db
from models import DirectoryUser, Session
from organizations.sessions import find_signed_in
from organizations.sign_in import make_sign_in_link, sign_in
from tests import okta
from tests.conftest import Tenant
from tests.directory.applying import people, put
from tests.events import event_types, events_of


def members(tenant: Tenant, include: str = "") -> dict[str, dict[str, Any]]:
    """The memberships of an organization by e-mail address, the bootstrap admin left out."""
    data = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships?limit=200{include}").json["data"]
    return {m["user"]["email_address"]: m for m in data if m["user"]["id"] != tenant.admin_id}


def create(tenant: Tenant, name: str = "nadia.petrov", **changes: Any) -> str:
    response = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def test_a_post_makes_a_directory_user_a_person_a_membership_and_one_event(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)

    membership = members(acme)["nadia.petrov@acme.example"]
    assert membership["role"] == "org:member"
    assert membership["role_source"] == "default"
    assert membership["user"] | {"created_at": 0, "updated_at": 0} == {
        "id": user_id,
        "object": "user",
        "external_id": "00unadia.petrov",
        "email_address": "nadia.petrov@acme.example",
        "username": None,
        "first_name": "Nadia",
        "last_name": "Petrov",
        "public_metadata": {},
        "active": True,
        "managed_by_organization_id": acme.organization_id,
        "created_at": 0,
        "updated_at": 0,
        "deleted_at": None,
    }
    (event,) = events_of(app, acme.organization_id)
    assert event["type"] == "scimUser.provisioned"
    assert event["organization_id"] == acme.organization_id
    assert event["data"] == {
        "user": membership["user"],
        "enterprise_connection_id": None,
        "organization_id": acme.organization_id,
    }


def test_a_post_of_an_inactive_user_makes_no_membership_and_no_event(app: Flask, acme: Tenant) -> None:
    user_id = create(acme, active=False)

    assert acme.scim("GET", f"/Users/{user_id}").json["active"] is False
    assert members(acme, "&include=deleted") == {}
    assert event_types(app, acme.organization_id) == []


def test_an_inactive_user_who_becomes_active_is_provisioned(app: Flask, acme: Tenant) -> None:
    user_id = create(acme, active=False)

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))

    assert members(acme)["nadia.petrov@acme.example"]["user"]["id"] == user_id
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned"]


def test_a_change_makes_a_new_version_and_an_event_with_what_changed(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    before = acme.scim("GET", f"/Users/{user_id}").json

    response = acme.scim(
        "PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "name.givenName", "value": "Nadja"})
    )

    assert response.json["meta"]["version"] != before["meta"]["version"]
    assert members(acme)["nadia.petrov@acme.example"]["user"]["first_name"] == "Nadja"
    event = events_of(app, acme.organization_id)[-1]
    assert event["type"] == "scimUser.updated"
    assert event["data"]["changes"] == {"first_name": {"from": "Nadia", "to": "Nadja"}}


def test_a_write_that_changes_nothing_keeps_the_version_and_sends_nothing(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    before = acme.scim("GET", f"/Users/{user_id}").json

    acme.scim("PUT", f"/Users/{user_id}", before)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))

    assert acme.scim("GET", f"/Users/{user_id}").json == before
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned"]


def test_a_deactivation_ends_membership_person_and_sessions_at_once(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    with app.app_context(), db.unit_of_work() as session:
        token = sign_in(session, make_sign_in_link(session, acme.organization_id, user_id)[1])
        make_sign_in_link(session, acme.organization_id, user_id)

    response = acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    assert response.json["active"] is False
    assert members(acme) == {}
    gone = members(acme, "&include=deleted")["nadia.petrov@acme.example"]
    assert gone["deleted_at"] and gone["user"]["deleted_at"] and gone["user"]["active"] is False
    with app.app_context(), db.reading() as session:
        assert find_signed_in(session, token) is None
        assert session.scalars(select(Session.ended_at)).all() != [None]
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned", "scimUser.deprovisioned"]
    assert events_of(app, acme.organization_id)[-1]["data"]["user"]["active"] is False


@pytest.mark.parametrize(
    "mapping",
    [
        {"active": []},
        {"active": "public_metadata.active"},
        {"active": "{{ true }}"},
        {"userType": "active"},
        {"active": '{{ value | replace: "false", "true" }}'},
    ],
)
def test_no_mapping_of_active_keeps_whom_the_idp_deactivates(app: Flask, acme: Tenant, mapping: dict[str, Any]) -> None:
    put(acme, mapping)
    user_id = acme.scim("POST", "/Users", okta.user(userType="true")).json["id"]

    for active in (False, True, False):
        change = okta.patch({"op": "replace", "value": {"active": active}})
        assert acme.scim("PATCH", f"/Users/{user_id}", change).json["active"] is active
        stored = people(app, acme)[user_id]
        assert (stored["active"], stored["role"]) == (active, "org:member" if active else None)


def test_an_inactive_user_stays_readable_and_listed(acme: Tenant) -> None:
    user_id = create(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    assert acme.scim("GET", f"/Users/{user_id}").json["active"] is False
    found = acme.scim("GET", '/Users?filter=userName eq "nadia.petrov@acme.example"').json
    assert [user["id"] for user in found["Resources"]] == [user_id]


def test_a_reactivation_restores_the_same_membership_and_person(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    before = members(acme)["nadia.petrov@acme.example"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))

    after = members(acme)["nadia.petrov@acme.example"]
    assert (after["id"], after["user"]["id"], after["role"]) == (before["id"], user_id, before["role"])
    assert after["user"]["active"] is True and after["user"]["deleted_at"] is None
    assert event_types(app, acme.organization_id)[-1] == "scimUser.provisioned"


def test_a_deletion_looks_final_and_frees_the_user_name(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)

    assert acme.scim("DELETE", f"/Users/{user_id}").status_code == 204

    assert acme.scim("GET", f"/Users/{user_id}").status_code == 404
    assert acme.scim("DELETE", f"/Users/{user_id}").status_code == 404
    assert acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True)).status_code == 404
    assert acme.scim("GET", "/Users").json["totalResults"] == 0
    assert members(acme) == {}
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned", "scimUser.deprovisioned"]
    with app.app_context(), db.reading() as session:
        assert session.scalar(select(DirectoryUser.deleted_at)) <= now_ms()


def test_deleting_an_inactive_user_sends_nothing_more(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    acme.scim("DELETE", f"/Users/{user_id}")

    assert event_types(app, acme.organization_id) == ["scimUser.provisioned", "scimUser.deprovisioned"]


def test_a_post_with_the_user_name_of_a_tombstone_restores_the_same_person(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    membership_id = members(acme)["nadia.petrov@acme.example"]["id"]
    acme.scim("DELETE", f"/Users/{user_id}")

    assert create(acme, externalId="00uANOTHER") == user_id

    assert members(acme)["nadia.petrov@acme.example"]["id"] == membership_id
    assert acme.scim("GET", f"/Users/{user_id}").json["externalId"] == "00uANOTHER"
    assert event_types(app, acme.organization_id)[-1] == "scimUser.provisioned"


def test_a_post_with_the_external_id_of_a_tombstone_restores_the_same_person(acme: Tenant) -> None:
    user_id = create(acme)
    acme.scim("DELETE", f"/Users/{user_id}")

    restored = create(acme, "nadia.married", externalId="00unadia.petrov")

    assert restored == user_id
    assert members(acme)["nadia.married@acme.example"]["user"]["id"] == user_id


def test_the_external_id_of_a_tombstone_counts_more_than_its_user_name(acme: Tenant) -> None:
    first = create(acme, "nadia.petrov", externalId="00uA")
    second = create(acme, "li.wei", externalId="00uB")
    acme.scim("DELETE", f"/Users/{first}")
    acme.scim("DELETE", f"/Users/{second}")

    assert create(acme, "nadia.petrov", externalId="00uB") == second


def test_a_tombstone_restored_inactive_has_no_membership_until_it_is_active(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    acme.scim("DELETE", f"/Users/{user_id}")

    assert create(acme, active=False) == user_id

    assert members(acme) == {}
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned", "scimUser.deprovisioned"]


def test_a_post_of_a_user_name_that_is_there_is_refused_active_or_not(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    for active in (True, False):
        acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(active))
        response = acme.scim("POST", "/Users", okta.user(userName="NADIA.Petrov@acme.example", externalId="x"))
        assert response.status_code == 409
        assert response.json["scimType"] == "uniqueness"
        assert "userName" in response.json["detail"]

    assert acme.scim("GET", "/Users").json["totalResults"] == 1
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned", "scimUser.deprovisioned"]


def test_the_same_external_id_or_active_email_in_one_directory_is_refused(acme: Tenant) -> None:
    create(acme)

    same_external_id = acme.scim("POST", "/Users", okta.user("li.wei", externalId="00unadia.petrov"))
    same_email = acme.scim("POST", "/Users", okta.user("li.wei", emails=okta.user()["emails"]))

    for response in (same_external_id, same_email):
        assert (response.status_code, response.json["scimType"]) == (409, "uniqueness")
    assert acme.scim("GET", "/Users").json["totalResults"] == 1


def test_a_change_to_a_taken_user_name_is_refused_and_changes_nothing(app: Flask, acme: Tenant) -> None:
    create(acme, "nadia.petrov")
    other = create(acme, "li.wei")
    before = acme.scim("GET", f"/Users/{other}").json

    operation = {"op": "replace", "value": {"userName": "nadia.petrov@acme.example", "displayName": "Changed"}}
    response = acme.scim("PATCH", f"/Users/{other}", okta.patch(operation))

    assert response.status_code == 409
    assert acme.scim("GET", f"/Users/{other}").json == before
    assert event_types(app, acme.organization_id) == ["scimUser.provisioned"] * 2


def test_taking_the_attribute_active_away_neither_admits_nor_dismisses(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "remove", "path": "active"}))
    acme.scim("PUT", f"/Users/{user_id}", {"schemas": [okta.USER_SCHEMA], "userName": "nadia.petrov@acme.example"})

    assert members(acme) == {}
    assert event_types(app, acme.organization_id).count("scimUser.provisioned") == 1


def test_the_last_admin_is_let_go_and_it_is_said(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        from models import User

        session.get_one(User, acme.admin_id).email_address = "boss@acme.example"
        session.get_one(User, acme.admin_id).email_key = "boss@acme.example"
    user_id = create(acme, "the.boss", emails=[{"value": "boss@acme.example", "primary": True}])
    assert user_id == acme.admin_id

    response = acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    assert response.status_code == 200
    types = [event["type"] for event in events_of(app, acme.organization_id, "")]
    assert types[-2:] == ["scimUser.deprovisioned", "organization.lastAdminRemoved"]


def test_sequence_numbers_of_an_organization_have_no_gap(app: Flask, acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex, acme):
        create(tenant, f"person.{tenant.organization_id[-6:].lower()}{len(events_of(app, acme.organization_id, ''))}")

    for tenant in (acme, globex):
        sequences = [event["sequence"] for event in events_of(app, tenant.organization_id, "")]
        everything = range(1, max(sequences) + 1)
        tokens = {1, 2}  # the admin's membership and the first token come before
        assert set(everything) - set(sequences) <= tokens
