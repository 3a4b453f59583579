"""Removing a member by hand, and giving access back; each is confirmed first."""

from flask import Blueprint, flash, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, needs, signed_in
from database import db
from errors import Conflict, NotAllowed, NotFound
from models import OrganizationMembership
from organizations.audit import record_act
from organizations.members import get_membership
from organizations.memberships import NewMember, add_member, end_membership
from organizations.person import get_person
from organizations.roles import MEMBERSHIPS_MANAGE, may_give

bp = Blueprint("member_access", __name__, url_prefix="/organization/members/<user_id>")


@bp.get("/remove")
@needs(MEMBERSHIPS_MANAGE)
def ask_end(user_id: str) -> str:
    """Say what removing a member means."""
    return confirm_page(user_id, is_member=True)


@bp.post("/remove")
@needs(MEMBERSHIPS_MANAGE)
def end(user_id: str) -> Response | tuple[str, int]:
    """Remove a member, unless nobody would be left who may manage provisioning."""
    organization_id = signed_in().organization_id
    try:
        with db.unit_of_work() as session:
            if not may_give(signed_in().permissions, get_membership(session, organization_id, user_id).role):
                raise NotAllowed("Nobody removes a member whose role permits more than their own.")
            write_down(session, "deleted", end_membership(session, organization_id, user_id))
    except Conflict as refusal:
        return confirm_page(user_id, is_member=True, problem=f"{refusal.message} {refusal.long_message}"), 409
    flash("The member is removed. All their sessions here have ended.")
    return redirect(url_for("profile.members.show_person", user_id=user_id), 303)


@bp.get("/return")
@needs(MEMBERSHIPS_MANAGE)
def ask_return(user_id: str) -> str:
    """Say what giving access back means."""
    return confirm_page(user_id, is_member=False)


@bp.post("/return")
@needs(MEMBERSHIPS_MANAGE)
def give_back(user_id: str) -> Response | tuple[str, int]:
    """Make a former member one again, with the default role."""
    organization_id = signed_in().organization_id
    try:
        with db.unit_of_work() as session:
            require_former(session, user_id)
            member = add_member(session, organization_id, NewMember(user_id=user_id), seen_by=organization_id)
            write_down(session, "created", member)
    except Conflict as refusal:
        return confirm_page(user_id, is_member=False, problem=f"{refusal.message} {refusal.long_message}"), 409
    flash("Access is given back, with the default role.")
    return redirect(url_for("profile.members.show_person", user_id=user_id), 303)


def write_down(session: Session, what: str, membership: OrganizationMembership) -> None:
    """Keep in the audit log who began or ended a membership."""
    record_act(
        session,
        acting_visitor(),
        f"organization_membership.{what}",
        organization_id=membership.organization_id,
        target_type="organization_membership",
        target_id=membership.id,
        details={"user_id": membership.user_id, "role": membership.role.key},
    )


def require_former(session: Session, user_id: str) -> None:
    """Return if somebody was a member and is none.

    :raises NotFound: Otherwise.
    """
    person = get_person(session, signed_in().organization_id, user_id)
    if person.member is None or person.is_member:
        raise NotFound("There is nobody to do this with.", code="membership_not_found")


def confirm_page(user_id: str, *, is_member: bool, problem: str | None = None) -> str:
    """Return the page that asks before it is done."""
    with db.reading() as session:
        person = get_person(session, signed_in().organization_id, user_id)
        session.expunge_all()
    template = "member_end" if is_member else "member_return"
    return render_template(
        f"profile/{template}.html", person=person, is_done=person.is_member != is_member, problem=problem
    )
