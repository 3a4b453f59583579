"""Which role a person gets from the directory. It is never raised by accident, and never fails a write."""

from collections.abc import Sequence

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
    unknown = sorted(set(wanted) - {role.key for role in known})
    if unknown:
        directory.warn(f"The attribute mapping gave no role of this environment: {', '.join(map(repr, unknown))}.")
    if known:
        return max(known, key=lambda role: (len(role.permissions), role.key))
    fallback = default_role(session)
    if not wanted:
        directory.warn(f"The attribute mapping gave no role; the default role {fallback.key!r} stands.")
    return fallback


def first_role(session: Session, directory: Directory, mapped: Mapped) -> tuple[Role, str]:
    """Return the role of somebody who becomes a member now, and where it comes from."""
    if mapped.maps_role:
        return choose_role(session, directory, mapped.role_candidates), BY_MAPPING
    return default_role(session), BY_DEFAULT


def follow_mapping(
    session: Session, directory: Directory, membership: OrganizationMembership, mapped: Mapped
) -> tuple[str, str] | None:
    """Bring the role of a member up to what the directory says now.

    A role set by hand stays until what the directory says changes.

    :return: The keys of the role before and after, or None when it stays.
    """
    before = membership.role
    if mapped.maps_role:
        role, source = choose_role(session, directory, mapped.role_candidates), BY_MAPPING
        decided_before, membership.mapped_role_key = membership.mapped_role_key, role.key
        if membership.role_source == BY_HAND and decided_before in (None, role.key):
            return None
    elif membership.role_source == BY_MAPPING:
        role, source = default_role(session), BY_DEFAULT
        membership.mapped_role_key = None
    else:
        return None
    membership.role, membership.role_source = role, source
    if role.id == before.id:
        return None
    membership.updated_at = now_ms()
    return before.key, role.key
