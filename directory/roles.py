"""Which role a person gets from the directory. It is never raised by accident, and never fails a write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.mapping import Mapped
from models import OrganizationMembership, Role
from organizations.roles import default_role

BY_DEFAULT = "default"
BY_MAPPING = "mapping"
BY_HAND = "manual"


def choose_role(session: Session, directory: Directory, candidates: Sequence[str]) -> Role:
    """Return the role of most permissions among the candidates that exist, else the default role with a warning."""
    wanted = [candidate.strip() for candidate in candidates if candidate.strip()]
    known = session.scalars(select(Role).where(Role.key.in_(wanted))).all() if wanted else []
    return _best_role(directory, wanted, known, lambda: default_role(session))


@dataclass(frozen=True)
class KnownRoles:
    """All roles of the environment, read once to decide about many people."""

    by_key: dict[str, Role]
    default: Role

    @classmethod
    def read(cls, session: Session) -> "KnownRoles":
        """Return the roles as they are now."""
        return cls({role.key: role for role in session.scalars(select(Role))}, default_role(session))

    def choose(self, directory: Directory, candidates: Sequence[str]) -> Role:
        """See ``choose_role``."""
        wanted = [candidate.strip() for candidate in candidates if candidate.strip()]
        known = [self.by_key[key] for key in dict.fromkeys(wanted) if key in self.by_key]
        return _best_role(directory, wanted, known, lambda: self.default)


def _best_role(directory: Directory, wanted: Sequence[str], known: Sequence[Role], default: Callable[[], Role]) -> Role:
    unknown = sorted(set(wanted) - {role.key for role in known})
    if unknown:
        directory.warn(f"The attribute mapping gave no role of this environment: {', '.join(map(repr, unknown))}.")
    if known:
        return max(known, key=lambda role: (len(role.permissions), role.key))
    fallback = default()
    if not wanted:
        directory.warn(f"The attribute mapping gave no role; the default role {fallback.key!r} stands.")
    return fallback


def first_role(session: Session, directory: Directory, mapped: Mapped) -> tuple[Role, str]:
    """Return the role of somebody who becomes a member now, and where it comes from."""
    if mapped.maps_role:
        return choose_role(session, directory, mapped.role_candidates), BY_MAPPING
    return default_role(session), BY_DEFAULT


@dataclass(frozen=True)
class RoleDecision:
    """The role of a member and where it comes from; ``mapped_role_key`` is what the mapping decided, if it does."""

    role: Role
    source: str
    mapped_role_key: str | None


def decide_role(
    membership: OrganizationMembership,
    mapped: Mapped,
    choose: Callable[[Sequence[str]], Role],
    default: Callable[[], Role],
) -> RoleDecision:
    """Return the role of a member by what the directory says now.

    A role set by hand stays until what the directory says changes.
    """
    decided_before = membership.mapped_role_key
    if mapped.maps_role:
        role = choose(mapped.role_candidates)
        if membership.role_source == BY_HAND and decided_before in (None, role.key):
            return RoleDecision(membership.role, BY_HAND, role.key)
        return RoleDecision(role, BY_MAPPING, role.key)
    if membership.role_source == BY_MAPPING:
        return RoleDecision(default(), BY_DEFAULT, None)
    return RoleDecision(membership.role, membership.role_source, decided_before)


def follow_mapping(
    session: Session, directory: Directory, membership: OrganizationMembership, mapped: Mapped
) -> tuple[str, str] | None:
    """Bring the role of a member up to what the directory says now.

    :return: The keys of the role before and after, or None when it stays.
    """
    decision = decide_role(
        membership,
        mapped,
        choose=lambda candidates: choose_role(session, directory, candidates),
        default=lambda: default_role(session),
    )
    return store_role(membership, decision)


def store_role(membership: OrganizationMembership, decision: RoleDecision) -> tuple[str, str] | None:
    """Write a decision into a membership; return the keys of the role before and after, or None when it stays."""
    before = membership.role
    membership.role_source, membership.mapped_role_key = decision.source, decision.mapped_role_key
    if decision.role.id == before.id:
        return None
    membership.role, membership.updated_at = decision.role, now_ms()
    return before.key, decision.role.key
