"""Who is in which directory group, as rows: asked for one person, changed without loading the others."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser

# The ids of people, each with the name that the IdP wrote beside it.
Members = Mapping[str, str | None]

# Ids in one statement; below the limit of parameters of every database.
BATCH = 500


def groups_of(session: Session, directory: Directory, user_id: str) -> list[dict[str, Any]]:
    """Return the pushed groups of a person as the attribute mapping sees them, in the order of joining."""
    query = (
        select(DirectoryGroup.id, DirectoryGroup.display_name, DirectoryGroup.external_id)
        .join(
            DirectoryGroupMember,
            (DirectoryGroupMember.organization_id == DirectoryGroup.organization_id)
            & (DirectoryGroupMember.group_id == DirectoryGroup.id),
        )
        .where(
            DirectoryGroupMember.organization_id == directory.organization_id,
            DirectoryGroupMember.user_id == user_id,
        )
        .order_by(DirectoryGroupMember.joined_at, DirectoryGroup.id)
    )
    return [
        {"value": name, "display": name, "id": group_id, "externalId": external_id}
        for group_id, name, external_id in session.execute(query)
    ]


def member_ids(session: Session, directory: Directory, group_id: str) -> set[str]:
    """Return the ids of the people in a group."""
    query = select(DirectoryGroupMember.user_id).where(
        DirectoryGroupMember.organization_id == directory.organization_id,
        DirectoryGroupMember.group_id == group_id,
    )
    return set(session.scalars(query))


def known_members(session: Session, directory: Directory, members: Members) -> Members:
    """Return those members who are in this directory.

    Whoever is not is left out with a warning: an IdP may name somebody whom it
    deleted a moment ago, and one stale name must not keep the others out.
    """
    known = _known(session, directory, list(members))
    unknown = sorted(set(members) - known)
    if unknown:
        directory.warn(
            f"{len(unknown)} members of the group are not in this directory and were left out: {unknown[0]}…"
        )
    return {user_id: display for user_id, display in members.items() if user_id in known}


def add_members(session: Session, directory: Directory, group_id: str, members: Members) -> None:
    """Add people of this directory who are not in the group yet."""
    now = now_ms()
    session.add_all(
        DirectoryGroupMember(
            organization_id=directory.organization_id,
            group_id=group_id,
            user_id=user_id,
            display=display,
            joined_at=now,
        )
        for user_id, display in members.items()
    )
    session.flush()


def _known(session: Session, directory: Directory, user_ids: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for batch in _batches(user_ids):
        query = select(DirectoryUser.user_id).where(
            DirectoryUser.organization_id == directory.organization_id,
            DirectoryUser.user_id.in_(batch),
            DirectoryUser.deleted_at.is_(None),
        )
        known.update(session.scalars(query))
    return known


def remove_members(session: Session, directory: Directory, group_id: str, user_ids: Collection[str]) -> None:
    """Remove people from a group; somebody who is not in it is no error."""
    for batch in _batches(sorted(user_ids)):
        session.execute(
            delete(DirectoryGroupMember).where(
                DirectoryGroupMember.organization_id == directory.organization_id,
                DirectoryGroupMember.group_id == group_id,
                DirectoryGroupMember.user_id.in_(batch),
            )
        )


def leave_all_groups(session: Session, directory: Directory, user_id: str) -> Sequence[DirectoryGroup]:
    """Remove one person from every group of the directory, and return those groups, locked and of a new version."""
    mine = (
        DirectoryGroupMember.organization_id == directory.organization_id,
        DirectoryGroupMember.user_id == user_id,
    )
    query = (
        select(DirectoryGroup)
        .where(
            DirectoryGroup.organization_id == directory.organization_id,
            DirectoryGroup.id.in_(select(DirectoryGroupMember.group_id).where(*mine)),
        )
        .order_by(DirectoryGroup.id)
        .with_for_update(key_share=True)
    )
    groups = session.scalars(query).all()
    session.execute(delete(DirectoryGroupMember).where(*mine))
    for group in groups:
        group.version += 1
        group.last_modified_at = now_ms()
    session.flush()
    return groups


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
