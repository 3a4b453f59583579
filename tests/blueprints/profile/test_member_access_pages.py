"""Removing a member by hand and giving access back: asked first, refused to the last admin, and written down."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from database import db
from models import AdministrativeAct
from organizations.members import find_membership
from tests.directory.applying import add


def is_member(app: Flask, tenant: Any, user_id: str) -> bool:
    with app.app_context(), db.reading() as session:
        membership = find_membership(session, tenant.organization_id, user_id)
        return membership is not None and membership.deleted_at is None


def test_a_member_is_removed_and_gets_access_back(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    person = f"/organization/members/{user_id}"
    assert f"{person}/remove" in acme_admin.get(person).links()
    page = acme_admin.get(f"{person}/remove")
    assert "unassign them in the identity provider" in page.text and is_member(app, acme, user_id)
    assert acme_admin.send(page).status_code == 303 and not is_member(app, acme, user_id)
    page = acme_admin.get(person)
    assert "removed by hand" in page.text and f"{person}/return" in page.links()
    assert "Nothing is left to do" in acme_admin.get(f"{person}/remove").text
    assert acme_admin.send(acme_admin.get(f"{person}/return")).status_code == 303 and is_member(app, acme, user_id)
    assert "Nothing is left to do" in acme_admin.get(f"{person}/return").text
    with app.app_context(), db.reading() as session:
        query = select(AdministrativeAct).where(AdministrativeAct.action.like("organization_membership.%"))
        acts = [act for act in session.scalars(query) if act.details["user_id"] == user_id]
        assert sorted(act.action for act in acts) == [
            "organization_membership.created",
            "organization_membership.deleted",
        ]
        assert {act.actor_id for act in acts} == {acme.admin_id}


def test_the_last_admin_is_not_removed(app: Flask, acme: Any, acme_admin: Any) -> None:
    refused = acme_admin.send_and_read(acme_admin.get(f"/organization/members/{acme.admin_id}/remove"))
    assert refused.status == 409 and "the last member who can manage provisioning" in refused.words("[role=alert]")
    assert is_member(app, acme, acme.admin_id)
