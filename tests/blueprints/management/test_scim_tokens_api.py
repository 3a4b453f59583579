"""SCIM tokens with an end: rotated with an overlap, announced before they expire, once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

import jobs
from clock import now_ms
from database import db
from models import ScimToken
from organizations.scim_tokens import DAY_MS, find_expiring_tokens
from tests.blueprints.management.calls import key_of, ok, params, refused
from tests.conftest import Tenant

HOUR_SECONDS = 3600


def path(tenant: Tenant, token_id: str = "", verb: str = "") -> str:
    parts = (f"/organizations/{tenant.organization_id}/scim/tokens", token_id, verb)
    return "/".join(part for part in parts if part)


def issue(tenant: Tenant, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = ok(tenant.api("POST", path(tenant), {"name": "Okta", **more}), 201)
    return made


def works(tenant: Tenant, plaintext: str) -> bool:
    headers = {"Authorization": f"Bearer {plaintext}"}
    return bool(tenant.client.get("/scim/v2/Users?count=0", headers=headers).status_code == 200)


def expire_now(app: Flask, token_id: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).where(ScimToken.id == token_id).values(expires_at=now_ms() - 1))


def told_of(tenant: Tenant) -> list[str]:
    path = f"/events?organization_id={tenant.organization_id}&limit=200"
    events = ok(tenant.api("GET", path))["data"]
    return [event["data"]["scim_token"]["id"] for event in events if event["type"] == "scimToken.expiring"]


def sweep(app: Flask) -> None:
    with app.app_context():
        jobs.sweep_once()


def expiring(app: Flask, tenant: Tenant) -> list[str]:
    with app.app_context(), db.reading() as session:
        return [token.id for token in find_expiring_tokens(session, tenant.organization_id, now_ms())]


def test_both_tokens_work_until_the_overlap_is_over(app: Flask, acme: Tenant) -> None:
    old = issue(acme)
    answer = acme.api("POST", path(acme, old["id"], "rotate"), {"overlap_seconds": HOUR_SECONDS})
    new = ok(answer, 201)

    assert answer.headers["Cache-Control"] == "no-store" and new["name"] == "Okta" and new["expires_at"] is None
    left = ok(acme.api("GET", path(acme, old["id"])))
    assert left["replaced_by_id"] == new["id"] and left["revoked_at"] is None and "token" not in left
    assert 0 <= left["expires_at"] - now_ms() <= HOUR_SECONDS * 1000
    assert works(acme, old["token"]) and works(acme, new["token"])
    expire_now(app, old["id"])
    assert not works(acme, old["token"]) and works(acme, new["token"])


def test_without_an_overlap_the_old_token_is_revoked(acme: Tenant) -> None:
    old = issue(acme)
    new = ok(acme.api("POST", path(acme, old["id"], "rotate"), {"overlap_seconds": 0}), 201)
    assert not works(acme, old["token"]) and works(acme, new["token"])
    assert ok(acme.api("GET", path(acme, old["id"])))["revoked_at"] is not None


def test_the_new_token_lives_as_long_as_the_old_one_was_to_unless_it_says(acme: Tenant) -> None:
    old = issue(acme, expires_at=now_ms() + 5 * DAY_MS)
    new = ok(acme.api("POST", path(acme, old["id"], "rotate"), {"overlap_seconds": 2_592_000}), 201)
    assert abs(new["expires_at"] - now_ms() - 5 * DAY_MS) < DAY_MS / 24
    assert ok(acme.api("GET", path(acme, old["id"])))["expires_at"] == old["expires_at"]  # never longer than before
    for_ever = ok(acme.api("POST", path(acme, new["id"], "rotate"), {"expires_at": None}), 201)
    assert for_ever["expires_at"] is None


def test_a_token_is_rotated_once_and_not_after_its_end(app: Flask, acme: Tenant) -> None:
    old = issue(acme)
    new = ok(acme.api("POST", path(acme, old["id"], "rotate"), {}), 201)
    again = acme.api("POST", path(acme, old["id"], "rotate"), {})
    assert refused(again, 409) == "scim_token_replaced"
    assert again.json["errors"][0]["meta"] == {"replaced_by_id": new["id"]}
    expire_now(app, new["id"])
    assert refused(acme.api("POST", path(acme, new["id"], "rotate"), {}), 409) == "scim_token_ended"


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"overlap_seconds": -1}, ["overlap_seconds"]),
        ({"overlap_seconds": 2_592_001, "expires_at": -5}, ["overlap_seconds", "expires_at"]),
        ({"overlap_seconds": 10**30}, ["overlap_seconds"]),
        ({"expires_at": 5}, ["expires_at"]),
        ({"overlap": 5}, ["overlap"]),
    ],
)
def test_a_bad_rotation_is_refused_by_place(acme: Tenant, body: dict[str, Any], places: list[str]) -> None:
    old = issue(acme)
    assert params(acme.api("POST", path(acme, old["id"], "rotate"), body)) == places
    assert ok(acme.api("GET", path(acme, old["id"])))["replaced_by_id"] is None


def test_another_organization_rotates_no_token(app: Flask, acme: Tenant, globex: Tenant) -> None:
    old = issue(acme)
    assert globex.api("POST", path(globex, old["id"], "rotate"), {}).status_code == 404
    assert key_of(app, globex).api("POST", path(acme, old["id"], "rotate"), {}).status_code == 404
    assert ok(acme.api("GET", path(acme, old["id"])))["replaced_by_id"] is None


def test_an_end_within_14_days_is_told_once_to_its_organization(app: Flask, acme: Tenant, globex: Tenant) -> None:
    soon = issue(acme, expires_at=now_ms() + 13 * DAY_MS)
    issue(acme, expires_at=now_ms() + 15 * DAY_MS)
    revoked, rotated = (issue(acme, expires_at=now_ms() + DAY_MS) for _ in range(2))
    acme.api("POST", path(acme, revoked["id"], "revoke"))
    acme.api("POST", path(acme, rotated["id"], "rotate"), {"expires_at": None})

    assert expiring(app, acme) == [soon["id"]] and expiring(app, globex) == []
    for _ in range(2):
        sweep(app)
    assert told_of(acme) == [soon["id"]] and told_of(globex) == []
    assert expiring(app, acme) == [soon["id"]]


def test_sweeps_at_the_same_moment_tell_of_an_end_once(app: Flask, acme: Tenant) -> None:
    ids = {issue(acme, expires_at=now_ms() + DAY_MS)["id"] for _ in range(5)}
    together = Barrier(4)

    def at_once(_: int) -> None:
        together.wait()
        sweep(app)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(at_once, range(4)))

    told = told_of(acme)
    assert len(told) == 5 and set(told) == ids


def test_when_a_token_was_last_used_is_shown(acme: Tenant) -> None:
    token = issue(acme)
    assert token["last_used_at"] is None
    assert works(acme, token["token"])
    assert abs(ok(acme.api("GET", path(acme, token["id"])))["last_used_at"] - now_ms()) < 60_000
