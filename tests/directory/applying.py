"""Mappings put, tried and applied, and what is stored of the people before and after."""

from typing import Any

from flask import Flask
from sqlalchemy import select

import jobs
from database import db
from models import DirectoryUser, MappingApplication, OrganizationMembership, User
from tests import okta
from tests.conftest import Tenant

SHOWN = ("external_id", "first_name", "last_name", "username", "email_address", "public_metadata")
BY_GROUPS = {"groups[*].value": "organization_role"}


def path(tenant: Tenant) -> str:
    return f"/organizations/{tenant.organization_id}/scim/attribute-mappings"


def put(tenant: Tenant, mapping: dict[str, Any]) -> dict[str, Any]:
    answer = tenant.api("PUT", path(tenant), {"mapping": mapping})
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def apply(app: Flask, tenant: Tenant) -> dict[str, Any]:
    """Run the job as a worker does, and return the application."""
    with app.app_context():
        jobs.apply_mapping_of(tenant.organization_id)
    application: dict[str, Any] = tenant.api("GET", path(tenant)).json["application"]
    return application


def put_and_apply(app: Flask, tenant: Tenant, mapping: dict[str, Any]) -> dict[str, Any]:
    put(tenant, mapping)
    application = apply(app, tenant)
    assert application["state"] == "done", application
    return application


def preview(tenant: Tenant, mapping: dict[str, Any], query: str = "", **body: Any) -> dict[str, Any]:
    answer = tenant.api("POST", f"{path(tenant)}/preview{query}", {"mapping": mapping, **body})
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def whole_preview(tenant: Tenant, mapping: dict[str, Any], limit: int = 200) -> dict[str, dict[str, Any]]:
    """What a preview says of everybody, page by page, by user."""
    found, query = {}, f"?limit={limit}"
    while True:
        page = preview(tenant, mapping, query)
        found.update({one["user_id"]: one for one in page["data"]})
        if page["meta"]["next_cursor"] is None:
            return found
        query = f"?limit={limit}&cursor={page['meta']['next_cursor']}"


def add(tenant: Tenant, name: str, /, **changes: Any) -> str:
    answer = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert answer.status_code == 201, answer.json
    user_id: str = answer.json["id"]
    return user_id


def push(tenant: Tenant, name: str, *members: str) -> str:
    answer = tenant.scim("POST", "/Groups", okta.group(name, *members))
    assert answer.status_code == 201, answer.json
    group_id: str = answer.json["id"]
    return group_id


def people(app: Flask, tenant: Tenant) -> dict[str, dict[str, Any]]:
    """What is stored of the people of a directory: profile, role, and whether they are active in it."""
    query = select(DirectoryUser, User).join(User, User.id == DirectoryUser.user_id).order_by(User.id)
    found = {}
    with app.app_context(), db.reading() as session:
        for row, user in session.execute(query.where(DirectoryUser.organization_id == tenant.organization_id)):
            membership = session.scalar(
                select(OrganizationMembership).where(
                    OrganizationMembership.organization_id == tenant.organization_id,
                    OrganizationMembership.user_id == user.id,
                    OrganizationMembership.deleted_at.is_(None),
                )
            )
            role = membership.role.key if membership else None
            found[user.id] = {**{name: getattr(user, name) for name in SHOWN}, "role": role, "active": row.active}
    return found


def set_role(app: Flask, tenant: Tenant, user_id: str, key: str) -> None:
    """Give somebody a role by hand."""
    from organizations.roles import get_role

    with app.app_context(), db.unit_of_work() as session:
        membership = session.scalars(
            select(OrganizationMembership).where(
                OrganizationMembership.organization_id == tenant.organization_id,
                OrganizationMembership.user_id == user_id,
            )
        ).one()
        membership.role, membership.role_source = get_role(session, key), "manual"


def application_row(app: Flask, tenant: Tenant) -> MappingApplication:
    with app.app_context(), db.reading() as session:
        query = select(MappingApplication).where(MappingApplication.organization_id == tenant.organization_id)
        row = session.scalars(query.order_by(MappingApplication.version.desc()).limit(1)).one()
        session.expunge(row)
        return row
