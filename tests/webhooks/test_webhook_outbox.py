"""The outbox: an event exists if and only if its change does, and its number has no gap, whoever writes at once."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from app import create_app
from config import Settings
from database import db
from models import Event, WebhookDelivery, WebhookEndpoint
from organizations.organizations import bootstrap
from tests.conftest import Tenant
from tests.webhooks.conftest import Post
from tests.webhooks.receiving import Receiver, make_events
from webhooks.events import record_event
from webhooks.history import list_all_events

WRITERS = 6
EVENTS_EACH = 10


class Refused(Exception):
    """What makes a transaction fail after its event was recorded."""


def count(app: Flask, model: type) -> int:
    with app.app_context(), db.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_an_event_of_a_change_that_is_not_committed_does_not_exist(
    app: Flask, acme: Tenant, receiver: Receiver, add_endpoint: Callable[..., Any]
) -> None:
    add_endpoint(acme, receiver)
    before = count(app, Event), count(app, WebhookDelivery)
    with app.app_context(), pytest.raises(Refused), db.unit_of_work() as session:
        record_event(session, "scimToken.issued", acme.organization_id, {})
        raise Refused
    assert (count(app, Event), count(app, WebhookDelivery)) == before
    make_events(acme)
    assert (count(app, Event), count(app, WebhookDelivery)) == (before[0] + 1, before[1] + 1)


def test_a_scim_request_sends_nothing_itself_and_its_delivery_waits_for_a_worker(
    app: Flask, acme: Tenant, receiver: Receiver, post: Post, add_endpoint: Callable[..., Any]
) -> None:
    endpoint = add_endpoint(acme, receiver, enabled_event_types=["scimUser.provisioned"])
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@acme.example"}
    assert acme.scim("POST", "/Users", user).status_code == 201
    assert receiver.connections == 0
    [delivery] = acme.api("GET", "/webhook-deliveries?state=pending").json["data"]
    assert delivery["attempts"] == []
    assert post.deliver(endpoint["id"]) == 1
    assert receiver.ids() == [delivery["event_id"]]


def test_a_number_that_was_not_committed_is_given_to_the_next_event(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        first = record_event(session, "scimToken.issued", acme.organization_id, {}).sequence
    with app.app_context(), pytest.raises(Refused), db.unit_of_work() as session:
        record_event(session, "scimToken.issued", acme.organization_id, {})
        raise Refused
    with app.app_context(), db.unit_of_work() as session:
        assert record_event(session, "scimToken.issued", acme.organization_id, {}).sequence == first + 1


def test_after_a_restore_the_numbers_are_higher_than_any_receiver_has_seen(app: Flask, acme: Tenant) -> None:
    def numbers() -> list[int]:
        with app.app_context(), db.unit_of_work() as session:
            return [
                record_event(session, "scimToken.issued", stream, {}).sequence
                for stream in (acme.organization_id, None)
            ]

    before = numbers()
    result = app.test_cli_runner().invoke(args=["after-restore"])
    assert result.output.startswith("The numbers of 2 streams of events jumped ahead by 1,000,000.")
    assert numbers() == [number + 1_000_001 for number in before]
    [act] = acme.api("GET", "/audit-log?action=events.numbers_skipped").json["data"]
    assert (act["actor"], act["organization_id"]) == ({"kind": "command", "id": None, "label": "after-restore"}, None)
    assert act["details"] == {"streams": 2, "numbers": 1_000_000}


def test_the_stored_body_is_the_envelope(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        event = record_event(session, "scimUser.updated", acme.organization_id, {"name": "Łucja"})
    envelope = json.loads(event.body)
    assert envelope == {
        "object": "event",
        "id": event.id,
        "type": "scimUser.updated",
        "occurred_at": event.occurred_at,
        "sequence": event.sequence,
        "organization_id": acme.organization_id,
        "data": {"name": "Łucja"},
    }


# -- Many writers at once, on both databases ---------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def shared_app(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Flask]:
    """An application for many threads, with one organization whose id is in ``app.config``."""
    settings = Settings.from_environment(
        {
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": request.getfixturevalue(f"fresh_{request.param}_url"),
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a secret key for tests only, of 32 and more characters",
        }
    )
    app = create_app(settings)
    with app.app_context():
        with db.unit_of_work() as session:
            app.config["ORGANIZATION_ID"] = bootstrap(session, "Acme").organization_id
        yield app
        db.session.remove()
        db.engine.dispose()


def at_once(app: Flask, *works: Callable[[], None]) -> None:
    """Do all works at the same time, each in a thread with an application context; raise what one of them raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            with app.app_context():
                start.wait(10)
                work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def write_events(organization_id: str | None, number: int = EVENTS_EACH) -> None:
    for _ in range(number):
        with db.unit_of_work() as session:
            record_event(session, "scimToken.issued", organization_id, {})


def test_writers_who_meet_a_stream_for_the_first_time_at_once_all_get_a_number(shared_app: Flask) -> None:
    # The environment's own stream has no event yet.
    at_once(shared_app, *[lambda: write_events(None)] * WRITERS)
    with db.reading() as session:
        numbers = session.scalars(
            select(Event.sequence).where(Event.organization_id.is_(None)).order_by(Event.sequence)
        )
        assert list(numbers) == list(range(1, WRITERS * EVENTS_EACH + 1))


def test_the_time_of_an_event_grows_with_its_number(shared_app: Flask) -> None:
    at_once(shared_app, *[lambda: write_events(shared_app.config["ORGANIZATION_ID"])] * WRITERS)
    with db.reading() as session:
        query = select(Event.occurred_at).where(Event.stream == shared_app.config["ORGANIZATION_ID"])
        times = list(session.scalars(query.order_by(Event.sequence)))
    assert times == sorted(times)


def test_a_poller_never_skips_an_event_while_others_write(shared_app: Flask) -> None:
    seen: list[str] = []
    written = threading.Event()

    def write() -> None:
        write_events(shared_app.config["ORGANIZATION_ID"])
        write_events(None)

    def poll() -> None:
        done = False
        while True:
            with db.unit_of_work() as session:
                after = seen[-1] if seen else None
                found = [event.id for event in list_all_events(session, limit=7, after=after)]
            seen.extend(found)
            if done and not found:
                return
            done = written.is_set()

    def supervise() -> None:
        at_once(shared_app, *[write] * WRITERS)
        written.set()

    at_once(shared_app, supervise, poll)
    with db.reading() as session:
        everything = set(session.scalars(select(Event.id)))
    assert len(seen) == len(set(seen))
    assert set(seen) == everything


def test_events_of_one_millisecond_are_polled_in_the_order_of_their_numbers(app: Flask, acme: Tenant) -> None:
    """Two processes make the ids of two events that follow each other at once: only the numbers tell the order."""
    ids = ["evt_01M85KCF0FXNW4RVNCNYESRKN9", "evt_01M85KCF0FXNW4RVNCNYESRKN5", "evt_01M85KCF0FXNW4RVNCNYESRKN1"]
    with app.app_context(), db.unit_of_work() as session:
        stream = {"stream": acme.organization_id, "organization_id": acme.organization_id}
        common = {**stream, "type": "scimToken.issued", "occurred_at": 1795484430000, "body": "{}"}
        session.add_all(Event(id=event_id, sequence=100 + n, **common) for n, event_id in enumerate(ids))
    with app.app_context(), db.unit_of_work() as session:
        listed = [event.id for event in list_all_events(session, limit=200)]
    assert [event_id for event_id in listed if event_id in ids] == ids


def test_an_endpoint_deleted_while_events_are_written_fails_no_change(shared_app: Flask) -> None:
    organization_id = shared_app.config["ORGANIZATION_ID"]

    def come_and_go() -> None:
        for number in range(20):
            with db.unit_of_work() as session:
                session.add(
                    WebhookEndpoint(
                        id=f"whe_{number}",
                        organization_id=organization_id,
                        url="https://example.com/",
                        enabled_event_types=["*"],
                        encrypted_secret="sealed",
                    )
                )
            with db.unit_of_work() as session:
                session.delete(session.get_one(WebhookEndpoint, f"whe_{number}"))

    at_once(shared_app, come_and_go, *[lambda: write_events(organization_id, 30)] * 3)
