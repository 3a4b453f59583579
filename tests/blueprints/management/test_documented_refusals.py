"""The refusals that many operations share: each happens, at every operation whose document names it.

That an answer has the documented shape is seen to by the test client.
"""

import sqlite3
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from blueprints.management.openapi import path_template, refusals
from blueprints.management.operations import OPERATIONS, Operation
from database import db
from models import IdempotentAnswer
from tests.blueprints.management.test_every_operation import PARAMETER, Caller
from tests.conftest import Tenant, looking_on


def sharing(status: int) -> list[Operation]:
    """The operations that are refused with a status for the reason that is the same for all of them."""
    found = [declared for declared in OPERATIONS.values() if refusals(declared).get(status, "own") is None]
    assert found
    return found


def ask(tenant: Tenant, declared: Operation, *, query: str = "", **kwargs: Any) -> Any:
    """Call an operation on what is not there."""
    address = PARAMETER.sub("unknown", path_template(declared)).removeprefix("/v1")
    return tenant.api(declared.method, address + query, **kwargs)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["errors"][0]["code"]


def test_a_nul_character_in_the_address_is_refused(acme: Tenant) -> None:
    for declared in sharing(400):
        assert refused(ask(acme, declared, query="?q=%00")) == (400, "bad_request")


def test_a_parameter_that_nobody_declared_is_refused(acme: Tenant) -> None:
    for declared in sharing(422):
        answer = acme.api(declared.method, declared_address(acme, declared) + "?nobody=1")
        assert (refused(answer), answer.json["errors"][0]["meta"]["param"]) == ((422, "unknown_parameter"), "nobody")


def declared_address(tenant: Tenant, declared: Operation) -> str:
    address = path_template(declared).removeprefix("/v1").replace("{organization_id}", tenant.organization_id)
    return PARAMETER.sub("unknown", address)


def test_what_is_not_there_is_not_found_by_a_key_of_the_whole_environment(acme: Tenant) -> None:
    """What a key of one organization does not find is in the walk over every operation."""
    for declared in sharing(404):
        if declared.for_environment:
            answer = ask(acme, declared, json={} if declared.body is None or declared.method == "PATCH" else None)
            assert answer.status_code == 404 and answer.json["errors"][0]["code"].endswith("_not_found")


def test_a_body_that_is_too_large_is_refused(acme: Tenant) -> None:
    large = b" " * (1024 * 1024 + 1)
    for declared in sharing(413):
        answer = acme.api(declared.method, declared_address(acme, declared), data=large)
        assert refused(answer) == (413, "request_too_large")


def test_a_body_of_another_media_type_is_refused(acme: Tenant) -> None:
    for declared in sharing(415):
        headers = {"Content-Type": "text/plain"}
        answer = acme.api(declared.method, declared_address(acme, declared), data=b"{}", headers=headers)
        assert refused(answer) == (415, "unsupported_media_type")


def test_a_kept_answer_that_cannot_be_opened_any_more_is_refused(app: Flask, acme: Tenant) -> None:
    caller = Caller(acme)
    for declared in sharing(409):
        headers = {"Authorization": f"Bearer {acme.secret_key}", "Idempotency-Key": declared.id}
        assert caller.call(declared.id, headers).status_code == declared.status
        with app.app_context(), db.unit_of_work() as session:
            session.execute(update(IdempotentAnswer).values(sealed_body="of another secret key"))
        assert refused(caller.call(declared.id, headers)) == (409, "idempotency_answer_unreadable")


def test_more_requests_than_a_key_may_make_are_refused(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ["API_RATE_LIMIT"] = "1 per hour"
    acme: Tenant = request.getfixturevalue("acme")
    assert acme.api("GET", "/event-types").status_code == 200
    for declared in sharing(429):
        assert refused(ask(acme, declared)) == (429, "rate_limited")


def test_no_operation_lets_an_address_try_more_keys_than_it_may(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    environ["FAILED_AUTH_RATE_LIMIT"] = "1 per hour"
    acme: Tenant = request.getfixturevalue("acme")
    acme.secret_key = "sk_WRONG"
    assert acme.api("GET", "/event-types").status_code == 401
    for declared in sharing(429):
        assert refused(ask(acme, declared)) == (429, "rate_limited")


def test_a_database_that_does_not_answer_is_told_as_that(app: Flask, acme: Tenant) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))

    with app.app_context():
        engine = db.engine
    with looking_on(engine, before_cursor_execute=fail):
        for declared in sharing(503):
            answer = ask(acme, declared)
            assert (refused(answer), answer.headers["Retry-After"]) == ((503, "unavailable"), "5")
