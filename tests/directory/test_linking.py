"""One person in two directories: each sees its own resource, and neither takes over or reads the person elsewhere."""

from dataclasses import replace
from typing import Any

from flask import Flask

from database import db
from organizations.secret_keys import make_secret_key
from tests import okta
from tests.conftest import Tenant
from tests.events import event_types, events_of

ATTACKER = "attacker@evil.example"


def create(tenant: Tenant, **changes: Any) -> str:
    response = tenant.scim("POST", "/Users", okta.user(**changes))
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def person(tenant: Tenant, user_id: str) -> dict[str, Any]:
    data = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships?include=deleted").json["data"]
    (found,) = [m for m in data if m["user"]["id"] == user_id]
    return found


def test_the_same_email_in_two_organizations_is_one_person_with_two_memberships(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)

    assert create(globex, externalId="g-1") == user_id

    assert person(acme, user_id)["id"] != person(globex, user_id)["id"]
    assert person(globex, user_id)["user"]["managed_by_organization_id"] == acme.organization_id


def test_the_second_directory_sees_its_own_resource_as_it_sent_it(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme, title="Engineer at Acme")
    create(globex, externalId="g-1", displayName="N. Petrov (contractor)")

    theirs = globex.scim("GET", f"/Users/{user_id}").json

    assert theirs["displayName"] == "N. Petrov (contractor)"
    assert theirs["externalId"] == "g-1"
    assert "title" not in theirs
    assert acme.scim("GET", f"/Users/{user_id}").json["title"] == "Engineer at Acme"


def test_the_second_directory_cannot_write_the_profile(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    create(globex, externalId="g-1", name={"givenName": "Hijacked", "familyName": "Person"})

    takeover = {"userName": ATTACKER, "emails": [{"value": ATTACKER, "primary": True}], "name.givenName": "Hijacked"}
    assert (
        globex.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": takeover})).status_code == 200
    )

    user = person(acme, user_id)["user"]
    assert (user["email_address"], user["first_name"]) == ("nadia.petrov@acme.example", "Nadia")
    assert events_of(app, globex.organization_id)[-1]["data"]["changes"] == {}


def test_whoever_claims_a_person_first_cannot_take_the_person_over_once_others_have_them(
    acme: Tenant, globex: Tenant
) -> None:
    user_id = create(globex, externalId="squatted")
    create(acme)

    takeover = [{"value": ATTACKER, "primary": True}]
    globex.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "emails", "value": takeover}))

    assert person(acme, user_id)["user"]["email_address"] == "nadia.petrov@acme.example"


def test_an_email_of_somebody_elsewhere_cannot_be_claimed_by_a_change(acme: Tenant, globex: Tenant) -> None:
    victim = create(acme)
    own = create(globex, userName="own@globex.example", emails=[{"value": "own@globex.example", "primary": True}])

    claimed = [{"value": "nadia.petrov@acme.example", "primary": True}]
    response = globex.scim("PATCH", f"/Users/{own}", okta.patch({"op": "replace", "path": "emails", "value": claimed}))

    assert response.status_code == 200  # a refusal would tell who exists elsewhere
    assert person(globex, own)["user"]["email_address"] == "own@globex.example"
    assert person(acme, victim)["user"]["email_address"] == "nadia.petrov@acme.example"


def scoped(app: Flask, tenant: Tenant) -> Tenant:
    """The same organization with a secret key that opens nothing else."""
    with app.app_context(), db.unit_of_work() as session:
        key = make_secret_key(session, "scoped", organization_id=tenant.organization_id)[1]
    return replace(tenant, secret_key=key)


def test_what_one_directory_says_of_a_person_is_not_shown_to_another(app: Flask, acme: Tenant, globex: Tenant) -> None:
    globex = scoped(app, globex)
    mapping = {f"{okta.ENTERPRISE}.department": "public_metadata.department"}
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    assert acme.api("PUT", path, {"mapping": mapping}).status_code == 200
    user_id = create(acme, nickName="Nad", **{okta.ENTERPRISE: {"department": "Secret Projects"}})
    create(globex, externalId="g-1", name={"givenName": "N.", "familyName": "P."})

    assert person(acme, user_id)["user"]["public_metadata"] == {"department": "Secret Projects"}
    seen = person(globex, user_id)["user"]
    hidden = ("public_metadata", "external_id", "first_name", "last_name", "managed_by_organization_id")
    assert [seen[name] for name in hidden] == [{}, None, None, None, None]
    (event,) = events_of(app, globex.organization_id)
    told = event["data"]["user"]
    assert [told[name] for name in hidden] == [{}, "g-1", "N.", "P.", None]
    for secret in ("Secret Projects", "Nadia", acme.organization_id):
        assert secret not in str(event)


def test_leaving_one_organization_keeps_the_person_in_the_other(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    create(globex, externalId="g-1")

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    assert person(acme, user_id)["deleted_at"] is not None
    assert person(globex, user_id)["deleted_at"] is None
    assert person(globex, user_id)["user"]["active"] is True
    assert event_types(app, globex.organization_id) == ["scimUser.provisioned"]


RENAME = okta.patch({"op": "replace", "path": "name.givenName", "value": "Renamed"})


def test_a_directory_that_let_somebody_go_has_no_say_while_others_have_the_person(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    create(globex, externalId="g-1")
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    acme.scim("PATCH", f"/Users/{user_id}", RENAME)

    assert person(globex, user_id)["user"]["first_name"] == "Nadia"


def test_somebody_inactive_elsewhere_is_not_taken_over(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    create(globex, externalId="g-1")
    takeover = {"emails": [{"value": ATTACKER, "primary": True}], "name.givenName": "Mallory"}
    globex.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": takeover}))

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))

    user = person(acme, user_id)["user"]
    assert (user["email_address"], user["first_name"]) == ("nadia.petrov@acme.example", "Nadia")
    assert user["managed_by_organization_id"] == acme.organization_id


def test_somebody_deleted_elsewhere_is_managed_by_whoever_has_them_now(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    create(globex, externalId="g-1")
    acme.scim("DELETE", f"/Users/{user_id}")

    globex.scim("PATCH", f"/Users/{user_id}", RENAME)

    user = person(globex, user_id)["user"]
    assert (user["first_name"], user["managed_by_organization_id"]) == ("Renamed", globex.organization_id)


def test_a_new_manager_learns_nothing_of_what_the_former_one_kept(app: Flask, acme: Tenant, globex: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    acme.api("PUT", path, {"mapping": {"title": "public_metadata.salary_band"}})
    user_id = create(acme, title="band 7")
    acme.scim("DELETE", f"/Users/{user_id}")

    create(globex, externalId="g-1")

    assert person(globex, user_id)["user"]["public_metadata"] == {}
    assert "band 7" not in str(events_of(app, globex.organization_id))
    assert "00unadia" not in str(events_of(app, globex.organization_id))


def test_a_tombstone_does_not_bring_back_somebody_who_goes_by_anothers_address(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    acme.scim("DELETE", f"/Users/{user_id}")
    create(globex, externalId="g-1")
    moved = [{"value": ATTACKER, "primary": True}]
    globex.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "emails", "value": moved}))

    again = create(acme)

    assert again != user_id
    assert person(acme, again)["user"]["email_address"] == "nadia.petrov@acme.example"


def test_the_person_is_gone_when_no_membership_is_left(acme: Tenant, globex: Tenant) -> None:
    user_id = create(acme)
    create(globex, externalId="g-1")

    acme.scim("DELETE", f"/Users/{user_id}")
    globex.scim("DELETE", f"/Users/{user_id}")

    assert person(acme, user_id)["user"]["deleted_at"] is not None


def test_somebody_invited_by_hand_is_linked_and_managed_from_then_on(acme: Tenant) -> None:
    from database import db
    from models import User

    with acme.client.application.app_context(), db.unit_of_work() as session:
        admin = session.get_one(User, acme.admin_id)
        admin.email_address, admin.email_key = "Nadia.Petrov@acme.example", "nadia.petrov@acme.example"

    assert create(acme) == acme.admin_id

    membership = person(acme, acme.admin_id)
    assert membership["role"] == "org:admin" and membership["role_source"] == "manual"
    assert membership["user"]["first_name"] == "Nadia"


def test_an_external_id_is_never_an_internal_key(acme: Tenant, globex: Tenant) -> None:
    victim = create(acme)

    for external_id in (victim, acme.admin_id, acme.organization_id, "1", "0", "-1", "admin"):
        name = f"user-{external_id.lower()}"
        response = globex.scim(
            "POST", "/Users", {"schemas": [okta.USER_SCHEMA], "userName": name, "externalId": external_id}
        )
        assert response.status_code == 201
        assert response.json["id"] not in (victim, acme.admin_id, external_id)
