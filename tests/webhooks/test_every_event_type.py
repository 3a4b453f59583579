"""Each type of event, as the change that causes it records it: whole, as things were then, and nothing of others."""

from typing import Any

import pytest
from flask import Flask

from clock import now_ms
from database import db
from organizations.memberships import NewMember, add_member, change_role, end_membership
from organizations.scim_tokens import DAY_MS, issue_scim_token, tell_of_ends
from tests.conftest import Tenant
from tests.webhooks.receiving import Receiver, make_events
from webhooks.events import EVENT_TYPES

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def patch(tenant: Tenant, path: str, op: str, target: str, value: Any) -> None:
    body = {"schemas": [PATCH], "Operations": [{"op": op, "path": target, "value": value}]}
    answer = tenant.scim("PATCH", path, body)
    assert answer.status_code in (200, 204), answer.json


@pytest.fixture
def story(app: Flask, acme: Tenant, globex: Tenant, receiver: Receiver, add_endpoint: Any) -> list[dict[str, Any]]:
    """All events of an organization in which everything happened that makes one."""
    globex_user = {"schemas": [USER], "userName": "eve@globex.example"}
    globex.scim("POST", "/Users", globex_user)
    ada = {"schemas": [USER], "userName": "ada@acme.example", "name": {"givenName": "Ada"}, "externalId": "00u1"}
    user_id = acme.scim("POST", "/Users", ada).json["id"]
    group = {"schemas": [GROUP], "displayName": "Engineering", "members": [{"value": user_id}]}
    group_id = acme.scim("POST", "/Groups", group).json["id"]
    patch(acme, f"/Users/{user_id}", "replace", "name.givenName", "Augusta")
    patch(acme, f"/Groups/{group_id}", "replace", "displayName", "Engineers")
    acme.scim("DELETE", f"/Groups/{group_id}")
    patch(acme, f"/Users/{user_id}", "replace", "active", False)
    with app.app_context(), db.unit_of_work() as session:
        member = add_member(session, acme.organization_id, NewMember(email_address="zoe@acme.example"))
        change_role(session, acme.organization_id, member.user_id, "org:admin")
        end_membership(session, acme.organization_id, member.user_id)
        issue_scim_token(session, acme.organization_id, "Short", expires_at=now_ms() + DAY_MS)
        tell_of_ends(session, now_ms())
    [token_id] = make_events(acme)
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens/{token_id}/revoke")
    endpoint = add_endpoint(acme, receiver)
    acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
    events: list[dict[str, Any]] = acme.api("GET", f"/events?organization_id={acme.organization_id}&limit=200").json[
        "data"
    ]
    return events


def data_of(events: list[dict[str, Any]], event_type: str) -> dict[str, Any]:
    found: dict[str, Any] = [event["data"] for event in events if event["type"] == event_type][-1]
    return found


def test_every_type_is_caused_but_the_ends_of_an_organization_and_no_other(story: list[dict[str, Any]]) -> None:
    caused = {event["type"] for event in story}
    assert caused == set(EVENT_TYPES) - {"organization.lastAdminRemoved", "organization.deleted"}


def test_the_envelopes_are_whole_and_numbered_without_a_gap(acme: Tenant, story: list[dict[str, Any]]) -> None:
    members = ["object", "id", "type", "occurred_at", "sequence", "organization_id", "data"]
    assert all(list(event) == members and event["object"] == "event" for event in story)
    assert [event["sequence"] for event in story] == list(range(1, len(story) + 1))
    assert {event["organization_id"] for event in story} == {acme.organization_id}
    assert all(event["id"].startswith("evt_") for event in story)
    assert "globex" not in str(story)


def test_events_about_a_person_hold_the_person_as_it_was_then(acme: Tenant, story: list[dict[str, Any]]) -> None:
    added, changed, ended = (data_of(story, f"scimUser.{kind}") for kind in ("provisioned", "updated", "deprovisioned"))
    for data in (added, changed, ended):
        assert data["organization_id"] == acme.organization_id
        assert data["enterprise_connection_id"] is None
        assert data["user"]["object"] == "user" and data["user"]["external_id"] == "00u1"
    assert (added["user"]["first_name"], added["user"]["active"]) == ("Ada", True)
    assert changed["user"]["first_name"] == "Augusta"
    assert changed["changes"]["first_name"] == {"from": "Ada", "to": "Augusta"}
    assert (ended["user"]["active"], ended["user"]["deleted_at"] is None) == (False, False)


def test_events_about_a_group_hold_the_group_and_who_came_and_went(story: list[dict[str, Any]]) -> None:
    user_id = data_of(story, "scimUser.provisioned")["user"]["id"]
    created, changed, removed = (data_of(story, f"scimGroup.{kind}") for kind in ("created", "updated", "deleted"))
    assert (created["group"]["display_name"], created["members"]) == (
        "Engineering",
        {"added": [user_id], "removed": []},
    )
    assert changed["group"]["display_name"] == "Engineers"
    assert removed["group"]["id"] == created["group"]["id"]


def test_events_about_tokens_memberships_and_endpoints_hold_them_without_secrets(story: list[dict[str, Any]]) -> None:
    issued, revoked = (
        data_of(story, "scimToken.issued")["scim_token"],
        data_of(story, "scimToken.revoked")["scim_token"],
    )
    assert (issued["revoked_at"], revoked["revoked_at"] is None) == (None, False)
    assert issued["id"] == revoked["id"] and "token" not in issued
    made, changed, ended = (
        data_of(story, f"organizationMembership.{kind}") for kind in ("created", "updated", "deleted")
    )
    assert made["role"] == "org:member" and changed["changes"]["role"] == {"from": "org:member", "to": "org:admin"}
    assert (ended["role"], ended["deleted_at"] is None) == ("org:admin", False)
    disabled = data_of(story, "webhookEndpoint.disabled")
    assert (disabled["reason"], disabled["webhook_endpoint"]["enabled"]) == ("manual", False)
    assert "signing_secret" not in str(story) and "whsec_" not in str(story)
