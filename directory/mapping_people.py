"""The people of a directory, many at once, with all that a mapping of them depends on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from directory.directories import Directory
from directory.group_membership import groups_of_each
from folding import fold
from models import DirectoryUser, OrganizationMembership, User


@dataclass(frozen=True)
class Person:
    """A directory user as stored, the person, the membership if there ever was one, and the pushed groups.

    ``groups`` is in the order of joining, and left empty where the mapping does not read it.
    """

    row: DirectoryUser
    user: User
    membership: OrganizationMembership | None
    groups: list[dict[str, Any]]

    @property
    def role_key(self) -> str | None:
        """The role that the person has in the organization now; None for whoever is no member."""
        if self.membership is None or self.membership.deleted_at is not None:
            return None
        return self.membership.role.key


def _rows(organization_id: str) -> Select[DirectoryUser]:
    return (
        select(DirectoryUser)
        .where(DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None))
        .order_by(DirectoryUser.user_id)
        .execution_options(populate_existing=True)
    )


def read_people(
    session: Session, organization_id: str, *, after: str | None, limit: int, with_groups: bool
) -> list[Person]:
    """Return the next people of a directory by their ids, inactive ones too, as they are in this snapshot."""
    rows = session.scalars(_rows(organization_id).where(DirectoryUser.user_id > (after or "")).limit(limit)).all()
    return _with_rest(session, organization_id, rows, with_groups=with_groups)


def find_person(session: Session, organization_id: str, user_id: str) -> Person | None:
    """Return one person of a directory with all pushed groups, or None."""
    return next(iter(find_people(session, organization_id, [user_id], with_groups=True)), None)


def find_people(session: Session, organization_id: str, user_ids: Sequence[str], *, with_groups: bool) -> list[Person]:
    """Return those of these people who are in the directory, by their ids."""
    rows = session.scalars(_rows(organization_id).where(DirectoryUser.user_id.in_(user_ids))).all()
    return _with_rest(session, organization_id, rows, with_groups=with_groups)


def lock_people(session: Session, organization_id: str, user_ids: Sequence[str], *, with_groups: bool) -> list[Person]:
    """Return those of these people who are still in the directory; their rows are held until the transaction ends.

    The directory users are locked first, then the people, each by their ids, as every write does.
    """
    rows = session.scalars(
        _rows(organization_id).where(DirectoryUser.user_id.in_(user_ids)).with_for_update(key_share=True)
    ).all()
    return _with_rest(session, organization_id, rows, with_groups=with_groups, lock=True)


def _with_rest(
    session: Session, organization_id: str, rows: Sequence[DirectoryUser], *, with_groups: bool, lock: bool = False
) -> list[Person]:
    ids = [row.user_id for row in rows]
    if not ids:
        return []
    fresh = {"populate_existing": True}
    of_users = select(User).where(User.id.in_(ids)).order_by(User.id)
    users = session.scalars(of_users.with_for_update(key_share=True) if lock else of_users, execution_options=fresh)
    by_id = {user.id: user for user in users}
    of_members = (
        select(OrganizationMembership)
        .where(OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id.in_(ids))
        .options(joinedload(OrganizationMembership.role))
    )
    memberships = {found.user_id: found for found in session.scalars(of_members, execution_options=fresh)}
    groups = groups_of_each(session, Directory(organization_id), ids) if with_groups else {}
    return [Person(row, by_id[row.user_id], memberships.get(row.user_id), groups.get(row.user_id, [])) for row in rows]


@dataclass
class Neighbours:
    """What decisions about people depend on elsewhere, read for many at once; it follows what is decided.

    ``addresses`` and ``active_addresses`` say who has an e-mail address, in the
    environment and among the active people of the directory; ``moved`` holds
    what decisions made of them.
    """

    organization_id: str
    members: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    addresses: dict[str, str | None] = field(default_factory=dict)
    active_addresses: dict[str, str | None] = field(default_factory=dict)
    moved: dict[str, str | None] = field(default_factory=dict)
    moved_active: dict[str, str | None] = field(default_factory=dict)

    def look_at(self, session: Session, people: Sequence[Person], new_addresses: Iterable[str | None]) -> None:
        """Read what concerns these people, who may get these addresses."""
        ids = [person.row.user_id for person in people]
        keys = {fold(address) for address in new_addresses if address}
        keys |= {person.row.email_key for person in people if person.row.email_key}
        self.members = set(session.scalars(self._elsewhere(OrganizationMembership, ids)))
        self.claimed = self.members | set(session.scalars(self._elsewhere(DirectoryUser, ids)))
        of_all = select(User.email_key, User.id).where(User.email_key.in_(keys))
        self.addresses = {key: user_id for key, user_id in session.execute(of_all) if key}
        of_directory = select(DirectoryUser.email_key, DirectoryUser.user_id).where(
            DirectoryUser.organization_id == self.organization_id,
            DirectoryUser.email_key.in_(keys),
            DirectoryUser.active,
            DirectoryUser.deleted_at.is_(None),
        )
        self.active_addresses = {key: user_id for key, user_id in session.execute(of_directory) if key}

    def _elsewhere(self, table: type[OrganizationMembership | DirectoryUser], ids: Sequence[str]) -> Select[str]:
        return select(table.user_id).where(
            table.user_id.in_(ids), table.organization_id != self.organization_id, table.deleted_at.is_(None)
        )

    def is_member(self, user_id: str) -> bool:
        """Tell whether a person is an active member of another organization."""
        return user_id in self.members

    def is_claimed(self, user_id: str) -> bool:
        """Tell whether another organization has a person, as a member or in its directory."""
        return user_id in self.claimed

    def has_address(self, email_key: str, user_id: str) -> bool:
        """Tell whether somebody else than this person has an e-mail address."""
        holder = self.moved[email_key] if email_key in self.moved else self.addresses.get(email_key)
        return holder not in (None, user_id)

    def has_active_address(self, email_key: str | None, user_id: str) -> bool:
        """Tell whether another active person of the directory has an e-mail address there."""
        if email_key is None:
            return False
        moved = self.moved_active
        holder = moved[email_key] if email_key in moved else self.active_addresses.get(email_key)
        return holder not in (None, user_id)

    def follow(self, person: Person, email_key: str | None, active_key: str | None) -> None:
        """Note the addresses that somebody has by a decision: in the environment, and as an active directory user."""
        row, user_id = person.row, person.row.user_id
        before_active = row.email_key if row.active else None
        for moved, before, after in (
            (self.moved, person.user.email_key, email_key),
            (self.moved_active, before_active, active_key),
        ):
            if before != after:
                if before is not None:
                    moved[before] = None
                if after is not None:
                    moved[after] = user_id
