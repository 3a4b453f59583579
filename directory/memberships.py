"""Admitting people to an organization and letting them go, as their directory says."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.mapping import Mapped
from directory.mappings import Rules
from directory.roles import decide_role, first_role, store_role
from directory.rows import LOADED, add_row, loaded_row, write_row
from ids import new_id
from models import OrganizationMembership, Role, User
from organizations.roles import PROVISIONING_MANAGE
from organizations.sign_in import HAS_SESSIONS, end_sessions, end_sessions_of_all
from organizations.users import IS_MEMBER_ELSEWHERE, is_member_elsewhere
from prepared import Asked, Prepared

ANY_MEMBERSHIP = Prepared(
    select(*LOADED[OrganizationMembership], *LOADED[Role], IS_MEMBER_ELSEWHERE, HAS_SESSIONS)
    .join_from(OrganizationMembership, Role, Role.id == OrganizationMembership.role_id)
    .where(
        OrganizationMembership.organization_id == bindparam("organization"),
        OrganizationMembership.user_id == bindparam("user"),
    )
)
ROLES = Prepared(select(Role.id, Role.permissions))
WITH_ROLE = Prepared(
    select(func.count()).where(
        OrganizationMembership.organization_id == bindparam("organization"),
        OrganizationMembership.deleted_at.is_(None),
        OrganizationMembership.role_id == bindparam("role"),
    )
)


def ask_membership(session: Session, organization_id: str, user_id: str) -> Asked:
    """Ask for the membership of a person; see ``Asked``."""
    return ANY_MEMBERSHIP.ask(session, {"organization": organization_id, "user": user_id, "person": user_id})


def find_any_membership(
    session: Session, organization_id: str, user_id: str, asked: Asked | None = None
) -> OrganizationMembership | None:
    """Return the membership of a person with its role, ended ones too, as a plain row; or None.

    :param asked: What ``ask_membership`` returned for the person, if somebody asked.
    """
    known = _find_membership(session, organization_id, user_id, asked)
    return None if known is None else known.membership


class KnownMembership(NamedTuple):
    """The membership of a person; whether they are a member elsewhere too, and have sessions here, or links to such."""

    membership: OrganizationMembership
    is_elsewhere: bool
    has_sessions: bool


def _find_membership(
    session: Session, organization_id: str, user_id: str, asked: Asked | None
) -> KnownMembership | None:
    rows = (asked or ask_membership(session, organization_id, user_id)).rows()
    if not rows:
        return None
    [found] = rows
    membership = loaded_row(OrganizationMembership, found)
    membership.__dict__["role"] = loaded_row(Role, found[len(LOADED[OrganizationMembership]) :])
    return KnownMembership(membership, bool(found[-2]), bool(found[-1]))


def admit(
    session: Session, directory: Directory, rules: Rules, user_id: str, mapped: Mapped, *, asked: Asked | None = None
) -> None:
    """Make a person an active member: a new membership, or the same one as before."""
    membership = find_any_membership(session, directory.organization_id, user_id, asked)
    if membership is None:
        add_membership(session, directory, rules, user_id, mapped)
    else:
        readmit(session, directory, rules, membership, mapped)


def readmit(
    session: Session, directory: Directory, rules: Rules, membership: OrganizationMembership, mapped: Mapped
) -> None:
    """Make the membership of a person an active one, with the role that the mapping gives."""
    if membership.deleted_at is not None:
        write_row(session, membership, deleted_at=None, updated_at=now_ms())
    store_role(session, membership, decide_role(rules.roles, directory, membership, mapped))


def add_membership(session: Session, directory: Directory, rules: Rules, user_id: str, mapped: Mapped) -> None:
    """Give somebody a first membership."""
    first, now = first_role(rules.roles, directory, mapped), now_ms()
    add_row(
        session,
        OrganizationMembership,
        id=new_id("orgmem"),
        organization_id=directory.organization_id,
        user_id=user_id,
        role_id=first.role.id,
        role_source=first.source,
        mapped_role_key=first.mapped_role_key,
        created_at=now,
        updated_at=now,
    )


def let_go(
    session: Session, directory: Directory, user: User, asked: Asked | None = None
) -> OrganizationMembership | None:
    """End a person's membership and sessions at once; and the person, when no membership is left anywhere."""
    now, known = now_ms(), _find_membership(session, directory.organization_id, user.id, asked)
    if known is not None and known.membership.deleted_at is None:
        write_row(session, known.membership, deleted_at=now, updated_at=now)
    if known is None or known.has_sessions:
        end_sessions(session, directory.organization_id, user.id)
    stays = known.is_elsewhere if known else is_member_elsewhere(session, user.id, directory.organization_id)
    if not stays:
        write_row(session, user, active=False, deleted_at=now, updated_at=now)
    return None if known is None else known.membership


def let_go_all(session: Session, directory: Directory, people: Sequence[tuple[OrganizationMembership, User]]) -> None:
    """End the active memberships of many people who are held, as ``let_go`` does, in few statements."""
    now, ids = now_ms(), [user.id for _, user in people]
    end_sessions_of_all(session, directory.organization_id, ids)
    elsewhere = select(OrganizationMembership.user_id).where(
        OrganizationMembership.user_id.in_(ids),
        OrganizationMembership.organization_id != directory.organization_id,
        OrganizationMembership.deleted_at.is_(None),
    )
    staying = set(session.scalars(elsewhere))
    for membership, user in people:
        membership.deleted_at = membership.updated_at = now
        if user.id not in staying:
            user.active, user.deleted_at, user.updated_at = False, now, now
    session.flush()


def lost_last_admin(session: Session, left: OrganizationMembership) -> bool:
    """Tell whether the membership that just ended was the last one that could manage provisioning."""
    return PROVISIONING_MANAGE in left.role.permissions and count_admins(session, left.organization_id) == 0


def count_admins(session: Session, organization_id: str) -> int:
    """Return how many active members may manage provisioning."""
    session.flush()  # prepared statements do not see to that themselves
    managing = [role_id for role_id, permissions in ROLES.rows(session, {}) if PROVISIONING_MANAGE in permissions]
    this = {"organization": organization_id}
    counts = [WITH_ROLE.rows(session, {**this, "role": role_id}) for role_id in managing]
    return sum(count for [(count,)] in counts)
