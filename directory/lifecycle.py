"""The life of a directory user, and the person, membership, role and event that follow from each step.

Each function belongs to the caller's transaction. Unique values are guarded by
the database's own constraints, so two requests at once cannot both win.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, case, delete, exists, or_, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory, find_connection_id
from directory.group_events import record_departures
from directory.group_membership import groups_of, leave_all_groups
from directory.held_users import HeldUser
from directory.linking import add_person, find_person
from directory.mapping import Mapped
from directory.mappings import Rules, load_rules
from directory.memberships import (
    add_membership,
    admit,
    count_admins,
    find_any_membership,
    let_go,
    lost_last_admin,
)
from directory.profiles import Changes, new_profile, write_profile
from directory.resources import Document, EmailKey, UserResource, dump, email_keys, is_stored, load, stored_columns
from directory.roles import AskedRoles, decide_role, store_role
from directory.rows import INSERT, add_row, write_row
from errors import Conflict, VersionMismatch
from folding import fold
from models import DirectoryUser, DirectoryUserEmail, User
from organizations.representations import user_object
from organizations.roles import PROVISIONING_MANAGE
from organizations.users import lock_user
from prepared import Asked, Prepared
from webhooks.events import record_events

TOMBSTONES = (DirectoryUser.organization_id == bindparam("organization"), DirectoryUser.deleted_at.is_not(None))
FORGOTTEN_EMAILS = Prepared(
    delete(DirectoryUserEmail).where(
        DirectoryUserEmail.organization_id == bindparam("organization"), DirectoryUserEmail.user_id == bindparam("user")
    )
)
# What the constraints of the table refuse at the latest. To be told so by them costs those who share the transaction
# all that they did, see ``transactions/lanes.py``.
OTHERS = (
    DirectoryUser.organization_id == bindparam("organization"),
    DirectoryUser.deleted_at.is_(None),
    DirectoryUser.user_id != bindparam("user"),
)
IS_TAKEN = (
    exists().where(*OTHERS, DirectoryUser.user_name_key == bindparam("user_name")),
    exists().where(*OTHERS, DirectoryUser.external_id == bindparam("external_id")),
)
TAKEN = Prepared(select(*IS_TAKEN))
# Whether there may be a tombstone that a creation brings back, who has the address already, and what is taken.
MET_BEFORE = Prepared(
    select(
        or_(
            exists().where(*TOMBSTONES, DirectoryUser.user_name_key == bindparam("user_name")),
            exists().where(*TOMBSTONES, DirectoryUser.external_id == bindparam("external_id")),
        ),
        select(User.id).where(User.email_key == bindparam("email")).scalar_subquery(),
        *IS_TAKEN,
    )
)


def create_directory_user(session: Session, directory: Directory, resource: UserResource) -> DirectoryUser:
    """Add a person to a directory; one who was deleted from it before comes back as the same user.

    :raises Conflict: When a user name, external id or active e-mail address is taken in this directory.
    """
    if resource.document.get("active") is None:  # who is not said to be inactive is active, and is shown so
        resource = UserResource.of({**resource.document, "active": True}, resource.sent_groups)
    source = {**resource.document, "groups": resource.sent_groups or []}
    rules = load_rules(session, directory)
    mapped = rules.mapping.evaluate(source, [])
    directory.warn(*mapped.warnings)
    columns = {"active": True, "sent_groups": [], **_columns(resource, mapped), **stored_columns(resource.document)}
    row, user = _find_stored(session, directory, resource, columns["email_key"])
    is_new = user is None
    if user is None:
        user = add_person(session, vars(new_profile(directory, mapped)), active=columns["active"])
    if row is None:
        row = _add_row(session, directory, user, columns)
        _add_emails(session, row, email_keys(resource.document))
    else:
        again = {"deleted_at": None, "version": row.version + 1, "last_modified_at": now_ms()}
        _write_state(session, row, load(row.document), resource.document, **columns, **again)
    if row.active:
        provision(session, directory, rules, user, mapped, is_new=is_new)
    elif not is_new:
        write_profile(session, directory, user, mapped, active=False)
    directory.note("created" if row.version == 1 else "restored", "User", row.user_id, row.user_name)
    return row


def _find_stored(
    session: Session, directory: Directory, resource: UserResource, email_key: str | None
) -> tuple[DirectoryUser | None, User | None]:
    """Return the tombstone that a creation brings back, and the person whom it is about, both held; None for none.

    :raises Conflict: When the person is in the directory already, or somebody else has a name of theirs.
    """
    known = {**_names(directory, resource), "email": email_key, "user": ""}
    [(left_before, user_id, *taken)] = MET_BEFORE.rows(session, known)
    found = _find_known(session, directory, resource, email_key, left_before=left_before, user_id=user_id)
    _refuse_taken(*taken)
    return found


def _names(directory: Directory, resource: UserResource) -> dict[str, str | None]:
    return {
        "organization": directory.organization_id,
        "user_name": resource.user_name_key,
        "external_id": resource.external_id,
    }


def _refuse_taken(user_name: object, external_id: object) -> None:
    for is_taken, name in ((user_name, "user_name"), (external_id, "external_id")):
        if is_taken:
            raise Conflict("Somebody else has this name.", constraint=f"uq_directory_users_{name}")


def _find_known(
    session: Session,
    directory: Directory,
    resource: UserResource,
    email_key: str | None,
    *,
    left_before: bool,
    user_id: str | None,
) -> tuple[DirectoryUser | None, User | None]:
    """Return the same of what ``MET_BEFORE`` found.

    :raises Conflict: When the person is in the directory already.
    """
    row = _find_tombstone(session, directory, resource) if left_before else None
    if row is not None:
        user = lock_user(session, row.user_id)
        if not _is_somebody_elses(directory, user, email_key):
            return row, user
    if user_id is None:
        return None, None
    row = _find_row_of(session, directory, user_id, resource)  # held before the person, as every write does
    person = find_person(session, email_key)
    # Somebody else has the address since a moment ago: who is added without it is refused, and tried again.
    return (row, person) if person is not None and person.id == user_id else (None, None)


def _find_tombstone(session: Session, directory: Directory, resource: UserResource) -> DirectoryUser | None:
    """Return the tombstone that a creation brings back: the latest of its external id, else of its user name."""
    same = [DirectoryUser.user_name_key == resource.user_name_key]
    by_external_id = case((DirectoryUser.external_id == resource.external_id, 0), else_=1)
    if resource.external_id is not None:
        same.append(DirectoryUser.external_id == resource.external_id)
    query = (
        select(DirectoryUser)
        .where(*TOMBSTONES, or_(*same))
        .order_by(by_external_id, DirectoryUser.deleted_at.desc())
        .limit(1)
        .with_for_update(key_share=True)
    )
    return session.scalar(query, {"organization": directory.organization_id})


def _is_somebody_elses(directory: Directory, user: User, email_key: str | None) -> bool:
    """Tell whether the person of a tombstone was taken over meanwhile and goes by another address.

    Bringing that person back would give this organization's access to an
    address that another directory chose.
    """
    elsewhere = user.managed_by_organization_id not in (None, directory.organization_id)
    return elsewhere and user.email_key != email_key


def _find_row_of(session: Session, directory: Directory, user_id: str, resource: UserResource) -> DirectoryUser | None:
    """Return the tombstone of a person who is known by an address, or None.

    :raises Conflict: When the person is in the directory.
    """
    row = session.get(DirectoryUser, (directory.organization_id, user_id), with_for_update={"key_share": True})
    if row is not None and row.deleted_at is None:
        same_name = row.user_name_key == resource.user_name_key
        raise Conflict(
            "This person is in the directory already.",
            constraint="uq_directory_users_user_name" if same_name else "same_person",
        )
    return row


def _add_row(session: Session, directory: Directory, user: User, columns: dict[str, Any]) -> DirectoryUser:
    now = now_ms()
    return add_row(
        session,
        DirectoryUser,
        organization_id=directory.organization_id,
        user_id=user.id,
        **columns,
        version=1,
        created_at=now,
        last_modified_at=now,
    )


def change_directory_user(
    session: Session,
    directory: Directory,
    held: HeldUser,
    resource: UserResource,
    *,
    expected_version: int | None = None,
) -> None:
    """Store the new state of a directory user, and let the person, the membership and the role follow.

    A state that is the stored one changes nothing and sends no event.

    :raises VersionMismatch: When the stored version is not the expected one.
    :raises Conflict: When a user name, external id or active e-mail address is taken in this directory.
    """
    row, user = held.row, held.user
    _check_version(row, expected_version)
    sent_groups = row.sent_groups if resource.sent_groups is None else resource.sent_groups
    text = dump(resource.document)
    is_same = is_stored(resource.document, row.document, text)
    if is_same and sent_groups == row.sent_groups:
        directory.note("unchanged", "User", user.id, row.user_name)
        return
    rules = load_rules(session, directory)
    groups = groups_of(session, directory, user.id) if rules.mapping.reads_groups else []
    mapped = rules.mapping.evaluate({**resource.document, "groups": sent_groups}, groups)
    directory.warn(*mapped.warnings)
    was_active = row.active
    columns = _columns(resource, mapped)
    if not is_same:
        columns |= stored_columns(resource.document, text) | {"version": row.version + 1, "last_modified_at": now_ms()}
    if (row.user_name_key, row.external_id) != (resource.user_name_key, resource.external_id):
        [taken] = TAKEN.rows(session, {**_names(directory, resource), "user": row.user_id})
        _refuse_taken(*taken)
    _write_state(session, row, held.document, resource.document, **columns)
    if was_active and not row.active:
        directory.note("deactivated", "User", user.id, row.user_name)
        write_profile(session, directory, user, mapped, active=True)
        deprovision(session, directory, rules.connection_id, user, mapped, asked=held.membership)
    elif row.active and not was_active:
        directory.note("activated", "User", user.id, row.user_name)
        provision(session, directory, rules, user, mapped, asked=held.membership)
    else:
        changes = follow_directory(session, directory, rules, user, mapped, active=row.active, asked=held.membership)
        directory.note("updated", "User", user.id, row.user_name, changes)
        if changes or not is_same:
            _record(session, directory, rules.connection_id, "scimUser.updated", user, mapped=mapped, changes=changes)
        note_lost_admin(session, directory, [(user, changes)])


def follow_directory(
    session: Session,
    directory: Directory,
    rules: Rules,
    user: User,
    mapped: Mapped,
    *,
    active: bool,
    asked: Asked | None = None,
) -> Changes:
    """Bring a person's profile and role up to what the directory says now, and return what changed.

    :param asked: What ``ask_membership`` returned for the person, if somebody asked.
    """
    changes = write_profile(session, directory, user, mapped, active=active, takes_over=active)
    membership = find_any_membership(session, directory.organization_id, user.id, asked) if active else None
    if membership is not None and membership.deleted_at is None:
        moved = store_role(session, membership, decide_role(rules.roles, directory, membership, mapped))
        if moved is not None:
            changes["role"] = {"from": moved[0], "to": moved[1]}
    return changes


def delete_directory_user(
    session: Session, directory: Directory, held: HeldUser, *, expected_version: int | None = None
) -> None:
    """Delete a directory user for the IdP, and keep a tombstone from which a later creation restores the same person.

    :raises VersionMismatch: When the stored version is not the expected one.
    """
    row, user = held.row, held.user
    _check_version(row, expected_version)
    left = leave_all_groups(session, directory, user.id)
    directory.note("deleted", "User", user.id, row.user_name)
    was_active, now = row.active, now_ms()
    write_row(session, row, active=False, deleted_at=now, last_modified_at=now, version=row.version + 1)
    if was_active:
        deprovision(session, directory, find_connection_id(session, directory), user, asked=held.membership)
    record_departures(session, directory, user.id, left)


def _check_version(row: DirectoryUser, expected: int | None) -> None:
    if expected is not None and row.version != expected:
        raise VersionMismatch("The user changed since this version.")


def _columns(resource: UserResource, mapped: Mapped) -> dict[str, Any]:
    """Return what a resource and its mapping say, as columns of its row, without the resource itself."""
    address = mapped.fields.get("email_address")
    columns: dict[str, Any] = {
        "user_name": resource.user_name,
        "user_name_key": resource.user_name_key,
        "external_id": resource.external_id,
        "display_name": resource.display_name,
        "display_name_key": fold(resource.display_name) if resource.display_name is not None else None,
        "shown_active": resource.document.get("active"),
        "email_key": fold(address) if address else None,
    }
    if resource.sent_groups is not None:
        columns["sent_groups"] = resource.sent_groups
    if mapped.fields.get("active") is not None:  # an IdP that takes the attribute away says nothing about the person
        columns["active"] = mapped.fields["active"]
    return columns


def _write_state(
    session: Session,
    row: DirectoryUser,
    before: Document,
    after: Document,
    **columns: Any,
) -> None:
    """Write columns of a directory user, and the addresses of its document, where they are others than before."""
    write_row(session, row, **columns)
    if before.get("emails") == after.get("emails"):
        return
    emails = email_keys(after)
    if emails != email_keys(before):
        FORGOTTEN_EMAILS.run(session, {"organization": row.organization_id, "user": row.user_id})
        _add_emails(session, row, emails)


def _add_emails(session: Session, row: DirectoryUser, emails: tuple[EmailKey, ...]) -> None:
    this = {"organization_id": row.organization_id, "user_id": row.user_id}
    rows = [
        {**this, "position": position, "value_key": value_key, "type_key": type_key}
        for position, (value_key, type_key) in enumerate(emails)
    ]
    INSERT[DirectoryUserEmail].run_all(session, rows)


def provision(
    session: Session,
    directory: Directory,
    rules: Rules,
    user: User,
    mapped: Mapped,
    *,
    is_new: bool = False,
    asked: Asked | None = None,
) -> None:
    """Make an active directory user a member, with the profile and the role that the mapping gives."""
    if is_new:
        add_membership(session, directory, rules, user.id, mapped)
    else:
        write_profile(session, directory, user, mapped, active=True, takes_over=True, comes_back=True)
        admit(session, directory, rules, user.id, mapped, asked=asked)
    _record(session, directory, rules.connection_id, "scimUser.provisioned", user, mapped=mapped)


def deprovision(
    session: Session,
    directory: Directory,
    connection_id: str | None,
    user: User,
    mapped: Mapped | None = None,
    *,
    asked: Asked | None = None,
) -> None:
    """End the membership and the sessions of somebody who is no active directory user any more."""
    left = let_go(session, directory, user, asked)
    _record(session, directory, connection_id, "scimUser.deprovisioned", user, mapped=mapped)
    if left is not None and lost_last_admin(session, left):
        _say_lost_admin(session, directory, user)


def note_lost_admin(session: Session, directory: Directory, changed: Sequence[tuple[User, Changes]]) -> None:
    """Say so, once, when the directory gave other roles to the last members who could manage provisioning."""
    moved = [(user, changes["role"]["from"]) for user, changes in changed if "role" in changes]
    if not moved or count_admins(session, directory.organization_id):
        return
    managing = {
        role.key
        for role in AskedRoles(session).named({before for _, before in moved})
        if PROVISIONING_MANAGE in role.permissions
    }
    last = next((user for user, before in reversed(moved) if before in managing), None)
    if last is not None:
        _say_lost_admin(session, directory, last)


def _say_lost_admin(session: Session, directory: Directory, user: User) -> None:
    directory.warn(
        "This was the last member who could manage provisioning. "
        "Make a new sign-in link from the API or the command line to get back in."
    )
    connection_id = find_connection_id(session, directory)
    _record(session, directory, connection_id, "organization.lastAdminRemoved", user)


def _record(
    session: Session,
    directory: Directory,
    connection_id: str | None,
    event_type: str,
    user: User,
    *,
    mapped: Mapped | None = None,
    **more: Any,
) -> None:
    data = person_data(directory.organization_id, connection_id, user, mapped, **more)
    record_events(session, directory.organization_id, [(event_type, data)])


def person_data(
    organization_id: str, connection_id: str | None, user: User, mapped: Mapped | None, **more: Any
) -> dict[str, Any]:
    """Return the data of an event about a person whose directory is of a known enterprise connection.

    It is all that a handler needs to act without asking back. Of somebody whom
    another organization manages it tells what this directory says, ``mapped``,
    and not what the other one does.
    """
    said = {} if mapped is None else {**mapped.fields, "public_metadata": mapped.public_metadata}
    return {
        "user": user_object(user, seen_by=organization_id, said=said),
        "enterprise_connection_id": connection_id,
        "organization_id": organization_id,
        **more,
    }
