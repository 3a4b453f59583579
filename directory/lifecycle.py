"""The life of a directory user, and the person, membership, role and event that follow from each step.

Each function belongs to the caller's transaction. Unique values are guarded by
the database's own constraints, so two requests at once cannot both win.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, delete, or_, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory, find_connection_id
from directory.group_events import record_departures
from directory.group_membership import groups_of, leave_all_groups
from directory.linking import find_or_make_user
from directory.mapping import Mapped
from directory.mappings import load_mapping
from directory.memberships import admit, count_admins, find_any_membership, let_go, lost_last_admin
from directory.profiles import Changes, take_over_management, write_profile
from directory.resources import EmailKey, UserResource, dump, fold_document, is_stored
from directory.roles import AskedRoles, follow_mapping
from errors import Conflict, NotFound, VersionMismatch
from folding import fold
from models import DirectoryUser, DirectoryUserEmail, User
from organizations.representations import user_object
from organizations.roles import PROVISIONING_MANAGE
from organizations.users import lock_user
from webhooks.events import record_events


def create_directory_user(session: Session, directory: Directory, resource: UserResource) -> DirectoryUser:
    """Add a person to a directory; one who was deleted from it before comes back as the same user.

    :raises Conflict: When a user name, external id or active e-mail address is taken in this directory.
    """
    if resource.document.get("active") is None:  # who is not said to be inactive is active, and is shown so
        resource = UserResource.of({**resource.document, "active": True}, resource.sent_groups)
    source = {**resource.document, "groups": resource.sent_groups or []}
    mapped = load_mapping(session, directory.organization_id).evaluate(source, [])
    directory.warn(*mapped.warnings)
    row = _find_tombstone(session, directory, resource)
    if row is None or _is_somebody_elses(session, directory, row, mapped):
        row = _new_row(session, directory, resource, mapped)
    else:
        _bring_back(row)
    _write_row(session, row, resource, mapped)
    # Whoever is new here was locked, or made, a moment ago.
    user = lock_user(session, row.user_id) if row.version > 1 else session.get_one(User, row.user_id)
    if row.active:
        provision(session, directory, user, mapped)
    else:
        write_profile(session, directory, user, mapped, active=False)
        session.flush()
    directory.note("created" if row.version == 1 else "restored", "User", row.user_id, row.user_name)
    return row


def _find_tombstone(session: Session, directory: Directory, resource: UserResource) -> DirectoryUser | None:
    """Return the tombstone that a creation brings back: the latest of its external id, else of its user name."""
    same = [DirectoryUser.user_name_key == resource.user_name_key]
    by_external_id = case((DirectoryUser.external_id == resource.external_id, 0), else_=1)
    if resource.external_id is not None:
        same.append(DirectoryUser.external_id == resource.external_id)
    query = (
        select(DirectoryUser)
        .where(
            DirectoryUser.organization_id == directory.organization_id,
            DirectoryUser.deleted_at.is_not(None),
            or_(*same),
        )
        .order_by(by_external_id, DirectoryUser.deleted_at.desc())
        .limit(1)
        .with_for_update(key_share=True)
    )
    return session.scalar(query)


def _is_somebody_elses(session: Session, directory: Directory, tombstone: DirectoryUser, mapped: Mapped) -> bool:
    """Tell whether the person of a tombstone was taken over meanwhile and goes by another address.

    Bringing that person back would give this organization's access to an
    address that another directory chose.
    """
    user = lock_user(session, tombstone.user_id)
    email = mapped.fields.get("email_address")
    elsewhere = user.managed_by_organization_id not in (None, directory.organization_id)
    return elsewhere and user.email_key != (fold(email) if email else None)


def _new_row(session: Session, directory: Directory, resource: UserResource, mapped: Mapped) -> DirectoryUser:
    """Return a directory user for somebody whom this directory does not know by name."""
    user = find_or_make_user(session, directory, mapped.fields.get("email_address"))
    row = session.get(DirectoryUser, (directory.organization_id, user.id), with_for_update={"key_share": True})
    if row is not None and row.deleted_at is None:
        same_name = row.user_name_key == resource.user_name_key
        raise Conflict(
            "This person is in the directory already.",
            constraint="uq_directory_users_user_name" if same_name else "same_person",
        )
    if row is not None:
        return _bring_back(row)
    now = now_ms()
    row = DirectoryUser(
        organization_id=directory.organization_id,
        user_id=user.id,
        active=True,
        sent_groups=[],
        version=1,
        created_at=now,
        last_modified_at=now,
    )
    session.add(row)
    return row


def _bring_back(row: DirectoryUser) -> DirectoryUser:
    """Return a tombstone as a directory user again, active unless the resource says otherwise."""
    row.deleted_at, row.active, row.sent_groups = None, True, []
    row.last_modified_at = now_ms()
    row.version += 1
    return row


def change_directory_user(
    session: Session,
    directory: Directory,
    user_id: str,
    resource: UserResource,
    *,
    expected_version: int | None = None,
) -> DirectoryUser:
    """Store the new state of a directory user, and let the person, the membership and the role follow.

    A state that is the stored one changes nothing and sends no event.

    :raises NotFound: When the directory has no such user.
    :raises VersionMismatch: When the stored version is not the expected one.
    :raises Conflict: When a user name, external id or active e-mail address is taken in this directory.
    """
    row = get_directory_user(session, directory, user_id, lock=True)
    _check_version(row, expected_version)
    user = lock_user(session, user_id)  # before the groups are read, so that no change of them is overlooked
    sent_groups = row.sent_groups if resource.sent_groups is None else resource.sent_groups
    is_same = is_stored(resource.document, row.document)
    if is_same and sent_groups == row.sent_groups:
        directory.note("unchanged", "User", user_id, row.user_name)
        return row
    groups = groups_of(session, directory, user_id)
    mapped = load_mapping(session, directory.organization_id).evaluate(
        {**resource.document, "groups": sent_groups}, groups
    )
    directory.warn(*mapped.warnings)
    was_active = row.active
    row.version += 0 if is_same else 1
    _write_row(session, row, resource, mapped)
    if was_active and not row.active:
        directory.note("deactivated", "User", user_id, row.user_name)
        write_profile(session, directory, user, mapped, active=True)
        deprovision(session, directory, user, mapped)
    elif row.active and not was_active:
        directory.note("activated", "User", user_id, row.user_name)
        provision(session, directory, user, mapped)
    else:
        changes = follow_directory(session, directory, user, mapped, active=row.active)
        directory.note("updated", "User", user_id, row.user_name, changes)
        if changes or not is_same:
            _record(session, directory, "scimUser.updated", user, mapped, changes=changes)
        note_lost_admin(session, directory, [(user, changes)])
    return row


def follow_directory(session: Session, directory: Directory, user: User, mapped: Mapped, *, active: bool) -> Changes:
    """Bring a person's profile and role up to what the directory says now, and return what changed."""
    if active:
        take_over_management(session, directory, user)
    changes = write_profile(session, directory, user, mapped, active=active)
    membership = find_any_membership(session, directory.organization_id, user.id) if active else None
    if membership is not None and membership.deleted_at is None:
        moved = follow_mapping(session, directory, membership, mapped)
        if moved is not None:
            changes["role"] = {"from": moved[0], "to": moved[1]}
    session.flush()
    return changes


def delete_directory_user(
    session: Session, directory: Directory, user_id: str, *, expected_version: int | None = None
) -> None:
    """Delete a directory user for the IdP, and keep a tombstone from which a later creation restores the same person.

    :raises NotFound: When the directory has no such user.
    :raises VersionMismatch: When the stored version is not the expected one.
    """
    row = get_directory_user(session, directory, user_id, lock=True)
    _check_version(row, expected_version)
    left = leave_all_groups(session, directory, user_id)
    user = lock_user(session, user_id)
    directory.note("deleted", "User", user_id, row.user_name)
    was_active, row.active = row.active, False
    row.deleted_at = row.last_modified_at = now_ms()
    row.version += 1
    session.flush()
    if was_active:
        deprovision(session, directory, user)
    record_departures(session, directory, user_id, left)


def get_directory_user(session: Session, directory: Directory, user_id: str, *, lock: bool = False) -> DirectoryUser:
    """Return a user of a directory.

    :raises NotFound: When the directory has no such user, or only a tombstone.
    """
    query = select(DirectoryUser).where(
        DirectoryUser.organization_id == directory.organization_id,
        DirectoryUser.user_id == user_id,
        DirectoryUser.deleted_at.is_(None),
    )
    row = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if row is None:
        raise NotFound("No such user in this directory.")
    return row


def _check_version(row: DirectoryUser, expected: int | None) -> None:
    if expected is not None and row.version != expected:
        raise VersionMismatch("The user changed since this version.")


def _write_row(session: Session, row: DirectoryUser, resource: UserResource, mapped: Mapped) -> None:
    """Write a resource into its row and its e-mail rows."""
    email = mapped.fields.get("email_address")
    row.user_name, row.user_name_key = resource.user_name, resource.user_name_key
    row.external_id = resource.external_id
    row.display_name = resource.display_name
    row.display_name_key = fold(resource.display_name) if resource.display_name is not None else None
    row.shown_active = resource.document.get("active")
    if resource.sent_groups is not None:
        row.sent_groups = resource.sent_groups
    row.email_key = fold(email) if email else None
    active = mapped.fields.get("active")
    if active is not None:  # an IdP that takes the attribute away says nothing about the person
        row.active = active
    text = dump(resource.document)
    if row.document is None or not is_stored(resource.document, row.document):
        row.document, row.last_modified_at = text, now_ms() if row.version > 1 else row.created_at
        row.document_key = fold_document(resource.document)
    session.flush()
    _write_emails(session, row, resource.emails)


def _write_emails(session: Session, row: DirectoryUser, keys: tuple[EmailKey, ...]) -> None:
    if row.version > 1 and not _forget_emails(session, row, keys):
        return
    for position, (value_key, type_key) in enumerate(keys):
        session.add(
            DirectoryUserEmail(
                organization_id=row.organization_id,
                user_id=row.user_id,
                position=position,
                value_key=value_key,
                type_key=type_key,
            )
        )


def _forget_emails(session: Session, row: DirectoryUser, keys: tuple[EmailKey, ...]) -> bool:
    """Delete the stored addresses of a directory user, unless they are the same; tell whether they were deleted."""
    mine = (DirectoryUserEmail.organization_id == row.organization_id, DirectoryUserEmail.user_id == row.user_id)
    columns = (DirectoryUserEmail.value_key, DirectoryUserEmail.type_key)
    stored = session.execute(select(*columns).where(*mine).order_by(DirectoryUserEmail.position)).all()
    if list(keys) == [tuple(row) for row in stored]:
        return False
    session.execute(delete(DirectoryUserEmail).where(*mine))
    return True


def provision(session: Session, directory: Directory, user: User, mapped: Mapped) -> None:
    """Make an active directory user a member, with the profile and the role that the mapping gives."""
    take_over_management(session, directory, user)
    write_profile(session, directory, user, mapped, active=True)
    admit(session, directory, user, mapped)
    _record(session, directory, "scimUser.provisioned", user, mapped)


def deprovision(session: Session, directory: Directory, user: User, mapped: Mapped | None = None) -> None:
    """End the membership and the sessions of somebody who is no active directory user any more."""
    let_go(session, directory, user)
    _record(session, directory, "scimUser.deprovisioned", user, mapped)
    if lost_last_admin(session, directory.organization_id, user.id):
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
    _record(session, directory, "organization.lastAdminRemoved", user)


def _record(
    session: Session, directory: Directory, event_type: str, user: User, mapped: Mapped | None = None, **more: Any
) -> None:
    data = event_data(session, directory, user, mapped, **more)
    record_events(session, directory.organization_id, [(event_type, data)])


def event_data(
    session: Session, directory: Directory, user: User, mapped: Mapped | None, **more: Any
) -> dict[str, Any]:
    """Return the data of an event about a person, all that a handler needs to act without asking back."""
    return person_data(directory.organization_id, find_connection_id(session, directory), user, mapped, **more)


def person_data(
    organization_id: str, connection_id: str | None, user: User, mapped: Mapped | None, **more: Any
) -> dict[str, Any]:
    """Return the data of an event about a person whose directory is of a known enterprise connection.

    Of somebody whom another organization manages it tells what this directory
    says, ``mapped``, and not what the other one does.
    """
    said = {} if mapped is None else {**mapped.fields, "public_metadata": mapped.public_metadata}
    return {
        "user": user_object(user, seen_by=organization_id, said=said),
        "enterprise_connection_id": connection_id,
        "organization_id": organization_id,
        **more,
    }
