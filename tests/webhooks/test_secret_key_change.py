"""Another SECRET_KEY: what was encrypted with the one before is still read, and nothing is lost with a wrong one."""

import logging
from typing import Any

import pytest
from flask import Flask
from standardwebhooks import Webhook

from app import create_app
from config import Settings
from database import db
from models import WebhookEndpoint
from tests.conftest import SECRET_KEY, Tenant
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import Receiver, make_events
from webhooks.retention import DAY
from webhooks.secrets import SecretBox

NEW_KEY = "the secret key after the change, long enough"


@pytest.fixture
def restarted(app: Flask, environ: dict[str, str]) -> Any:
    """The same installation, started again with other settings."""

    def restart(**settings: str) -> Flask:
        return create_app(Settings.from_environment({**environ, **settings}))

    return restart


def rotate(app: Flask) -> Any:
    return app.test_cli_runner().invoke(args=["rotate-secrets"])


def stored(app: Flask, endpoint: dict[str, Any]) -> WebhookEndpoint:
    with app.app_context(), db.reading() as session:
        found = session.get_one(WebhookEndpoint, endpoint["id"])
        session.expunge(found)
        return found


def test_with_the_former_key_as_fallback_events_are_signed_as_before(
    acme: Tenant, receiver: Receiver, add_endpoint: Any, restarted: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    changed = restarted(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=f"one of years ago, which is long too\n{SECRET_KEY}")
    assert Post(changed).deliver(endpoint["id"]) == 1
    Webhook(endpoint["signing_secret"]).verify(receiver.received[0].body, receiver.received[0].headers)


def test_what_is_written_anew_needs_no_fallback(
    acme: Tenant, receiver: Receiver, add_endpoint: Any, restarted: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    changed = restarted(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=SECRET_KEY)
    path = f"/v1/webhook-endpoints/{endpoint['id']}/rotate-secret"
    answer = changed.test_client().post(path, headers={"Authorization": f"Bearer {acme.secret_key}"})
    assert SecretBox(NEW_KEY).open(stored(changed, endpoint).encrypted_secret) == answer.json["signing_secret"]


def test_after_the_command_the_fallback_can_be_removed_also_in_the_middle_of_a_rotation(
    acme: Tenant, receiver: Receiver, add_endpoint: Any, restarted: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    rotated = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/rotate-secret").json
    add_endpoint(acme, receiver)
    changed = restarted(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=SECRET_KEY)
    first, second = rotate(changed), rotate(changed)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "2 webhook endpoints: the secrets of 2 were encrypted anew." in first.output
    assert "2 webhook endpoints: the secrets of 0 were encrypted anew." in second.output
    acts = acme.api("GET", "/audit-log?action=webhook_secrets.encrypted_anew").json["data"]
    assert [act["details"]["changed"] for act in acts] == [0, 2]
    make_events(acme)
    assert Post(restarted(SECRET_KEY=NEW_KEY)).deliver(endpoint["id"]) == 1
    for secret in (endpoint["signing_secret"], rotated["signing_secret"]):
        Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)


def test_the_command_goes_through_more_endpoints_than_one_transaction_holds(
    acme: Tenant, receiver: Receiver, add_endpoint: Any, restarted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.upkeep.RESEALED_AT_ONCE", 2)
    endpoints = [add_endpoint(acme, receiver) for _ in range(5)]
    changed = restarted(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=SECRET_KEY)
    assert "5 webhook endpoints: the secrets of 5 were encrypted anew." in rotate(changed).output
    assert all(SecretBox(NEW_KEY).is_current(stored(changed, endpoint).encrypted_secret) for endpoint in endpoints)


def test_a_wrong_key_sends_nothing_loses_nothing_and_says_what_to_do(
    acme: Tenant,
    receiver: Receiver,
    post: Post,
    add_endpoint: Any,
    deliveries_of: Any,
    restarted: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    wrong = restarted(SECRET_KEY=NEW_KEY)
    with caplog.at_level(logging.ERROR):
        Post(wrong).deliver(endpoint["id"])
    assert receiver.received == []
    [delivery] = deliveries_of(acme, endpoint)
    assert delivery["state"] == "pending"
    assert "SECRET_KEY_FALLBACKS" in delivery["attempts"][0]["error"]
    assert endpoint["id"] in caplog.text and "SECRET_KEY_FALLBACKS" in caplog.text

    told = rotate(wrong)
    assert told.exit_code == 1
    assert endpoint["id"] in told.output and "SECRET_KEY_FALLBACKS" in told.output

    assert post.later(61_000).deliver(endpoint["id"]) == 1, "with the right key it arrives"
    Webhook(endpoint["signing_secret"]).verify(receiver.received[0].body, receiver.received[0].headers)


def test_a_wrong_key_for_days_disables_no_endpoint(
    acme: Tenant, receiver: Receiver, add_endpoint: Any, deliveries_of: Any, restarted: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    wrong = Post(restarted(SECRET_KEY=NEW_KEY))
    for _ in range(2):
        make_events(acme)
        wrong.later(6 * DAY).deliver(endpoint["id"])
    assert [len(delivery["attempts"]) for delivery in deliveries_of(acme, endpoint)] == [2, 1]
    assert acme.api("GET", f"/webhook-endpoints/{endpoint['id']}").json["enabled"] is True


def test_when_only_the_secret_before_cannot_be_opened_the_present_one_signs(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    rotated = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/rotate-secret").json
    with app.app_context(), db.unit_of_work() as session:
        found = session.get_one(WebhookEndpoint, endpoint["id"])
        [former] = found.former_secrets
        found.former_secrets = [{**former, "sealed": SecretBox(NEW_KEY).seal(endpoint["signing_secret"])}]
    make_events(acme)
    post.deliver(endpoint["id"])
    Webhook(rotated["signing_secret"]).verify(receiver.received[0].body, receiver.received[0].headers)
