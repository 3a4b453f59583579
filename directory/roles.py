"""Which role a person gets from the directory. It is never raised by accident, and never fails a write."""

from collections.abc import Collection
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

# In one warning, and in one query; an environment has a few roles, and somebody may be in a thousand groups.
MAX_NAMED = 5
MAX_KEYS_ASKED = 100


@dataclass(frozen=True)
class Decision:
    """The role that the directory gives somebody.

    ``by_mistake`` tells that it is the default role because the mapping failed
    or named no role of the environment, and not because nothing was said.
    """

    role: Role
    by_mistake: bool = False


def choose_role(session: Session, directory: Directory, mapped: Mapped) -> Decision:
    """Return the role of most permissions among the candidates that exist, else the default role with a warning."""
    wanted = mapped.role_candidates
    known = _known_roles(session, wanted)
    unknown = sorted(set(wanted) - {role.key for role in known})
    if unknown:
        shown = ", ".join(map(repr, unknown[:MAX_NAMED])) + ("…" if len(unknown) > MAX_NAMED else "")
        directory.warn(f"The attribute mapping gave no role of this environment: {shown}.")
    if known:
        return Decision(max(known, key=lambda role: (len(role.permissions), role.key)))
    fallback = default_role(session)
    if not wanted:
        directory.warn(f"The attribute mapping gave no role; the default role {fallback.key!r} stands.")
    return Decision(fallback, by_mistake=bool(unknown) or mapped.role_failed)


def _known_roles(session: Session, keys: Collection[str]) -> list[Role]:
    if not keys:
        return []
    query = select(Role) if len(keys) > MAX_KEYS_ASKED else select(Role).where(Role.key.in_(keys))
    wanted = set(keys)
    return [role for role in session.scalars(query) if role.key in wanted]


def first_role(session: Session, directory: Directory, mapped: Mapped) -> tuple[Role, str]:
    """Return the role of somebody who becomes a member now, and where it comes from."""
    if mapped.maps_role:
        return choose_role(session, directory, mapped).role, BY_MAPPING
    return default_role(session), BY_DEFAULT


def follow_mapping(
    session: Session, directory: Directory, membership: OrganizationMembership, mapped: Mapped
) -> tuple[str, str] | None:
    """Bring the role of a member up to what the directory says now.

    A role set by hand stays until what the directory says changes; a mapping
    that failed says nothing. The default role, where no role came from the
    mapping by mistake, never gives anyone more than before.

    :return: The keys of the role before and after, or None when it stays.
    """
    if mapped.maps_role:
        decision = choose_role(session, directory, mapped)
        if not _moves(membership, decision, mapped):
            return None
        membership.mapped_role_key = decision.role.key
        return _move(membership, decision.role, BY_MAPPING)
    if membership.role_source != BY_MAPPING:
        return None
    membership.mapped_role_key = None
    return _move(membership, default_role(session), BY_DEFAULT)


def _moves(membership: OrganizationMembership, decision: Decision, mapped: Mapped) -> bool:
    """Tell whether a decision of the directory is one that a member follows."""
    before = membership.role
    if membership.role_source == BY_HAND:
        if mapped.role_failed:
            return False
        decided_before, membership.mapped_role_key = membership.mapped_role_key, decision.role.key
        return decided_before not in (None, decision.role.key)
    raises = len(decision.role.permissions) > len(before.permissions)
    return not (decision.by_mistake and raises)


def _move(membership: OrganizationMembership, role: Role, source: str) -> tuple[str, str] | None:
    before = membership.role
    membership.role, membership.role_source = role, source
    if role.id == before.id:
        return None
    membership.updated_at = now_ms()
    return before.key, role.key
