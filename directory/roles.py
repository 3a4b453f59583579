"""Which role a person gets from the directory. It is never raised by accident, and never fails a write."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from clock import now_ms
from directory.directories import Directory
from directory.mapping import Mapped
from directory.rows import LOADED, is_plain, loaded_row, write_row
from models import OrganizationMembership, Role
from organizations.roles import default_role
from prepared import Prepared, PreparedList

BY_DEFAULT = "default"
BY_MAPPING = "mapping"
BY_HAND = "manual"

# In one warning, and in one query; an environment has a few roles, and somebody may be in a thousand groups.
MAX_NAMED = 5
MAX_KEYS_ASKED = 100

ALL_ROLES = Prepared(select(*LOADED[Role]))
NAMED_ROLES = PreparedList(lambda keys: select(*LOADED[Role]).where(Role.key.in_(keys)))


class Roles(Protocol):
    """The roles of the environment."""

    def named(self, keys: Collection[str]) -> Sequence[Role]:
        """Return those of these keys that exist."""

    def default(self) -> Role:
        """Return the default role."""


class AskedRoles(NamedTuple):
    """Asks the database for the roles that are named; ``standing`` is the default role, where it is known."""

    session: Session
    standing: Role | None = None

    def named(self, keys: Collection[str]) -> Sequence[Role]:
        """See ``Roles``."""
        if not keys:
            return []
        self.session.flush()  # prepared statements do not see to that themselves
        is_many = len(keys) > MAX_KEYS_ASKED
        found = ALL_ROLES.rows(self.session, {}) if is_many else NAMED_ROLES.rows(self.session, {}, list(keys))
        wanted = set(keys)
        return [role for role in (loaded_row(Role, columns) for columns in found) if role.key in wanted]

    def default(self) -> Role:
        """See ``Roles``."""
        return self.standing or default_role(self.session)


@dataclass(frozen=True)
class KnownRoles:
    """All roles, read once to decide about many people."""

    by_key: dict[str, Role]
    standing: Role

    @classmethod
    def read(cls, session: Session) -> "KnownRoles":
        """Return the roles as they are now."""
        return cls({role.key: role for role in session.scalars(select(Role))}, default_role(session))

    def named(self, keys: Collection[str]) -> Sequence[Role]:
        """See ``Roles``."""
        return [self.by_key[key] for key in dict.fromkeys(keys) if key in self.by_key]

    def default(self) -> Role:
        """See ``Roles``."""
        return self.standing


@dataclass(frozen=True)
class Choice:
    """The role that the directory gives somebody.

    ``by_mistake`` tells that it is the default role because the mapping failed
    or named no role of the environment, and not because nothing was said.
    """

    role: Role
    by_mistake: bool = False


def choose_role(roles: Roles, directory: Directory, mapped: Mapped) -> Choice:
    """Return the role of most permissions among the candidates that exist, else the default role with a warning."""
    wanted = mapped.role_candidates
    known = roles.named(wanted)
    unknown = sorted(set(wanted) - {role.key for role in known})
    if unknown:
        shown = ", ".join(map(repr, unknown[:MAX_NAMED])) + ("…" if len(unknown) > MAX_NAMED else "")
        directory.warn(f"The attribute mapping gave no role of this environment: {shown}.")
    if known:
        return Choice(max(known, key=lambda role: (len(role.permissions), role.key)))
    fallback = roles.default()
    if not wanted:
        directory.warn(f"The attribute mapping gave no role; the default role {fallback.key!r} stands.")
    return Choice(fallback, by_mistake=bool(unknown) or mapped.role_failed)


@dataclass(frozen=True)
class RoleDecision:
    """The role of a member and where it comes from; ``mapped_role_key`` is what the mapping decided, if it does."""

    role: Role
    source: str
    mapped_role_key: str | None


def first_role(roles: Roles, directory: Directory, mapped: Mapped) -> RoleDecision:
    """Return the role of somebody who becomes a member now."""
    if mapped.maps_role:
        role = choose_role(roles, directory, mapped).role
        return RoleDecision(role, BY_MAPPING, role.key)
    return RoleDecision(roles.default(), BY_DEFAULT, None)


def decide_role(roles: Roles, directory: Directory, membership: OrganizationMembership, mapped: Mapped) -> RoleDecision:
    """Return the role of a member by what the directory says now.

    A role set by hand stays until what the directory says changes; a mapping
    that failed says nothing. The default role, where no role came from the
    mapping by mistake, never gives anyone more than before.
    """
    before = RoleDecision(membership.role, membership.role_source, membership.mapped_role_key)
    if not mapped.maps_role:
        return RoleDecision(roles.default(), BY_DEFAULT, None) if before.source == BY_MAPPING else before
    choice = choose_role(roles, directory, mapped)
    decided = RoleDecision(choice.role, BY_MAPPING, choice.role.key)
    if choice.by_mistake and len(choice.role.permissions) > len(before.role.permissions):
        return before
    if before.source == BY_HAND:
        if mapped.role_failed:
            return before
        stays = before.mapped_role_key in (None, choice.role.key)
        return replace(before, mapped_role_key=choice.role.key) if stays else decided
    return decided


def store_role(session: Session, membership: OrganizationMembership, decision: RoleDecision) -> tuple[str, str] | None:
    """Write a decision into a membership; return the keys of the role before and after, or None when it stays."""
    before, role = membership.role, decision.role
    written = {"role_id": role.id, "role_source": decision.source, "mapped_role_key": decision.mapped_role_key}
    if role.id == before.id:
        write_row(session, membership, **written)
        return None
    write_row(session, membership, **written, updated_at=now_ms())
    if is_plain(membership):
        membership.__dict__["role"] = role
    else:  # which has no other neighbours than those that the session knows
        set_committed_value(membership, "role", session.get_one(Role, role.id))
    return before.key, role.key
