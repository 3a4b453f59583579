"""The groups of a directory as a person reads them: by name, with how many members, and who joined lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select, tuple_
from sqlalchemy.orm import Session

from errors import NotFound
from folding import fold
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser, OrganizationMembership, Role, User

SEARCHED_WORDS = 5


@dataclass(frozen=True)
class GroupPage:
    """One page of groups by their names, with how many members each has.

    ``before`` and ``after`` are the ids of groups that ask for the pages beside it, None where there is none.
    """

    groups: Sequence[DirectoryGroup]
    member_counts: dict[str, int]
    before: str | None
    after: str | None


@dataclass(frozen=True)
class GroupMember:
    """Somebody in a group, as the organization may see the person; ``role_name`` is None for whoever is no member."""

    user_id: str
    first_name: str | None
    last_name: str | None
    display_name: str | None
    user_name: str
    active: bool
    role_name: str | None
    joined_at: int

    @property
    def full_name(self) -> str:
        """The name, or what comes closest to one."""
        names = [name for name in (self.first_name, self.last_name) if name]
        return " ".join(names) or self.display_name or self.user_name


@dataclass(frozen=True)
class GroupMemberPage:
    """One page of the members of a group, the latest to join first; ``later`` and ``earlier`` ask for those beside."""

    members: Sequence[GroupMember]
    later: str | None
    earlier: str | None


@dataclass(frozen=True)
class JoinedGroup:
    """A group in which somebody is, and since when (Unix milliseconds)."""

    group: DirectoryGroup
    joined_at: int


def list_groups(
    session: Session,
    organization_id: str,
    *,
    words: str = "",
    limit: int,
    before: str | None = None,
    after: str | None = None,
) -> GroupPage:
    """Return one page of the groups whose names contain every word.

    Of ``before`` and ``after``, ids of groups, one is heeded; what is none begins anew.
    """
    key = DirectoryGroup.display_name_key
    before, after = (_name_key(session, organization_id, group_id) for group_id in (before, after))
    query = select(DirectoryGroup).where(DirectoryGroup.organization_id == organization_id)
    for word in words.split()[:SEARCHED_WORDS]:
        query = query.where(key.contains(fold(word), autoescape=True))
    if before is not None:
        found = session.scalars(query.where(key < before).order_by(key.desc()).limit(limit + 1)).all()
        groups, has_before, has_after = found[:limit][::-1], len(found) > limit, True
    else:
        query = query if after is None else query.where(key > after)
        found = session.scalars(query.order_by(key).limit(limit + 1)).all()
        groups, has_before, has_after = found[:limit], after is not None, len(found) > limit
    return GroupPage(
        groups,
        count_members(session, organization_id, [group.id for group in groups]),
        before=groups[0].id if groups and has_before else None,
        after=groups[-1].id if groups and has_after else None,
    )


def _name_key(session: Session, organization_id: str, group_id: str | None) -> str | None:
    if group_id is None:
        return None
    query = select(DirectoryGroup.display_name_key)
    return session.scalar(query.where(DirectoryGroup.organization_id == organization_id, DirectoryGroup.id == group_id))


def count_members(session: Session, organization_id: str, group_ids: Sequence[str]) -> dict[str, int]:
    """Return how many members each of these groups has."""
    member = DirectoryGroupMember
    query = (
        select(member.group_id, func.count())
        .where(member.organization_id == organization_id, member.group_id.in_(group_ids))
        .group_by(member.group_id)
    )
    counts: dict[str, int] = {group_id: number for group_id, number in session.execute(query)}
    return {group_id: counts.get(group_id, 0) for group_id in group_ids}


def get_listed_group(session: Session, organization_id: str, group_id: str) -> DirectoryGroup:
    """Return a group of an organization.

    :raises NotFound: When it has no such group.
    """
    query = select(DirectoryGroup).where(
        DirectoryGroup.organization_id == organization_id, DirectoryGroup.id == group_id
    )
    group = session.scalar(query)
    if group is None:
        raise NotFound("There is no such group.", code="directory_group_not_found")
    return group


def list_group_members(
    session: Session,
    organization_id: str,
    group_id: str,
    *,
    limit: int,
    earlier_than: str | None = None,
    later_than: str | None = None,
) -> GroupMemberPage:
    """Return one page of the members of a group, the latest to join first.

    ``earlier_than`` and ``later_than`` are places that a page gave, of which one is heeded; what is none begins anew.
    """
    query, place = (
        _members_of(organization_id, group_id),
        (DirectoryGroupMember.joined_at, DirectoryGroupMember.user_id),
    )
    later, earlier = _place(later_than), _place(earlier_than)
    if later is not None:
        found = session.execute(query.where(tuple_(*place) > tuple_(*later)).order_by(*place).limit(limit + 1)).all()
        members = [GroupMember(*row) for row in reversed(found[:limit])]
        has_later, has_earlier = len(found) > limit, True
    else:
        query = query if earlier is None else query.where(tuple_(*place) < tuple_(*earlier))
        order = [column.desc() for column in place]
        found = session.execute(query.order_by(*order).limit(limit + 1)).all()
        members = [GroupMember(*row) for row in found[:limit]]
        has_later, has_earlier = earlier is not None, len(found) > limit
    return GroupMemberPage(
        members,
        later=_place_of(members[0]) if members and has_later else None,
        earlier=_place_of(members[-1]) if members and has_earlier else None,
    )


def _members_of(organization_id: str, group_id: str) -> Select[*tuple[Any, ...]]:
    """Return the query of the members of a group, in the columns of ``GroupMember``."""
    member, membership = DirectoryGroupMember, OrganizationMembership
    own = func.coalesce(User.managed_by_organization_id, organization_id) == organization_id
    return (
        select(
            member.user_id,
            case((own, User.first_name), else_=None),
            case((own, User.last_name), else_=None),
            DirectoryUser.display_name,
            DirectoryUser.user_name,
            DirectoryUser.active,
            Role.name,
            member.joined_at,
        )
        .join(
            DirectoryUser,
            (DirectoryUser.organization_id == member.organization_id) & (DirectoryUser.user_id == member.user_id),
        )
        .join(User, User.id == member.user_id)
        .outerjoin(
            membership,
            (membership.organization_id == member.organization_id)
            & (membership.user_id == member.user_id)
            & membership.deleted_at.is_(None),
        )
        .outerjoin(Role, Role.id == membership.role_id)
        .where(member.organization_id == organization_id, member.group_id == group_id)
    )


def _place_of(member: GroupMember) -> str:
    return f"{member.joined_at}.{member.user_id}"


def _place(text: str | None) -> tuple[int, str] | None:
    """Return what ``_place_of`` wrote, or None for anything else."""
    moment, _, user_id = (text or "").partition(".")
    return (int(moment), user_id) if moment.isascii() and moment.isdigit() and len(moment) <= 18 else None


def list_groups_of(session: Session, organization_id: str, user_id: str, *, limit: int) -> Sequence[JoinedGroup]:
    """Return the groups in which somebody is, in the order of joining."""
    member = DirectoryGroupMember
    query = (
        select(DirectoryGroup, member.joined_at)
        .join(
            member,
            (member.organization_id == DirectoryGroup.organization_id) & (member.group_id == DirectoryGroup.id),
        )
        .where(member.organization_id == organization_id, member.user_id == user_id)
        .order_by(member.joined_at, DirectoryGroup.id)
        .limit(limit)
    )
    return [JoinedGroup(*row) for row in session.execute(query)]
