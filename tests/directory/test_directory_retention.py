"""The activity log and the tombstones end with their time, and nothing else does."""

from typing import Any

from flask import Flask
from sqlalchemy import func, select

import jobs
from clock import now_ms
from database import db
from directory.retention import DAY, remove_old_activity, remove_old_tombstones
from models import DirectoryActivity, DirectoryUser, DirectoryUserEmail, User
from tests import okta
from tests.conftest import Tenant


def count(app: Flask, model: type) -> int:
    with app.app_context(), db.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def sweep(app: Flask) -> int:
    with app.app_context():
        return jobs.remove_what_expired(lambda _: False)


def create(tenant: Tenant, name: str, **changes: Any) -> str:
    answer = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def delete_long_ago(tenant: Tenant, user_id: str, long_ago: Any, days: int = 400) -> None:
    with long_ago(days):
        assert tenant.scim("DELETE", f"/Users/{user_id}").status_code == 204


def test_the_activity_log_keeps_what_is_younger_than_the_setting(app: Flask, acme: Tenant, long_ago: Any) -> None:
    with long_ago(100):
        for number in range(70):
            create(acme, f"old.{number}")
    with long_ago(80):
        create(acme, "young.one")
    with app.app_context():
        assert remove_old_activity(db, now_ms(), 90) == 70
        assert remove_old_activity(db, now_ms(), 90) == 0
    [entry] = acme.api("GET", f"/organizations/{acme.organization_id}/scim/activity").json["data"]
    assert (entry["method"], entry["status"]) == ("POST", 201)


def test_a_tombstone_is_forgotten_after_its_time_and_the_living_are_not(
    app: Flask, acme: Tenant, long_ago: Any
) -> None:
    with long_ago(500):
        gone, stays, inactive = (create(acme, name) for name in ("gone.long", "gone.lately", "still.here"))
        acme.scim("PATCH", f"/Users/{inactive}", okta.set_active(False))
    delete_long_ago(acme, gone, long_ago)
    delete_long_ago(acme, stays, long_ago, days=300)
    with app.app_context():
        assert remove_old_tombstones(db, now_ms(), 365) == 1
    with app.app_context(), db.reading() as session:
        assert set(session.scalars(select(DirectoryUser.user_id))) == {stays, inactive}
        assert set(session.scalars(select(DirectoryUserEmail.user_id))) == {stays, inactive}
    assert acme.scim("GET", f"/Users/{inactive}").json["active"] is False


def test_who_was_forgotten_comes_back_as_the_same_user_by_the_e_mail_address(
    app: Flask, acme: Tenant, long_ago: Any
) -> None:
    with long_ago(500):
        user_id = create(acme, "nadia.petrov")
    delete_long_ago(acme, user_id, long_ago)
    assert sweep(app) > 0
    assert create(acme, "nadia.petrov") == user_id
    assert acme.scim("GET", f"/Users/{user_id}").json["active"] is True


def test_who_was_forgotten_and_has_no_e_mail_address_comes_back_as_somebody_new(
    app: Flask, acme: Tenant, long_ago: Any
) -> None:
    nameless = {"userName": "petrov", "emails": []}
    with long_ago(500):
        user_id = create(acme, "nadia.petrov", **nameless)
    delete_long_ago(acme, user_id, long_ago)
    sweep(app)
    assert create(acme, "nadia.petrov", **nameless) != user_id
    with app.app_context(), db.reading() as session:
        assert session.get_one(User, user_id).deleted_at is not None


def test_the_sweep_heeds_both_settings(app: Flask, acme: Tenant, long_ago: Any) -> None:
    with long_ago(500):
        user_id = create(acme, "nadia.petrov")
    delete_long_ago(acme, user_id, long_ago)
    app.config["SETTINGS"].__dict__.update(activity_retention_days=600, tombstone_retention_days=600)
    sweep(app)
    assert (count(app, DirectoryUser), count(app, DirectoryActivity)) == (1, 2)
    app.config["SETTINGS"].__dict__.update(activity_retention_days=450, tombstone_retention_days=365)
    sweep(app)
    assert (count(app, DirectoryUser), count(app, DirectoryActivity)) == (0, 1)


def test_both_are_found_by_an_index(app: Flask) -> None:
    old_activity = select(DirectoryActivity.id).where(DirectoryActivity.id < "req_0").order_by(DirectoryActivity.id)
    old_tombstones = select(DirectoryUser.user_id).where(DirectoryUser.deleted_at < DAY)
    with app.app_context(), db.reading() as session:
        if session.get_bind().dialect.name != "sqlite":
            return
        for query in (old_activity, old_tombstones.order_by(DirectoryUser.deleted_at)):
            text = str(query.limit(5).compile(session.get_bind(), compile_kwargs={"literal_binds": True}))
            plan = " ".join(row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
            assert "SEARCH" in plan and "SCAN" not in plan, plan
