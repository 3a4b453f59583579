"""Sessions and sign-in links that were over long ago are removed; those of a time that is looked at stay."""

from flask import Flask
from sqlalchemy import func, select, update

from clock import now_ms
from database import db
from ids import first_id
from jobs import remove_past_sign_ins
from models import Session as BrowserSession
from models import SignInLink
from organizations.sign_in import KEPT_MS, make_sign_in_link, sign_in
from tests.conftest import Tenant


def count(app: Flask) -> tuple[int, int]:
    with app.app_context(), db.reading() as session:
        kinds = (BrowserSession, SignInLink)
        sessions, links = (session.scalar(select(func.count()).select_from(kind)) for kind in kinds)
        return sessions, links


def test_what_was_over_long_ago_is_removed(app: Flask, acme: Tenant) -> None:
    old = now_ms() - KEPT_MS - 1000
    with app.app_context():
        with db.unit_of_work() as session:
            sign_in(session, acme.sign_in_token)
        with db.unit_of_work() as session:
            session.execute(update(BrowserSession).values(id=first_id("sess", old)))
            session.execute(update(SignInLink).values(id=first_id("sil", old)))
            _, token = make_sign_in_link(session, acme.organization_id, acme.admin_id)
            sign_in(session, token)
        assert count(app) == (2, 2)
        remove_past_sign_ins()
        assert count(app) == (1, 1)
        remove_past_sign_ins()
    assert count(app) == (1, 1)
