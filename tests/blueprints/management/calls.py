"""Short ways to call the management API in tests."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from database import db
from models import Session
from organizations.secret_keys import make_secret_key
from organizations.sign_in import make_sign_in_link, sign_in
from tests.conftest import Tenant


def key_of(app: Flask, tenant: Tenant) -> Tenant:
    """The same organization, called with a key of its own instead of one of the environment."""
    with app.app_context(), db.unit_of_work() as session:
        _, plaintext = make_secret_key(session, "Own", organization_id=tenant.organization_id)
    return Tenant(**{**vars(tenant), "secret_key": plaintext})


def ok(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has this status."""
    assert response.status_code == status, response.text
    return response.json


def refused(response: Any, status: int) -> str:
    """The code of the first error of an answer that has this status."""
    assert response.status_code == status, response.text
    return str(response.json["errors"][0]["code"])


def params(response: Any) -> list[str]:
    """The places that a refused body is refused for."""
    assert response.status_code == 422, response.text
    return [error["meta"]["param"] for error in response.json["errors"]]


def names(response: Any, key: str) -> list[Any]:
    """One member of each object of a list."""
    return [item[key] for item in ok(response)["data"]]


def open_session(app: Flask, tenant: Tenant, user_id: str) -> None:
    """Sign a member in."""
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, tenant.organization_id, user_id)
        sign_in(session, token)


def open_sessions(app: Flask, tenant: Tenant) -> list[str | None]:
    """Whose sessions run in an organization."""
    with app.app_context(), db.reading() as session:
        running = Session.ended_at.is_(None)
        query = select(Session.user_id).where(Session.organization_id == tenant.organization_id, running)
        return list(session.scalars(query.order_by(Session.user_id)))
