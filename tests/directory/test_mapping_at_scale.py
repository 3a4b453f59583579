"""A mapping is applied to 10,000 people by real workers: killed on the way, while the IdP goes on writing."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text

from clock import now_ms
from database import db
from directory.resources import dump
from ids import new_id
from models import DirectoryUser, Event, OrganizationMembership, Role, User
from tests import okta
from tests.conftest import ROOT, Tenant, wait_until
from tests.directory.applying import path, preview, put

pytestmark = pytest.mark.slow

PEOPLE = 10_000  # many batches: the way of more is the same
ONE_IN = 20  # the mapping changes one in so many
LOUD = {"name.givenName": "{{ value | upcase }}"}


def seed(app: Flask, tenant: Tenant, count: int, *, changing: int = ONE_IN) -> None:
    """Put people into a directory as the IdP would have, without a request for each."""
    now, common = now_ms(), {"organization_id": tenant.organization_id}
    users, rows, memberships = [], [], []
    with app.app_context(), db.unit_of_work() as session:
        role_id = session.scalars(select(Role.id).where(Role.is_default)).one()
        for number in range(count):
            name = "Ada" if number % changing == 0 else "ADA"
            body = okta.user(f"p{number}.x", name={"givenName": name, "familyName": "X"})
            document = {key: value for key, value in body.items() if key not in ("groups", "password")}
            user_id, email = new_id("user"), body["userName"]
            profile = {"external_id": body["externalId"], "first_name": name, "last_name": "X", "email_address": email}
            managed = {"managed_by_organization_id": tenant.organization_id, "email_key": email}
            users.append({"id": user_id, **profile, **managed, "public_metadata": {}, "active": True})
            keys = {"user_name": email, "user_name_key": email, "email_key": email, "external_id": body["externalId"]}
            rows.append(
                {**common, "user_id": user_id, **keys, "active": True, "document": dump(document), "document_key": {}}
            )
            member = {"id": new_id("orgmem"), **common, "user_id": user_id, "role_id": role_id}
            memberships.append({**member, "role_source": "default", "created_at": now, "updated_at": now})
        for table, values in ((User, users), (DirectoryUser, rows), (OrganizationMembership, memberships)):
            session.connection().execute(insert(table), values)
        session.execute(text("ANALYZE"))  # as PostgreSQL does by itself within a minute of so many rows


@contextmanager
def running(environ: dict[str, str], command: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "flask", "--app", "app", command]
    process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **environ, "SWEEP_SECONDS": "0.2"})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def application(tenant: Tenant) -> dict[str, Any]:
    found: dict[str, Any] = tenant.api("GET", path(tenant)).json["application"]
    return found


def updated(app: Flask, tenant: Tenant) -> Counter[str]:
    """How many scimUser.updated events each person has."""
    with app.app_context(), db.reading() as session:
        query = select(Event.body).where(Event.stream == tenant.organization_id, Event.type == "scimUser.updated")
        return Counter(json.loads(body)["data"]["user"]["id"] for body in session.scalars(query))


class Writing:
    """The IdP goes on writing while something else happens, and counts what it wrote."""

    def __init__(self, tenant: Tenant, user_ids: list[str]) -> None:
        self.tenant, self.user_ids = tenant, user_ids
        self.done = 0

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, application(self.tenant)
            user_id = self.user_ids[self.done % len(self.user_ids)]
            value = f"title {self.done}"
            body = okta.patch({"op": "add", "path": "title", "value": value})
            assert self.tenant.scim("PATCH", f"/Users/{user_id}", body).status_code == 200
            self.done += 1
            time.sleep(0.02)  # as often as an IdP with a rate limit


def test_a_mapping_reaches_10000_people_through_a_killed_worker_while_the_idp_writes(
    app: Flask, acme: Tenant, environ: dict[str, str]
) -> None:
    seed(app, acme, PEOPLE)
    written = [acme.scim("POST", "/Users", okta.user(f"written{number}.x")).json["id"] for number in range(20)]
    total = PEOPLE + len(written)
    writing = Writing(acme, written)
    with running(environ, "sweep"):
        assert put(acme, LOUD)["application"]["total"] == total
        with running(environ, "worker") as worker:
            writing.until(lambda: application(acme)["examined"] > total // 4, seconds=120)
            worker.kill()
            worker.wait(10)
        halted = application(acme)
        assert halted["state"] == "running" and total // 4 < halted["examined"] < total
        with running(environ, "worker"):
            writing.until(lambda: application(acme)["examined"] > halted["examined"], seconds=60)
            writing.until(lambda: application(acme)["state"] == "done", seconds=240)
    finished = application(acme)
    assert (finished["examined"], finished["total"]) == (total, total)
    events = updated(app, acme)
    assert len(events.keys() - set(written)) == PEOPLE // ONE_IN
    assert {events[user_id] for user_id in events.keys() - set(written)} == {1}
    with app.app_context(), db.reading() as session:
        names = session.scalars(select(User.first_name).where(User.managed_by_organization_id == acme.organization_id))
        assert {name for name in names if name != "ADA"} == {"WRITTEN" + str(number) for number in range(20)}
    assert writing.done > 50


def test_a_page_of_a_preview_of_many_people_ends_soon(app: Flask, acme: Tenant) -> None:
    seed(app, acme, 5000, changing=500)
    counts, query = [], "?limit=200"
    while query:
        found = preview(acme, LOUD, query)
        counts.append((found["meta"]["examined"], found["meta"]["changed"]))
        query = f"?limit=200&cursor={found['meta']['next_cursor']}" if found["meta"]["next_cursor"] else ""
    assert len(counts) >= 3 and counts[-1] == (5000, 10)


def test_redis_may_be_lost_on_the_way(app: Flask, acme: Tenant, environ: dict[str, str]) -> None:
    seed(app, acme, 1000)
    put(acme, LOUD)
    app.extensions["redis"].flushall()
    with running(environ, "worker"), running(environ, "sweep"):
        wait_until(lambda: application(acme)["state"] == "done", seconds=240)
    assert application(acme)["changed"] == 1000 // ONE_IN
