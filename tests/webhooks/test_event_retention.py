"""Events older than the setting are removed: never one that is still to be delivered, and never without a word."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

import jobs
from clock import now_ms
from database import db
from models import Event, WebhookAttempt, WebhookDelivery
from tests.conftest import Tenant
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import Receiver, status
from webhooks.events import record_event
from webhooks.retention import DAY, remove_expired

AddEndpoint = Callable[..., dict[str, Any]]


@pytest.fixture
def write(app: Flask, acme: Tenant) -> Callable[..., list[str]]:
    """Write events of Acme, and return their ids."""

    def write(number: int, organization_id: str | None = acme.organization_id) -> list[str]:
        with app.app_context(), db.unit_of_work() as session:
            events = [record_event(session, "scimToken.issued", organization_id, {}) for _ in range(number)]
        return [event.id for event in events]

    return write


def expire(app: Flask, **options: Any) -> int:
    with app.app_context():
        return remove_expired(db, now_ms(), 90, **options)


def count(app: Flask, model: type) -> int:
    with app.app_context(), db.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def listed(tenant: Tenant, query: str = "") -> Any:
    return tenant.api("GET", f"/events?limit=200{query}")


def sequences(answer: Any) -> list[int]:
    return [event["sequence"] for event in answer.json["data"]]


def test_old_events_go_with_their_deliveries_and_attempts_and_numbers_go_on(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, long_ago: Any, write: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    first = count(app, Event)
    with long_ago():
        write(5)
    write(2)
    assert post.deliver(endpoint["id"]) == 7
    assert expire(app) == 5
    assert (count(app, WebhookDelivery), count(app, WebhookAttempt)) == (2, 2)
    write(1)
    numbers = sequences(listed(acme, f"&organization_id={acme.organization_id}"))
    assert numbers == [*range(1, first + 1), first + 6, first + 7, first + 8]


def test_the_sweep_removes_what_the_setting_says(app: Flask, long_ago: Any, write: Any) -> None:
    with long_ago(100):
        write(3)
    with long_ago(80):
        write(4)
    before = count(app, Event)
    with app.app_context():
        assert jobs.remove_what_expired(lambda _: False) == 3
        assert jobs.remove_what_expired(lambda _: False) == 0
    assert count(app, Event) == before - 3


def test_an_event_with_a_pending_delivery_stays_until_that_is_settled(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, long_ago: Any, write: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500)]
    with long_ago():
        write(1)
    post.deliver(endpoint["id"])
    assert expire(app) == 0
    post.later(61_000).deliver(endpoint["id"])
    assert expire(app) == 1


def test_whoever_polls_from_a_time_that_is_gone_is_told_so_and_what_to_do(
    app: Flask, acme: Tenant, long_ago: Any, write: Any
) -> None:
    with long_ago():
        old = write(3)
    [new] = write(1)
    of_acme = f"&organization_id={acme.organization_id}"
    assert {listed(acme, f"{query}&after={old[0]}").status_code for query in (of_acme, "")} == {200}
    assert expire(app) == 3
    for query in (f"{of_acme}&after={old[0]}", f"&after={old[0]}"):
        answer = listed(acme, query)
        assert answer.status_code == 410
        [error] = answer.json["errors"]
        assert error["code"] == "events_expired"
        assert "without after" in error["long_message"]
        assert now_ms() - 91 * DAY < error["meta"]["kept_since"] <= now_ms() - 90 * DAY
    for query in (of_acme, ""):
        assert listed(acme, query).json["data"][-1]["id"] == new, "without after it begins with what is kept"
        assert listed(acme, f"{query}&after={new}").json["data"] == []
        assert listed(acme, f"{query}&after=evt_unknown").status_code == 422


def test_an_old_event_that_waits_is_not_a_place_to_go_on_from_since_its_neighbours_are_gone(
    app: Flask, acme: Tenant, globex: Tenant, receiver: Receiver, add_endpoint: AddEndpoint, long_ago: Any, write: Any
) -> None:
    with long_ago():
        write(1)
        endpoint = add_endpoint(acme, receiver)
        [waiting] = write(1)
        acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
        write(1)
    assert expire(app) == 3  # with that of the disabling
    for query in (f"&organization_id={acme.organization_id}", ""):
        assert waiting not in [event["id"] for event in listed(acme, query).json["data"]]
        assert listed(acme, f"{query}&after={waiting}").status_code == 410
    assert listed(globex, f"&organization_id={globex.organization_id}&after={waiting}").status_code == 410


def test_what_is_gone_cannot_be_replayed_and_the_answer_says_since_when_it_can(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, long_ago: Any, write: Any
) -> None:
    endpoint = add_endpoint(acme, receiver)
    replay = f"/webhook-endpoints/{endpoint['id']}/replay"
    with long_ago():
        write(2)
    post.deliver(endpoint["id"])
    old = acme.api("GET", "/webhook-deliveries").json["data"]
    assert expire(app, seconds=0) == 2
    for delivery in old:
        for answer in (
            acme.api("POST", f"/webhook-deliveries/{delivery['id']}/replay"),
            acme.api("GET", f"/webhook-deliveries/{delivery['id']}"),
        ):
            assert (answer.status_code, answer.json["errors"][0]["code"]) == (410, "webhook_delivery_expired")
    refused = acme.api("POST", replay, {"since": 0})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (410, "events_expired")
    write(1)
    since = refused.json["errors"][0]["meta"]["kept_since"]
    assert acme.api("POST", replay, {"since": since}).status_code == 202


def test_an_event_about_to_be_removed_is_not_replayed_any_more(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: AddEndpoint, long_ago: Any, write: Any
) -> None:
    behind, ahead = add_endpoint(acme, receiver), add_endpoint(acme, receiver)
    with long_ago():
        write(1)
        post.deliver(behind["id"])
        write(1)
    post.deliver(ahead["id"])
    assert expire(app) == 1, "the other one waits for the endpoint that is behind"
    [delivery] = acme.api("GET", f"/webhook-deliveries?endpoint_id={ahead['id']}").json["data"]
    answer = acme.api("POST", f"/webhook-deliveries/{delivery['id']}/replay")
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (410, "event_expired")
    assert post.deliver(behind["id"]) == 1


def test_removing_much_leaves_writers_their_turn(app: Flask, acme: Tenant, long_ago: Any, write: Any) -> None:
    with long_ago():
        for _ in range(4):
            write(500)
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        with ThreadPoolExecutor() as pool:  # somebody else, who would wait for a transaction that is still open
            pool.submit(write, 1).result(60)
        return False

    assert expire(app, seconds=600, pause=pause) == 2000
    assert len(pauses) > 3, "in several transactions"
    assert min(pauses) >= 0.1


def test_it_stops_when_it_is_told_to_and_goes_on_the_next_time(app: Flask, long_ago: Any, write: Any) -> None:
    with long_ago():
        write(300)
    assert expire(app, pause=lambda _: True) == 50
    assert expire(app, seconds=0) == 50
    assert expire(app, seconds=30) == 200
