"""The life of a directory group, and what its members' roles follow from it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory, find_connection_id
from directory.group_membership import Members, add_members, groups_of, member_ids, remove_members
from directory.lifecycle import event_data, follow_directory
from directory.mappings import load_mapping
from directory.resources import GroupResource, dump, load
from errors import NotFound, VersionMismatch
from folding import fold
from ids import new_id
from models import DirectoryGroup, DirectoryUser, User
from webhooks.events import record_event, record_events


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
    joined = add_members(session, directory, group.id, members)
    _record(session, directory, "scimGroup.created", group, members={"added": joined, "removed": []})
    reevaluate(session, directory, joined)
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
    left = sorted(before.difference(members))
    renamed = group.display_name != resource.display_name
    if not new and not left and dump(resource.document) == group.document:
        return group
    group.version += 1
    group.last_modified_at = now_ms()
    _write_group(group, resource)
    session.flush()
    remove_members(session, directory, group_id, left)
    joined = add_members(session, directory, group_id, new)
    _record(session, directory, "scimGroup.updated", group, members={"added": joined, "removed": left})
    touched = [*joined, *left, *sorted(before.intersection(members))] if renamed else [*joined, *left]
    reevaluate(session, directory, touched)
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
    session.delete(group)
    session.flush()
    _record(session, directory, "scimGroup.deleted", group, members={"added": [], "removed": members})
    reevaluate(session, directory, members)


def get_group(session: Session, directory: Directory, group_id: str, *, lock: bool = False) -> DirectoryGroup:
    """Return a group of a directory.

    :raises NotFound: When the directory has no such group.
    """
    query = select(DirectoryGroup).where(
        DirectoryGroup.organization_id == directory.organization_id, DirectoryGroup.id == group_id
    )
    group = session.scalar(query.with_for_update() if lock else query)
    if group is None:
        raise NotFound("No such group in this directory.")
    return group


def reevaluate(session: Session, directory: Directory, user_ids: Iterable[str]) -> None:
    """Bring the roles of people up to their groups, where the attribute mapping reads groups."""
    mapping = load_mapping(session, directory.organization_id)
    if not mapping.reads_groups:
        return
    events = []
    for user_id in user_ids:
        row = session.get_one(DirectoryUser, (directory.organization_id, user_id))
        if not row.active:
            continue
        mapped = mapping.evaluate(
            {**load(row.document), "groups": row.sent_groups}, groups_of(session, directory, user_id)
        )
        directory.warn(*mapped.warnings)
        user = session.get_one(User, user_id, with_for_update=True)
        changes = follow_directory(session, directory, user, mapped, active=True)
        if changes:
            events.append(("scimUser.updated", event_data(session, directory, user, changes=changes)))
    record_events(session, directory.organization_id, events)


def group_object(group: DirectoryGroup) -> dict[str, Any]:
    """Return a group as the JSON API and the events show it."""
    return {
        "id": group.id,
        "object": "directory_group",
        "organization_id": group.organization_id,
        "display_name": group.display_name,
        "external_id": group.external_id,
        "created_at": group.created_at,
        "updated_at": group.last_modified_at,
    }


def _check_version(group: DirectoryGroup, expected: int | None) -> None:
    if expected is not None and group.version != expected:
        raise VersionMismatch("The group changed since this version.")


def _write_group(group: DirectoryGroup, resource: GroupResource) -> None:
    group.display_name, group.display_name_key = resource.display_name, fold(resource.display_name)
    group.external_id = resource.external_id
    group.document = dump(resource.document)


def _record(session: Session, directory: Directory, event_type: str, group: DirectoryGroup, **more: Any) -> None:
    data = {
        "group": group_object(group),
        "enterprise_connection_id": find_connection_id(session, directory),
        "organization_id": directory.organization_id,
        **more,
    }
    record_event(session, event_type, directory.organization_id, data)
