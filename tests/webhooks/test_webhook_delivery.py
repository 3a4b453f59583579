"""Deliveries: signed, in order, again under the same id, and what the receiver's answers mean."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from clock import now_ms
from database import db
from models import WebhookDelivery, WebhookEndpoint
from tests.conftest import Tenant
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import Receiver, drop, make_events, status
from webhooks import delivery as delivery_module
from webhooks.delivery import FAILING_MS, LONGEST_ROUND
from webhooks.events import record_events
from webhooks.outbox import CLAIM_MS
from webhooks.schedule import HOUR, MINUTE, RETRY_DELAYS

AddEndpoint = Callable[..., dict[str, Any]]
DeliveriesOf = Callable[..., list[dict[str, Any]]]


def read_endpoint(tenant: Tenant, endpoint: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tenant.api("GET", f"/webhook-endpoints/{endpoint['id']}").json
    return found


def all_events(tenant: Tenant) -> list[dict[str, Any]]:
    answer = tenant.api("GET", f"/events?organization_id={tenant.organization_id}&limit=200")
    events: list[dict[str, Any]] = answer.json["data"]
    return events


# -- What arrives -----------------------------------------------------------------


def test_an_event_arrives_signed_and_both_libraries_verify_it(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    [token_id] = make_events(acme)
    assert post.deliver(endpoint["id"]) == 1
    [request] = receiver.received
    for verifier in (StandardWebhook, SvixWebhook):
        verifier(endpoint["signing_secret"]).verify(request.body, request.headers)
    event = json.loads(request.body)
    assert event["id"] == request.id
    assert event["type"] == "scimToken.issued"
    assert event["organization_id"] == acme.organization_id
    assert event["data"]["scim_token"]["id"] == token_id
    assert set(event) == {"object", "id", "type", "occurred_at", "sequence", "organization_id", "data"}
    assert request.headers["content-type"] == "application/json"


def test_no_event_holds_a_secret(acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint) -> None:
    endpoint = add_endpoint(acme, receiver)
    issued = acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"}).json
    post.deliver(endpoint["id"])
    assert issued["token"].encode() not in receiver.received[0].body


def test_many_events_arrive_in_order_over_one_connection(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 60)
    assert post.deliver(endpoint["id"]) == 60
    sequences = [json.loads(request.body)["sequence"] for request in receiver.received]
    assert sequences == list(range(sequences[0], sequences[0] + 60))
    assert receiver.connections == 1


def test_an_endpoint_gets_only_the_types_that_it_subscribed_to(
    acme: Tenant, receiver: Receiver, start_receiver: Callable[[], Receiver], post: Post, add_endpoint: AddEndpoint
) -> None:
    exact, family = start_receiver(), start_receiver()
    endpoints = [
        add_endpoint(acme, receiver, enabled_event_types=["scimUser.*"]),
        add_endpoint(acme, exact, enabled_event_types=["scimToken.revoked"]),
        add_endpoint(acme, family, enabled_event_types=["scimToken.*"]),
    ]
    [token_id] = make_events(acme)
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens/{token_id}/revoke")
    for endpoint in endpoints:
        post.deliver(endpoint["id"])
    assert receiver.received == []
    assert [json.loads(request.body)["type"] for request in exact.received] == ["scimToken.revoked"]
    assert [json.loads(request.body)["type"] for request in family.received] == [
        "scimToken.issued",
        "scimToken.revoked",
    ]


def test_two_organizations_never_get_each_others_events(
    acme: Tenant, globex: Tenant, start_receiver: Callable[[], Receiver], post: Post, add_endpoint: AddEndpoint
) -> None:
    for_acme, for_globex, for_all = start_receiver(), start_receiver(), start_receiver()
    endpoints = [
        add_endpoint(acme, for_acme),
        add_endpoint(globex, for_globex),
        add_endpoint(acme, for_all, organization_id=None),
    ]
    make_events(acme, 2)
    make_events(globex, 3)
    for endpoint in endpoints:
        post.deliver(endpoint["id"])
    organizations = [
        {json.loads(request.body)["organization_id"] for request in receiver.received}
        for receiver in (for_acme, for_globex, for_all)
    ]
    assert organizations == [
        {acme.organization_id},
        {globex.organization_id},
        {acme.organization_id, globex.organization_id},
    ]
    assert [len(receiver.received) for receiver in (for_acme, for_globex, for_all)] == [2, 3, 5]


def test_while_the_secret_is_rotated_both_verify_and_after_a_day_only_the_new_one(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    rotated = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/rotate-secret").json["signing_secret"]
    make_events(acme)
    post.deliver(endpoint["id"])
    signatures = receiver.received[0].headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    for secret in (endpoint["signing_secret"], rotated):
        StandardWebhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)
    make_events(acme)
    post.later(24 * HOUR + 1000).deliver(endpoint["id"])
    assert len(receiver.received[1].headers["webhook-signature"].split(" ")) == 1


def test_a_secret_rotated_twice_within_a_day_signs_as_long_as_was_promised(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    """Who asks again because the first answer was lost must not end the secret that the receiver has."""
    endpoint = add_endpoint(acme, receiver)
    path = f"/webhook-endpoints/{endpoint['id']}/rotate-secret"
    secrets = [endpoint["signing_secret"], *(acme.api("POST", path).json["signing_secret"] for _ in range(3))]
    make_events(acme)
    post.deliver(endpoint["id"])
    for secret in secrets:
        StandardWebhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)
    make_events(acme)
    post.later(24 * HOUR + 1000).deliver(endpoint["id"])
    assert len(receiver.received[1].headers["webhook-signature"].split(" ")) == 1


def test_of_two_rotations_at_once_both_secrets_sign(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    path = f"/v1/webhook-endpoints/{endpoint['id']}/rotate-secret"
    headers = {"Authorization": f"Bearer {acme.secret_key}"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: app.test_client().post(path, headers=headers), range(4)))
    make_events(acme)
    post.deliver(endpoint["id"])
    for answer in answers:
        StandardWebhook(answer.json["signing_secret"]).verify(receiver.received[0].body, receiver.received[0].headers)


# -- Failures and retries -------------------------------------------------------------


def test_a_failed_delivery_is_sent_again_with_the_same_id_and_body_on_the_schedule(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500, body=b"no")] * 8
    make_events(acme)
    assert post.deliver(endpoint["id"]) == 1
    for delay in RETRY_DELAYS:
        assert post.later(delay - 1000).deliver(endpoint["id"]) == 0
        assert post.later(1000).deliver(endpoint["id"]) == 1
    assert len(set(receiver.ids())) == 1
    assert len({request.body for request in receiver.received}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.received}) == 8
    assert len({request.headers["webhook-signature"] for request in receiver.received}) == 8
    [delivery] = deliveries_of(acme, endpoint)
    assert (delivery["state"], delivery["next_attempt_at"]) == ("failed", None)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 8
    assert {attempt["response_body"] for attempt in delivery["attempts"]} == {"no"}
    assert post.later(100 * HOUR).deliver(endpoint["id"]) == 0


@pytest.mark.parametrize("code", [301, 302, 307, 400, 404, 429, 500, 503])
def test_anything_but_2xx_is_a_failure_and_a_redirect_is_not_followed(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf, code: int
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(code, {"Location": receiver.url})]
    make_events(acme)
    assert post.deliver(endpoint["id"]) == 1
    [delivery] = deliveries_of(acme, endpoint)
    assert delivery["state"] == "pending"
    assert len(receiver.received) == 1
    assert [attempt["status"] for attempt in delivery["attempts"]] == [code]
    assert delivery["next_attempt_at"] >= post.now + MINUTE


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf, code: int
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(code)]
    make_events(acme)
    post.deliver(endpoint["id"])
    [delivery] = deliveries_of(acme, endpoint)
    assert (delivery["state"], delivery["next_attempt_at"]) == ("succeeded", None)
    assert post.later(100 * HOUR).deliver(endpoint["id"]) == 0


@pytest.mark.parametrize("behaviour", ["hang", "drip", "drip_headers", "drop"])
def test_a_receiver_that_does_not_answer_in_time_fails_and_gets_the_event_later(
    acme: Tenant,
    receiver: Receiver,
    post: Post,
    add_endpoint: AddEndpoint,
    deliveries_of: DeliveriesOf,
    behaviour: str,
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [drop if behaviour == "drop" else getattr(receiver, behaviour)]
    make_events(acme)
    post.deliver(endpoint["id"])
    [delivery] = deliveries_of(acme, endpoint)
    assert delivery["state"] == "pending"
    assert delivery["attempts"][0]["error"]
    post.later(2 * MINUTE).deliver(endpoint["id"])
    assert deliveries_of(acme, endpoint)[0]["state"] == "succeeded"
    assert len(set(receiver.ids())) == 1


def test_retry_after_is_heeded_by_everything_that_is_due(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(429, {"Retry-After": "600"})]
    make_events(acme, 3)
    assert post.deliver(endpoint["id"]) == 1
    assert post.later(599_000).deliver(endpoint["id"]) == 0
    assert post.later(2000).deliver(endpoint["id"]) == 3
    sequences = [json.loads(request.body)["sequence"] for request in receiver.received]
    assert sequences[1:] == sorted(sequences[1:])


def test_one_refused_event_does_not_hold_up_the_others(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(400)]
    make_events(acme, 3)
    assert post.deliver(endpoint["id"]) == 3
    assert [delivery["state"] for delivery in deliveries_of(acme, endpoint)] == ["pending", "succeeded", "succeeded"]


def test_a_receiver_that_is_down_is_left_in_peace_and_then_gets_all_in_order(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [drop, drop]
    make_events(acme, 5)
    assert post.deliver(endpoint["id"]) == 2
    assert post.deliver(endpoint["id"]) == 0
    assert post.later(MINUTE + 1000).deliver(endpoint["id"]) == 5
    sequences = [json.loads(request.body)["sequence"] for request in receiver.received][2:]
    assert sequences == sorted(sequences)
    assert {delivery["state"] for delivery in deliveries_of(acme, endpoint)} == {"succeeded"}


def test_the_answer_is_kept_to_4_kib_and_without_what_a_database_cannot_store(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500, body=b"\x00\xff<script>" + b"a" * 9000)]
    make_events(acme)
    post.deliver(endpoint["id"])
    kept = deliveries_of(acme, endpoint)[0]["attempts"][0]["response_body"]
    assert kept.startswith("\ufffd\ufffd<script>aaa")
    assert len(kept) == 4096


# -- Endpoints that end ------------------------------------------------------------


def test_410_disables_the_endpoint_says_so_to_the_others_and_keeps_what_is_pending(
    acme: Tenant,
    receiver: Receiver,
    start_receiver: Callable[[], Receiver],
    post: Post,
    add_endpoint: AddEndpoint,
    deliveries_of: DeliveriesOf,
) -> None:
    other = start_receiver()
    endpoint = add_endpoint(acme, receiver)
    watching = add_endpoint(acme, other, enabled_event_types=["webhookEndpoint.disabled"])
    receiver.answers = [status(410)]
    make_events(acme, 3)
    assert post.deliver(endpoint["id"]) == 1
    found = read_endpoint(acme, endpoint)
    assert found["enabled"] is False
    assert found["disabled_at"] is not None
    assert {delivery["state"] for delivery in deliveries_of(acme, endpoint)} == {"pending"}
    assert post.later(HOUR).deliver(endpoint["id"]) == 0
    post.deliver(watching["id"])
    event = json.loads(other.received[0].body)
    assert event["data"]["webhook_endpoint"]["id"] == endpoint["id"]
    assert event["data"]["reason"] == "gone"
    assert "signing_secret" not in event["data"]["webhook_endpoint"]


def test_an_endpoint_that_is_enabled_again_gets_what_has_waited(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 2)
    acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
    assert post.deliver(endpoint["id"]) == 0
    enabled = acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": True}).json
    assert (enabled["enabled"], enabled["disabled_at"]) == (True, None)
    assert post.deliver(endpoint["id"]) == 2


def test_five_days_of_nothing_but_failures_disable_the_endpoint(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500)] * 100
    make_events(acme)
    post.deliver(endpoint["id"])
    began = post.now
    while post.now < began + FAILING_MS - 2 * HOUR:
        post.later(HOUR).deliver(endpoint["id"])
    make_events(acme)
    assert read_endpoint(acme, endpoint)["enabled"] is True
    post.now = began + FAILING_MS + 1
    post.deliver(endpoint["id"])
    assert read_endpoint(acme, endpoint)["enabled"] is False
    last = all_events(acme)[-1]
    assert (last["type"], last["data"]["reason"]) == ("webhookEndpoint.disabled", "failing")


def test_one_success_begins_the_five_days_anew(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500), status(204), status(500)]
    make_events(acme)
    post.deliver(endpoint["id"])
    post.later(FAILING_MS - HOUR).deliver(endpoint["id"])
    make_events(acme)
    post.later(2 * HOUR).deliver(endpoint["id"])
    assert len(receiver.received) == 3
    assert read_endpoint(acme, endpoint)["enabled"] is True


# -- One at a time, and crashes -------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


def test_a_process_killed_between_sending_and_recording_sends_again_under_the_same_id(
    app: Flask,
    acme: Tenant,
    receiver: Receiver,
    post: Post,
    add_endpoint: AddEndpoint,
    deliveries_of: DeliveriesOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 3)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("webhooks.delivery._Drain.settle", die)
        with pytest.raises(Killed):
            post.deliver(endpoint["id"])
    sent = receiver.ids()
    assert len(sent) == 3
    # The claim of the dead process keeps others away for a while, and then runs out.
    assert post.deliver(endpoint["id"]) == 0
    assert post.later(CLAIM_MS).deliver(endpoint["id"]) == 3
    assert receiver.ids() == sent * 2
    assert {delivery["state"] for delivery in deliveries_of(acme, endpoint)} == {"succeeded"}


def test_a_process_killed_at_full_speed_repeats_at_most_one_round(
    app: Flask,
    acme: Tenant,
    receiver: Receiver,
    post: Post,
    add_endpoint: AddEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = add_endpoint(acme, receiver)
    with app.app_context(), db.unit_of_work() as session:
        recorded = record_events(session, acme.organization_id, [("scimUser.updated", {})] * 700)
    rounds: list[int] = []

    def die_in_the_fifth_round(drain: Any, session: Any, outcomes: Any) -> Any:
        rounds.append(len(outcomes))
        if len(rounds) == 5:
            raise Killed
        return settle(drain, session, outcomes)

    settle = delivery_module._Drain.settle
    with monkeypatch.context() as patched:
        # However slow the machine is, each round is as long as it may be.
        patched.setattr(delivery_module, "ROUND_SECONDS", 60.0)
        patched.setattr(delivery_module, "DRAIN_SECONDS", 60.0)
        patched.setattr(delivery_module._Drain, "settle", die_in_the_fifth_round)
        with pytest.raises(Killed):
            post.deliver(endpoint["id"])
    assert rounds == [16, 32, 64, 128, LONGEST_ROUND]
    post.limits = type(post.limits)(connect=15, total=15)
    while post.later(CLAIM_MS).deliver(endpoint["id"]):
        pass
    assert set(receiver.ids()) == {event.id for event in recorded}
    assert len(receiver.ids()) == 700 + LONGEST_ROUND


def test_two_drains_never_send_to_one_endpoint_at_once(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 3)
    seen: list[int] = []

    def meanwhile(handler: Any) -> None:
        seen.append(Post(post.app, now=post.now).deliver(endpoint["id"]))
        status(200)(handler)

    receiver.answers = [meanwhile]
    post.limits = type(post.limits)(connect=5, total=15)
    assert post.deliver(endpoint["id"]) == 3
    assert seen == [0]


def test_an_event_that_comes_while_a_drain_is_leaving_is_sent_by_it(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)

    class Commit:
        """Makes an event between the last attempt and the last look, and asks whether another drain could take it."""

        refused: int | None = None

        def drop(self, endpoint_id: str) -> None:
            if receiver.received and self.refused is None:
                make_events(acme)
                post.now = now_ms()
                self.refused = Post(post.app).deliver(endpoint_id)

        def hold(self, endpoint_id: str) -> None:
            pass

    commit = Commit()
    post.options["hints"] = commit
    assert post.deliver(endpoint["id"]) == 2
    assert commit.refused == 0


def test_a_drain_that_is_told_to_stop_leaves_the_rest_to_another_one(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 5)
    post.options["stopping"] = lambda: len(receiver.received) >= 2
    assert post.deliver(endpoint["id"]) == 2
    post.options.clear()
    assert post.deliver(endpoint["id"]) == 3
    assert len(set(receiver.ids())) == 5


def test_an_endpoint_deleted_while_it_is_sent_to_is_no_error(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme, 2)

    def delete(handler: Any) -> None:
        with app.app_context(), db.unit_of_work() as session:
            session.delete(session.get_one(WebhookEndpoint, endpoint["id"]))
        status(200)(handler)

    receiver.answers = [delete]
    post.limits = type(post.limits)(connect=5, total=15)
    post.deliver(endpoint["id"])
    with app.app_context(), db.reading() as session:
        assert session.query(WebhookDelivery).count() == 0


def test_a_secret_that_cannot_be_opened_is_told_in_the_attempt_and_nothing_is_sent(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    with app.app_context(), db.unit_of_work() as session:
        session.get_one(WebhookEndpoint, endpoint["id"]).encrypted_secret = "sealed with another key"
    post.deliver(endpoint["id"])
    assert receiver.received == []
    [delivery] = deliveries_of(acme, endpoint)
    assert delivery["state"] == "pending"
    assert "secret" in delivery["attempts"][0]["error"]


# -- Again by hand ----------------------------------------------------------------------


def test_a_delivery_is_replayed_under_its_id_and_keeps_its_attempts(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    post.deliver(endpoint["id"])
    [delivery] = deliveries_of(acme, endpoint)
    answer = acme.api("POST", f"/webhook-deliveries/{delivery['id']}/replay")
    assert (answer.status_code, answer.json["state"]) == (202, "pending")
    assert post.deliver(endpoint["id"]) == 1
    assert receiver.received[0].id == receiver.received[1].id
    assert receiver.received[0].body == receiver.received[1].body
    [delivery] = deliveries_of(acme, endpoint)
    assert (delivery["state"], len(delivery["attempts"])) == ("succeeded", 2)


def test_all_since_a_time_are_replayed_with_those_missed_while_disabled(
    acme: Tenant, globex: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver, enabled_event_types=["scimToken.*"])
    since = now_ms()
    make_events(acme)
    post.deliver(endpoint["id"])
    acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
    make_events(acme, 2)
    make_events(globex)
    refused = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/replay", {"since": since})
    assert refused.status_code == 409
    acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": True})
    answer = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/replay", {"since": since})
    assert (answer.status_code, answer.json["deliveries"]) == (202, 3)
    assert post.deliver(endpoint["id"]) == 3
    assert {json.loads(request.body)["organization_id"] for request in receiver.received} == {acme.organization_id}
    assert len(set(receiver.ids())) == 3
    none = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/replay", {"since": now_ms() + HOUR})
    assert none.json["deliveries"] == 0


def test_only_what_failed_or_was_missed_is_replayed_where_that_is_wished(
    acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    path = f"/webhook-endpoints/{endpoint['id']}"
    only_failed = {"since": now_ms(), "only_failed": True}
    make_events(acme)
    post.deliver(endpoint["id"])
    make_events(acme)
    receiver.answers = [status(500)] * (1 + len(RETRY_DELAYS))
    for delay in (0, *RETRY_DELAYS):
        post.later(delay).deliver(endpoint["id"])
    assert [delivery["state"] for delivery in deliveries_of(acme, endpoint)] == ["succeeded", "failed"]
    acme.api("PATCH", path, {"enabled": False})
    make_events(acme)
    acme.api("PATCH", path, {"enabled": True})
    # The missed ones are the token, and that the endpoint itself was disabled.
    assert acme.api("POST", f"{path}/replay", only_failed).json["deliveries"] == 3
    delivered, failed = receiver.ids()[0], receiver.ids()[-1]
    assert post.deliver(endpoint["id"]) == 3
    assert failed in receiver.ids()[-3:] and delivered not in receiver.ids()[-3:]
    assert acme.api("POST", f"{path}/replay", only_failed).json["deliveries"] == 0
    assert acme.api("POST", f"{path}/replay", {"since": 0, "only_failed": "yes"}).status_code == 422


def test_a_test_event_goes_to_its_endpoint_alone_and_only_once(
    acme: Tenant,
    receiver: Receiver,
    start_receiver: Callable[[], Receiver],
    post: Post,
    add_endpoint: AddEndpoint,
    deliveries_of: DeliveriesOf,
) -> None:
    other = start_receiver()
    endpoint = add_endpoint(acme, receiver, enabled_event_types=["scimUser.*"])
    another = add_endpoint(acme, other)
    before = len(all_events(acme))
    receiver.answers = [status(500)]
    answer = acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/test")
    assert (answer.status_code, answer.json["event_type"]) == (202, "webhookEndpoint.test")
    assert post.deliver(endpoint["id"]) == 1
    assert post.deliver(another["id"]) == 0
    StandardWebhook(endpoint["signing_secret"]).verify(receiver.received[0].body, receiver.received[0].headers)
    [delivery] = deliveries_of(acme, endpoint)
    assert (delivery["state"], len(delivery["attempts"])) == ("failed", 1)
    assert len(all_events(acme)) == before


def test_the_test_button_is_no_cannon(acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint) -> None:
    endpoint = add_endpoint(acme, receiver)
    codes = [acme.api("POST", f"/webhook-endpoints/{endpoint['id']}/test").status_code for _ in range(11)]
    assert codes == [202] * 10 + [429]
