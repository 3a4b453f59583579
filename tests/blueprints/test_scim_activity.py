"""Which requests stand in the activity log, and what it says about them."""

import json
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select, update

from clock import now_ms
from database import db
from directory.remedies import REMEDIES
from models import DirectoryActivity, ScimToken
from tests import okta

OKTA = {"User-Agent": "Okta SCIM Client 1.0.0"}


def entries(app: Flask, tenant: Any) -> list[dict[str, Any]]:
    """The entries of an organization's log, the oldest first."""
    path = f"/organizations/{tenant.organization_id}/scim/activity?limit=200"
    return list(reversed(tenant.api("GET", path).json["data"]))


def latest(app: Flask, tenant: Any) -> dict[str, Any]:
    return entries(app, tenant)[-1]


def change_token(app: Flask, tenant: Any, **values: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).where(ScimToken.organization_id == tenant.organization_id).values(**values))


def test_a_created_person_is_told_with_what_was_sent_and_answered(app: Flask, acme: Any, globex: Any) -> None:
    answer = acme.scim("POST", "/Users", okta.user(), headers=OKTA)
    entry = latest(app, acme)
    assert (entry["action"], entry["target_type"], entry["target_id"]) == ("created", "User", answer.json["id"])
    assert entry["target_label"] == "nadia.petrov@acme.example" and entry["user_agent"] == "Okta SCIM Client 1.0.0"
    assert entry["id"] == answer.headers["X-Request-Id"] and entry["reason"] is None
    sent = json.loads(entry["request_body"])
    assert sent["name"] == {"givenName": "Nadia", "familyName": "Petrov"} and sent["password"] == "[not kept]"
    assert json.loads(entry["answer_body"]) == answer.json
    assert 0 <= entry["duration_ms"] < 60_000
    assert entries(app, globex) == []


def test_each_step_of_a_life_has_its_word(app: Flask, acme: Any) -> None:
    person = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("PATCH", f"/Users/{person}", okta.set_active(False))
    acme.scim("PATCH", f"/Users/{person}", okta.set_active(False))
    acme.scim("PATCH", f"/Users/{person}", okta.set_active(True))
    acme.scim("PATCH", f"/Users/{person}", okta.patch({"op": "replace", "path": "name.givenName", "value": "Nadja"}))
    acme.scim("DELETE", f"/Users/{person}")
    acme.scim("POST", "/Users", okta.user())
    words = [entry["action"] for entry in entries(app, acme)]
    assert words == ["created", "deactivated", "unchanged", "activated", "updated", "deleted", "restored"]
    assert entries(app, acme)[4]["effects"][0]["changes"]["first_name"] == {"from": "Nadia", "to": "Nadja"}


def test_whom_a_group_reached_stands_behind_the_group(app: Flask, acme: Any) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    mapping = {"groups[0].value": '{{ value | downcase | replace: "admins", "org:admin" }}.organization_role'}
    assert acme.api("PUT", path, {"mapping": mapping}).status_code == 200
    person = acme.scim("POST", "/Users", okta.user()).json["id"]
    group = acme.scim("POST", "/Groups", okta.group("Admins", person)).json["id"]
    first, second = latest(app, acme)["effects"]
    assert (first["type"], first["id"], first["changes"]) == ("Group", group, {"joined": 1})
    assert (second["type"], second["id"]) == ("User", person)
    assert second["changes"]["role"] == {"from": "org:member", "to": "org:admin"}


def test_a_refusal_says_why_and_whom_it_is_about(app: Flask, acme: Any) -> None:
    acme.scim("POST", "/Users", okta.user())
    acme.scim("POST", "/Users", okta.user())
    entry = latest(app, acme)
    assert (entry["action"], entry["status"], entry["reason"]) == ("refused", 409, "user_name_taken")
    assert entry["target_label"] == "nadia.petrov@acme.example" and entry["effects"] == []
    assert json.loads(entry["answer_body"])["detail"] == entry["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "/Users", {"schemas": [okta.USER_SCHEMA]}, "invalid_value"),
        ("POST", "/Users", [], "invalid_syntax"),
        ("PATCH", "/Users/user_1", okta.set_active(False), "not_found"),
        ("GET", "/Users?filter=nothing eq 1", None, "invalid_filter"),
        ("GET", "/Users/Users?startIndex=1&count=2", None, "base_url_wrong"),
        ("GET", "/Users/ServiceProviderConfig", None, "base_url_wrong"),
        ("GET", "/Me", None, "not_implemented"),
        ("PUT", "/Users", {}, "method_not_allowed"),
    ],
)
def test_every_refusal_has_a_reason_with_a_remedy(
    app: Flask, acme: Any, method: str, path: str, body: Any, reason: str
) -> None:
    assert acme.scim(method, path, body).status_code >= 400
    entry = latest(app, acme)
    assert entry["reason"] == reason and reason in REMEDIES and entry["path"].startswith(f"/scim/v2{path}"[:15])


def test_a_look_up_is_not_written_down_and_neither_is_a_miss(app: Flask, acme: Any) -> None:
    change_token(app, acme, last_used_at=now_ms())
    assert acme.scim("GET", '/Users?filter=userName eq "nadia"').status_code == 200
    assert acme.scim("GET", "/Users?startIndex=1&count=100").status_code == 200
    assert acme.scim("GET", "/Users/user_1").status_code == 404
    assert entries(app, acme) == []


@pytest.mark.parametrize(
    "path",
    ["/Users?startIndex=1&count=2", "/ServiceProviderConfig", '/Users?filter=userName eq "AzureAD_Test-5f0c"'],
)
def test_the_test_of_a_connection_is_written_down(app: Flask, acme: Any, globex: Any, path: str) -> None:
    change_token(app, acme, last_used_at=now_ms())
    assert acme.scim("GET", path, headers=OKTA).status_code == 200
    assert [(entry["action"], entry["status"]) for entry in entries(app, acme)] == [("tested", 200)]
    assert entries(app, globex) == []


def test_the_first_read_with_a_token_counts_as_a_test(app: Flask, acme: Any) -> None:
    for _ in range(2):
        acme.scim("GET", '/Users?filter=userName eq "nadia"')
    assert [entry["action"] for entry in entries(app, acme)] == ["tested"]


def test_discovery_without_a_token_belongs_to_nobody(app: Flask, acme: Any) -> None:
    assert acme.client.get("/scim/v2/ServiceProviderConfig").status_code == 200
    assert entries(app, acme) == []


@pytest.mark.parametrize(
    ("values", "reason"), [({"revoked_at": 1}, "token_revoked"), ({"expires_at": 1}, "token_expired")]
)
def test_a_token_that_opens_nothing_any_more_is_told_to_its_organization(
    app: Flask, acme: Any, globex: Any, values: dict[str, int], reason: str
) -> None:
    change_token(app, acme, **values)
    for _ in range(3):
        assert acme.scim("GET", "/Users?startIndex=1&count=2").status_code == 401
    (entry,) = entries(app, acme)
    assert (entry["status"], entry["reason"], entry["request_body"]) == (401, reason, None)
    assert entry["scim_token_id"].startswith("scimt_") and entries(app, globex) == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("{token}", "bearer_missing"),
        ("Bearer Bearer {token}", "bearer_twice"),
        ("Bearer {cut}", "token_garbled"),
        ("Bearer {token}X", "token_garbled"),
    ],
)
def test_a_token_pasted_wrongly_is_recognised(app: Flask, acme: Any, globex: Any, header: str, reason: str) -> None:
    value = header.format(token=acme.scim_token, cut=acme.scim_token[:30])
    answer = acme.client.get("/scim/v2/Users", headers={"Authorization": value})
    assert answer.status_code == 401
    (entry,) = entries(app, acme)
    assert entry["reason"] == reason and reason in REMEDIES and entries(app, globex) == []
    assert acme.scim_token[13:30] not in json.dumps(entry)


def test_an_unknown_token_belongs_to_nobody(app: Flask, acme: Any, globex: Any) -> None:
    for header in ("Bearer scim_" + "0" * 40, "Bearer x", "Basic eDp5", "Bearer", "x y z"):
        assert acme.client.get("/scim/v2/Users", headers={"Authorization": header}).status_code == 401
    assert entries(app, acme) == entries(app, globex) == []


def test_too_many_calls_are_told_once(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ["SCIM_RATE_LIMIT"] = "2 per minute"
    app, acme = request.getfixturevalue("app"), request.getfixturevalue("acme")
    statuses = [acme.scim("GET", "/Users").status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert [entry["reason"] for entry in entries(app, acme)] == [None, "rate_limited"]


def test_bodies_are_not_kept_where_the_setting_says_so(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ["ACTIVITY_BODIES"] = "0"
    app, acme = request.getfixturevalue("app"), request.getfixturevalue("acme")
    acme.scim("POST", "/Users?attributes=userName", okta.user())
    entry = latest(app, acme)
    assert entry["request_body"] is entry["answer_body"] is None
    assert entry["path"] == "/scim/v2/Users" and entry["target_label"] == "nadia.petrov@acme.example"


def test_each_operation_of_a_bulk_request_has_its_own_entry(app: Flask, acme: Any) -> None:
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": okta.user()},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": okta.user()},
    ]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
    acme.scim("POST", "/Bulk", {"schemas": schemas, "Operations": operations})
    whole, first, second = entries(app, acme)
    assert (whole["action"], first["action"], second["action"]) == ("bulk", "created", "refused")
    assert whole["id"] == first["parent_id"] == second["parent_id"] and whole["request_body"] is None
    assert json.loads(first["request_body"])["password"] == "[not kept]"
    assert second["reason"] == "user_name_taken"


def test_no_secret_stands_anywhere_in_the_log(app: Flask, acme: Any) -> None:
    person = acme.scim("POST", "/Users", okta.user(password="hunter2")).json["id"]
    acme.scim("PATCH", f"/Users/{person}", okta.patch({"op": "replace", "path": "password", "value": "hunter2"}))
    acme.scim("PUT", f"/Users/{person}", okta.user(password="hunter2", clientSecret="hunter2"))
    acme.scim("POST", "/Users", data=b'{"password": "hunter2"', headers={"Content-Type": "application/scim+json"})
    with app.app_context(), db.reading() as session:
        rows = session.execute(select(*DirectoryActivity.__table__.columns)).all()
    assert len(rows) == 4 and "hunter2" not in repr(rows)


@pytest.mark.parametrize(
    "sent",
    [
        {"schemas": [okta.USER_SCHEMA], "userName": "a\0b"},
        {"schemas": [okta.USER_SCHEMA], "userName": "\ud800"},
        okta.patch({"op": "replace", "path": "na\0me\ud800", "value": 1}),
    ],
)
def test_what_no_database_can_hold_is_written_down_all_the_same(app: Flask, acme: Any, sent: Any) -> None:
    person = acme.scim("POST", "/Users", okta.user()).json["id"]
    for method, path in (("POST", "/Users"), ("PATCH", f"/Users/{person}")):
        answer = acme.scim(method, path, data=json.dumps(sent), content_type="application/scim+json")
        assert answer.status_code == 400
        assert latest(app, acme)["status"] == 400


def test_while_redis_is_away_requests_are_answered_all_the_same(app: Flask, acme: Any) -> None:
    app.extensions["redis"] = Redis.from_url("unix:///nowhere/redis.sock")
    assert acme.scim("GET", "/Users?startIndex=1&count=2").status_code == 200
    assert acme.scim("POST", "/Users", okta.user()).status_code == 201
    assert [entry["action"] for entry in entries(app, acme)] == ["created"]
