"""``Idempotency-Key``: what is sent twice is done once, whatever happens in between."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app import create_app
from clock import now_ms
from config import Settings
from database import db
from models import AdministrativeAct, Event, IdempotentAnswer, Organization, ScimToken, WebhookEndpoint
from organizations.idempotency import KEPT_MS, remove_expired_answers
from tests.conftest import Tenant


def issue(tenant: Tenant, key: str | None, name: str = "Okta", **kwargs: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"/organizations/{tenant.organization_id}/scim/tokens"
    return tenant.api("POST", path, {"name": name}, headers=headers, **kwargs)


def count(app: Flask, model: Any) -> int:
    with app.app_context(), db.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_a_repetition_gets_the_same_answer_and_makes_nothing(app: Flask, acme: Tenant) -> None:
    first = issue(acme, "one")
    before = (count(app, ScimToken), count(app, Event), count(app, AdministrativeAct))
    again = issue(acme, "one")
    assert (again.status_code, again.json, again.mimetype) == (201, first.json, "application/json")
    assert first.json["token"].startswith("scim_")
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert again.headers["Cache-Control"] == "no-store"
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert (count(app, ScimToken), count(app, Event), count(app, AdministrativeAct)) == before


def test_two_keys_and_no_key_are_requests_of_their_own(acme: Tenant) -> None:
    answers = [issue(acme, key).json["id"] for key in ("one", "two", None, None)]
    assert len(set(answers)) == 4


@pytest.mark.parametrize("change", ["body", "path"])
def test_a_key_that_was_used_for_something_else_is_refused(
    app: Flask, acme: Tenant, globex: Tenant, change: str
) -> None:
    issue(acme, "one")
    before = count(app, ScimToken)
    other = globex if change == "path" else acme
    other.secret_key = acme.secret_key
    refused = issue(other, "one", name="Okta" if change == "path" else "Entra")
    assert refused.status_code == 422
    assert refused.json["errors"][0]["code"] == "idempotency_key_reused"
    assert count(app, ScimToken) == before


def test_each_secret_key_has_idempotency_keys_of_its_own(acme: Tenant, globex: Tenant) -> None:
    first = issue(acme, "one").json
    acme.secret_key = globex.secret_key  # of the whole environment, too
    other = issue(acme, "one")
    assert other.status_code == 201
    assert other.json["id"] != first["id"]


def test_what_was_refused_may_be_sent_again_under_its_key(acme: Tenant) -> None:
    assert issue(acme, "one", name=" ").status_code == 422
    assert issue(acme, "one").status_code == 201


@pytest.mark.parametrize("key", ["", "two words", "ä", "x" * 256])
def test_what_is_no_key_is_refused_by_name(acme: Tenant, key: str) -> None:
    refused = issue(acme, key.encode("utf-8").decode("latin-1"))
    assert refused.status_code == 422
    assert refused.json["errors"][0]["meta"] == {"param": "Idempotency-Key", "in": "header"}


def test_an_answer_with_a_secret_is_kept_sealed(app: Flask, acme: Tenant) -> None:
    token = issue(acme, "one").json["token"]
    with app.app_context(), db.reading() as session:
        [row] = session.execute(select(IdempotentAnswer.__table__)).all()
    assert not [value for value in row if token in str(value)]
    assert token in app.extensions["secret_box"].open(row.sealed_body)


def test_two_requests_at_once_make_one_object(app: Flask, acme: Tenant) -> None:
    before = count(app, Organization)
    for number in range(5):
        barrier = Barrier(4)
        headers = {"Authorization": f"Bearer {acme.secret_key}", "Idempotency-Key": f"key-{number}"}

        def send(_: int, barrier: Barrier = barrier, headers: dict[str, str] = headers, number: int = number) -> Any:
            barrier.wait(20)
            return app.test_client().post("/v1/organizations", json={"name": f"New {number}"}, headers=headers)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(send, range(4)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
        assert count(app, Organization) == before + number + 1


def test_a_network_check_before_the_transaction_is_not_made_again(app: Flask, acme: Tenant) -> None:
    """What was done stays done, also when the address would be refused by now."""
    body = {"url": "http://127.0.0.1:9/hooks"}
    first = acme.api("POST", "/webhook-endpoints", body, headers={"Idempotency-Key": "one"})
    assert first.status_code == 201
    policy = app.extensions["outbound_policy"]
    app.extensions["outbound_policy"] = type(policy)(False, ())
    assert acme.api("POST", "/webhook-endpoints", body).status_code == 422
    again = acme.api("POST", "/webhook-endpoints", body, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json) == (201, first.json)
    assert count(app, WebhookEndpoint) == 1


def test_a_key_is_kept_for_a_day_and_then_removed(app: Flask, acme: Tenant) -> None:
    old = issue(acme, "old").json
    with app.app_context():
        with db.unit_of_work() as session:
            session.execute(update(IdempotentAnswer).values(created_at=now_ms() - KEPT_MS - 1))
        issue(acme, "new")
        anew = issue(acme, "old")
        assert (anew.status_code, "Idempotent-Replayed" in anew.headers) == (201, False)
        assert anew.json["id"] != old["id"]
        with db.unit_of_work() as session:
            expired = update(IdempotentAnswer).where(IdempotentAnswer.key == "old")
            session.execute(expired.values(created_at=now_ms() - KEPT_MS - 1))
        assert remove_expired_answers(db, now_ms()) == 1
        assert remove_expired_answers(db, now_ms()) == 0
        with db.reading() as session:
            assert session.scalars(select(IdempotentAnswer.key)).all() == ["new"]


def test_after_a_change_of_the_secret_key_nothing_is_done_twice(
    app: Flask, acme: Tenant, environ: dict[str, str]
) -> None:
    issue(acme, "one")
    before = count(app, ScimToken)
    changed = create_app(
        Settings.from_environment({**environ, "SECRET_KEY": "another secret key of 32 and more letters"})
    )
    path = f"/v1/organizations/{acme.organization_id}/scim/tokens"
    headers = {"Authorization": f"Bearer {acme.secret_key}", "Idempotency-Key": "one"}
    refused = changed.test_client().post(path, json={"name": "Okta"}, headers=headers)
    assert refused.status_code == 409
    assert refused.json["errors"][0]["code"] == "idempotency_answer_unreadable"
    assert count(app, ScimToken) == before
