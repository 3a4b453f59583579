"""The life of a directory group, and what its members' roles follow from it.

Locks are taken in one order everywhere: the group, the people by their ids, the
number of the next event. So two requests may wait for each other, and never both.
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.group_events import NewEvent, group_event
from directory.group_membership import (
    Members,
    add_members,
    groups_of,
    known_members,
    member_ids,
    remove_members,
)
from directory.lifecycle import event_data, follow_directory, note_lost_admin
from directory.linking import lock_user
from directory.mappings import load_mapping
from directory.profiles import Changes
from directory.resources import GroupResource, dump, load
from errors import NotFound, VersionMismatch
from folding import fold
from ids import new_id
from models import DirectoryGroup, DirectoryUser, User
from webhooks.events import record_events


def create_group(session: Session, directory: Directory, resource: GroupResource, members: Members) -> DirectoryGroup:
    """Add a group with its members.

    :raises Conflict: When the directory has a group of this name or external id.
    """
    now = now_ms()
    group = DirectoryGroup(
        organization_id=directory.organization_id, id=new_id("grp"), version=1, created_at=now, last_modified_at=now
    )
    _write_group(group, resource)
    session.add(group)
    session.flush()
    joined = known_members(session, directory, members)
    add_members(session, directory, group.id, joined)
    event = group_event(session, directory, "scimGroup.created", group, joined=list(joined))
    _record_with_consequences(session, directory, event, joined)
    return group


def change_group(
    session: Session,
    directory: Directory,
    group_id: str,
    resource: GroupResource,
    members: Members,
    *,
    expected_version: int | None = None,
) -> DirectoryGroup:
    """Store the new state of a group; only the members who join or leave are touched, and nothing when nothing changes.

    :raises NotFound: When the directory has no such group.
    :raises VersionMismatch: When the stored version is not the expected one.
    :raises Conflict: When the directory has another group of this name or external id.
    """
    group = get_group(session, directory, group_id, lock=True)
    _check_version(group, expected_version)
    before = member_ids(session, directory, group_id)
    new = {member: display for member, display in members.items() if member not in before}
    joined = known_members(session, directory, new)
    left = sorted(before.difference(members))
    if not joined and not left and dump(resource.document) == group.document:
        return group
    before_name, after_name = (group.display_name, group.external_id), (resource.display_name, resource.external_id)
    renamed = before_name != after_name  # a mapping may know a group by either
    group.version += 1
    group.last_modified_at = now_ms()
    _write_group(group, resource)
    session.flush()
    remove_members(session, directory, group_id, left)
    add_members(session, directory, group_id, joined)
    touched = {*joined, *left, *(before if renamed else ())}
    event = group_event(session, directory, "scimGroup.updated", group, joined=list(joined), left=left)
    _record_with_consequences(session, directory, event, touched)
    return group


def delete_group(session: Session, directory: Directory, group_id: str, *, expected_version: int | None = None) -> None:
    """Delete a group. Its members stay in the directory.

    :raises NotFound: When the directory has no such group.
    :raises VersionMismatch: When the stored version is not the expected one.
    """
    group = get_group(session, directory, group_id, lock=True)
    _check_version(group, expected_version)
    members = sorted(member_ids(session, directory, group_id))
    remove_members(session, directory, group_id, members)
    event = group_event(session, directory, "scimGroup.deleted", group, left=members)
    session.delete(group)
    session.flush()
    _record_with_consequences(session, directory, event, members)


def get_group(session: Session, directory: Directory, group_id: str, *, lock: bool = False) -> DirectoryGroup:
    """Return a group of a directory.

    :raises NotFound: When the directory has no such group.
    """
    query = select(DirectoryGroup).where(
        DirectoryGroup.organization_id == directory.organization_id, DirectoryGroup.id == group_id
    )
    group = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if group is None:
        raise NotFound("No such group in this directory.")
    return group


def _record_with_consequences(session: Session, directory: Directory, event: NewEvent, touched: Iterable[str]) -> None:
    """Bring the people touched up to their groups, then record the event of the group and theirs."""
    followed = _reevaluate(session, directory, touched)
    events = [
        ("scimUser.updated", event_data(session, directory, user, None, changes=changes)) for user, changes in followed
    ]
    record_events(session, directory.organization_id, [event, *events])
    for user, changes in followed:
        note_lost_admin(session, directory, user, changes)


def _reevaluate(session: Session, directory: Directory, user_ids: Iterable[str]) -> list[tuple[User, Changes]]:
    """Bring people up to their groups, where the attribute mapping reads groups; return who changed, and how."""
    mapping = load_mapping(session, directory.organization_id)
    if not mapping.reads_groups:
        return []
    followed = []
    for user_id in sorted(user_ids):
        user = lock_user(session, user_id)
        row = session.get_one(DirectoryUser, (directory.organization_id, user_id), populate_existing=True)
        if not row.active:
            continue
        document = {**load(row.document), "groups": row.sent_groups}
        mapped = mapping.evaluate(document, groups_of(session, directory, user_id))
        directory.warn(*mapped.warnings)
        changes = follow_directory(session, directory, user, mapped, active=True)
        if changes:
            followed.append((user, changes))
    return followed


def _check_version(group: DirectoryGroup, expected: int | None) -> None:
    if expected is not None and group.version != expected:
        raise VersionMismatch("The group changed since this version.")


def _write_group(group: DirectoryGroup, resource: GroupResource) -> None:
    group.display_name, group.display_name_key = resource.display_name, fold(resource.display_name)
    group.external_id = resource.external_id
    group.document = dump(resource.document)
