"""``…/setup-links`` and ``…/sign-in-links``: the ways in to the pages that a backend makes, lists and revokes."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from models import AdministrativeAct, SignInLink
from organizations.secret_keys import make_secret_key
from tests.conftest import Tenant

DAY = 24 * 3600
KINDS = pytest.mark.parametrize("kind", ["setup-links", "sign-in-links"])


def path(tenant: Tenant, kind: str) -> str:
    return f"/organizations/{tenant.organization_id}/{kind}"


def make(tenant: Tenant, kind: str, **body: Any) -> Any:
    return tenant.api("POST", path(tenant, kind), body or ({"user_id": tenant.admin_id} if kind[1] == "i" else {}))


def test_a_setup_link_is_made_for_seven_days_and_shown_once(acme: Tenant) -> None:
    answer = make(acme, "setup-links", name="Kim")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.json
    assert re.fullmatch(r"https://acme\.authn\.test/setup/setup_[0-9A-Z]{40}", made.pop("url"))
    assert made["id"].startswith("stl_") and made["expires_at"] - made["created_at"] == 7 * DAY * 1000
    assert acme.api("GET", f"{path(acme, 'setup-links')}/{made['id']}").json == made
    assert made["name"] == "Kim" and made["last_used_at"] is made["revoked_at"] is None


@pytest.mark.parametrize("seconds", [60, 30 * DAY])
def test_a_setup_link_lasts_as_long_as_is_asked_for(acme: Tenant, seconds: int) -> None:
    made = make(acme, "setup-links", expires_in_seconds=seconds).json
    assert made["expires_at"] - made["created_at"] == seconds * 1000


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_seconds": 59},
        {"expires_in_seconds": 30 * DAY + 1},
        {"expires_in_seconds": "60"},
        {"expires_in_seconds": None},
        {"name": " "},
        {"name": "x" * 101},
        {"name": ["Kim"]},
        {"organization_id": "org_other"},
    ],
)
def test_a_bad_setup_link_is_refused_and_not_made(acme: Tenant, body: dict[str, Any]) -> None:
    answer = make(acme, "setup-links", **body)
    assert answer.status_code == 422 and answer.json["errors"][0]["meta"]["param"] == next(iter(body))
    assert acme.api("GET", path(acme, "setup-links")).json["data"] == []


@KINDS
def test_links_are_listed_newest_first_by_pages(acme: Tenant, kind: str) -> None:
    made = [make(acme, kind).json["id"] for _ in range(3)]
    first = acme.api("GET", f"{path(acme, kind)}?limit=2").json
    second = acme.api("GET", f"{path(acme, kind)}?limit=2&cursor={first['meta']['next_cursor']}").json
    found = [link["id"] for link in (*first["data"], *second["data"])]
    assert found[:3] == made[::-1] and all("url" not in link for link in first["data"])


@KINDS
def test_a_revoked_link_opens_nothing(acme: Tenant, kind: str) -> None:
    made = make(acme, kind).json
    opened = made["url"].removeprefix("https://acme.authn.test")
    assert acme.client.get(opened).status_code == 200
    revoked = acme.api("POST", f"{path(acme, kind)}/{made['id']}/revoke").json
    again = acme.api("POST", f"{path(acme, kind)}/{made['id']}/revoke").json
    assert revoked["revoked_at"] == again["revoked_at"] >= made["created_at"]
    assert acme.client.get(opened).status_code == 410


@KINDS
def test_another_organization_reads_and_revokes_nothing(app: Flask, acme: Tenant, globex: Tenant, kind: str) -> None:
    made = make(acme, kind).json
    for method, tail in (("GET", ""), ("POST", "/revoke")):
        for tenant in (globex, acme):  # Acme's id under Globex; and Acme's own address with a key of Globex
            with app.app_context(), db.unit_of_work() as session:
                _, key = make_secret_key(session, "Globex only", organization_id=globex.organization_id)
            answer = acme.client.open(
                f"/v1{path(tenant, kind)}/{made['id']}{tail}", method=method, headers={"Authorization": f"Bearer {key}"}
            )
            assert answer.status_code == 404, answer.text
    assert acme.api("GET", f"{path(acme, kind)}/{made['id']}").json["revoked_at"] is None


@KINDS
def test_links_are_written_into_the_audit_log(app: Flask, acme: Tenant, kind: str) -> None:
    made = make(acme, kind).json
    acme.api("POST", f"{path(acme, kind)}/{made['id']}/revoke")
    with app.app_context(), db.reading() as session:
        acts = session.scalars(select(AdministrativeAct.action).where(AdministrativeAct.target_id == made["id"]))
        noun = made["object"]
        assert sorted(acts) == [f"{noun}.made", f"{noun}.revoked"]


def test_a_link_made_with_a_key_of_one_organization_speaks_for_no_other(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        _, key = make_secret_key(session, "Acme only", organization_id=acme.organization_id)
    of_environment = make(acme, "sign-in-links").json["id"]
    acme.secret_key = key
    of_acme = make(acme, "sign-in-links").json["id"]
    with app.app_context(), db.reading() as session:
        bound = {link.id: link.organization_bound for link in session.scalars(select(SignInLink))}
    assert (bound[of_environment], bound[of_acme]) == (False, True)


def test_a_link_for_nobody_of_the_organization_is_refused(acme: Tenant, globex: Tenant) -> None:
    assert make(acme, "sign-in-links", user_id=globex.admin_id).status_code == 404
