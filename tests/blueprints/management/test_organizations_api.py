"""Organizations, tokens, mappings, members and sign-in links by the management API."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.conftest import Tenant


def problems(response: Any) -> list[tuple[str, str | None]]:
    assert response.status_code == 422, response.text
    return [(error["code"], error["meta"].get("param")) for error in response.json["errors"]]


def test_an_organization_is_made_and_read(acme: Tenant) -> None:
    made = acme.api("POST", "/organizations", {"name": "Initech"})

    assert made.status_code == 201
    assert acme.api("GET", f"/organizations/{made.json['id']}").json == made.json


def test_lists_are_paged_by_cursor(acme: Tenant) -> None:
    for number in range(5):
        acme.api("POST", "/organizations", {"name": f"Company {number}"})

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = acme.api("GET", f"/organizations?limit=2&cursor={cursor}").json
        assert len(page["data"]) <= 2
        seen += [organization["name"] for organization in page["data"]]
        cursor = page["meta"]["next_cursor"]

    assert seen == ["Acme", *(f"Company {number}" for number in range(5))]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=many", "cursor=%25%25", "cursor=w6k", "cursor=AA"])
def test_a_bad_page_is_refused_by_name(acme: Tenant, query: str) -> None:
    assert problems(acme.api("GET", f"/organizations?{query}"))[0][1] in ("limit", "cursor")


def test_all_problems_of_a_body_are_named_at_once(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/tokens"

    assert problems(acme.api("POST", path, {"nme": "x", "expires_at": "soon"})) == [
        ("invalid_value", "name"),
        ("invalid_value", "expires_at"),
        ("unknown_parameter", "nme"),
    ]
    assert problems(acme.api("POST", path, {"name": " ", "expires_at": 5, "enterprise_connection_id": "entcon_x"})) == [
        ("invalid_value", "name"),
        ("invalid_value", "expires_at"),
        ("enterprise_connection_not_found", "enterprise_connection_id"),
    ]
    assert len(acme.api("GET", path).json["data"]) == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", b'{"name":"a\\u0000b"}', b'{"name":"\\ud800"}', b'{"name":5}', b'{"name":null}', b""]
)
def test_a_hostile_body_is_refused(acme: Tenant, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    assert problems(acme.api("POST", "/organizations", data=body, headers=headers))
    assert len(acme.api("GET", "/organizations").json["data"]) == 1


@pytest.mark.parametrize("path", ["/organizations/%00", "/organizations?cursor=%00", "/organizations/x%00/scim/tokens"])
def test_a_nul_in_an_address_is_refused(acme: Tenant, path: str) -> None:
    assert acme.api("GET", path).status_code == 400


def test_a_token_can_be_issued_with_an_end(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/tokens"

    assert (
        acme.api("POST", path, {"name": "Okta", "expires_at": 99_999_999_999_999}).json["expires_at"]
        == 99_999_999_999_999
    )


def test_revoking_twice_changes_nothing_more(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/tokens"
    (token,) = acme.api("GET", path).json["data"]

    first = acme.api("POST", f"{path}/{token['id']}/revoke").json
    assert acme.api("POST", f"{path}/{token['id']}/revoke").json == first


def test_the_mapping_can_be_read_replaced_and_taken_back(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    mapping = {"title": ["public_metadata.title", "{{ value | upcase }}.public_metadata.loud_title"]}

    assert acme.api("GET", path).json["mapping"] == {}
    replaced = acme.api("PUT", path, {"mapping": mapping}).json
    assert replaced["mapping"] == mapping and replaced["object"] == "scim_attribute_mapping"
    assert acme.api("GET", path).json == replaced
    assert acme.api("PUT", path, {"mapping": {}}).json["mapping"] == {}


def test_ended_memberships_are_shown_when_asked_for(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    path = f"/organizations/{acme.organization_id}/memberships"

    def users(query: str) -> list[str]:
        return [membership["user"]["id"] for membership in acme.api("GET", path + query).json["data"]]

    assert users("") == [acme.admin_id]
    assert users("?include=deleted") == [acme.admin_id, user_id]


def test_a_sign_in_link_is_made_for_a_member_only(app: Flask, acme: Tenant, globex: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/sign-in-links"

    made = acme.api("POST", path, {"user_id": acme.admin_id})
    assert made.status_code == 201
    assert made.json["url"].startswith("https://acme.authn.test/sign-in/")
    assert made.headers["Cache-Control"] == "no-store"
    assert acme.api("POST", path, {"user_id": globex.admin_id}).status_code == 404


def test_the_activity_log_tells_what_was_written_and_what_was_refused_and_why(acme: Tenant, globex: Tenant) -> None:
    acme.scim("POST", "/Users", okta.user(), headers={"User-Agent": "Okta SCIM Client 1.0.0"})
    acme.scim("POST", "/Users", okta.user())
    acme.scim("POST", "/Groups", okta.group("Team", "user_gone"))
    path = "/organizations/{}/scim/activity"

    log = acme.api("GET", path.format(acme.organization_id)).json["data"]

    assert [(entry["method"], entry["path"], entry["status"]) for entry in log] == [
        ("POST", "/scim/v2/Groups", 201),
        ("POST", "/scim/v2/Users", 409),
        ("POST", "/scim/v2/Users", 201),
    ]
    assert "left out" in log[0]["warnings"][0]
    assert "userName" in log[1]["detail"]
    assert log[2]["user_agent"] == "Okta SCIM Client 1.0.0"
    first = acme.api("GET", path.format(acme.organization_id) + "?limit=2").json
    rest = acme.api("GET", path.format(acme.organization_id) + f"?cursor={first['meta']['next_cursor']}").json
    assert first["data"] + rest["data"] == log
    assert globex.api("GET", path.format(globex.organization_id)).json["data"] == []
