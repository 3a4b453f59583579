"""Sessions and sign-in links that are over for a month are removed; those that run are not."""

from typing import Any

from flask import Flask
from sqlalchemy import func, select, text

import jobs
from database import db
from models import Session, SignInLink
from organizations.sessions import find_signed_in
from organizations.sign_in import REVOKED_LINKS, make_sign_in_link, sign_in
from tests.conftest import Tenant


def count(app: Flask, model: type) -> int:
    with app.app_context(), db.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def open_session(app: Flask, tenant: Tenant) -> str:
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, tenant.organization_id, tenant.admin_id)
        return sign_in(session, token)


def test_sessions_and_links_go_a_month_after_they_expired(app: Flask, acme: Tenant, long_ago: Any) -> None:
    with long_ago(40):
        open_session(app, acme)
    with long_ago(20):
        open_session(app, acme)
    running = open_session(app, acme)
    links = count(app, SignInLink)
    with app.app_context():
        assert jobs.remove_what_expired(lambda _: False) == 2
    assert (count(app, Session), count(app, SignInLink)) == (2, links - 1)
    with app.app_context(), db.reading() as session:
        assert find_signed_in(session, running) is not None


def test_links_of_a_person_are_found_by_an_index_when_the_person_is_deactivated(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        for _ in range(3):
            make_sign_in_link(session, acme.organization_id, acme.admin_id)
        values = {"organization": acme.organization_id, "person": acme.admin_id, "now": 1}
        explain = "EXPLAIN QUERY PLAN "
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))
            session.execute(text("DROP INDEX ix_sign_in_links_organization_id_id"))
            explain = "EXPLAIN "
        plan = session.execute(text(f"{explain}{REVOKED_LINKS.statement}"), values).all()
        session.rollback()
    assert "ix_sign_in_links_organization_id_user_id" in str(plan)
