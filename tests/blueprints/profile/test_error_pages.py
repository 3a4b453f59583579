"""Errors in a browser: a page in the house's style that says what to do, whatever went wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, text, update
from sqlalchemy.engine import make_url

from clock import now_ms
from database import db
from models import Role
from models import Session as BrowserSession
from organizations.sign_in import make_sign_in_link

MINUTE = 60_000


def test_an_address_that_is_not_there(visit: Callable[..., Any]) -> None:
    page = visit().get("/nothing", 404)
    assert page.heading == "There is nothing at this address" and "Check the address" in page.text


def test_a_method_that_a_page_does_not_have(app: Flask, acme_admin: Any) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    response = acme_admin.post("/organization/members")
    assert response.status_code == 405 and "GET" in response.headers["Allow"]
    assert "use the buttons of the page" in response.text


def test_a_form_that_is_too_large(acme_admin: Any) -> None:
    response = acme_admin.post("/organization/directory-sync/tokens/new", label="x" * 2_000_000)
    assert response.status_code == 413 and "The request is larger than this server accepts" in response.text


def test_a_role_that_opens_nothing(app: Flask, acme: Any, acme_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(Role).values(permissions=[]))
    page = acme_admin.get("/organization/members", 403)
    assert page.heading == "Your role does not open this page" and "Ask an admin" in page.text


@contextmanager
def lost_database(app: Flask, url: str) -> Iterator[None]:
    """Take the database away: the file of SQLite, the permission to connect of PostgreSQL."""
    forget_connections(app)
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        aside = path.rename(path.with_name("aside.db"))
        path.mkdir()
        yield
        path.rmdir()
        aside.rename(path)
    else:
        name = make_url(url).database
        with create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT").connect() as admin:
            admin.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            yield
            admin.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    forget_connections(app)


def forget_connections(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def test_a_lost_database_shows_a_page(app: Flask, environ: dict[str, str], acme_admin: Any) -> None:
    with lost_database(app, environ["DATABASE_URL"]):
        page = acme_admin.get("/organization/members", 503)
        assert "The database did not answer in time" in page.text and page.response.headers["Retry-After"] == "5"
    assert acme_admin.get("/organization/members").heading == "Members"


@pytest.mark.parametrize(("idle", "heading"), [(119, "Members"), (121, "Sign in")])
def test_a_session_that_nobody_uses_ends(app: Flask, acme_admin: Any, idle: int, heading: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(last_seen_at=now_ms() - idle * MINUTE))
    assert acme_admin.get("/organization/members").heading == heading


def test_a_session_in_use_is_written_down_once_a_minute(app: Flask, acme_admin: Any) -> None:
    def last_seen() -> int:
        with app.app_context(), db.reading() as session:
            return int(session.query(BrowserSession.last_seen_at).scalar())

    first = last_seen()
    acme_admin.get("/organization/members")
    assert last_seen() == first
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(last_seen_at=first - MINUTE))
    acme_admin.get("/organization/members")
    assert last_seen() >= first


def test_a_session_ends_at_its_hour_however_much_it_is_used(app: Flask, acme_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(expires_at=now_ms()))
    assert acme_admin.get("/organization/members").heading == "Sign in"


@pytest.mark.parametrize("permissions", [[], ["org:sys_provisioning:read"]])
def test_a_right_that_is_taken_away_closes_a_page_at_once(
    app: Flask, acme: Any, acme_admin: Any, permissions: list[str]
) -> None:
    page = acme_admin.get("/organization/directory-sync/tokens/new")
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(Role).where(Role.key == "org:admin").values(permissions=permissions))
    assert acme_admin.send(page, label="Okta").status_code == 403


def test_a_member_signed_in_twice_may_end_the_other_session(app: Flask, acme: Any, visit: Callable[..., Any]) -> None:
    here, there = visit(acme.organization_id, acme.admin_id), visit(acme.organization_id, acme.admin_id)
    page = here.get("/account")
    assert len(page.rows()) == 2 and "This one" in page.rows()[0]
    assert here.send(page, "/account/sign-out-elsewhere").status_code == 303
    assert there.get("/").heading == "Sign in" and len(here.get("/account").rows()) == 1


def test_nobody_sees_or_ends_the_sessions_of_others(
    acme: Any, acme_admin: Any, acme_member: Any, globex_admin: Any
) -> None:
    assert [len(visitor.get("/account").rows()) for visitor in (acme_admin, acme_member, globex_admin)] == [1, 1, 1]
    acme_admin.post_with_token("/account/sign-out-elsewhere")
    assert acme_member.get("/").heading == globex_admin.get("/").heading == "Members"


def test_the_cookie_belongs_to_this_host_alone(app: Flask, acme: Any, visit: Callable[..., Any]) -> None:
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, acme.organization_id, acme.admin_id)
    cookie = visit().sign_in(token).headers["Set-Cookie"]
    assert cookie.startswith("__Host-authn_scim=") and "Path=/" in cookie and "Domain" not in cookie
