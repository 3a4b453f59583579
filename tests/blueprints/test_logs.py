"""What is logged: enough to find a request, and nothing that opens a door."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app import create_app
from blueprints.logs import HANDLER
from config import Settings
from database import db
from tests.conftest import Tenant

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "LOG_LEVEL": "info", "LOG_FORMAT": "json"}


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def lines(app: Flask) -> Lines:
    """What was logged since the last look, each line a JSON object."""
    (handler,) = (handler for handler in logging.getLogger().handlers if handler.name == HANDLER)

    handler.setStream(io.StringIO())
    return lambda: [json.loads(line) for line in handler.setStream(io.StringIO()).getvalue().splitlines()]


def test_a_request_is_one_json_line_with_its_trace_organization_and_token(acme: Tenant, lines: Lines) -> None:
    lines()
    answer = acme.scim("GET", "/Users?filter=userName eq %22ada@acme.example%22", headers={"User-Agent": "Okta"})
    (line,) = lines()
    assert line["message"].startswith("GET /scim/v2/Users 200 in ")
    assert {name: line[name] for name in ("level", "logger", "method", "path", "status", "user_agent")} == {
        "level": "INFO",
        "logger": "authn_scim.requests",
        "method": "GET",
        "path": "/scim/v2/Users",
        "status": 200,
        "user_agent": "Okta",
    }
    assert line["trace_id"] == answer.headers["X-Request-Id"]
    assert line["organization_id"] == acme.organization_id
    assert acme.scim_token.startswith(line["scim_token"])
    assert "ada@acme.example" not in json.dumps(line)


def test_a_call_of_the_api_is_told_with_its_key(acme: Tenant, lines: Lines) -> None:
    lines()
    acme.api("GET", "/organizations")
    (line,) = lines()
    assert (line["path"], line["secret_key_id"][:3]) == ("/v1/organizations", "sk_")
    assert acme.secret_key not in json.dumps(line)


def test_no_secret_is_ever_logged(acme: Tenant, lines: Lines) -> None:
    lines()
    acme.client.get(f"/sign-in/{acme.sign_in_token}")
    acme.client.get("/scim/v2/Users", headers={"Authorization": "Bearer scim_guessed"})
    acme.scim("POST", "/Users", json={"userName": "ada@acme.example", "password": "hunter2"})
    issued = acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", json={"name": "Okta"}).json["token"]
    logged = json.dumps(lines())
    for secret in (acme.scim_token, acme.secret_key, acme.sign_in_token, issued, "hunter2", "scim_guessed"):
        assert secret not in logged


def test_an_error_is_logged_with_its_trace(app: Flask, acme: Tenant, lines: Lines) -> None:
    @app.get("/v1/broken")
    def broken() -> str:
        raise RuntimeError("a defect")

    app.config["TESTING"] = False
    lines()
    answer = acme.client.get("/v1/broken")
    error, request = lines()
    assert answer.status_code == 500
    assert error["level"] == "ERROR"
    assert "a defect" in error["exception"]
    assert error["trace_id"] == request["trace_id"] == answer.json["trace_id"]


def test_at_the_usual_level_a_request_is_not_logged(environ: dict[str, str], lines: Lines) -> None:
    app = create_app(Settings.from_environment({**environ, "LOG_LEVEL": "warning"}))
    lines()
    app.test_client().get("/healthz")
    assert lines() == []
    with app.app_context():
        db.engine.dispose()


def test_an_error_of_the_database_is_logged_without_the_values_it_was_given(
    app: Flask, acme: Tenant, lines: Lines
) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(text("ALTER TABLE users RENAME TO former_users"))
    app.config["TESTING"] = False
    lines()
    answer = acme.scim("POST", "/Users", json={"userName": "ada.lovelace@acme.example"})
    logged = lines()
    assert answer.status_code == 500
    assert "users" in logged[0]["exception"]
    assert "lovelace" not in json.dumps(logged)
