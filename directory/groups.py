"""The life of a directory group, and what its members' roles follow from it.

Locks are taken in one order everywhere: the group, the people by their ids, the
number of the next event. So two requests may wait for each other, and never both.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from directory.group_events import NewEvent, group_event
from directory.group_membership import MemberChange, batches, change_members, each_member, groups_of_each
from directory.lifecycle import follow_directory, note_lost_admin, person_data
from directory.mappings import Rules, load_rules
from directory.memberships import count_admins
from directory.profiles import Changes
from directory.resources import GroupResource, is_stored, load, stored_columns
from directory.rows import LOADED, add_row, loaded_row, write_row
from errors import NotFound, VersionMismatch
from folding import fold
from ids import new_id
from models import DirectoryGroup, DirectoryUser, User
from prepared import Prepared, PreparedList
from webhooks.events import record_events

THIS_GROUP = (DirectoryGroup.organization_id == bindparam("organization"), DirectoryGroup.id == bindparam("group"))
HELD_GROUP = Prepared(select(*LOADED[DirectoryGroup]).where(*THIS_GROUP).with_for_update(key_share=True))
DELETED_GROUP = Prepared(delete(DirectoryGroup).where(*THIS_GROUP))
PEOPLE = PreparedList(lambda ids: select(*LOADED[User]).where(User.id.in_(ids)).order_by(User.id))
HELD_PEOPLE = PreparedList(
    lambda ids: select(*LOADED[User]).where(User.id.in_(ids)).order_by(User.id).with_for_update(key_share=True)
)
ACTIVE_ROWS = PreparedList(
    lambda ids: (
        select(*LOADED[DirectoryUser])
        .where(
            DirectoryUser.organization_id == bindparam("organization"),
            DirectoryUser.user_id.in_(ids),
            DirectoryUser.active,
        )
        .order_by(DirectoryUser.user_id)
    )
)


def create_group(
    session: Session, directory: Directory, resource: GroupResource, members: MemberChange
) -> DirectoryGroup:
    """Add a group with its members.

    :raises Conflict: When the directory has a group of this name or external id.
    """
    now = now_ms()
    group = add_row(
        session,
        DirectoryGroup,
        organization_id=directory.organization_id,
        id=new_id("grp"),
        **_columns(resource),
        version=1,
        created_at=now,
        last_modified_at=now,
    )
    joined, _ = change_members(session, directory, group.id, members)
    directory.note("created", "Group", group.id, group.display_name, {"joined": len(joined)})
    rules = load_rules(session, directory)
    event = group_event(rules.connection_id, "scimGroup.created", group, joined=joined)
    _record_with_consequences(session, directory, rules, event, joined)
    return group


def change_group(
    session: Session,
    directory: Directory,
    group: DirectoryGroup,
    resource: GroupResource | None,
    members: MemberChange,
    *,
    expected_version: int | None = None,
) -> None:
    """Store the new state of a group that is held; None leaves it as it is, but for its members.

    Only the members who join or leave are touched, and nothing when nothing changes.

    :raises VersionMismatch: When the stored version is not the expected one.
    :raises Conflict: When the directory has another group of this name or external id.
    """
    _check_version(group, expected_version)
    joined, left = change_members(session, directory, group.id, members)
    if not joined and not left and (resource is None or is_stored(resource.document, group.document)):
        directory.note("unchanged", "Group", group.id, group.display_name)
        return
    before_names, columns = (group.display_name, group.external_id), {} if resource is None else _columns(resource)
    write_row(session, group, **columns, version=group.version + 1, last_modified_at=now_ms())
    directory.note("updated", "Group", group.id, group.display_name, {"joined": len(joined), "left": len(left)})
    rules = load_rules(session, directory)
    event = group_event(rules.connection_id, "scimGroup.updated", group, joined=joined, left=left)
    renamed = before_names != (group.display_name, group.external_id)  # a mapping may know a group by either
    touched = _everybody(session, directory, rules, group.id) if renamed else joined
    _record_with_consequences(session, directory, rules, event, {*touched, *left})


def delete_group(
    session: Session, directory: Directory, group: DirectoryGroup, *, expected_version: int | None = None
) -> None:
    """Delete a group that is held. Its members stay in the directory.

    :raises VersionMismatch: When the stored version is not the expected one.
    """
    _check_version(group, expected_version)
    _, left = change_members(session, directory, group.id, MemberChange(replaces=True))
    directory.note("deleted", "Group", group.id, group.display_name, {"left": len(left)})
    rules = load_rules(session, directory)
    event = group_event(rules.connection_id, "scimGroup.deleted", group, left=left)
    DELETED_GROUP.run(session, {"organization": directory.organization_id, "group": group.id})
    _record_with_consequences(session, directory, rules, event, left)


def hold_group(session: Session, directory: Directory, group_id: str) -> DirectoryGroup:
    """Return a group of a directory to be written, held until the transaction ends.

    :raises NotFound: When the directory has no such group.
    """
    session.flush()  # prepared statements do not see to that themselves
    found = HELD_GROUP.row(session, {"organization": directory.organization_id, "group": group_id})
    if found is None:
        raise NotFound(f"Group {group_id[:64]!r} was not found in this directory.")
    return loaded_row(DirectoryGroup, found)


def _everybody(session: Session, directory: Directory, rules: Rules, group_id: str) -> list[str]:
    """Return the members of a group whose new name may give them another role; nobody where no role follows a name."""
    if not rules.mapping.reads_groups:
        return []
    return [user_id for batch in each_member(session, directory, group_id) for user_id in batch]


def _record_with_consequences(
    session: Session, directory: Directory, rules: Rules, event: NewEvent, touched: Iterable[str]
) -> None:
    """Bring the people touched up to their groups, then record the event of the group and theirs."""
    followed = _reevaluate(session, directory, rules, touched)
    record_events(session, directory.organization_id, [event])
    known = (directory.organization_id, rules.connection_id)
    for batch in batches(list(followed)):
        events = [
            ("scimUser.updated", person_data(*known, user, None, changes=followed[user.id]))
            for user in _people(session, batch)
        ]
        record_events(session, directory.organization_id, events)
    moved = [user_id for user_id, changes in followed.items() if "role" in changes]
    if moved and not count_admins(session, directory.organization_id):
        people = [user for batch in batches(moved) for user in _people(session, batch)]
        note_lost_admin(session, directory, [(user, followed[user.id]) for user in people])


def _reevaluate(session: Session, directory: Directory, rules: Rules, user_ids: Iterable[str]) -> dict[str, Changes]:
    """Bring people up to their groups, where the attribute mapping reads groups; return who changed, and how.

    They are taken some at a time, in the order of their ids, so that a group of
    any size needs little memory.
    """
    followed: dict[str, Changes] = {}
    if not rules.mapping.reads_groups:
        return followed
    for batch in batches(sorted(user_ids)):
        people = {user.id: user for user in _people(session, batch, lock=True)}
        groups = groups_of_each(session, directory, batch)
        for row in _active_rows(session, directory, batch):
            document = {**load(row.document), "groups": row.sent_groups}
            mapped = rules.mapping.evaluate(document, groups[row.user_id])
            directory.warn(*mapped.warnings)
            changes = follow_directory(session, directory, rules, people[row.user_id], mapped, active=True)
            if changes:
                followed[row.user_id] = changes
                directory.note("updated", "User", row.user_id, row.user_name, changes)
    return followed


def _people(session: Session, user_ids: Sequence[str], *, lock: bool = False) -> list[User]:
    """Return people in the order of their ids; with ``lock`` held until the end of the transaction."""
    query = HELD_PEOPLE if lock else PEOPLE
    return [loaded_row(User, columns) for columns in query.rows(session, {}, user_ids)] if user_ids else []


def _active_rows(session: Session, directory: Directory, user_ids: Sequence[str]) -> list[DirectoryUser]:
    """Return the active ones of some directory users."""
    found = ACTIVE_ROWS.rows(session, {"organization": directory.organization_id}, user_ids)
    return [loaded_row(DirectoryUser, columns) for columns in found]


def _check_version(group: DirectoryGroup, expected: int | None) -> None:
    if expected is not None and group.version != expected:
        raise VersionMismatch("The group changed since this version.")


def _columns(resource: GroupResource) -> dict[str, Any]:
    """Return a resource as columns of its row."""
    return {
        "display_name": resource.display_name,
        "display_name_key": fold(resource.display_name),
        "external_id": resource.external_id,
        **stored_columns(resource.document),
    }
