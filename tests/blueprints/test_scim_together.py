"""Writes of one organization that PostgreSQL commits together: each is answered as if it had come alone."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from app import create_app
from blueprints.scim import WireRequest, is_brief
from config import Settings
from database import UnitOfWork, db
from errors import Conflict
from ids import new_id
from models import Event, WebhookDelivery, WebhookEndpoint
from tests import okta
from tests.conftest import Tenant, looking_on, wait_until
from tests.events import events_of
from tests.units_of_work import WAIT, Unit, add_prepared
from transactions import lanes
from transactions.server_cursor import ServerCursor
from webhooks.events import record_event

HELD = text("SELECT id FROM users WHERE id = :id FOR UPDATE")
TOMBSTONE = text("SELECT user_id FROM directory_users WHERE user_id = :id FOR UPDATE")
NUMBERED = text("SELECT last FROM event_sequences WHERE stream = :stream FOR UPDATE")
WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.fixture
def database_url(fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(lanes, "TURN_SECONDS", WAIT)
    return fresh_postgres_url


def create(tenant: Tenant, name: str) -> str:
    return str(tenant.scim("POST", "/Users", okta.user(name)).json["id"])


def set_active(tenant: Tenant, user_id: str, *, active: bool) -> tuple[int, Any]:
    mine = replace(tenant, client=tenant.client.application.test_client())
    answer = mine.scim("PATCH", f"/Users/{user_id}", okta.set_active(active))
    return answer.status_code, answer.json


def wait_for_turn(organization_id: str, count: int) -> None:
    of_all = db._connections()._lanes._lanes  # type: ignore[attr-defined]
    wait_until(lambda: len(of_all[organization_id].turns._waiting) == count)


def test_one_commit_serves_all_who_came_while_the_first_was_at_work(app: Flask, acme: Tenant, globex: Tenant) -> None:
    ada, grace, other = create(acme, "ada.lovelace"), create(acme, "grace.hopper"), create(globex, "ada.lovelace")
    commits: list[object] = []
    with app.app_context(), ThreadPoolExecutor(3) as threads, looking_on(db.engine, commit=commits.append):
        first = Unit(app, "first", brief_for=acme.organization_id).begun()
        answers = []
        for count, (user_id, active) in enumerate([(ada, False), (grace, False), (ada, True)], 1):
            answers.append(threads.submit(set_active, acme, user_id, active=active))
            wait_for_turn(acme.organization_id, count)
        assert set_active(globex, other, active=False)[0] == 200, "nobody else waits"
        commits.clear()
        first.ended()
        results = [answer.result(WAIT) for answer in answers]
    assert [(status, body["active"]) for status, body in results] == [(200, False), (200, False), (200, True)]
    assert len(commits) == 1
    happened = events_of(app, acme.organization_id)[-3:]
    assert [event["data"]["user"]["id"] for event in happened] == [ada, grace, ada]
    before = happened[0]["sequence"]
    assert [event["sequence"] - before for event in happened] == [0, 1, 2], "without a gap"


def test_a_refused_one_among_them_is_refused_alone(app: Flask, acme: Tenant) -> None:
    ada = create(acme, "ada.lovelace")
    with app.app_context(), ThreadPoolExecutor(3) as threads:
        first = Unit(app, "first", brief_for=acme.organization_id).begun()
        answers = []
        for count, user_id in enumerate([ada, "user_nobody", ada], 1):
            answers.append(threads.submit(set_active, acme, user_id, active=count > 1))
            wait_for_turn(acme.organization_id, count)
        assert first.ended().error is None
        assert [answer.result(WAIT)[0] for answer in answers] == [200, 404, 200]
    assert acme.scim("GET", f"/Users/{ada}").json["active"] is True


def submit(
    threads: ThreadPoolExecutor, tenant: Tenant, requests: list[tuple[str, dict[str, Any]]]
) -> list["Future[TestResponse]"]:
    """Send a PATCH to each path, one after the other, each of which has to wait for its turn."""
    answers = []
    for count, (path, body) in enumerate(requests, 1):
        mine = replace(tenant, client=tenant.client.application.test_client())
        answers.append(threads.submit(mine.scim, "PATCH", path, body))
        wait_for_turn(tenant.organization_id, count)
    return answers


def test_what_those_will_ask_who_wait_is_asked_by_one_of_them(
    app: Flask, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, send, trips = [create(acme, f"person.n{number}") for number in range(4)], ServerCursor._send, list[str]()

    def send_and_tell(cursor: ServerCursor) -> None:
        trips.append(cursor._waiting[-1][0].split()[0])
        send(cursor)

    monkeypatch.setattr(ServerCursor, "_send", send_and_tell)
    with app.app_context(), ThreadPoolExecutor(4) as threads:
        for active in (False, True):  # the second time the server knows the statements
            first = Unit(app, str(active), brief_for=acme.organization_id, is_prepared=True).begun()
            answers = submit(threads, acme, [(f"/Users/{each}", okta.set_active(active)) for each in people])
            trips.clear()
            assert first.ended().error is None
            found = [answer.result(WAIT) for answer in answers]
            assert [(answer.status_code, answer.json["id"]) for answer in found] == [(200, each) for each in people]
            assert [answer.json["active"] for answer in found] == [active] * 4
    # All they ask first, the number of the next event, and the end.
    assert trips == ["SELECT", "SELECT", "COMMIT"]


def test_what_was_asked_ahead_is_asked_again_where_somebody_may_have_changed_it(app: Flask, acme: Tenant) -> None:
    ada, grace = create(acme, "ada.lovelace"), create(acme, "grace.hopper")
    group = acme.scim("POST", "/Groups", okta.group("Engineers")).json["id"]
    join = okta.patch({"op": "add", "path": "members", "value": [{"value": ada}]})
    named = okta.patch({"op": "replace", "value": {"displayName": "Augusta"}})
    with app.app_context(), ThreadPoolExecutor(5) as threads:
        first = Unit(app, "first", brief_for=acme.organization_id, is_prepared=True).begun()
        requests = [(f"/Users/{grace}", okta.set_active(False)), (f"/Groups/{group}", join)]
        requests += [(f"/Users/{ada}", okta.set_active(False)), (f"/Users/{ada}", named), (f"/Users/{grace}", named)]
        answers = submit(threads, acme, requests)
        assert first.ended().error is None
        _, _, deactivated, augusta, augusta_too = [answer.result(WAIT).json for answer in answers]
    assert [each["value"] for each in deactivated["groups"]] == [group]
    assert (augusta["active"], augusta["displayName"], augusta["groups"]) == (False, "Augusta", deactivated["groups"])
    assert (augusta_too["active"], augusta_too["displayName"]) == (False, "Augusta")
    assert acme.scim("GET", f"/Users/{ada}").json["meta"]["version"] == augusta["meta"]["version"]


def test_what_was_asked_ahead_in_a_transaction_that_failed_is_asked_again(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    def refused(session: Any) -> None:
        add_prepared(session, globex.organization_id, "there already")

    people = [create(acme, "ada.lovelace"), create(acme, "grace.hopper")]
    with app.app_context(), ThreadPoolExecutor(2) as threads:
        for active, then in (
            (True, lambda _: None),
            (False, refused),
        ):  # the second time the server knows the statements
            first = Unit(app, str(active), brief_for=acme.organization_id, then=then, is_prepared=True).begun()
            answers = submit(threads, acme, [(f"/Users/{each}", okta.set_active(active)) for each in people])
            assert (type(first.ended().error), first.was_undone) == (
                (type(None), False) if active else (Conflict, True)
            )
            found = [answer.result(WAIT) for answer in answers]
            assert [(answer.status_code, answer.json["active"]) for answer in found] == [(200, active)] * 2
    happened = events_of(app, acme.organization_id)[-2:]
    assert {(event["type"], event["data"]["user"]["id"]) for event in happened} == {
        ("scimUser.deprovisioned", each) for each in people
    }


def test_who_follows_nobody_waits_for_a_lock_once(
    database_url: str, tmp_path: Path, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = create(acme, "ada.lovelace")
    impatient = f"{database_url}{'&' if '?' in database_url else '?'}options=-c%20lock_timeout%3D50"
    app = create_app(Settings.from_environment({"DATABASE_URL": impatient, "DATA_DIR": str(tmp_path)}))
    units: list[str | None] = []
    with app.app_context(), db.engine.connect() as somebody:
        begin = db.unit_of_work

        def begin_and_tell(*, brief_for: str | None = None) -> UnitOfWork:
            units.append(brief_for)
            return begin(brief_for=brief_for)

        somebody.execute(HELD, {"id": ada})
        monkeypatch.setattr(db, "unit_of_work", begin_and_tell)
        there = replace(acme, client=app.test_client())
        assert there.scim("PATCH", f"/Users/{ada}", okta.set_active(False)).status_code == 503
        assert units == [acme.organization_id, None], "the second writes down what became of it"
        somebody.rollback()
        db.engine.dispose()


def test_those_who_have_to_give_way_are_tried_again_by_themselves_and_answered(app: Flask, acme: Tenant) -> None:
    """The first has the number of the next event, for which somebody waits who has the row that the second needs."""
    ada = create(acme, "ada.lovelace")
    before = events_of(app, acme.organization_id)[-1]["sequence"]

    def number(session: Any) -> None:
        record_event(session, "scimUser.updated", acme.organization_id, {"user": {"id": ada}})

    with app.app_context(), ThreadPoolExecutor(2) as threads, db.engine.connect() as somebody:
        first = Unit(app, "first", brief_for=acme.organization_id, then=number).begun()
        answer = threads.submit(set_active, acme, ada, active=False)
        wait_for_turn(acme.organization_id, 1)
        somebody.execute(HELD, {"id": ada})
        first.may_end.set()
        with db.engine.connect() as looking:
            wait_until(lambda: looking.scalar(WAITS) == 1)
            waits = threads.submit(somebody.execute, NUMBERED, {"stream": acme.organization_id})
            assert waits.result(WAIT).scalar() in (before, before + 1), "the first may have been done again already"
            wait_until(lambda: looking.scalar(WAITS) >= 1)  # the second, with a transaction of its own
        somebody.rollback()
        status, body = answer.result(WAIT)
        assert first.ended().error is None
    assert first.was_undone
    assert (status, body["active"]) == (200, False)
    happened = events_of(app, acme.organization_id)[-2:]
    assert [event["sequence"] - before for event in happened] == [1, 2]
    assert {event["type"] for event in happened} == {"scimUser.updated", "scimUser.deprovisioned"}


def test_who_follows_others_and_waits_too_long_for_a_row_of_the_orm_is_tried_again(app: Flask, acme: Tenant) -> None:
    """Its savepoint is undone, so that the transaction could go on; but not as if it had been refused for good."""
    ada = create(acme, "ada.lovelace")
    assert acme.scim("DELETE", f"/Users/{ada}").status_code == 204
    mine = replace(acme, client=acme.client.application.test_client())
    with app.app_context(), ThreadPoolExecutor(1) as threads, db.engine.connect() as somebody:
        first = Unit(app, "first", brief_for=acme.organization_id, is_prepared=True).begun()
        answer = threads.submit(create, mine, "ada.lovelace")
        wait_for_turn(acme.organization_id, 1)
        somebody.execute(TOMBSTONE, {"id": ada})
        first.may_end.set()
        assert first.has_ended.wait(WAIT), "it was undone, or committed with what the second ends with"
        with db.engine.connect() as looking:
            wait_until(lambda: looking.scalar(WAITS) == 1)  # the second, with a transaction of its own
        somebody.rollback()
        assert (answer.result(WAIT), first.error) == (ada, None)


def subscribe(organization_id: str) -> str:
    with db.unit_of_work() as session:
        endpoint = WebhookEndpoint(
            id=new_id("whe"),
            organization_id=organization_id,
            url="https://example.com/",
            enabled_event_types=["scimUser.*"],
            encrypted_secret="sealed",
        )
        session.add(endpoint)
        return endpoint.id


def told(endpoint_id: str) -> list[int]:
    """Return the numbers of the events that an endpoint is to be told of."""
    of_endpoint = select(Event.sequence).join(WebhookDelivery, WebhookDelivery.event_id == Event.id)
    with db.reading() as session:
        numbers = session.scalars(of_endpoint.where(WebhookDelivery.endpoint_id == endpoint_id))
        return sorted(numbers)


def test_each_endpoint_is_told_of_what_each_of_them_did(app: Flask, acme: Tenant, globex: Tenant) -> None:
    people = [create(acme, f"person.n{number}") for number in range(3)]
    with app.app_context(), ThreadPoolExecutor(3) as threads:
        ours, theirs = subscribe(acme.organization_id), subscribe(globex.organization_id)
        first = Unit(app, "first", brief_for=acme.organization_id).begun()
        answers = []
        for count, user_id in enumerate(people, 1):
            answers.append(threads.submit(set_active, acme, user_id, active=False))
            wait_for_turn(acme.organization_id, count)
        assert first.ended().error is None
        assert [answer.result(WAIT)[0] for answer in answers] == [200] * 3
        last = events_of(app, acme.organization_id)[-1]["sequence"]
        assert told(ours) == [last - 2, last - 1, last]
        assert told(theirs) == []


def test_who_subscribes_while_a_write_waits_for_its_number_is_told_of_it(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    ada = create(acme, "ada.lovelace")
    with app.app_context(), ThreadPoolExecutor(1) as threads, db.engine.connect() as somebody:
        somebody.execute(NUMBERED, {"stream": acme.organization_id})
        answer = threads.submit(set_active, acme, ada, active=False)
        with db.engine.connect() as looking:
            wait_until(lambda: looking.scalar(WAITS) == 1)
        ours, theirs = subscribe(acme.organization_id), subscribe(globex.organization_id)
        somebody.rollback()
        assert answer.result(WAIT)[0] == 200
        assert told(ours) == [events_of(app, acme.organization_id)[-1]["sequence"]]
        assert told(theirs) == []


def test_a_commit_whose_answer_got_lost_is_answered_503_and_the_next_try_200(
    app: Flask, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, commit, lost = create(acme, "ada.lovelace"), ServerCursor.commit, list[bool]()

    def commit_and_be_cut_off(cursor: ServerCursor) -> None:
        commit(cursor)
        if not lost:
            lost.append(True)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(ServerCursor, "commit", commit_and_be_cut_off)
    assert set_active(acme, ada, active=False)[0] == 503
    assert lost
    assert acme.scim("GET", f"/Users/{ada}").json["active"] is False, "nobody could know"
    status, body = set_active(acme, ada, active=False)
    assert (status, body["active"]) == (200, False)
    assert [event["type"] for event in events_of(app, acme.organization_id)].count("scimUser.deprovisioned") == 1


JOIN = {"op": "Add", "path": "members", "value": [{"value": "user_1"}]}
MANY = [{"value": f"user_{number}"} for number in range(200)]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/Users", okta.user("ada.lovelace"), True),
        ("PATCH", "/Users/user_1", okta.set_active(False), True),
        ("DELETE", "/Users/user_1", None, True),
        ("PUT", "/Users/user_1", {**okta.user("ada.lovelace"), "title": "x" * 20_000}, False),
        ("PATCH", "/Groups/grp_1", okta.patch(JOIN), True),
        ("PATCH", "/Groups/grp_1", okta.patch({"op": "remove", "path": 'members[value eq "user_1"]'}), True),
        ("PATCH", "/Groups/grp_1", okta.patch({"op": "remove", "path": "members"}), False),
        ("PATCH", "/Groups/grp_1", okta.patch({**JOIN, "op": "Replace"}), False),
        ("PATCH", "/Groups/grp_1", okta.patch({"op": "add", "value": {"displayName": "members of value"}}), False),
        ("PATCH", "/Groups/grp_1", okta.patch({**JOIN, "value": MANY}), False),
        ("PUT", "/Groups/grp_1", okta.group("Engineers", "user_1"), False),
        ("DELETE", "/Groups/grp_1", None, False),
        ("POST", "/Bulk", {"Operations": []}, False),
    ],
)
def test_others_wait_for_what_is_about_one_user_or_a_few_members(
    method: str, path: str, body: Any, expected: bool
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    request = WireRequest(method=method, base_url="", path=path, query={}, headers={}, body=content)
    assert is_brief(request) is expected
