"""The probes: alive, and ready to serve."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text

import jobs
from app import create_app
from config import Settings
from database import db


def swept(app: Flask) -> None:
    with app.app_context():
        jobs.sweep_once()


def readiness(client: FlaskClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    assert answer.json is not None
    return answer.status_code, answer.json


def test_a_server_with_everything_is_ready(app: Flask, client: FlaskClient) -> None:
    swept(app)
    assert readiness(client) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "migrations": "ok", "redis": "ok", "sweep": "ok"}},
    )


def test_a_sweep_that_never_ran_is_told_and_serving_goes_on(client: FlaskClient) -> None:
    status, body = readiness(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["sweep"] == "No sweep was seen yet. Run: flask --app app sweep"


def test_a_sweep_that_stopped_is_told(app: Flask, client: FlaskClient, redis_url: str) -> None:
    swept(app)
    redis = Redis.from_url(redis_url)
    redis.set(jobs.SWEPT_AT, float(redis.get(jobs.SWEPT_AT)) - 120)
    status, body = readiness(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["sweep"].startswith("The last sweep was 12")


@pytest.fixture
def app_with(environ: dict[str, str]) -> Iterator[Callable[..., Flask]]:
    """The application with some settings changed."""
    made: list[Flask] = []

    def make(**settings: str) -> Flask:
        made.append(create_app(Settings.from_environment({**environ, **settings})))
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def test_a_redis_that_is_away_is_told_and_serving_goes_on(app_with: Callable[..., Flask]) -> None:
    status, body = readiness(app_with(REDIS_URL="redis://127.0.0.1:1/0").test_client())
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["redis"].startswith("Redis does not answer.")
    assert body["checks"]["database"] == "ok"


def test_an_older_database_takes_the_process_out_of_service(app: Flask, client: FlaskClient) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    status, body = readiness(client)
    assert (status, body["status"]) == (503, "unavailable")
    assert body["checks"]["migrations"].endswith("Run: flask --app app db upgrade")
    assert client.get("/healthz").status_code == 200


def test_a_database_that_does_not_answer_takes_the_process_out_of_service(app_with: Callable[..., Flask]) -> None:
    status, body = readiness(app_with(DATABASE_URL="postgresql://admin:hunter2@127.0.0.1:1/name").test_client())
    assert (status, body["status"]) == (503, "unavailable")
    assert body["checks"]["database"] == "The database does not answer."
    assert "hunter2" not in str(body)
