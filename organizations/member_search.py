"""Finding members among many: by words, role, source of the role, and whether they still are members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session

from models import DirectoryUser, OrganizationMembership, Role, User
from organizations.users import SEARCHED_WORDS, mentions

Standing = Literal["active", "deactivated", "deleted", "removed"]


@dataclass(frozen=True)
class Member:
    """A member, or a former one, as the organization may see the person; times in Unix milliseconds.

    ``ended_at`` is None for a member. ``directory_active`` is None where the
    directory never had the person, or has deleted the person since.
    """

    membership_id: str
    user_id: str
    first_name: str | None
    last_name: str | None
    email_address: str | None
    username: str | None
    role_key: str
    role_name: str
    role_source: str
    since: int
    changed_at: int
    ended_at: int | None
    directory_active: bool | None
    directory_changed_at: int | None
    directory_deleted_at: int | None
    managed_by_organization_id: str | None

    @property
    def full_name(self) -> str:
        """The name, or what comes closest to one."""
        names = [name for name in (self.first_name, self.last_name) if name]
        return " ".join(names) or self.username or self.email_address or "No name"

    @property
    def address(self) -> str | None:
        """The e-mail address, or the user name of somebody without one."""
        return self.email_address or self.username

    @property
    def in_directory(self) -> bool:
        """Whether the organization's directory has the person now."""
        return self.directory_active is not None

    @property
    def standing(self) -> Standing:
        """``active``; or why the membership ended.

        That is: ``deactivated`` or ``deleted`` in the directory, else ``removed`` by hand.
        """
        if self.ended_at is None:
            return "active"
        if self.directory_deleted_at is not None:
            return "deleted"
        return "deactivated" if self.directory_active is False else "removed"


@dataclass(frozen=True)
class MemberFilter:
    """Which members are asked for: with every one of the words, a role's key, a source of roles, former ones."""

    words: str = ""
    role: str | None = None
    source: str | None = None
    former: bool = False


@dataclass(frozen=True)
class MemberPage:
    """One page of members, the latest first; ``newer_than`` and ``older_than`` ask for the pages beside it, if any."""

    members: Sequence[Member]
    newer_than: str | None
    older_than: str | None


def search_members(
    session: Session,
    organization_id: str,
    wanted: MemberFilter,
    *,
    limit: int,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> MemberPage:
    """Return one page of the members that a filter finds, the latest first.

    ``older_than`` and ``newer_than`` are membership ids, of which at most one is heeded.
    """
    query = _matching(session, organization_id, wanted)
    column = OrganizationMembership.id
    if newer_than is not None:
        rows = session.execute(query.where(column > newer_than).order_by(column).limit(limit + 1)).all()
        members = [Member(*row) for row in reversed(rows[:limit])]
        has_newer, has_older = len(rows) > limit, True
    else:
        query = query if older_than is None else query.where(column < older_than)
        rows = session.execute(query.order_by(column.desc()).limit(limit + 1)).all()
        members = [Member(*row) for row in rows[:limit]]
        has_newer, has_older = older_than is not None, len(rows) > limit
    return MemberPage(
        members,
        newer_than=members[0].membership_id if members and has_newer else None,
        older_than=members[-1].membership_id if members and has_older else None,
    )


def find_member(session: Session, organization_id: str, user_id: str) -> Member | None:
    """Return a member or a former one, or None for whoever never was one."""
    query = _members_of(organization_id).where(OrganizationMembership.user_id == user_id)
    row = session.execute(query).one_or_none()
    return None if row is None else Member(*row)


def _matching(session: Session, organization_id: str, wanted: MemberFilter) -> Select[*tuple[Any, ...]]:
    ended = OrganizationMembership.deleted_at
    query = _members_of(organization_id).where(ended.is_not(None) if wanted.former else ended.is_(None))
    if wanted.role is not None:
        # By its id, which an index begins with.
        role_id = session.scalar(select(Role.id).where(Role.key == wanted.role))
        query = query.where(OrganizationMembership.role_id == role_id)
    if wanted.source is not None:
        query = query.where(OrganizationMembership.role_source == wanted.source)
    for word in wanted.words.split()[:SEARCHED_WORDS]:
        query = query.where(mentions(word, (*_names(organization_id), DirectoryUser.user_name)))
    return query


def _members_of(organization_id: str) -> Select[*tuple[Any, ...]]:
    """Return the query of an organization's members and former ones, in the columns of ``Member``."""
    first_name, last_name, username, email_address = _names(organization_id)
    return (
        select(
            OrganizationMembership.id,
            User.id,
            first_name,
            last_name,
            email_address,
            username,
            Role.key,
            Role.name,
            OrganizationMembership.role_source,
            OrganizationMembership.created_at,
            OrganizationMembership.updated_at,
            OrganizationMembership.deleted_at,
            case((DirectoryUser.deleted_at.is_(None), DirectoryUser.active), else_=None),
            DirectoryUser.last_modified_at,
            DirectoryUser.deleted_at,
            User.managed_by_organization_id,
        )
        .join(User, User.id == OrganizationMembership.user_id)
        .join(Role, Role.id == OrganizationMembership.role_id)
        .outerjoin(
            DirectoryUser,
            (DirectoryUser.organization_id == OrganizationMembership.organization_id)
            & (DirectoryUser.user_id == OrganizationMembership.user_id),
        )
        .where(OrganizationMembership.organization_id == organization_id)
    )


def _names(organization_id: str) -> tuple[ColumnElement[str | None], ...]:
    """Return first name, last name, user name and e-mail address as an organization may see them.

    Of somebody whom another organization manages, the names are what the own
    directory calls the person. The address is known to whoever linked the
    person, and cannot change while they share it; of a former member it may
    have, and is nobody's business here any more.
    """
    own = func.coalesce(User.managed_by_organization_id, organization_id) == organization_id
    shares = or_(own, OrganizationMembership.deleted_at.is_(None))
    return (
        case((own, User.first_name), else_=DirectoryUser.display_name),
        case((own, User.last_name), else_=None),
        case((own, User.username), else_=DirectoryUser.user_name),
        case((shares, User.email_address), else_=None),
    )
