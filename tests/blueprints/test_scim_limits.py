"""The limit of a token: counted in the memory of the only machine, or by one question to the Redis of several."""

import logging

import pytest
from redis import Redis
from sqlalchemy import update
from werkzeug.test import TestResponse

from app import create_app
from clock import now_ms
from config import Settings
from database import db
from models import ScimToken
from tests.conftest import Tenant


def with_settings(environ: dict[str, str], request: pytest.FixtureRequest, **settings: str) -> Tenant:
    environ.update(settings)
    tenant: Tenant = request.getfixturevalue("acme")
    return tenant


def scripts_run(redis: "Redis[bytes]") -> int:
    stats = redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def test_a_request_that_has_a_place_asks_redis_once(acme: Tenant, environ: dict[str, str]) -> None:
    redis = Redis.from_url(environ["REDIS_URL"])
    assert acme.scim("GET", "/Users").status_code == 200
    before = scripts_run(redis)
    for _ in range(5):
        assert acme.scim("GET", "/Users").status_code == 200
    assert scripts_run(redis) - before == 5


def test_one_place_is_counted_once_and_the_answer_to_one_too_many_says_when_to_come_back(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    acme = with_settings(environ, request, SCIM_RATE_LIMIT="4 per minute")
    assert [acme.scim("GET", "/Users").status_code for _ in range(6)] == [200] * 4 + [429] * 2
    refused = acme.scim("GET", "/Users")
    assert refused.json["detail"].startswith("rate_limited: more than 4 per 1 minute")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_two_processes_count_together_and_each_token_alone(
    environ: dict[str, str], request: pytest.FixtureRequest, globex: Tenant
) -> None:
    acme = with_settings(environ, request)
    app = create_app(Settings.from_environment({**environ, "SCIM_RATE_LIMIT": "4 per minute"}))
    other = create_app(Settings.from_environment({**environ, "SCIM_RATE_LIMIT": "4 per minute"}))

    def status(which: int, tenant: Tenant) -> int:
        client = (app, other)[which % 2].test_client()
        return client.get("/scim/v2/Users", headers={"Authorization": f"Bearer {tenant.scim_token}"}).status_code

    assert [status(number, acme) for number in range(6)] == [200] * 4 + [429] * 2
    assert status(0, globex) == 200


def test_while_redis_is_away_a_process_counts_for_itself(
    environ: dict[str, str], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    acme = with_settings(environ, request)
    nowhere = f"unix://{environ['DATA_DIR']}/nothing.sock"
    alone = create_app(Settings.from_environment({**environ, "REDIS_URL": nowhere, "SCIM_RATE_LIMIT": "3 per minute"}))
    client = alone.test_client()
    headers = {"Authorization": f"Bearer {acme.scim_token}"}
    with caplog.at_level(logging.WARNING):
        answers = [client.get("/scim/v2/Users", headers=headers) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert "in-memory" in caplog.text


def test_a_machine_with_a_redis_of_its_own_counts_without_asking_it(
    environ: dict[str, str], acme: Tenant, globex: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    del environ["REDIS_URL"]  # and none was started
    app = create_app(Settings.from_environment({**environ, "SCIM_RATE_LIMIT": "4 per minute"}))

    def get(tenant: Tenant) -> TestResponse:
        headers = {"Authorization": f"Bearer {tenant.scim_token}"}
        return app.test_client().get("/scim/v2/Users", headers=headers)

    assert [get(acme).status_code for _ in range(6)] == [200] * 4 + [429] * 2
    assert get(globex).status_code == 200
    refused = get(acme)
    assert refused.json["detail"].startswith("rate_limited: more than 4 per 1 minute")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "in-memory" not in caplog.text


def test_the_holder_of_a_revoked_token_takes_no_place(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    acme = with_settings(environ, request, SCIM_RATE_LIMIT="2 per minute")
    app = request.getfixturevalue("app")
    assert acme.scim("GET", "/Users").status_code == 200
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).values(revoked_at=now_ms()))
    assert [acme.scim("GET", "/Users").status_code for _ in range(3)] == [401] * 3
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).values(revoked_at=None))
    assert [acme.scim("GET", "/Users").status_code for _ in range(2)] == [200, 429]


def test_that_redis_was_away_for_one_application_says_nothing_about_the_next(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    nowhere = f"unix://{environ['DATA_DIR']}/nothing.sock"
    alone = create_app(Settings.from_environment({**environ, "REDIS_URL": nowhere}))
    alone.test_client().get("/scim/v2/Users", headers={"Authorization": "Bearer scim_unknown"})
    acme: Tenant = request.getfixturevalue("acme")
    redis = Redis.from_url(environ["REDIS_URL"])
    before = scripts_run(redis)
    assert acme.scim("GET", "/Users").status_code == 200
    assert scripts_run(redis) - before == 1


def test_what_redis_forgot_or_broke_off_costs_nobody_a_place_or_an_answer(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    acme = with_settings(environ, request, SCIM_RATE_LIMIT="5 per minute")
    redis = Redis.from_url(environ["REDIS_URL"])
    statuses = [acme.scim("GET", "/Users").status_code]
    redis.script_flush()
    statuses += [acme.scim("GET", "/Users").status_code for _ in range(2)]
    for connection in redis.client_list():
        redis.client_kill_filter(_id=connection["id"], skipme=True)
    statuses += [acme.scim("GET", "/Users").status_code for _ in range(3)]
    assert statuses == [200] * 5 + [429]
