"""``/v1/webhook-endpoints`` and ``/v1/webhook-deliveries``, for keys of the environment and of one organization."""

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from models import WebhookEndpoint
from organizations.secret_keys import make_secret_key
from tests.conftest import Tenant

URL = "http://127.0.0.1:9/hook"
MEMBERS = {
    "id",
    "object",
    "url",
    "description",
    "organization_id",
    "enabled_event_types",
    "enabled",
    "disabled_at",
    "disabled_reason",
    "created_at",
    "updated_at",
}


def add(tenant: Tenant, **body: Any) -> Any:
    return tenant.api("POST", "/webhook-endpoints", {"url": URL, **body})


@pytest.fixture
def scoped(app: Flask, acme: Tenant) -> Tenant:
    """Acme with a secret key that opens Acme only."""
    with app.app_context(), db.unit_of_work() as session:
        _, plaintext = make_secret_key(session, "Acme only", organization_id=acme.organization_id)
    return Tenant(acme.client, acme.organization_id, acme.admin_id, plaintext, acme.scim_token, acme.sign_in_token)


# -- One endpoint ------------------------------------------------------------------


def test_creating_an_endpoint_shows_its_secret_this_once(acme: Tenant) -> None:
    answer = add(acme, description="Production", organization_id=acme.organization_id)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    endpoint = answer.json
    assert set(endpoint) == MEMBERS | {"signing_secret"}
    assert endpoint["id"].startswith("whe_")
    assert endpoint["signing_secret"].startswith("whsec_")
    assert endpoint["object"] == "webhook_endpoint"
    assert (endpoint["enabled"], endpoint["disabled_at"]) == (True, None)
    assert endpoint["enabled_event_types"] == ["*"]
    read = acme.api("GET", f"/webhook-endpoints/{endpoint['id']}").json
    assert set(read) == MEMBERS
    assert acme.api("GET", "/webhook-endpoints").json == {"data": [read], "meta": {"next_cursor": None}}


def test_secrets_are_stored_encrypted(app: Flask, acme: Tenant) -> None:
    created = add(acme).json
    rotated = acme.api("POST", f"/webhook-endpoints/{created['id']}/rotate-secret").json
    with app.app_context(), db.reading() as session:
        row = session.execute(select(WebhookEndpoint.__table__)).one()
    secrets = [created["signing_secret"], rotated["signing_secret"]]
    assert not [value for value in row if any(secret.removeprefix("whsec_") in str(value) for secret in secrets)]
    stored = [row.former_secrets[0]["sealed"], row.encrypted_secret]
    assert [app.extensions["secret_box"].open(sealed) for sealed in stored] == secrets


def test_an_endpoint_without_an_organization_is_for_the_whole_environment(acme: Tenant) -> None:
    assert add(acme).json["organization_id"] is None


def test_rotating_the_secret_shows_the_new_one(acme: Tenant) -> None:
    created = add(acme).json
    answer = acme.api("POST", f"/webhook-endpoints/{created['id']}/rotate-secret")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["signing_secret"] not in (None, created["signing_secret"])


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"url": "ftp://example.com/"}, "url", "https"),
        ({"url": "https://10.0.0.1/"}, "url", "not public"),
        ({"url": "https://user:secret@example.com/"}, "url", "password"),
        ({"url": URL, "enabled_event_types": ["scimUser.provisioned", "scimUser.exploded"]}, None, "scimUser.exploded"),
        ({"url": URL, "enabled_event_types": ["webhookEndpoint.test"]}, None, "webhookEndpoint.test"),
        ({"url": URL, "enabled_event_types": ["nobody.*"]}, None, "nobody.*"),
        ({"url": URL, "enabled_event_types": []}, None, "empty"),
        ({"url": URL, "description": "x" * 501}, "description", "500"),
        ({"url": URL, "surprise": 1}, "surprise", "surprise"),
        ({}, "url", "url"),
        ({"url": 5}, "url", "url"),
    ],
)
def test_what_cannot_be_accepted_is_named(acme: Tenant, body: dict[str, Any], param: str | None, words: str) -> None:
    answer = acme.api("POST", "/webhook-endpoints", body)
    assert answer.status_code == 422
    [error] = answer.json["errors"]
    assert words in error["message"]
    assert error["meta"]["param"] == (param or "enabled_event_types")
    assert acme.api("GET", "/webhook-endpoints").json["data"] == []


def test_a_patch_changes_what_it_names_and_nothing_else(acme: Tenant) -> None:
    created = add(acme, description="Before", enabled_event_types=["scimUser.*"]).json
    path = f"/webhook-endpoints/{created['id']}"
    changed = acme.api("PATCH", path, {"description": "After"}).json
    assert (changed["description"], changed["url"], changed["enabled_event_types"]) == ("After", URL, ["scimUser.*"])
    assert acme.api("PATCH", path, {"description": None}).json["description"] is None
    assert acme.api("PATCH", path, {"url": "https://10.0.0.1/"}).status_code == 422
    assert acme.api("PATCH", path, {"enabled_event_types": ["x"]}).status_code == 422
    disabled = acme.api("PATCH", path, {"enabled": False}).json
    assert disabled["enabled"] is False
    assert disabled["disabled_at"] is not None


def test_disabling_by_hand_is_an_event_of_the_organization(acme: Tenant) -> None:
    created = add(acme, organization_id=acme.organization_id).json
    acme.api("PATCH", f"/webhook-endpoints/{created['id']}", {"enabled": False})
    last = acme.api("GET", f"/events?organization_id={acme.organization_id}&limit=200").json["data"][-1]
    assert last["type"] == "webhookEndpoint.disabled"
    assert last["data"]["webhook_endpoint"]["id"] == created["id"]
    assert last["data"]["reason"] == "manual"


def test_a_deleted_endpoint_is_gone_with_its_deliveries(acme: Tenant) -> None:
    created = add(acme).json
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"})
    assert len(acme.api("GET", "/webhook-deliveries").json["data"]) == 1
    assert acme.api("DELETE", f"/webhook-endpoints/{created['id']}").status_code == 204
    assert acme.api("GET", f"/webhook-endpoints/{created['id']}").status_code == 404
    assert acme.api("GET", "/webhook-deliveries").json["data"] == []


def test_a_disabled_endpoint_is_neither_tried_out_nor_replayed_to(acme: Tenant) -> None:
    created = add(acme).json
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"})
    [delivery] = acme.api("GET", "/webhook-deliveries").json["data"]
    acme.api("PATCH", f"/webhook-endpoints/{created['id']}", {"enabled": False})
    for path in (
        f"/webhook-endpoints/{created['id']}/test",
        f"/webhook-deliveries/{delivery['id']}/replay",
    ):
        answer = acme.api("POST", path)
        assert answer.status_code == 409
        assert answer.json["errors"][0]["code"] == "webhook_endpoint_disabled"
    refused = acme.api("POST", f"/webhook-endpoints/{created['id']}/replay", {"since": 0})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (409, "webhook_endpoint_disabled")


# -- Lists --------------------------------------------------------------------------


def test_endpoints_and_deliveries_are_listed_page_by_page(acme: Tenant) -> None:
    created = {add(acme).json["id"] for _ in range(5)}
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"})
    for path, expected in (("/webhook-endpoints", created), ("/webhook-deliveries", None)):
        found: list[str] = []
        cursor = ""
        while True:
            page = acme.api("GET", f"{path}?limit=2&cursor={cursor}").json
            found += [item["id"] for item in page["data"]]
            cursor = page["meta"]["next_cursor"]
            if cursor is None:
                break
        assert len(found) == len(set(found)) == 5
        assert expected is None or set(found) == expected


def test_deliveries_are_filtered_by_endpoint_event_and_state(acme: Tenant) -> None:
    first, second = add(acme).json["id"], add(acme).json["id"]
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"})
    everything = acme.api("GET", "/webhook-deliveries").json["data"]
    assert {item["endpoint_id"] for item in everything} == {first, second}
    of_first = acme.api("GET", f"/webhook-deliveries?endpoint_id={first}").json["data"]
    assert [item["endpoint_id"] for item in of_first] == [first]
    event_id = of_first[0]["event_id"]
    assert len(acme.api("GET", f"/webhook-deliveries?event_id={event_id}").json["data"]) == 2
    assert len(acme.api("GET", "/webhook-deliveries?state=pending").json["data"]) == 2
    assert acme.api("GET", "/webhook-deliveries?state=failed").json["data"] == []
    assert acme.api("GET", "/webhook-deliveries?state=lost").status_code == 422
    assert set(of_first[0]) == {
        "id",
        "object",
        "endpoint_id",
        "event_id",
        "event_type",
        "state",
        "attempts",
        "next_attempt_at",
        "created_at",
    }


def test_the_event_types_are_those_that_can_be_subscribed_to(acme: Tenant) -> None:
    types = [item["type"] for item in acme.api("GET", "/event-types").json["data"]]
    assert "scimUser.provisioned" in types
    assert add(acme, enabled_event_types=types).status_code == 201


# -- Who may see what ------------------------------------------------------------------


def test_a_key_of_one_organization_makes_and_sees_only_its_endpoints(
    acme: Tenant, globex: Tenant, scoped: Tenant
) -> None:
    of_globex = add(globex, organization_id=globex.organization_id).json["id"]
    of_all = add(globex).json["id"]
    own = add(scoped).json
    assert own["organization_id"] == acme.organization_id
    assert [item["id"] for item in scoped.api("GET", "/webhook-endpoints").json["data"]] == [own["id"]]
    assert add(scoped, organization_id=globex.organization_id).status_code == 404
    listed = scoped.api("GET", f"/webhook-endpoints?organization_id={globex.organization_id}")
    assert listed.status_code == 404
    for foreign in (of_globex, of_all):
        path = f"/webhook-endpoints/{foreign}"
        assert scoped.api("GET", path).status_code == 404
        assert scoped.api("PATCH", path, {"enabled": False}).status_code == 404
        assert scoped.api("DELETE", path).status_code == 404
        assert scoped.api("POST", f"{path}/rotate-secret").status_code == 404
        assert scoped.api("POST", f"{path}/test").status_code == 404
        assert scoped.api("POST", f"{path}/replay", {"since": 0}).status_code == 404
        assert globex.api("GET", path).json["enabled"] is True


def test_a_key_of_one_organization_sees_only_deliveries_to_its_endpoints(
    acme: Tenant, globex: Tenant, scoped: Tenant
) -> None:
    own = add(scoped).json["id"]
    of_globex = add(globex, organization_id=globex.organization_id).json["id"]
    of_all = add(globex).json["id"]
    for tenant in (acme, globex):
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
    seen = scoped.api("GET", "/webhook-deliveries").json["data"]
    assert [item["endpoint_id"] for item in seen] == [own]
    for endpoint_id in (of_globex, of_all):
        foreign = globex.api("GET", f"/webhook-deliveries?endpoint_id={endpoint_id}").json["data"][0]
        assert scoped.api("GET", f"/webhook-deliveries?endpoint_id={endpoint_id}").json["data"] == []
        assert scoped.api("GET", f"/webhook-deliveries/{foreign['id']}").status_code == 404
        assert scoped.api("POST", f"/webhook-deliveries/{foreign['id']}/replay").status_code == 404


# -- Polling ---------------------------------------------------------------------------


def poll(tenant: Tenant, query: str = "", limit: int = 2) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = f"&after={found[-1]['id']}" if found else ""
        page = tenant.api("GET", f"/events?limit={limit}{query}{after}").json
        if not page["data"]:
            return found
        found += page["data"]


def test_a_poller_reads_every_event_of_an_organization_in_order(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex, acme):
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
    events = poll(acme, f"&organization_id={acme.organization_id}")
    assert {event["organization_id"] for event in events} == {acme.organization_id}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    first = acme.api("GET", f"/events?organization_id={acme.organization_id}&limit=1").json
    assert first["meta"]["next_cursor"] == first["data"][0]["id"]
    everything = acme.api("GET", f"/events?organization_id={acme.organization_id}&limit=200").json
    assert (everything["data"], everything["meta"]) == (events, {"next_cursor": None})


def test_a_poller_of_the_environment_reads_every_event_of_all_organizations_once(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex, acme, globex):
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
    events = poll(acme)
    expected = poll(acme, f"&organization_id={acme.organization_id}") + poll(
        acme, f"&organization_id={globex.organization_id}"
    )
    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids))
    assert sorted(ids) == sorted(event["id"] for event in expected)
    later = acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Later"}).json["id"]
    [event] = acme.api("GET", f"/events?after={ids[-1]}").json["data"]
    assert event["data"]["scim_token"]["id"] == later


def test_polling_may_begin_at_an_event_that_came_by_webhook(acme: Tenant) -> None:
    add(acme)
    for name in ("First", "Second"):
        acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": name})
    first = acme.api("GET", "/webhook-deliveries").json["data"][-1]["event_id"]
    events = acme.api("GET", f"/events?after={first}").json["data"]
    assert [event["data"]["scim_token"]["name"] for event in events] == ["Second"]


def test_a_key_of_one_organization_polls_only_its_events(acme: Tenant, globex: Tenant, scoped: Tenant) -> None:
    for tenant in (acme, globex):
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
    assert {event["organization_id"] for event in poll(scoped)} == {acme.organization_id}
    assert scoped.api("GET", f"/events?organization_id={globex.organization_id}").status_code == 404
    foreign = globex.api("GET", f"/events?organization_id={globex.organization_id}").json["data"][0]["id"]
    assert scoped.api("GET", f"/events?after={foreign}").status_code == 422


def test_a_place_that_no_list_gave_is_refused(acme: Tenant) -> None:
    assert acme.api("GET", "/events?after=evt_unknown").status_code == 422
    assert acme.api("GET", f"/events?organization_id={acme.organization_id}&after=evt_unknown").status_code == 422


def test_an_empty_organization_is_none_that_exists_and_not_the_whole_environment(acme: Tenant) -> None:
    answer = add(acme, organization_id="")
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (404, "organization_not_found")
    assert acme.api("GET", "/webhook-endpoints").json["data"] == []


def test_an_endpoint_is_tried_ten_times_a_minute_however_its_address_is_written(acme: Tenant) -> None:
    path = f"/webhook-endpoints/{add(acme).json['id']}/test"
    assert [acme.api("POST", path + "/" * (number % 2)).status_code for number in range(11)] == [202] * 10 + [429]


def test_the_audit_log_keeps_the_host_of_an_endpoint_and_not_its_path(acme: Tenant) -> None:
    url = "http://127.0.0.1:9/hooks/a-secret-in-the-path"
    made = acme.api("POST", "/webhook-endpoints", {"url": url}).json
    path = f"/webhook-endpoints/{made['id']}"
    for method, address, body in (
        ("PATCH", path, {"description": "x"}),
        ("POST", f"{path}/rotate-secret", None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/replay", {"since": made["created_at"]}),
        ("DELETE", path, None),
    ):
        assert acme.api(method, address, body).status_code < 300
    log = acme.api("GET", "/audit-log?limit=6").json["data"]
    assert {entry["details"]["host"] for entry in log} == {"127.0.0.1"}
    assert "a-secret-in-the-path" not in json.dumps(log)
