"""Members: who belongs to the organization, with which role, and why; one person; and giving a role by hand."""

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, may, needs, signed_in
from blueprints.profile.exports import csv_lines, download
from blueprints.profile.forms import ChangeRoleForm, printable
from blueprints.profile.people_words import standing
from blueprints.profile.words import ROLE_SOURCES, machine_time, role_source
from database import db
from directory.person_explanation import explain_person
from directory.person_overview import ROLE_GIVEN, get_person_overview
from directory.role_sources import find_role_sources
from directory.roles import BY_DEFAULT, BY_HAND, BY_MAPPING, KnownRoles
from errors import Conflict, NotAllowed, NotFound
from models import Role
from organizations.audit import find_latest_acts, record_act
from organizations.member_search import Member, MemberFilter, search_members
from organizations.members import get_membership
from organizations.memberships import change_role
from organizations.person import PersonOfOrganization, get_person
from organizations.roles import (
    MEMBERSHIPS_MANAGE,
    MEMBERSHIPS_READ,
    PROVISIONING_MANAGE,
    PROVISIONING_READ,
    may_give,
)

bp = Blueprint("members", __name__)

PAGE_SIZE = 50
EXPORTED_AT_ONCE = 500
HEADINGS = (
    "User id",
    "First name",
    "Last name",
    "E-mail address",
    "User name",
    "Role",
    "Role comes from",
    "Status",
    "Member since",
    "Left",
    "Last change from the directory",
)
SEARCH_LENGTH = 100
SOURCES = (BY_MAPPING, BY_HAND, BY_DEFAULT)


# -- All members ----------------------------------------------------------------


@bp.get("/organization/members")
@needs(MEMBERSHIPS_READ, PROVISIONING_READ)
def show_members() -> str:
    """Show one page of the members, or of the former ones, the latest first; of those whom the filters find."""
    wanted, organization_id = asked_filter(), signed_in().organization_id
    with db.reading() as session:
        page = search_members(
            session,
            organization_id,
            wanted,
            limit=PAGE_SIZE,
            older_than=printable(request.args.get("older_than")) or None,
            newer_than=printable(request.args.get("newer_than")) or None,
        )
        mapped = [member.user_id for member in page.members if member.role_source == BY_MAPPING]
        by_hand = [member.membership_id for member in page.members if member.role_source == BY_HAND]
        known = {
            "sources": find_role_sources(session, organization_id, mapped),
            "acts": find_latest_acts(session, organization_id, by_hand, ROLE_GIVEN),
            "role_choices": [("", "All roles"), *((role.key, role.name) for role in roles_in_order(session))],
        }
        session.expunge_all()
    return render_template("profile/members.html", page=page, wanted=wanted, query=as_query(wanted), **known)


def asked_filter() -> MemberFilter:
    """Return which members the address asks for; what it does not mean anything by is left out.

    :raises NotAllowed: When it asks for former members, who are not for everybody to see.
    """
    source, former = request.args.get("source"), request.args.get("status") == "former"
    if former and not may_see_former():
        raise NotAllowed("Your role does not show former members.", long_message="Ask an admin for another role.")
    return MemberFilter(
        words=printable(request.args.get("q"))[:SEARCH_LENGTH],
        role=printable(request.args.get("role"))[:SEARCH_LENGTH] or None,
        source=source if source in SOURCES else None,
        former=former,
    )


def as_query(wanted: MemberFilter) -> dict[str, str]:
    """Return a filter as an address says it, without what it leaves open."""
    status = "former" if wanted.former else None
    asked = {"q": wanted.words, "role": wanted.role, "source": wanted.source, "status": status}
    return {name: value for name, value in asked.items() if value}


def may_see_former() -> bool:
    """Tell whether whoever is signed in may see people who are no members: only who may manage those who are."""
    return may(MEMBERSHIPS_MANAGE) or may(PROVISIONING_MANAGE)


def roles_in_order(session: Session) -> list[Role]:
    """Return the roles of the environment, those of most permissions first."""
    roles = KnownRoles.read(session).by_key.values()
    return sorted(roles, key=lambda role: (-len(role.permissions), role.name, role.key))


@bp.get("/organization/members/export")
@needs(MEMBERSHIPS_READ, PROVISIONING_READ)
def export_members() -> Response:
    """Return everybody whom the filters of the address find, as CSV."""
    organization_id, wanted = signed_in().organization_id, asked_filter()
    lines = csv_lines(HEADINGS, (cells(member) for member in each_member(organization_id, wanted)))
    return download(lines, "former-members.csv" if wanted.former else "members.csv", "text/csv")


def each_member(organization_id: str, wanted: MemberFilter) -> Iterator[Member]:
    """Yield the members that a filter finds, the latest first. Every few hundred are a transaction of their own."""
    last: str | None = None
    while True:
        with db.reading() as session:
            page = search_members(session, organization_id, wanted, limit=EXPORTED_AT_ONCE, older_than=last)
        yield from page.members
        last = page.older_than
        if last is None:
            return


def cells(member: Member) -> tuple[Any, ...]:
    """Return a member as a row of a spreadsheet, times as ISO 8601."""
    times = (member.since, member.ended_at, member.directory_changed_at)
    return (
        member.user_id,
        member.first_name,
        member.last_name,
        member.email_address,
        member.username,
        member.role_key,
        role_source(member.role_source),
        standing(member.standing),
        *(machine_time(moment) if moment is not None else None for moment in times),
    )


# -- One person -------------------------------------------------------------------


@bp.get("/organization/members/<user_id>")
@needs(MEMBERSHIPS_READ, PROVISIONING_READ)
def show_person(user_id: str) -> str:
    """Show who somebody is, where the fields and the role come from, and what became of the person here."""
    before = request.args.get("before", "")
    place = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    with db.reading() as session:
        overview = get_person_overview(session, signed_in().organization_id, user_id, history_before=place)
        require_visible(overview.person)
        role_names = {key: role.name for key, role in KnownRoles.read(session).by_key.items()}
        session.expunge_all()
    return render_template(
        "profile/person.html",
        overview=overview,
        person=overview.person,
        member=overview.person.member,
        role_names=role_names,
        role_sources=ROLE_SOURCES,
        is_later_page=place is not None,
    )


def require_visible(person: PersonOfOrganization) -> None:
    """Return if whoever is signed in may see this person.

    :raises NotFound: Otherwise; somebody who left looks like somebody who never was here.
    """
    if not person.is_member and not may_see_former():
        raise NotFound("There is no such person in this organization.", code="person_not_found")


# -- A role by hand ---------------------------------------------------------------


@bp.get("/organization/members/<user_id>/role")
@needs(MEMBERSHIPS_MANAGE)
def ask_role(user_id: str) -> str:
    """Ask which role a member is to have, and say what giving it by hand means."""
    return role_page(user_id, ChangeRoleForm())


@bp.post("/organization/members/<user_id>/role")
@needs(MEMBERSHIPS_MANAGE)
def give_role(user_id: str) -> str | Response | tuple[str, int]:
    """Give a member a role by hand, unless nobody would be left who may manage provisioning."""
    form = ChangeRoleForm()
    if not form.role.data:
        form.role.errors = ["Choose a role."]
        return role_page(user_id, form), 422
    try:
        with db.unit_of_work() as session:
            name = write_role(session, user_id, form.role.data)
    except Conflict as refusal:
        form.role.errors = [f"{refusal.message} {refusal.long_message}"]
        return role_page(user_id, form), 409
    flash(f"The role is {name} now. It was set by hand.")
    return redirect(url_for("profile.members.show_person", user_id=user_id), 303)


def write_role(session: Session, user_id: str, role_key: str) -> str:
    """Give the role and write the act down; return the role's name.

    :raises NotFound: When there is no such member, or no such role.
    :raises NotAllowed: When the former role, or this one, permits more than whoever is signed in may.
    """
    organization_id, own = signed_in().organization_id, signed_in().permissions
    membership = get_membership(session, organization_id, user_id)
    before, source = membership.role, membership.role_source
    role = KnownRoles.read(session).by_key.get(role_key)
    if role is None:
        raise NotFound("There is no such role any more. Nothing was changed.", code="role_not_found")
    if not (may_give(own, before) and may_give(own, role)):
        raise NotAllowed(
            "Nobody gives or takes a role that permits more than their own.",
            long_message="Nothing was changed. Ask somebody whose role permits as much.",
        )
    membership = change_role(session, organization_id, user_id, role_key)
    if (membership.role.id, membership.role_source) != (before.id, source):
        record_act(
            session,
            acting_visitor(),
            ROLE_GIVEN[1],
            organization_id=organization_id,
            target_type="organization_membership",
            target_id=membership.id,
            details={"user_id": user_id, "role": {"from": before.key, "to": membership.role.key}},
        )
    return membership.role.name


def role_page(user_id: str, form: ChangeRoleForm) -> str:
    """Return the page that asks for a role. Only members have one."""
    organization_id = signed_in().organization_id
    with db.reading() as session:
        person = get_person(session, organization_id, user_id)
        if person.member is None or not person.is_member:
            raise NotFound("There is no such member in this organization.", code="membership_not_found")
        explanation = explain_person(session, organization_id, user_id) if person.in_directory else None
        roles = roles_in_order(session)
        session.expunge_all()
    form.role.choices = [(role.key, role.name) for role in roles]
    form.role.data = form.role.data or person.member.role_key
    return render_template(
        "profile/member_role.html",
        person=person,
        member=person.member,
        form=form,
        roles=roles,
        roles_beyond={role.key for role in roles if not may_give(signed_in().permissions, role)},
        decision=explanation.role if explanation else None,
        role_names={role.key: role.name for role in roles},
    )
