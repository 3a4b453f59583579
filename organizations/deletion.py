"""Deleting an organization: all that acts for it ends, and what it knew of people is let go, in one transaction.

Every step is one statement over all rows, so that 50,000 people take seconds.
The organization's own rows stay, and no address leads to them any more.
"""

from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import NotFound
from models import (
    DirectorySwitch,
    DirectoryUser,
    DirectoryUserEmail,
    EnterpriseConnection,
    MappingApplication,
    Organization,
    OrganizationMembership,
    ScimToken,
    SecretKey,
    SignInLink,
    User,
    WebhookEndpoint,
)
from models import Session as BrowserSession
from organizations.organizations import get_organization
from organizations.representations import organization_object
from webhooks.events import record_event


def delete_organization(session: Session, organization_id: str) -> Organization:
    """Delete an organization with its memberships, directory, connections, credentials, sessions and endpoints.

    People who are members of no other organization are soft-deleted. One event,
    ``organization.deleted``, tells of it, and not one for each person.

    :raises NotFound: When there is no such organization, or it is deleted already.
    """
    get_organization(session, organization_id)
    _wait_for_writers(session, organization_id)
    organization = get_organization(session, organization_id)
    now = now_ms()
    organization.deleted_at = organization.updated_at = now
    session.flush()
    ended = _end_people(session, organization_id, now)
    _end_directory(session, organization_id, now)
    _end_credentials(session, organization_id, now)
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.organization_id == organization_id))
    data = {"organization": organization_object(organization), **ended}
    record_event(session, "organization.deleted", organization_id, data)
    return organization


def _wait_for_writers(session: Session, organization_id: str) -> None:
    """Hold the directory users, the people, and then the organization's row, in the order of whoever writes.

    Whoever wrote for the organization is done then; whoever comes later finds it deleted.
    """
    in_directory = select(DirectoryUser.user_id).where(
        DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None)
    )
    session.execute(in_directory.order_by(DirectoryUser.user_id).with_for_update(key_share=True))
    people = select(User.id).where(_is_of(organization_id)).order_by(User.id)
    session.execute(people.with_for_update(key_share=True))
    row = session.get(Organization, organization_id, with_for_update=True, populate_existing=True)
    if row is None or row.deleted_at is not None:
        raise NotFound("No such organization.", code="organization_not_found")


def _is_of(organization_id: str) -> ColumnElement[bool]:
    """Return the condition that a user is an active member, or is managed by the organization."""
    members = select(OrganizationMembership.user_id).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.deleted_at.is_(None)
    )
    return or_(User.id.in_(members), User.managed_by_organization_id == organization_id)


def _end_people(session: Session, organization_id: str, now: int) -> dict[str, int]:
    """End the memberships; delete who is left without any, and let the profiles of the others go."""
    members = select(OrganizationMembership.user_id).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.deleted_at.is_(None)
    )
    elsewhere = exists().where(
        OrganizationMembership.user_id == User.id,
        OrganizationMembership.organization_id != organization_id,
        OrganizationMembership.deleted_at.is_(None),
    )
    # What a directory said of somebody is nobody else's, so it goes with the organization that manages the person.
    managed = update(User).where(User.managed_by_organization_id == organization_id)
    gone = update(User).where(User.id.in_(members), User.deleted_at.is_(None), ~elsewhere)
    deleted = _count(session, gone.values(active=False, deleted_at=now, updated_at=now))
    forgotten: dict[str, Any] = {"external_id": None, "username": None, "public_metadata": {}}
    forgotten |= {"directory_metadata_paths": [], "managed_by_organization_id": None, "updated_at": now}
    session.execute(managed.values(**forgotten), execution_options={"synchronize_session": False})
    ended = update(OrganizationMembership).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.deleted_at.is_(None)
    )
    count = _count(session, ended.values(deleted_at=now, updated_at=now))
    return {"memberships_ended": count, "users_deleted": deleted}


def _end_directory(session: Session, organization_id: str, now: int) -> None:
    """Make everybody in the directory a tombstone, so that other directories may manage the people."""
    session.execute(delete(DirectoryUserEmail).where(DirectoryUserEmail.organization_id == organization_id))
    people = update(DirectoryUser).where(
        DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None)
    )
    _count(session, people.values(deleted_at=now, active=False))
    unfinished = update(MappingApplication).where(
        MappingApplication.organization_id == organization_id, MappingApplication.finished_at.is_(None)
    )
    _count(session, unfinished.values(state="superseded", finished_at=now))
    session.execute(delete(DirectorySwitch).where(DirectorySwitch.organization_id == organization_id))
    session.execute(delete(EnterpriseConnection).where(EnterpriseConnection.organization_id == organization_id))


def _end_credentials(session: Session, organization_id: str, now: int) -> None:
    for table in (ScimToken, SecretKey):
        _count(
            session,
            update(table)
            .where(table.organization_id == organization_id, table.revoked_at.is_(None))
            .values(revoked_at=now),
        )
    links = update(SignInLink).where(SignInLink.organization_id == organization_id, SignInLink.used_at.is_(None))
    _count(session, links.values(used_at=now))
    sessions = update(BrowserSession).where(BrowserSession.organization_id == organization_id)
    _count(session, sessions.where(BrowserSession.ended_at.is_(None)).values(ended_at=now))


def _count(session: Session, statement: Update) -> int:
    """Execute a statement and return how many rows it changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount if isinstance(result, CursorResult) else 0
