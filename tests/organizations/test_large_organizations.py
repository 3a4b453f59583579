"""A large organization: deleted in one transaction, and its people suspended and restored in small ones."""

import pytest
from flask import Flask
from sqlalchemy import func, select

import jobs
from database import db
from models import OrganizationMembership, User
from tests.blueprints.management.calls import ok
from tests.blueprints.test_scim_large_groups import statements
from tests.conftest import Tenant
from tests.directory.test_mapping_at_scale import seed

pytestmark = pytest.mark.slow

PEOPLE = 50_000


def count_active(app: Flask, tenant: Tenant) -> tuple[int, int]:
    """How many members an organization has, and how many users are active in the environment."""
    with app.app_context(), db.reading() as session:
        members = select(func.count()).where(
            OrganizationMembership.organization_id == tenant.organization_id,
            OrganizationMembership.deleted_at.is_(None),
        )
        users = select(func.count()).where(User.active)
        return session.scalar(members) or 0, session.scalar(users) or 0


def test_deleting_50000_people_takes_as_many_statements_as_a_few(app: Flask, acme: Tenant, globex: Tenant) -> None:
    seed(app, acme, PEOPLE)
    assert count_active(app, acme) == (PEOPLE + 1, PEOPLE + 2)

    with statements(app) as seen:
        assert globex.api("DELETE", f"/organizations/{acme.organization_id}").status_code == 204

    assert count_active(app, acme) == (0, 1)
    assert len(seen) < 100, "as many as for a few people"


def test_5000_people_are_suspended_and_restored(app: Flask, acme: Tenant) -> None:
    people = PEOPLE // 10
    seed(app, acme, people)
    path = f"/organizations/{acme.organization_id}/scim/directory"
    for verb, left in (("disable", 1), ("enable", people + 1)):
        ok(acme.api("POST", f"{path}/{verb}", {"people": "suspend"} if verb == "disable" else None))
        with app.app_context():
            jobs.switch_directory_of(acme.organization_id)
        assert count_active(app, acme)[0] == left
        assert ok(acme.api("GET", path))["work"] is None
