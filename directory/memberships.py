"""Admitting people to an organization and letting them go, as their directory says."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from clock import now_ms
from directory.directories import Directory
from directory.mapping import Mapped
from directory.roles import AskedRoles, first_role, follow_mapping
from ids import new_id
from models import OrganizationMembership, Role, User
from organizations.roles import PROVISIONING_MANAGE
from organizations.sign_in import end_sessions
from organizations.users import is_member_elsewhere


def find_any_membership(session: Session, organization_id: str, user_id: str) -> OrganizationMembership | None:
    """Return the membership of a person, ended ones too, or None."""
    query = (
        select(OrganizationMembership)
        .where(OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id == user_id)
        .options(joinedload(OrganizationMembership.role))
    )
    return session.scalar(query)


def admit(session: Session, directory: Directory, user: User, mapped: Mapped) -> OrganizationMembership:
    """Make a person an active member: a new membership, or the same one as before."""
    now = now_ms()
    membership = find_any_membership(session, directory.organization_id, user.id)
    if membership is None:
        first = first_role(AskedRoles(session), directory, mapped)
        membership = OrganizationMembership(
            id=new_id("orgmem"),
            organization_id=directory.organization_id,
            user=user,
            role=first.role,
            role_source=first.source,
            mapped_role_key=first.mapped_role_key,
            created_at=now,
            updated_at=now,
        )
        session.add(membership)
    else:
        if membership.deleted_at is not None:
            membership.deleted_at = None
            membership.updated_at = now
        follow_mapping(session, directory, membership, mapped)
    user.active, user.deleted_at, user.updated_at = True, None, now
    session.flush()
    return membership


def let_go(session: Session, directory: Directory, user: User) -> None:
    """End a person's membership and sessions at once; and the person, when no membership is left anywhere."""
    now = now_ms()
    membership = find_any_membership(session, directory.organization_id, user.id)
    if membership is not None and membership.deleted_at is None:
        membership.deleted_at = membership.updated_at = now
    end_sessions(session, directory.organization_id, user.id)
    if not is_member_elsewhere(session, user.id, directory.organization_id):
        user.active, user.deleted_at, user.updated_at = False, now, now
    session.flush()


def lost_last_admin(session: Session, organization_id: str, user_id: str) -> bool:
    """Tell whether the person who was just let go was the last member who could manage provisioning."""
    left = session.scalar(
        select(Role.permissions)
        .join(OrganizationMembership, OrganizationMembership.role_id == Role.id)
        .where(OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id == user_id)
    )
    return PROVISIONING_MANAGE in (left or []) and count_admins(session, organization_id) == 0


def count_admins(session: Session, organization_id: str) -> int:
    """Return how many active members may manage provisioning."""
    managing = [
        role_id
        for role_id, permissions in session.execute(select(Role.id, Role.permissions))
        if PROVISIONING_MANAGE in permissions
    ]
    query = select(func.count()).where(
        OrganizationMembership.organization_id == organization_id,
        OrganizationMembership.deleted_at.is_(None),
        OrganizationMembership.role_id.in_(managing),
    )
    return session.scalar(query) or 0
