"""What is beyond this program fails: it is answered so that the caller tries again, and what was acknowledged stays."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from sqlalchemy import event

import database
from database import db
from tests import okta
from tests.conftest import Tenant, wait_until
from tests.deployment.conftest import servers
from tests.deployment.receiving import Product
from tests.deployment.running import PROGRAMS, Running
from tests.events import event_types


@pytest.fixture
def database_url(fresh_sqlite_url: str) -> str:
    """These faults are SQLite's; PostgreSQL's are brought about in ``tests/deployment``."""
    return fresh_sqlite_url


def create(tenant: Tenant, number: int) -> Any:
    return tenant.scim("POST", "/Users", okta.user(f"person.number{number}"))


def everybody(tenant: Tenant) -> set[str]:
    found = tenant.scim("GET", "/Users?count=200").json
    assert found["totalResults"] == len(found["Resources"])
    return {user["userName"] for user in found["Resources"]}


def test_a_database_locked_by_somebody_else_is_answered_503_in_the_callers_shape(
    app: Flask, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 100)
    with app.app_context():
        db.engine.dispose()
    with sqlite3.connect(tmp_path / "test.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = create(acme, 1)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json["schemas"] == [okta.ERROR]
        assert "Nothing was changed" in refused.json["detail"]
        api = acme.api("POST", "/organizations", {"name": "Initech"})
        assert (api.status_code, api.json["errors"][0]["code"]) == (503, "unavailable")
        assert acme.scim("GET", "/Users").status_code == 200, "who reads waits for nobody"
        other.execute("ROLLBACK")
    other.close()
    assert create(acme, 1).status_code == 201


@pytest.fixture
def small_disk(app: Flask) -> Iterator[Callable[[int | None], None]]:
    """Let the database grow by so many pages and no further, as a disk that is full would."""
    pages: list[int] = []

    def limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[-1]}")

    def fill(more: int | None) -> None:
        with app.app_context(), db.engine.connect() as connection:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        pages.append(2**30 if more is None else used + more)
        engine.dispose()  # the connections from now on are limited

    with app.app_context():
        engine = db.engine
    fill(None)
    event.listen(engine, "connect", limit)
    yield fill
    event.remove(engine, "connect", limit)


def test_a_full_disk_refuses_what_does_not_fit_whole_and_keeps_what_was_acknowledged(
    app: Flask, acme: Tenant, small_disk: Callable[[int | None], None]
) -> None:
    small_disk(60)
    acknowledged: set[str] = set()
    answers = [create(acme, number) for number in range(120)]
    for answer in answers:
        if answer.status_code == 201:
            acknowledged.add(answer.json["userName"])
        else:
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
            assert answer.json["schemas"] == [okta.ERROR]
    assert 0 < len(acknowledged) < 120
    assert everybody(acme) == acknowledged
    assert len(event_types(app, acme.organization_id)) == len(acknowledged), (
        "no event without its person, nor the other way"
    )
    small_disk(None)
    assert create(acme, 500).status_code == 201


# -- Redis -----------------------------------------------------------------------


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with servers(tmp_path) as start:
        yield start


@pytest.fixture
def product() -> Iterator[Product]:
    server = Product()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_redis_that_hangs_delays_no_identity_provider_for_long_and_loses_no_webhook(
    serve: Callable[..., Running], product: Product
) -> None:
    # One process: each of several would stop for a moment and look again for itself, and how often depends on the
    # time that the machine takes.
    running = serve(WEB_CONCURRENCY="1")
    key = {"Authorization": f"Bearer {running.printed('Secret key')}"}
    hook = {"url": f"{product.url}/", "enabled_event_types": ["scimUser.*"]}
    assert httpx.post(f"{running.url}/v1/webhook-endpoints", json=hook, headers=key).status_code == 201
    token = {"Authorization": f"Bearer {running.printed('SCIM token')}"}
    scim = httpx.Client(base_url=f"{running.url}/scim/v2", headers=token, timeout=60)

    def seconds(numbers: range) -> list[float]:
        spent = []
        for number in numbers:
            started = time.monotonic()
            assert scim.post("/Users", json=okta.user(f"person.number{number}")).status_code == 201
            spent.append(time.monotonic() - started)
        return sorted(spent)

    usual = seconds(range(10))
    [redis] = running.find(*PROGRAMS["redis"])
    os.kill(redis, signal.SIGSTOP)
    hanging = seconds(range(10, 40))
    assert running.is_healthy()
    os.kill(redis, signal.SIGCONT)
    # The limiter and the queue each wait a second, twice.
    assert hanging[-1] < 8 + usual[-1], hanging
    assert hanging[len(hanging) // 2] < 1 + 3 * usual[-1], hanging
    wait_until(lambda: len(product.events()) == 40, 60)
