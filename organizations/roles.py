"""Roles and permissions. Two roles are there from the start; an installation may add more."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from errors import NotFound
from ids import new_id
from models import Role

MEMBERSHIPS_READ = "org:sys_memberships:read"
PROVISIONING_READ = "org:sys_provisioning:read"
PROVISIONING_MANAGE = "org:sys_provisioning:manage"

ADMIN = "org:admin"
MEMBER = "org:member"

MEMBER_PERMISSIONS = [
    "org:sys_profile:read",
    MEMBERSHIPS_READ,
    "org:sys_domains:read",
    PROVISIONING_READ,
]
ADMIN_PERMISSIONS = sorted(
    {
        *MEMBER_PERMISSIONS,
        "org:sys_profile:manage",
        "org:sys_profile:delete",
        "org:sys_memberships:manage",
        "org:sys_domains:manage",
        PROVISIONING_MANAGE,
    }
)


def seed_roles(session: Session) -> None:
    """Add the roles that every environment has, where they are missing."""
    present = set(session.scalars(select(Role.key)))
    if ADMIN not in present:
        session.add(Role(id=new_id("role"), key=ADMIN, name="Admin", permissions=ADMIN_PERMISSIONS))
    if MEMBER not in present:
        session.add(
            Role(id=new_id("role"), key=MEMBER, name="Member", permissions=sorted(MEMBER_PERMISSIONS), is_default=True)
        )
    session.flush()


def find_role(session: Session, key: str) -> Role | None:
    """Return the role of a key such as ``org:admin``, or None."""
    return session.scalar(select(Role).where(Role.key == key))


def get_role(session: Session, key: str) -> Role:
    """Return the role of a key.

    :raises NotFound: When the environment has no such role.
    """
    role = find_role(session, key)
    if role is None:
        raise NotFound(f"No role {key!r} in this environment.", code="role_not_found")
    return role


def role_ids_with(session: Session, permission: str) -> list[str]:
    """Return the ids of the roles that hold a permission."""
    return [role_id for role_id, held in session.execute(select(Role.id, Role.permissions)) if permission in held]


def default_role(session: Session) -> Role:
    """Return the role of people for whom nothing else is decided."""
    return session.scalars(select(Role).where(Role.is_default)).one()
