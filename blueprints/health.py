"""Probes for load balancers and supervisors."""

import time
from collections.abc import Callable
from functools import cache
from http import HTTPStatus

from flask import Blueprint, Response, current_app, jsonify
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from database import db

bp = Blueprint("health", __name__)

# A sweep that was not seen for so long, and for so many of its own periods, does not run.
SWEEP_GRACE_SECONDS = 60
SWEEP_GRACE_PERIODS = 5


class NotReady(Exception):
    """Why a check failed, in words for an operator; never with an address or a password."""


@bp.get("/healthz")
def healthz() -> Response:
    """Answer 200 while this web process serves requests. It looks at nothing else."""
    return jsonify(status="ok")


@bp.get("/readyz")
def readyz() -> Response:
    """Answer 200 when requests can be served here, 503 when not, with every check in words.

    Requests need the database, at the level of this code. Redis and the sweep are
    reported and do not take the process out of service: without them events are
    kept and delivered later, and turning an IdP away would help nobody.
    """
    needed = {"database": _outcome(_check_database), "migrations": _outcome(_check_migrations)}
    wanted = {"redis": _outcome(_check_redis), "sweep": _outcome(_check_sweep)}
    checks = {**needed, **wanted}
    if any(outcome != "ok" for outcome in needed.values()):
        status, code = "unavailable", HTTPStatus.SERVICE_UNAVAILABLE
    elif any(outcome != "ok" for outcome in wanted.values()):
        status, code = "degraded", HTTPStatus.OK
    else:
        status, code = "ready", HTTPStatus.OK
    response = jsonify(status=status, checks=checks)
    response.status_code = code
    response.headers["Cache-Control"] = "no-store"
    return response


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except NotReady as reason:
        return str(reason)
    return "ok"


def _check_database() -> None:
    try:
        with db.reading() as session:
            session.connection().exec_driver_sql("SELECT 1")
    except SQLAlchemyError as error:
        raise NotReady("The database does not answer.") from error


def _check_migrations() -> None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415  (8 MiB, only where somebody asks)

    try:
        with db.reading() as session:
            at = MigrationContext.configure(session.connection()).get_current_heads()
    except SQLAlchemyError as error:
        raise NotReady("The database does not answer.") from error
    if at != _newest_migrations():
        raise NotReady("The database is not at the level of this version. Run: flask --app app db upgrade")


@cache
def _newest_migrations() -> tuple[str, ...]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return tuple(ScriptDirectory(f"{current_app.root_path}/migrations").get_heads())


def _check_redis() -> None:
    try:
        current_app.extensions["redis"].ping()
    except RedisError as error:
        raise NotReady("Redis does not answer. Events wait for it; limits hold for each process alone.") from error


def _check_sweep() -> None:
    try:
        swept_at = current_app.extensions["last_swept_at"]()
    except RedisError as error:
        raise NotReady("Unknown while Redis does not answer.") from error
    patience = max(SWEEP_GRACE_SECONDS, SWEEP_GRACE_PERIODS * current_app.config["SETTINGS"].sweep_seconds)
    if swept_at is None:
        raise NotReady("No sweep was seen yet. Run: flask --app app sweep")
    if time.time() - swept_at > patience:
        raise NotReady(f"The last sweep was {round(time.time() - swept_at)} s ago. Run: flask --app app sweep")
