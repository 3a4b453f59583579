"""Switching a directory off and on again, and what becomes of its people meanwhile.

A directory that is off answers its IdP 403. Its people are kept, or suspended:
their memberships and sessions end, and those alone come back when it is
switched on whom the IdP still wants. Suspending and restoring is done in small
transactions, each of which leaves people who are still to be looked at, or
those who were, and nothing in between; a killed worker is simply followed by
another one.
"""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from clock import now_ms
from database import Database
from directory.directories import Directory
from directory.mapping_effects import evaluate
from directory.mapping_people import Person, lock_people
from directory.mappings import KEEP, SUSPEND, await_former_mapping, load_rules
from directory.memberships import let_go_all, readmit
from directory.overview import count_groups, count_people
from directory.profiles import write_profile
from errors import Conflict, DomainError, InvalidInput
from models import DirectorySwitch, DirectoryUser, OrganizationMembership
from organizations.members import find_provisioning_manager
from organizations.memberships import lost_admin_event, membership_event
from organizations.roles import PROVISIONING_MANAGE, role_ids_with
from webhooks.events import NewEvent, record_events
from webhooks.representations import Moment

RESTORE = "restore"
# People of one transaction.
BATCH = 100
# After a transaction the others get as long as it took, up to this, in seconds.
LONGEST_PAUSE = 0.05
# Under this key of ``session.info`` stand the organizations whose people are to be suspended or restored.
DUE_SWITCHES = "due_directory_switches"


def find_switch(session: Session, organization_id: str, *, lock: bool = False) -> DirectorySwitch | None:
    """Return the switch of a directory, or None when nobody ever used it."""
    locked = {"key_share": True} if lock else None
    return session.get(DirectorySwitch, organization_id, with_for_update=locked, populate_existing=True)


def disable_directory(session: Session, organization_id: str, people: str, *, force: bool = False) -> DirectorySwitch:
    """Switch a directory off. To do it again changes nothing, but people who were kept can be suspended later.

    :param people: What becomes of them: ``keep`` or ``suspend``.
    :param force: Whether nobody may be left who can manage provisioning.
    :raises InvalidInput: When ``people`` is something else.
    :raises Conflict: ``last_admin``; ``people_suspended`` when they cannot be kept any more; ``directory_busy`` while
        people are restored.
    """
    if people not in (KEEP, SUSPEND):
        raise InvalidInput(
            [DomainError("people must be keep or suspend.", code="invalid_value", meta={"param": "people"})]
        )
    switch = find_switch(session, organization_id, lock=True)
    if switch is None:
        switch = DirectorySwitch(organization_id=organization_id, total=0, done=0, updated_at=now_ms())
        session.add(switch)
    if switch.disabled_at is not None and switch.people == people:
        return switch
    _require_possible(session, switch, people, force=force)
    now = now_ms()
    switch.disabled_at = now if switch.disabled_at is None else switch.disabled_at
    switch.people, switch.updated_at = people, now
    _begin(session, switch, SUSPEND if people == SUSPEND else None, _to_suspend(organization_id))
    return switch


def _require_possible(session: Session, switch: DirectorySwitch, people: str, *, force: bool) -> None:
    if switch.work == RESTORE:
        raise Conflict(
            "The people are being restored.",
            long_message="Switch the directory off when that is done. GET …/scim/directory says how far it is.",
            code="directory_busy",
        )
    if switch.people == SUSPEND and people == KEEP:
        raise Conflict(
            "The people are suspended already.",
            long_message="Switch the directory on to restore them. Then it can be switched off and the people kept.",
            code="people_suspended",
        )
    if people == SUSPEND and not force and _would_lose_admins(session, switch.organization_id):
        raise Conflict(
            "All who can manage provisioning come from this directory, and would be suspended.",
            long_message="Make somebody an admin by hand whom the directory does not have, or keep the people.",
            code="last_admin",
        )


def _would_lose_admins(session: Session, organization_id: str) -> bool:
    """Tell whether all members who may manage provisioning are active people of the directory."""
    managing = role_ids_with(session, PROVISIONING_MANAGE)
    admins = select(OrganizationMembership.user_id).where(
        OrganizationMembership.organization_id == organization_id,
        OrganizationMembership.deleted_at.is_(None),
        OrganizationMembership.role_id.in_(managing),
    )
    staying = admins.where(OrganizationMembership.user_id.not_in(_to_suspend(organization_id)))
    return session.scalar(admins.limit(1)) is not None and session.scalar(staying.limit(1)) is None


def enable_directory(session: Session, organization_id: str) -> DirectorySwitch | None:
    """Switch a directory on, and have those restored whom switching it off suspended and the IdP still wants.

    :return: The switch; None for a directory that was never off.
    """
    switch = find_switch(session, organization_id, lock=True)
    if switch is None or switch.disabled_at is None:
        return switch
    switch.disabled_at = switch.people = None
    switch.updated_at = now_ms()
    _begin(session, switch, RESTORE, _suspended(organization_id))
    return switch


def _begin(session: Session, switch: DirectorySwitch, work: str | None, people: Select[str]) -> None:
    """Begin to suspend or restore some people; where there are none there is nothing to do."""
    switch.done = 0
    switch.total = 0 if work is None else session.scalar(select(func.count()).select_from(people.subquery())) or 0
    # Also where nobody is found now: somebody may be about to be written.
    switch.work = work if switch.total or work == SUSPEND else None
    session.flush()
    if switch.work is not None:
        session.info.setdefault(DUE_SWITCHES, set()).add(switch.organization_id)


def due_switches(session: Session) -> Sequence[str]:
    """Return the organizations whose people are to be suspended or restored."""
    query = select(DirectorySwitch.organization_id).where(DirectorySwitch.work.is_not(None))
    return session.scalars(query.order_by(DirectorySwitch.organization_id)).all()


def _to_suspend(organization_id: str) -> Select[str]:
    """Return the query of the active people of a directory who are members."""
    return (
        select(DirectoryUser.user_id)
        .join(
            OrganizationMembership,
            (OrganizationMembership.organization_id == DirectoryUser.organization_id)
            & (OrganizationMembership.user_id == DirectoryUser.user_id),
        )
        .where(
            DirectoryUser.organization_id == organization_id,
            DirectoryUser.active,
            DirectoryUser.deleted_at.is_(None),
            OrganizationMembership.deleted_at.is_(None),
        )
    )


def _suspended(organization_id: str) -> Select[str]:
    return select(OrganizationMembership.user_id).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.suspended_at.is_not(None)
    )


# -- Doing it ---------------------------------------------------------------------


def switch_everybody(db: Database, organization_id: str, stopping: Callable[[], bool] = lambda: False) -> int:
    """Suspend or restore all people of a directory, as its switch says, and return how many were looked at.

    When ``stopping`` says so it ends after the transaction that it is at, and leaves the rest to another worker.
    """
    with db.unit_of_work() as session:
        await_former_mapping(session, organization_id)  # whoever was let in before it was switched off is done then
    count = 0
    while not stopping():
        began = time.monotonic()
        with db.unit_of_work() as session:
            looked_at = switch_some(session, organization_id)
        if not looked_at:
            break
        count += looked_at
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))  # on SQLite others write then
    return count


def switch_some(session: Session, organization_id: str) -> int:
    """Suspend or restore the next people, as the switch says, and return how many were looked at; 0 when all are done.

    Workers who do this at once follow each other: each holds the switch.
    """
    switch = find_switch(session, organization_id, lock=True)
    if switch is None or switch.work is None:
        return 0
    work = {SUSPEND: _suspend_some, RESTORE: _restore_some}[switch.work]
    count = work(session, organization_id)
    switch.done += count
    switch.total = max(switch.total, switch.done)
    switch.updated_at = now_ms()
    if not count:
        switch.work, switch.total = None, switch.done
    session.flush()
    return count


def _suspend_some(session: Session, organization_id: str) -> int:
    query = _to_suspend(organization_id).order_by(DirectoryUser.user_id).limit(BATCH)
    ids = session.scalars(query).all()
    people = [
        (person.membership, person.user)
        for person in lock_people(session, organization_id, ids, with_groups=False)
        # Of some it may have been decided otherwise while this was waiting.
        if person.membership is not None and person.membership.deleted_at is None and person.row.active
    ]
    for membership, _ in people:
        membership.suspended_at = now_ms()
    let_go_all(session, Directory(organization_id), people)
    events = [membership_event("deleted", membership, reason="directory_disabled") for membership, _ in people]
    record_events(session, organization_id, events)
    admins = [user for membership, user in people if PROVISIONING_MANAGE in membership.role.permissions]
    if admins and find_provisioning_manager(session, organization_id) is None:
        record_events(session, organization_id, [lost_admin_event(organization_id, admins[-1])])
    return len(ids)


def _restore_some(session: Session, organization_id: str) -> int:
    ids = session.scalars(_suspended(organization_id).order_by(OrganizationMembership.user_id).limit(BATCH)).all()
    directory = Directory(organization_id)
    rules = load_rules(session, directory)
    people = lock_people(session, organization_id, ids, with_groups=rules.mapping.reads_groups)
    events: list[NewEvent] = []
    for person in people:
        if person.membership is not None and _is_wanted(person):
            mapped = evaluate(rules.mapping, person)
            write_profile(session, directory, person.user, mapped, active=True, takes_over=True, comes_back=True)
            readmit(session, directory, rules, person.membership, mapped)
            events.append(membership_event("created", person.membership, reason="directory_enabled"))
    _forget_suspension(session, organization_id, ids)
    record_events(session, organization_id, events)
    return len(ids)


def _is_wanted(person: Person) -> bool:
    """Tell whether somebody suspended is to come back: active for the IdP, and still out, and still suspended."""
    membership = person.membership
    if membership is None or membership.suspended_at is None or membership.deleted_at is None:
        return False
    return person.row.active


def _forget_suspension(session: Session, organization_id: str, user_ids: Sequence[str]) -> None:
    query = select(OrganizationMembership).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id.in_(user_ids)
    )
    for membership in session.scalars(query):
        membership.suspended_at = None
    session.flush()


# -- Telling ------------------------------------------------------------------------


class DirectoryWorkObject(TypedDict):
    """What is being done to the people of a directory."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [SUSPEND, RESTORE]})]
    done: int
    total: int


class ScimDirectoryObject(TypedDict):
    """The directory of an organization: all that its identity provider pushes."""

    object: Literal["scim_directory"]
    organization_id: str
    state: Annotated[str, Field(json_schema_extra={"enum": ["enabled", "disabled"]})]
    disabled_at: Moment | None
    people: Annotated[str | None, Field(description="What became of them: `keep` or `suspend`; null while it is on.")]
    work: Annotated[DirectoryWorkObject | None, Field(description="Null when nothing is left to do.")]
    active_users: int
    inactive_users: int
    suspended_users: Annotated[int, Field(description="Of the active ones; they are members again when it is on.")]
    groups: int


def directory_object(session: Session, organization_id: str) -> ScimDirectoryObject:
    """Return the state of a directory as the JSON API shows it, with counts of what is in it."""
    switch = find_switch(session, organization_id)
    active, inactive = count_people(session, organization_id)
    suspended = session.scalar(select(func.count()).select_from(_suspended(organization_id).subquery())) or 0
    is_off = switch is not None and switch.disabled_at is not None
    return {
        "object": "scim_directory",
        "organization_id": organization_id,
        "state": "disabled" if is_off else "enabled",
        "disabled_at": switch.disabled_at if switch else None,
        "people": switch.people if switch else None,
        "work": _work_object(switch),
        "active_users": active,
        "inactive_users": inactive,
        "suspended_users": suspended,
        "groups": count_groups(session, organization_id),
    }


def _work_object(switch: DirectorySwitch | None) -> DirectoryWorkObject | None:
    if switch is None or switch.work is None:
        return None
    return {"kind": switch.work, "done": switch.done, "total": switch.total}
