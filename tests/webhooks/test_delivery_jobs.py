"""Jobs: what the queue is told, and what the sweep finds."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from prometheus_client import REGISTRY
from redis import Redis
from rq import Queue
from rq.exceptions import StopRequested
from rq.job import Job
from sqlalchemy import func, select, update

import jobs
from app import create_app
from clock import now_ms
from config import Settings
from database import db
from ids import first_id
from models import WebhookDelivery, WebhookEndpoint
from tests.conftest import Tenant
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import Receiver, make_events, status
from webhooks.events import record_events
from webhooks.schedule import HOUR

AddEndpoint = Callable[..., dict[str, Any]]
NO_REDIS = "redis://127.0.0.1:1/0"


def queued(app: Flask) -> list[str]:
    """The endpoints that jobs wait for, in the order of the queue."""
    queue: Queue = app.extensions["queue"]
    return [Job.fetch(job_id, connection=queue.connection).args[0] for job_id in queue.job_ids]


def work(app: Flask) -> None:
    """Run the jobs of the queue, as a worker does."""
    queue: Queue = app.extensions["queue"]
    while queue.job_ids:
        job = Job.fetch(queue.pop_job_id(), connection=queue.connection)
        with app.app_context():
            jobs.deliver_to(*job.args)


# -- Hints -------------------------------------------------------------------------


def test_a_commit_queues_one_job_for_each_endpoint_and_none_twice(
    app: Flask, acme: Tenant, globex: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    own, everybody = add_endpoint(acme, receiver)["id"], add_endpoint(acme, receiver, organization_id=None)["id"]
    make_events(acme, 3)
    make_events(globex)
    assert sorted(queued(app)) == sorted([own, everybody])
    work(app)
    assert len(receiver.received) == 3 + 4


def test_a_burst_queues_one_job_for_each_endpoint_however_many_events_there_are(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    endpoints = [add_endpoint(acme, receiver, enabled_event_types=["scimUser.*"])["id"] for _ in range(50)]
    with app.app_context():
        for _ in range(20):
            with db.unit_of_work() as session:
                record_events(session, acme.organization_id, [("scimUser.updated", {})] * 20)
    assert sorted(queued(app)) == sorted(endpoints)
    with app.app_context(), db.reading() as session:
        due = select(WebhookDelivery.endpoint_id, func.count()).group_by(WebhookDelivery.endpoint_id)
        assert {endpoint_id: number for endpoint_id, number in session.execute(due)} == dict.fromkeys(endpoints, 400)


def test_a_job_that_has_run_does_not_keep_the_next_event_from_being_announced(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    for number in range(1, 4):
        make_events(acme)
        assert queued(app) == [endpoint["id"]]
        work(app)
        assert len(receiver.received) == number


def test_while_an_endpoint_is_being_sent_to_a_commit_queues_nothing_and_is_sent_all_the_same(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    add_endpoint(acme, receiver)
    queued_meanwhile: list[list[str]] = []

    def commit_meanwhile(handler: Any) -> None:
        make_events(acme)
        queued_meanwhile.append(queued(app))
        status(200)(handler)

    receiver.answers = [commit_meanwhile]
    make_events(acme)
    work(app)
    assert queued_meanwhile == [[]]
    assert len(receiver.received) == 2


def test_a_commit_succeeds_without_redis_and_the_sweep_finds_its_event(
    app: Flask, environ: dict[str, str], acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    without = create_app(Settings.from_environment({**environ, "REDIS_URL": NO_REDIS}))
    cut_off = Tenant(without.test_client(), acme.organization_id, acme.admin_id, acme.secret_key, "", "")
    make_events(cut_off)
    assert queued(app) == []
    with app.app_context():
        assert jobs.sweep_once() == 1
    assert queued(app) == [endpoint["id"]]
    work(app)
    assert len(receiver.received) == 1
    with without.app_context():
        db.session.remove()
        db.engine.dispose()


def test_the_sweep_believes_no_mark_when_the_queue_is_empty(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    app.extensions["queue"].empty()  # as when a worker was killed with the job in its hands
    with app.app_context():
        assert jobs.sweep_once() == 1
        assert queued(app) == [endpoint["id"]]
        assert jobs.sweep_once() == 0
        assert queued(app) == [endpoint["id"]]


def test_what_was_recorded_and_claimed_by_a_clock_that_ran_ahead_does_not_wait_for_that_time(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    endpoint = add_endpoint(acme, receiver)
    make_events(acme)
    wrong = now_ms() + 6 * HOUR
    times = {"id": first_id("whd", wrong), "created_at": wrong, "next_attempt_at": wrong}
    with app.app_context():
        with db.unit_of_work() as session:
            session.execute(update(WebhookDelivery).values(times))
            session.get_one(WebhookEndpoint, endpoint["id"]).claimed_until = wrong
        app.extensions["queue"].empty()
        assert jobs.sweep_once() == 1
        assert jobs.sweep_once() == 0
    work(app)
    assert len(receiver.received) == 1


def test_what_waits_for_its_second_attempt_is_not_recalled(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint, post: Post
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500)]
    make_events(acme)
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(WebhookDelivery).values(id=first_id("whd", now_ms() + HOUR)))
    post.deliver(endpoint["id"])
    app.extensions["queue"].empty()
    with app.app_context():
        assert jobs.sweep_once() == 0


def test_the_sweep_leaves_alone_what_is_not_due_disabled_or_being_sent(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint, post: Post
) -> None:
    endpoint = add_endpoint(acme, receiver)
    receiver.answers = [status(500)]
    make_events(acme)
    app.extensions["queue"].empty()
    post.deliver(endpoint["id"])
    with app.app_context():
        assert jobs.sweep_once() == 0  # it waits for its second attempt
        make_events(acme)
        app.extensions["queue"].empty()
        with db.unit_of_work() as session:
            session.get_one(WebhookEndpoint, endpoint["id"]).claimed_until = post.now + 60_000
        assert jobs.sweep_once() == 0
        with db.unit_of_work() as session:
            session.get_one(WebhookEndpoint, endpoint["id"]).claimed_until = None
        assert jobs.sweep_once() == 1
        app.extensions["queue"].empty()
        acme.api("PATCH", f"/webhook-endpoints/{endpoint['id']}", {"enabled": False})
        assert jobs.sweep_once() == 0


def test_attempts_are_counted_by_what_came_of_them(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    def counted() -> list[float]:
        name = "authn_scim_webhook_attempts_total"
        found = [REGISTRY.get_sample_value(name, {"outcome": outcome}) for outcome in ("succeeded", "failed")]
        return [value for value in found if value is not None]

    add_endpoint(acme, receiver)
    receiver.answers = [status(200), status(500), status(200)]
    succeeded, failed = counted()
    make_events(acme, 3)
    work(app)
    assert counted() == [succeeded + 2, failed + 1]


def test_a_worker_that_is_told_to_end_while_redis_is_away_ends(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    drains = jobs.Drains(app)
    worker = jobs.DeliveryWorker(Queue("webhooks", connection=app.extensions["redis"]), drains)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        assert len(waits) < 3, "it waits for Redis and does not end"
        waits.append(seconds)
        drains.stopping.set()

    monkeypatch.setattr("rq.worker.base.time.sleep", wait)
    monkeypatch.setattr(worker, "set_state", lambda state: None)
    worker.connection = Redis(unix_socket_path="/nowhere/redis.sock")
    with pytest.raises(StopRequested):
        worker.dequeue_job_and_maintain_ttl(1)
    assert len(waits) == 1
