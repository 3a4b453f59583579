"""People, and which organization sees whom: a person is one row for the environment, in any number of organizations."""

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from errors import NotFound
from models import DirectoryUser, OrganizationMembership, User


def is_member_elsewhere(session: Session, user_id: str, organization_id: str) -> bool:
    """Tell whether a person is an active member of another organization."""
    query = select(
        exists().where(
            OrganizationMembership.user_id == user_id,
            OrganizationMembership.organization_id != organization_id,
            OrganizationMembership.deleted_at.is_(None),
        )
    )
    return bool(session.scalar(query))


def lock_user(session: Session, user_id: str) -> User:
    """Return a person whose row is held until the end of the transaction, as it is now.

    Whoever changes a person, or decides by the person's groups, holds this lock
    first, so that two requests about one person follow each other.
    """
    return session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def is_known_to(organization_id: str) -> ColumnElement[bool]:
    """Return the condition that an organization knows a user: as a member, a former one too, or from its directory."""
    member = exists().where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id == User.id
    )
    in_directory = exists().where(
        DirectoryUser.organization_id == organization_id,
        DirectoryUser.user_id == User.id,
        DirectoryUser.deleted_at.is_(None),
    )
    return or_(member, in_directory)


def get_user(session: Session, user_id: str, *, seen_by: str | None = None) -> User:
    """Return a user, soft-deleted or not; for ``seen_by`` only somebody whom that organization knows.

    :raises NotFound: When there is no such user, or the organization does not know this one.
    """
    query = select(User).where(User.id == user_id)
    user = session.scalar(query if seen_by is None else query.where(is_known_to(seen_by)))
    if user is None:
        raise NotFound("No such user.", code="user_not_found")
    return user
