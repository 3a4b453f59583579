"""Members of an organization, as the product and its pages see them."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from errors import NotFound
from models import OrganizationMembership, Role, User
from organizations.roles import PROVISIONING_MANAGE, role_ids_with


def memberships_of(organization_id: str, *, include_deleted: bool = False) -> Select[OrganizationMembership]:
    """Return the query of an organization's memberships, oldest first, with their users and roles."""
    query = (
        select(OrganizationMembership)
        .where(OrganizationMembership.organization_id == organization_id)
        .options(joinedload(OrganizationMembership.user), joinedload(OrganizationMembership.role))
        .order_by(OrganizationMembership.id)
    )
    return query if include_deleted else query.where(OrganizationMembership.deleted_at.is_(None))


def list_memberships(
    session: Session,
    organization_id: str,
    *,
    limit: int,
    after: str | None = None,
    include_deleted: bool = False,
    role: str | None = None,
    role_source: str | None = None,
) -> Sequence[OrganizationMembership]:
    """Return one page of memberships; ``after`` is the id of the last one of the page before.

    :param role: Only those with the role of this key.
    :param role_source: Only those whose role comes from there: ``default``, ``mapping`` or ``manual``.
    """
    query = memberships_of(organization_id, include_deleted=include_deleted)
    if role is not None:
        role_id = select(Role.id).where(Role.key == role).scalar_subquery()
        query = query.where(OrganizationMembership.role_id == role_id)
    if role_source is not None:
        query = query.where(OrganizationMembership.role_source == role_source)
    if after is not None:
        query = query.where(OrganizationMembership.id > after)
    return session.scalars(query.limit(limit)).all()


def find_membership(session: Session, organization_id: str, user_id: str) -> OrganizationMembership | None:
    """Return the active membership of a user in an organization, or None."""
    return session.scalar(memberships_of(organization_id).where(OrganizationMembership.user_id == user_id))


def get_membership(session: Session, organization_id: str, user_id: str) -> OrganizationMembership:
    """Return the active membership of a user in an organization.

    :raises NotFound: When the user is no active member of it.
    """
    membership = find_membership(session, organization_id, user_id)
    if membership is None:
        raise NotFound("No such member in this organization.", code="membership_not_found")
    return membership


def find_provisioning_manager(session: Session, organization_id: str) -> OrganizationMembership | None:
    """Return the longest-standing active member who may manage directory sync, or None when nobody may."""
    managing = role_ids_with(session, PROVISIONING_MANAGE)
    query = memberships_of(organization_id).where(OrganizationMembership.role_id.in_(managing))
    return session.scalar(query.limit(1))


def find_user_by_email(session: Session, email_key: str) -> User | None:
    """Return the user of a folded e-mail address, soft-deleted ones included, or None."""
    return session.scalar(select(User).where(User.email_key == email_key))
