"""Who is in which directory group, as rows: asked for one person, changed without loading the others."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.rows import LOADED, loaded_row, write_row
from folding import fold
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser
from prepared import Prepared, PreparedList

# The ids of people, each with the name that the IdP wrote beside it.
Members = Mapping[str, str | None]

MEMBERSHIPS = (
    DirectoryGroupMember.organization_id == bindparam("organization"),
    DirectoryGroupMember.user_id == bindparam("user"),
)
HELD_GROUPS = Prepared(
    select(*LOADED[DirectoryGroup])
    .where(
        DirectoryGroup.organization_id == bindparam("organization"),
        DirectoryGroup.id.in_(select(DirectoryGroupMember.group_id).where(*MEMBERSHIPS)),
    )
    .order_by(DirectoryGroup.id)
    .with_for_update(key_share=True)
)
LEFT_GROUPS = Prepared(delete(DirectoryGroupMember).where(*MEMBERSHIPS))
GROUPS_OF = PreparedList(
    lambda ids: (
        select(DirectoryGroupMember.user_id, DirectoryGroup.id, DirectoryGroup.display_name, DirectoryGroup.external_id)
        .join(
            DirectoryGroup,
            (DirectoryGroup.organization_id == DirectoryGroupMember.organization_id)
            & (DirectoryGroup.id == DirectoryGroupMember.group_id),
        )
        .where(DirectoryGroupMember.organization_id == bindparam("organization"), DirectoryGroupMember.user_id.in_(ids))
        .order_by(DirectoryGroupMember.joined_at, DirectoryGroup.id)
    )
)
OF_GROUP = (
    DirectoryGroupMember.organization_id == bindparam("organization"),
    DirectoryGroupMember.group_id == bindparam("group"),
)
PRESENT = PreparedList(
    lambda ids: select(DirectoryGroupMember.user_id).where(*OF_GROUP, DirectoryGroupMember.user_id.in_(ids))
)
KNOWN_USERS = PreparedList(
    lambda ids: (
        select(DirectoryUser.user_id)
        .where(
            DirectoryUser.organization_id == bindparam("organization"),
            DirectoryUser.user_id.in_(ids),
            DirectoryUser.deleted_at.is_(None),
        )
        .order_by(DirectoryUser.user_id)
        .with_for_update(read=True)
    )
)
ADDED_MEMBERS = Prepared(insert(DirectoryGroupMember))
REMOVED_MEMBERS = PreparedList(
    lambda ids: delete(DirectoryGroupMember).where(*OF_GROUP, DirectoryGroupMember.user_id.in_(ids))
)

# Rows read or written by one statement; below the limit of parameters of every database.
BATCH = max(PreparedList.LENGTHS)


@dataclass(frozen=True)
class MemberChange:
    """What a request does to the members of a group: who joins, and who leaves.

    With ``replaces`` whoever does not join leaves. ``warns`` has it said in the
    activity log who left in this way.
    """

    added: Members = field(default_factory=dict)
    removed: Collection[str] = ()
    replaces: bool = False
    warns: bool = False

    @property
    def says_anything(self) -> bool:
        """Whether anybody may join or leave by it."""
        return bool(self.replaces or self.added or self.removed)


def groups_of(session: Session, directory: Directory, user_id: str) -> list[dict[str, Any]]:
    """Return the pushed groups of a person as the attribute mapping sees them, in the order of joining."""
    return groups_of_each(session, directory, [user_id])[user_id]


def groups_of_each(session: Session, directory: Directory, user_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return for each person the pushed groups as the attribute mapping sees them, in the order of joining."""
    session.flush()  # prepared statements do not see to that themselves
    this = {"organization": directory.organization_id}
    groups: dict[str, list[dict[str, Any]]] = {user_id: [] for user_id in user_ids}
    for batch in batches(user_ids):
        for user_id, group_id, name, external_id in GROUPS_OF.rows(session, this, batch):
            groups[user_id].append({"value": name, "display": name, "id": group_id, "externalId": external_id})
    return groups


def change_members(
    session: Session, directory: Directory, group_id: str, change: MemberChange
) -> tuple[list[str], list[str]]:
    """Write who joins a group and who leaves it, and return both; the other members are not read.

    Adding somebody who is in the group, and removing somebody who is not,
    changes nothing. The caller holds the lock of the group.
    """
    if change.replaces:
        before = {user_id for batch in each_member(session, directory, group_id) for user_id in batch}
        left = sorted(before - change.added.keys())
    else:
        before = _present(session, directory, group_id, sorted({*change.added, *change.removed}))
        left = sorted(before.intersection(change.removed))
    new = {user_id: display for user_id, display in change.added.items() if user_id not in before}
    joined = _known_members(session, directory, new) if new else new
    if left:
        _remove_members(session, directory, group_id, left)
    if joined:
        _add_members(session, directory, group_id, joined)
    if change.warns and change.replaces and left:
        directory.warn(f"The new list of members took {len(left)} people out of the group: {_some(left)}.")
    return list(joined), left


def each_member(session: Session, directory: Directory, group_id: str) -> Iterator[Sequence[str]]:
    """Yield the ids of the people in a group in their order, some at a time."""
    query = select(DirectoryGroupMember.user_id).where(
        DirectoryGroupMember.organization_id == directory.organization_id,
        DirectoryGroupMember.group_id == group_id,
    )
    after = ""
    while batch := session.scalars(
        query.where(DirectoryGroupMember.user_id > after).order_by(DirectoryGroupMember.user_id).limit(BATCH)
    ).all():
        yield batch
        after = batch[-1]


def _present(session: Session, directory: Directory, group_id: str, user_ids: Sequence[str]) -> set[str]:
    """Return those of some people who are in a group."""
    this = {"organization": directory.organization_id, "group": group_id}
    return {user_id for batch in batches(user_ids) for (user_id,) in PRESENT.rows(session, this, batch)}


def _known_members(session: Session, directory: Directory, members: Members) -> Members:
    """Return those members who are in this directory, held until the end of the transaction: nobody deletes them.

    Whoever is not in it is left out with a warning: an IdP may name somebody whom it
    deleted a moment ago, and one stale name must not keep the others out.
    """
    this = {"organization": directory.organization_id}
    known = {user_id for batch in batches(sorted(members)) for (user_id,) in KNOWN_USERS.rows(session, this, batch)}
    unknown = sorted(set(members) - known)
    if unknown:
        directory.warn(
            f"{len(unknown)} members of the group are not in this directory and were left out: {_some(unknown)}."
        )
    return {user_id: display for user_id, display in members.items() if user_id in known}


def _some(user_ids: Sequence[str]) -> str:
    """Return the first few of some ids, as a sentence for the activity log tells them."""
    return ", ".join(user_id[:64] for user_id in user_ids[:5]) + ("…" if len(user_ids) > 5 else "")


def _add_members(session: Session, directory: Directory, group_id: str, members: Members) -> None:
    """Add people of this directory who are not in the group yet."""
    now = now_ms()
    common = {"organization_id": directory.organization_id, "group_id": group_id, "joined_at": now}
    for batch in batches(sorted(members)):
        rows = [{**common, "user_id": user_id, **_display_columns(members[user_id])} for user_id in batch]
        ADDED_MEMBERS.run_all(session, rows)


def _display_columns(display: str | None) -> dict[str, str | None]:
    return {"display": display, "display_key": None if display is None else fold(display)}


def _remove_members(session: Session, directory: Directory, group_id: str, user_ids: Sequence[str]) -> None:
    this = {"organization": directory.organization_id, "group": group_id}
    for batch in batches(user_ids):
        REMOVED_MEMBERS.run(session, this, batch)


def hold_groups_of(session: Session, directory: Directory, user_id: str) -> Sequence[DirectoryGroup]:
    """Return the groups that one person of the directory is in, held until the end of the transaction."""
    found = HELD_GROUPS.rows(session, {"organization": directory.organization_id, "user": user_id})
    return [loaded_row(DirectoryGroup, columns) for columns in found]


def leave_all_groups(session: Session, directory: Directory, user_id: str) -> Sequence[DirectoryGroup]:
    """Remove one person from every group of the directory, and return those groups, locked and of a new version."""
    groups = hold_groups_of(session, directory, user_id)
    LEFT_GROUPS.run(session, {"organization": directory.organization_id, "user": user_id})
    for group in groups:
        write_row(session, group, version=group.version + 1, last_modified_at=now_ms())
    return groups


def batches(ids: Sequence[str]) -> list[Sequence[str]]:
    """Return some ids in parts, each of a size that one statement takes."""
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
