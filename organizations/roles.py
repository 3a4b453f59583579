"""Roles and permissions. Two roles are there from the start; an installation may add more."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from clock import now_ms
from errors import Conflict, DomainError, InvalidInput, NotFound
from ids import new_id
from models import Organization, OrganizationMembership, Role
from organizations.validation import name_problems, problem

MEMBERSHIPS_READ = "org:sys_memberships:read"
MEMBERSHIPS_MANAGE = "org:sys_memberships:manage"
PROVISIONING_READ = "org:sys_provisioning:read"
PROVISIONING_MANAGE = "org:sys_provisioning:manage"

# Permissions of the system itself begin so; the product may add others, which mean nothing here.
SYSTEM_PERMISSION = "org:sys_"

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
        MEMBERSHIPS_MANAGE,
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


def may_give(own: Collection[str], role: Role) -> bool:
    """Tell whether somebody with these permissions may give a role, or take it: it permits nothing beyond them here."""
    return all(permission in own for permission in role.permissions if permission.startswith(SYSTEM_PERMISSION))


@dataclass(frozen=True)
class RoleChoice:
    """A role that somebody may choose; ``manages_provisioning`` tells that it may change Directory sync."""

    key: str
    name: str
    manages_provisioning: bool


def list_role_choices(session: Session) -> list[RoleChoice]:
    """Return all roles of the environment, those with the fewest permissions first."""
    roles = sorted(session.scalars(select(Role)), key=lambda role: (len(role.permissions), role.key))
    return [RoleChoice(role.key, role.name, PROVISIONING_MANAGE in role.permissions) for role in roles]


# -- Roles of an installation ---------------------------------------------------

KEY_PATTERN = re.compile(r"org:[a-z][a-z0-9_]*")
KEY_LENGTH = 100
SEEDED = (ADMIN, MEMBER)


def list_roles(session: Session, *, limit: int, after: str | None = None) -> Sequence[Role]:
    """Return one page of roles, oldest first; ``after`` is the id of the last one of the page before."""
    query = select(Role).order_by(Role.id).limit(limit)
    return session.scalars(query if after is None else query.where(Role.id > after)).all()


def get_role_by_id(session: Session, role_id: str) -> Role:
    """Return a role.

    :raises NotFound: When there is none of this id.
    """
    role = session.get(Role, role_id)
    if role is None:
        raise NotFound("No such role.", code="role_not_found")
    return role


def create_role(session: Session, *, key: str, name: str, permissions: Sequence[str], is_default: bool) -> Role:
    """Add a role, with permissions that this installation knows.

    :raises InvalidInput: When the key, the name or a permission cannot be accepted.
    :raises Conflict: ``role_exists``, when there is a role of this key.
    """
    problems = role_name_problems(name) + role_key_problems(key) + permission_problems(permissions)
    if is_default:
        problems += _default_problems(permissions)
    if problems:
        raise InvalidInput(problems)
    _hold_roles(session)
    if find_role(session, key) is not None:
        raise Conflict(f"There is a role {key!r} already.", code="role_exists", meta={"param": "key"})
    now = now_ms()
    role = Role(id=new_id("role"), key=key, name=name.strip(), permissions=sorted(set(permissions)))
    role.is_default, role.created_at, role.updated_at = False, now, now
    session.add(role)
    session.flush()
    if is_default:
        _make_default(session, role)
    return role


def change_role_definition(
    session: Session,
    role_id: str,
    *,
    name: str | None = None,
    permissions: Sequence[str] | None = None,
    is_default: bool | None = None,
) -> Role:
    """Change what is given of a role. Everybody who has it has the new permissions with the next request.

    Of the roles that every environment has nothing can be changed but which one
    is the default. There always is one: it is changed by making another role it.

    :raises NotFound: When there is no such role.
    :raises InvalidInput: When a value cannot be accepted.
    :raises Conflict: ``role_protected``, or ``last_admin`` when an organization would be left without anybody who may
        manage provisioning.
    """
    _hold_roles(session)
    role = get_role_by_id(session, role_id)
    _require_changeable(role, changes=name is not None or permissions is not None)
    problems = [] if name is None else role_name_problems(name)
    problems += [] if permissions is None else permission_problems(permissions)
    if is_default is False and role.is_default:
        problems.append(problem("is_default", "One role is the default.", "Make another role the default instead."))
    if is_default or role.is_default:
        problems += _default_problems(role.permissions if permissions is None else permissions)
    if problems:
        raise InvalidInput(problems)
    if permissions is not None:
        _require_other_admins(session, role, permissions)
        role.permissions = sorted(set(permissions))
    role.name = role.name if name is None else name.strip()
    role.updated_at = now_ms()
    if is_default:
        _make_default(session, role)
    session.flush()
    return role


def delete_role(session: Session, role_id: str) -> Role:
    """Delete a role that no member has. Former members who had it get the default role, should they come back.

    :raises NotFound: When there is no such role.
    :raises Conflict: ``role_protected``, or ``role_in_use``, which says how many members have it.
    """
    _hold_roles(session)
    role = get_role_by_id(session, role_id)
    _require_changeable(role)
    if role.is_default:
        advice = "Make another role the default first."
        raise Conflict("This is the default role.", long_message=advice, code="role_is_default")
    of_role = OrganizationMembership.role_id == role_id
    members = session.scalar(select(func.count()).where(of_role, OrganizationMembership.deleted_at.is_(None))) or 0
    if members:
        raise Conflict(
            f"{members} {'member has' if members == 1 else 'members have'} this role.",
            long_message="Give them another role first, by hand or by the attribute mapping.",
            code="role_in_use",
            meta={"members": members},
        )
    former = update(OrganizationMembership).where(of_role, OrganizationMembership.deleted_at.is_not(None))
    session.execute(former.values(role_id=default_role(session).id), execution_options={"synchronize_session": False})
    session.delete(role)
    session.flush()
    return role


def _hold_roles(session: Session) -> None:
    """Let those who change roles follow each other: there is one default, and what is in use is counted."""
    session.execute(select(Role.id).order_by(Role.id).with_for_update(key_share=True))
    session.expire_all()


def _require_changeable(role: Role, *, changes: bool = True) -> None:
    if changes and role.key in SEEDED:
        raise Conflict(
            f"The role {role.key!r} is part of every environment and stays as it is.",
            long_message="Add a role of your own with the permissions that you need.",
            code="role_protected",
        )


def role_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of a role."""
    return name_problems("name", name, "The role needs a name.", example="“Support”")


def role_key_problems(key: str) -> list[DomainError]:
    """Return what is wrong with the key of a role that is to be added."""
    if KEY_PATTERN.fullmatch(key) and len(key) <= KEY_LENGTH:
        return []
    advice = f"Write org: and then small letters, digits and _, at most {KEY_LENGTH} characters: org:support."
    return [problem("key", "key is no key of a role.", advice)]


def permission_problems(permissions: Sequence[str]) -> list[DomainError]:
    """Return what is wrong with the permissions of a role: each is one that this installation knows."""
    return [
        problem(
            "permissions",
            f"{unknown!r} is no permission of this installation.",
            f"There are: {', '.join(ADMIN_PERMISSIONS)}.",
            code="unknown_permission",
        )
        for unknown in sorted(set(permissions) - set(ADMIN_PERMISSIONS))
    ]


def _default_problems(permissions: Sequence[str]) -> list[DomainError]:
    """Return why a role cannot be the default: people whom nobody decided about must not manage provisioning."""
    if PROVISIONING_MANAGE not in permissions:
        return []
    advice = f"Everybody for whom nothing else is decided gets it. Leave {PROVISIONING_MANAGE} out of it."
    return [problem("is_default", "A role that can manage provisioning cannot be the default.", advice)]


def _make_default(session: Session, role: Role) -> None:
    others = update(Role).where(Role.is_default, Role.id != role.id).values(is_default=False)
    session.execute(others, execution_options={"synchronize_session": "fetch"})
    role.is_default = True
    session.flush()


def _require_other_admins(session: Session, role: Role, permissions: Sequence[str]) -> None:
    """Return unless some organization is managed by nobody but members with a role that loses that permission."""
    if PROVISIONING_MANAGE not in role.permissions or PROVISIONING_MANAGE in permissions:
        return
    others = [role_id for role_id in role_ids_with(session, PROVISIONING_MANAGE) if role_id != role.id]
    mine, another = aliased(OrganizationMembership), aliased(OrganizationMembership)

    def held(membership: type[OrganizationMembership], role_ids: Sequence[str]) -> ColumnElement[bool]:
        return exists().where(
            membership.organization_id == Organization.id,
            membership.role_id.in_(role_ids),
            membership.deleted_at.is_(None),
        )

    query = select(func.count()).select_from(Organization)
    count = session.scalar(query.where(held(mine, [role.id]), ~held(another, others))) or 0
    if count:
        raise Conflict(
            f"{count} {'organization has' if count == 1 else 'organizations have'} no other member who can manage "
            "provisioning.",
            long_message="Give a member there a role that can manage provisioning first, such as org:admin.",
            code="last_admin",
            meta={"organizations": count},
        )
