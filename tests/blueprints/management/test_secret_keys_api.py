"""Secret keys by API and command: shown once, with a scope, an end and a reach; and how often one may call."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select, update

from clock import now_ms
from database import db
from models import SecretKey
from tests.conftest import Tenant


def make(tenant: Tenant, **body: Any) -> Any:
    return tenant.api("POST", "/secret-keys", {"name": "Backend", **body})


def as_key(tenant: Tenant, secret: str) -> Tenant:
    return Tenant(tenant.client, tenant.organization_id, tenant.admin_id, secret, tenant.scim_token, "")


def test_a_key_is_shown_once_and_listed_by_prefix(app: Flask, acme: Tenant) -> None:
    made = make(acme)
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.json["secret"]
    assert secret.startswith(made.json["prefix"]) and len(made.json["prefix"]) == 13
    shown = {name: value for name, value in made.json.items() if name != "secret"}
    assert acme.api("GET", f"/secret-keys/{shown['id']}").json == shown
    listed = acme.api("GET", "/secret-keys")
    assert listed.json["data"][0] == shown
    assert secret not in listed.text
    with app.app_context(), db.reading() as session:
        stored = session.execute(select(SecretKey.__table__)).all()
    assert not [value for row in stored for value in row if secret in str(value)]
    assert as_key(acme, secret).api("GET", "/organizations").status_code == 200


def test_a_revoked_key_is_refused_at_once(acme: Tenant) -> None:
    made = make(acme).json
    new = as_key(acme, made["secret"])
    assert new.api("GET", "/organizations").status_code == 200
    revoked = acme.api("POST", f"/secret-keys/{made['id']}/revoke").json
    assert revoked["revoked_at"] is not None
    refused = new.api("GET", "/organizations")
    assert refused.status_code == 401
    assert "was revoked" in refused.json["errors"][0]["long_message"]
    assert acme.api("POST", f"/secret-keys/{made['id']}/revoke").json == revoked


def test_a_key_ends_by_itself(app: Flask, acme: Tenant) -> None:
    made = make(acme, expires_at=now_ms() + 60_000).json
    new = as_key(acme, made["secret"])
    assert new.api("GET", "/organizations").status_code == 200
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(SecretKey).where(SecretKey.id == made["id"]).values(expires_at=now_ms() - 1))
    refused = new.api("GET", "/organizations")
    assert refused.status_code == 401
    assert "has expired" in refused.json["errors"][0]["long_message"]


def test_no_key_makes_a_stronger_one(acme: Tenant, globex: Tenant) -> None:
    soon = now_ms() + 3_600_000
    own = as_key(acme, make(acme, organization_id=acme.organization_id).json["secret"])
    assert make(own).json["organization_id"] == acme.organization_id
    assert make(own, scope="read").status_code == 201
    assert make(own, organization_id=globex.organization_id).status_code == 404
    short = as_key(acme, make(acme, expires_at=soon).json["secret"])
    for stronger in ({}, {"expires_at": soon + 1}):
        refused = make(short, **stronger)
        assert (refused.status_code, refused.json["errors"][0]["code"]) == (403, "secret_key_scope")
    assert make(short, expires_at=soon).status_code == 201
    reader = as_key(acme, make(acme, scope="read").json["secret"])
    assert make(reader, scope="read").status_code == 403


def test_a_key_of_one_organization_sees_and_ends_only_its_own(acme: Tenant, globex: Tenant) -> None:
    of_all = make(acme).json["id"]
    of_globex = make(acme, organization_id=globex.organization_id).json["id"]
    made = make(acme, organization_id=acme.organization_id).json
    own = as_key(acme, made["secret"])
    assert [key["id"] for key in own.api("GET", "/secret-keys").json["data"]] == [made["id"]]
    for foreign in (of_all, of_globex):
        assert own.api("GET", f"/secret-keys/{foreign}").status_code == 404
        assert own.api("POST", f"/secret-keys/{foreign}/revoke").status_code == 404
        assert acme.api("GET", f"/secret-keys/{foreign}").json["revoked_at"] is None
    assert own.api("POST", f"/secret-keys/{made['id']}/revoke").status_code == 200


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"name": " ", "expires_at": 5}, ["/name", "/expires_at"]),
        ({"name": 5, "scope": "admin", "sope": 1}, ["/name", "/scope", "/sope"]),
        ({}, ["/name"]),
    ],
)
def test_every_problem_of_a_new_key_is_named_with_its_pointer(acme: Tenant, body: Any, places: list[str]) -> None:
    refused = acme.api("POST", "/secret-keys", body)
    assert refused.status_code == 422
    assert [error["meta"]["pointer"] for error in refused.json["errors"]] == places


def test_a_key_for_an_organization_that_is_not_there_is_refused(acme: Tenant) -> None:
    assert make(acme, organization_id="org_unknown").status_code == 404


def test_the_last_use_is_true_to_the_minute_and_costs_a_write_a_minute(app: Flask, acme: Tenant) -> None:
    made = make(acme).json
    assert made["last_used_at"] is None
    new = as_key(acme, made["secret"])

    def last_used() -> int:
        return int(acme.api("GET", f"/secret-keys/{made['id']}").json["last_used_at"])

    before = now_ms()
    new.api("GET", "/organizations")
    first = last_used()
    assert before <= first <= now_ms()
    new.api("GET", "/organizations")
    assert last_used() == first
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(SecretKey).where(SecretKey.id == made["id"]).values(last_used_at=first - 60_000))
    new.api("GET", "/organizations")
    assert last_used() >= first


# -- How often ------------------------------------------------------------------------


@pytest.fixture
def limited(environ: dict[str, str]) -> None:
    environ["API_RATE_LIMIT"] = "5 per minute"
    environ["FAILED_AUTH_RATE_LIMIT"] = "3 per minute"


@pytest.mark.usefixtures("limited")
def test_a_key_that_calls_too_often_is_told_when_to_try_again(acme: Tenant, globex: Tenant) -> None:
    answers = [acme.api("GET", "/organizations") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    refused = answers[-1]
    assert refused.json["errors"][0]["code"] == "rate_limited"
    assert refused.headers["Retry-After"].isdigit() and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert globex.api("GET", "/organizations").status_code == 200


@pytest.mark.usefixtures("limited")
def test_failed_authentications_are_limited_by_address_and_do_not_shut_valid_keys_out(acme: Tenant) -> None:
    wrong = as_key(acme, "sk_wrong")
    assert [wrong.api("GET", "/organizations").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    assert acme.api("GET", "/organizations").status_code == 200


# -- Commands --------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked_by_command(app: Flask, acme: Tenant, runner: FlaskCliRunner) -> None:
    arguments = ["--name", "Reports", "--organization", acme.organization_id, "--scope", "read", "--days", "30"]
    made = runner.invoke(args=["secret-key", "create", *arguments])
    assert (made.exit_code, made.stderr) == (0, "")
    reader = as_key(acme, made.stdout.strip())
    assert reader.api("GET", f"/organizations/{acme.organization_id}").status_code == 200
    assert reader.api("POST", "/organizations", {"name": "x"}).status_code == 403
    listed = runner.invoke(args=["secret-key", "list"]).stdout.splitlines()
    [line] = [line for line in listed if "Reports" in line]
    key_id = line.split()[0]
    assert made.stdout.strip()[:13] in line and "read" in line and made.stdout.strip() not in line
    assert runner.invoke(args=["secret-key", "revoke", key_id]).exit_code == 0
    assert reader.api("GET", "/organizations").status_code == 401
    log = acme.api("GET", f"/audit-log?organization_id={acme.organization_id}").json["data"]
    by_command = [(act["action"], act["actor"]["label"]) for act in log if act["target_id"] == key_id]
    assert by_command == [("secret_key.revoked", "secret-key revoke"), ("secret_key.created", "secret-key create")]
    assert made.stdout.strip() not in json.dumps(log)


@pytest.mark.parametrize(
    "arguments", [["create", "--name", " "], ["create", "--name", "x", "--organization", "org_x"], ["revoke", "sk_x"]]
)
def test_a_command_that_cannot_be_done_says_so_in_one_line(
    acme: Tenant, runner: FlaskCliRunner, arguments: list[str]
) -> None:
    result = runner.invoke(args=["secret-key", *arguments])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1


def test_a_read_is_answered_though_somebody_else_keeps_writing(
    app: Flask, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--database") == "postgresql":
        pytest.skip("there the key's use waits for nobody")
    monkeypatch.setattr("database.BUSY_MILLISECONDS", 50)
    with app.app_context():
        db.engine.dispose()
    writer = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert acme.api("GET", "/roles").status_code == 200
    finally:
        writer.close()
    assert acme.api("GET", "/secret-keys").json["data"][0]["last_used_at"] is not None
