"""Memberships made and ended by hand, with their events; what a directory does is in ``directory/memberships.py``.

What is done by hand stays until the directory next decides otherwise about the
person: a role until what the directory says of it changes, an end until the
person is activated or created there anew. Each function belongs to the caller's
transaction, and refuses with a ``DomainError`` that rolls it back.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from clock import now_ms
from errors import Conflict, DomainError, InvalidInput
from folding import fold
from ids import new_id
from models import DirectorySwitch, DirectoryUser, OrganizationMembership, Role, User
from organizations.members import find_provisioning_manager, find_user_by_email, get_membership
from organizations.representations import membership_object, user_object
from organizations.roles import PROVISIONING_MANAGE, default_role, find_role
from organizations.sign_in import end_sessions
from organizations.users import get_user, is_member_elsewhere, lock_user
from organizations.validation import address_problems, problem, text_problems
from webhooks.events import NewEvent, next_in, record_events

BY_HAND = "manual"


@dataclass(frozen=True)
class NewMember:
    """Whom to make a member: a user by id, or whoever has an e-mail address. Without a role it is the default one.

    The names are those of a new person; of one who is there already they change nothing.
    """

    user_id: str | None = None
    email_address: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    role_key: str | None = None


def add_member(
    session: Session, organization_id: str, new: NewMember, *, seen_by: str | None = None
) -> OrganizationMembership:
    """Make somebody a member by hand. Somebody who was one before gets the same membership again.

    :param seen_by: The organization whose users may be named by id; None for all.
    :raises InvalidInput: When a value cannot be accepted, or there is no such role.
    :raises NotFound: When there is no such user.
    :raises Conflict: ``already_member``, or ``inactive_in_directory`` when the organization's directory deactivated
        the person.
    """
    role = _checked_role(session, new)
    if new.user_id is not None:
        user = lock_user(session, get_user(session, new.user_id, seen_by=seen_by).id)
    else:
        user = _person_of(session, new)
    _require_no_refusal(session, organization_id, user)
    membership = _begun(session, organization_id, user, role)
    user.active, user.deleted_at, user.updated_at = True, None, membership.updated_at
    session.flush()
    _record(session, "created", membership)
    return membership


def _checked_role(session: Session, new: NewMember) -> Role:
    """Return the role that a new member gets, if all that was given can be accepted."""
    problems: list[DomainError] = []
    if (new.user_id is None) == (new.email_address is None):
        problems.append(problem("email_address", "Give user_id or email_address, and not both."))
    if new.email_address is not None:
        problems += address_problems("email_address", new.email_address)
    for param, name in (("first_name", new.first_name), ("last_name", new.last_name)):
        if name is not None:
            problems += text_problems(param, name)
    role = default_role(session) if new.role_key is None else find_role(session, new.role_key)
    if role is None:
        problems.append(_unknown_role(new.role_key))
    if problems or role is None:
        raise InvalidInput(problems)
    return role


def _unknown_role(role_key: str | None) -> DomainError:
    return problem(
        "role", f"{role_key!r} is no role of this environment.", "GET /v1/roles lists them.", code="role_not_found"
    )


def _person_of(session: Session, new: NewMember) -> User:
    """Return the person of an e-mail address, held until the end of the transaction, or a new one."""
    email_key = fold(new.email_address or "")
    known = find_user_by_email(session, email_key)
    if known is not None:
        return lock_user(session, known.id)
    now = now_ms()
    user = User(
        id=new_id("user"),
        email_address=new.email_address,
        email_key=email_key,
        first_name=new.first_name,
        last_name=new.last_name,
        created_at=now,
        updated_at=now,
    )
    session.add(user)
    session.flush()
    return user


def _require_no_refusal(session: Session, organization_id: str, user: User) -> None:
    """Return unless the organization's directory says that the person is inactive; one switched off says nothing."""
    query = select(DirectoryUser.user_id).where(
        DirectoryUser.organization_id == organization_id,
        DirectoryUser.user_id == user.id,
        DirectoryUser.deleted_at.is_(None),
        ~DirectoryUser.active,
    )
    is_off = select(DirectorySwitch.organization_id).where(
        DirectorySwitch.organization_id == organization_id, DirectorySwitch.disabled_at.is_not(None)
    )
    if session.scalar(query.where(~is_off.exists())) is not None:
        raise Conflict(
            "The directory deactivated this person.",
            long_message="Activate or assign the person in the identity provider; the membership comes back with it.",
            code="inactive_in_directory",
            meta={"user_id": user.id},
        )


def _begun(session: Session, organization_id: str, user: User, role: Role) -> OrganizationMembership:
    """Return a membership that begins now: the former one of the person, or a new one."""
    now = now_ms()
    query = select(OrganizationMembership).where(
        OrganizationMembership.organization_id == organization_id, OrganizationMembership.user_id == user.id
    )
    membership = session.scalar(query.options(joinedload(OrganizationMembership.role)))
    if membership is None:
        membership = OrganizationMembership(
            id=new_id("orgmem"), organization_id=organization_id, user=user, created_at=now
        )
        session.add(membership)
    elif membership.deleted_at is None:
        raise Conflict("This person is a member already.", code="already_member", meta={"user_id": user.id})
    membership.role, membership.role_source = role, BY_HAND
    membership.deleted_at = membership.suspended_at = None
    membership.updated_at = now
    return membership


def change_role(session: Session, organization_id: str, user_id: str, role_key: str) -> OrganizationMembership:
    """Give an active member a role by hand; it stays until the directory next changes what it says of the role.

    The role that the member has by hand already changes nothing.

    :raises NotFound: When the user is no active member of the organization.
    :raises InvalidInput: When there is no such role.
    :raises Conflict: ``last_admin``, when nobody would be left who may manage provisioning.
    """
    membership = _held(session, organization_id, user_id)
    role = find_role(session, role_key)
    if role is None:
        raise InvalidInput([_unknown_role(role_key)])
    before, source = membership.role, membership.role_source
    if before.id == role.id and source == BY_HAND:
        return membership
    membership.role, membership.role_source, membership.updated_at = role, BY_HAND, now_ms()
    session.flush()
    if _was_last_admin(session, organization_id, before):
        raise _last_admin(user_id)
    changes: dict[str, Any] = {"role": {"from": before.key, "to": role.key}} if before.id != role.id else {}
    if source != BY_HAND:
        changes["role_source"] = {"from": source, "to": BY_HAND}
    _record(session, "updated", membership, changes=changes)
    return membership


def end_membership(
    session: Session, organization_id: str, user_id: str, *, force: bool = False
) -> OrganizationMembership:
    """End a membership and the person's sessions there at once; and the person, when no membership is left anywhere.

    Whom the directory still assigns stays out until it activates or creates the
    person anew, or until the person is added by hand.

    :param force: Whether the last one who may manage provisioning may go as well; an event tells of it then.
    :raises NotFound: When the user is no active member of the organization.
    :raises Conflict: ``last_admin``, when nobody would be left who may manage provisioning.
    """
    membership = _held(session, organization_id, user_id)
    user, now = membership.user, now_ms()
    membership.deleted_at = membership.updated_at = now
    membership.suspended_at = None
    end_sessions(session, organization_id, user_id)
    if not is_member_elsewhere(session, user_id, organization_id):
        user.active, user.deleted_at, user.updated_at = False, now, now
    session.flush()
    was_last = _was_last_admin(session, organization_id, membership.role)
    if was_last and not force:
        raise _last_admin(user_id)
    _record(session, "deleted", membership)
    if was_last:
        record_events(session, organization_id, [lost_admin_event(organization_id, user)])
    return membership


def delete_user(session: Session, user_id: str, *, force: bool = False) -> User:
    """End every membership and session of a person, and so the person; a directory may bring them back as ever.

    Somebody who is deleted already stays so.

    :param force: Whether it may be the last one of an organization who may manage provisioning.
    :raises NotFound: When there is no such user.
    :raises Conflict: ``last_admin``.
    """
    user = lock_user(session, get_user(session, user_id).id)
    active = (OrganizationMembership.user_id == user_id, OrganizationMembership.deleted_at.is_(None))
    organizations = select(OrganizationMembership.organization_id).where(*active)
    # Counters of events are locked in one order by all who need several.
    for organization_id in sorted(session.scalars(organizations)):
        end_membership(session, organization_id, user_id, force=force)
    return user


def _held(session: Session, organization_id: str, user_id: str) -> OrganizationMembership:
    """Return an active membership as it is now that the person is held."""
    membership = get_membership(session, organization_id, user_id)
    lock_user(session, user_id)
    session.expire(membership)
    return get_membership(session, organization_id, user_id)


def lost_admin_event(organization_id: str, user: User) -> NewEvent:
    """Return the event that tells that a person was the last who could manage provisioning, yet to be recorded."""
    return "organization.lastAdminRemoved", {
        "user": user_object(user, seen_by=organization_id),
        "enterprise_connection_id": None,
        "organization_id": organization_id,
    }


def _was_last_admin(session: Session, organization_id: str, role: Role) -> bool:
    """Tell whether nobody may manage provisioning any more, now that somebody has lost this role.

    All who write an organization's events hold its counter until they commit.
    With it held, of two admins who remove each other at once the second sees
    that there is nobody else.
    """
    if PROVISIONING_MANAGE not in role.permissions:
        return False
    next_in(session, organization_id, 0)
    return find_provisioning_manager(session, organization_id) is None


def _last_admin(user_id: str) -> Conflict:
    return Conflict(
        "This is the last member who can manage provisioning.",
        long_message="Give another member a role that can manage provisioning first, such as org:admin.",
        code="last_admin",
        meta={"user_id": user_id},
    )


def membership_event(what: str, membership: OrganizationMembership, **more: Any) -> NewEvent:
    """Return an event about a membership, yet to be recorded; ``what`` is ``created``, ``updated`` or ``deleted``."""
    data = membership_object(membership, seen_by=membership.organization_id)
    return f"organizationMembership.{what}", {**data, **more}


def _record(session: Session, what: str, membership: OrganizationMembership, **more: Any) -> None:
    record_events(session, membership.organization_id, [membership_event(what, membership, **more)])
