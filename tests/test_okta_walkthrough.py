"""The walkthrough "SCIM 2.0 with Okta", top to bottom: each call, each table row, each line of troubleshooting."""

import json
import re
from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.conftest import Tenant
from tests.events import events_of
from tests.stored import everything_stored


def memberships(tenant: Tenant) -> dict[str, dict[str, Any]]:
    data = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships").json["data"]
    return {m["user"]["email_address"]: m for m in data}


def put_mapping(tenant: Tenant, mapping: dict[str, Any]) -> Any:
    return tenant.api("PUT", f"/organizations/{tenant.organization_id}/scim/attribute-mappings", {"mapping": mapping})


# -- Steps 1 and 2: the endpoint and a token -------------------------------------


def test_the_endpoint_call_answers_the_base_url(acme: Tenant) -> None:
    response = acme.api("GET", f"/organizations/{acme.organization_id}/scim/endpoint")

    assert response.json == {"endpoint_url": "https://acme.authn.test/scim/v2/"}


def test_the_base_url_is_the_same_for_every_organization(acme: Tenant, globex: Tenant) -> None:
    urls = {t.api("GET", f"/organizations/{t.organization_id}/scim/endpoint").text for t in (acme, globex)}

    assert len(urls) == 1


def test_a_token_is_issued_with_its_plaintext_this_only_time(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/tokens"
    response = acme.api("POST", path, {"name": "Okta — Production"})

    issued = response.json
    assert response.status_code == 201
    assert re.fullmatch(r"scimt_[0-9A-Z]{26}", issued["id"])
    assert issued["object"] == "scim_token"
    assert issued["organization_id"] == acme.organization_id
    assert issued["name"] == "Okta — Production"
    assert re.fullmatch(r"scim_[0-9A-HJKMNP-TV-Z]{35,}", issued["token"])
    assert issued["prefix"] == issued["token"][:13]
    assert isinstance(issued["created_at"], int) and issued["created_at"] > 1_700_000_000_000
    assert issued["revoked_at"] is None

    (listed,) = [token for token in acme.api("GET", path).json["data"] if token["id"] == issued["id"]]
    assert listed == {name: value for name, value in issued.items() if name != "token"}
    assert "token" not in acme.api("GET", f"{path}/{issued['id']}").json


def test_the_token_is_stored_as_a_hash_only(app: Flask, acme: Tenant) -> None:
    stored = everything_stored(app)

    assert acme.scim_token[:13] in stored
    for secret in (acme.scim_token, acme.secret_key, acme.sign_in_token):
        assert secret not in stored


# -- Step 3: Okta ------------------------------------------------------------------


def test_test_api_credentials_reads_the_capabilities(acme: Tenant) -> None:
    response = acme.scim("GET", "/ServiceProviderConfig")

    assert response.status_code == 200
    assert response.json["patch"] == {"supported": True}
    assert response.json["authenticationSchemes"][0]["type"] == "oauthbearertoken"
    # The call that Okta really makes.
    assert acme.scim("GET", "/Users?startIndex=1&count=2").json["Resources"] == []


def test_okta_appends_users_and_groups_to_the_base_url(acme: Tenant) -> None:
    for path in ("/Users", "/Groups", "//Users", "//Groups"):
        assert acme.scim("GET", path).status_code == 200


def test_create_update_and_deactivate(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    assert "nadia.petrov@acme.example" in memberships(acme)

    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": {"name.familyName": "Ivanova"}}))
    assert memberships(acme)["nadia.petrov@acme.example"]["user"]["last_name"] == "Ivanova"

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    assert "nadia.petrov@acme.example" not in memberships(acme)


# -- Step 4: the mapping --------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        ("userName", "user.name@acme.example", "email_address", "nadia.petrov@acme.example"),
        ("name", {"givenName": "Nadežda", "familyName": "Petrov"}, "first_name", "Nadežda"),
        ("name", {"givenName": "Nadia", "familyName": "Петрова"}, "last_name", "Петрова"),
        ("emails", [{"value": "primary@acme.example", "primary": True}], "email_address", "primary@acme.example"),
        ("externalId", "00uNEW", "external_id", "00uNEW"),
        ("active", True, "active", True),
    ],
)
def test_each_row_of_the_table_is_mapped_without_an_override(
    acme: Tenant, path: str, value: Any, field: str, expected: Any
) -> None:
    acme.scim("POST", "/Users", okta.user(**{path: value}))

    (user,) = [m["user"] for m in memberships(acme).values() if m["user"]["id"] != acme.admin_id]
    assert user[field] == expected


def test_the_user_name_is_the_email_address_when_no_email_is_sent(acme: Tenant) -> None:
    acme.scim("POST", "/Users", okta.user(emails=[]))

    assert "nadia.petrov@acme.example" in memberships(acme)


def test_a_user_name_that_is_no_email_address_becomes_the_username(acme: Tenant) -> None:
    acme.scim("POST", "/Users", okta.user(userName="npetrov", emails=[]))

    (user,) = [m["user"] for m in memberships(acme).values() if m["user"]["id"] != acme.admin_id]
    assert (user["username"], user["email_address"]) == ("npetrov", None)


def test_groups_to_roles_with_the_groups_that_okta_sent(acme: Tenant) -> None:
    body = json.loads("""{
    "mapping": {
    "groups[0].value":
    "{{ value | downcase | replace: \\"admins\\", \\"org:admin\\" | default: \\"org:member\\" }}.organization_role"
    }
    }""")
    assert put_mapping(acme, body["mapping"]).status_code == 200

    acme.scim("POST", "/Users", okta.user("nadia.petrov"))
    acme.scim("POST", "/Users", okta.user("li.wei"))
    nadia = memberships(acme)["nadia.petrov@acme.example"]["user"]["id"]
    acme.scim("POST", "/Groups", okta.group("Admins", nadia))

    assert memberships(acme)["nadia.petrov@acme.example"]["role"] == "org:admin"
    assert memberships(acme)["nadia.petrov@acme.example"]["role_source"] == "mapping"
    assert memberships(acme)["li.wei@acme.example"]["role"] == "org:member"


def test_custom_attributes_go_to_public_metadata(acme: Tenant) -> None:
    mapping = {
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department": "public_metadata.department",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.employeeNumber": "public_metadata.employee_number",
    }
    assert put_mapping(acme, mapping).json["mapping"] == mapping

    acme.scim("POST", "/Users", okta.user(**{okta.ENTERPRISE: {"department": "Finance", "employeeNumber": "0042"}}))

    user = memberships(acme)["nadia.petrov@acme.example"]["user"]
    assert user["public_metadata"] == {"department": "Finance", "employee_number": "0042"}


def test_a_mapping_that_cannot_work_is_refused_and_nothing_is_saved(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"

    response = put_mapping(acme, {"title": "organisation_role"})

    assert response.status_code == 422
    assert response.json["errors"][0]["meta"]["key"] == "title"
    assert "organization_role" in response.text
    assert acme.api("GET", path).json["mapping"] == {}


# -- Step 5: a test user, and the events ---------------------------------------------


def test_assign_unassign_and_reassign(app: Flask, acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    first = memberships(acme)["nadia.petrov@acme.example"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    assert "nadia.petrov@acme.example" not in memberships(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))
    assert memberships(acme)["nadia.petrov@acme.example"]["id"] == first["id"]

    events = events_of(app, acme.organization_id)
    assert [event["type"] for event in events] == [
        "scimUser.provisioned",
        "scimUser.deprovisioned",
        "scimUser.provisioned",
    ]
    for event in events:
        assert event["data"]["user"]["id"] == user_id
        assert event["data"]["organization_id"] == acme.organization_id
        assert event["data"].keys() == {"user", "enterprise_connection_id", "organization_id"}


@pytest.mark.parametrize(
    ("connections", "of_token", "expected"), [(1, None, 0), (2, None, None), (2, 1, 1), (0, None, None)]
)
def test_events_name_the_enterprise_connection_that_drove_them(
    app: Flask, acme: Tenant, connections: int, of_token: int | None, expected: int | None
) -> None:
    from database import db
    from ids import new_id
    from models import EnterpriseConnection

    ids = [new_id("entcon") for _ in range(connections)]
    with app.app_context(), db.unit_of_work() as session:
        for connection_id in ids:
            session.add(
                EnterpriseConnection(
                    id=connection_id, organization_id=acme.organization_id, protocol="oidc", name="Okta", domains=[]
                )
            )
    if of_token is not None:
        body = {"name": "Okta", "enterprise_connection_id": ids[of_token]}
        acme.scim_token = acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", body).json["token"]

    acme.scim("POST", "/Users", okta.user())

    (event,) = events_of(app, acme.organization_id)
    assert event["data"]["enterprise_connection_id"] == (None if expected is None else ids[expected])


# -- The troubleshooting table ----------------------------------------------------------


def test_credentials_that_are_wrong_or_revoked_get_401_and_a_new_token_helps(acme: Tenant) -> None:
    assert acme.client.get("/scim/v2/Users", headers={"Authorization": "Bearer wrong"}).status_code == 401
    path = f"/organizations/{acme.organization_id}/scim/tokens"
    (token,) = acme.api("GET", path).json["data"]
    assert acme.api("POST", f"{path}/{token['id']}/revoke").json["revoked_at"] is not None
    assert acme.scim("GET", "/ServiceProviderConfig").status_code == 401

    acme.scim_token = acme.api("POST", path, {"name": "Okta — again"}).json["token"]
    assert acme.scim("GET", "/ServiceProviderConfig").status_code == 200


def test_somebody_without_names_lands_without_names_and_gets_them_later(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user(name={})).json["id"]
    assert memberships(acme)["nadia.petrov@acme.example"]["user"]["first_name"] is None

    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": {"name": {"givenName": "Nadia"}}}))
    assert memberships(acme)["nadia.petrov@acme.example"]["user"]["first_name"] == "Nadia"


def test_what_okta_sent_can_be_seen_in_the_payload_of_a_webhook(app: Flask, acme: Tenant) -> None:
    put_mapping(acme, {"groups[*].value": "public_metadata.groups_seen"})
    acme.scim("POST", "/Users", okta.user(groups=[{"value": "Admins"}]))

    (event,) = events_of(app, acme.organization_id)
    assert event["type"] == "scimUser.provisioned"
    assert event["data"]["user"]["public_metadata"] == {"groups_seen": ["Admins"]}


def test_more_than_the_limit_gets_429_rate_limited(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ["SCIM_RATE_LIMIT"] = "5 per minute"
    acme: Tenant = request.getfixturevalue("acme")
    globex: Tenant = request.getfixturevalue("globex")

    statuses = [acme.scim("GET", "/Users").status_code for _ in range(7)]
    refused = acme.scim("POST", "/Users", okta.user())

    assert statuses == [200] * 5 + [429] * 2
    assert refused.content_type == "application/scim+json"
    assert refused.json["schemas"] == [okta.ERROR]
    assert refused.json["status"] == "429"
    assert refused.json["detail"].startswith("rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert globex.scim("GET", "/Users").status_code == 200
