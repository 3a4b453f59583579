"""Signing in by a one-time link or a setup link, and signing out."""

from typing import Any

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import (
    SESSION_TOKEN,
    actor,
    address_to_return_to,
    needs,
    open_sections,
    open_to_all,
    session_limits,
    signed_in,
)
from blueprints.profile.forms import ConfirmForm, PasswordSignInForm
from database import db
from errors import NotAuthenticated
from organizations.audit import record_act
from organizations.organizations import get_organization
from organizations.sessions import MEMBER, SETUP_LINK, end_session, find_signed_in
from organizations.setup_links import find_setup_link
from organizations.setup_links import open_setup_link as use_setup_link
from organizations.sign_in import find_sign_in_link
from organizations.sign_in import sign_in as use_link

bp = Blueprint("sign_in", __name__)


@bp.get("/")
@needs()
def start() -> Response:
    """Lead to the first section that the member may open."""
    sections = open_sections()
    return redirect(url_for(sections[0].endpoint if sections else "profile.members.show_members"), 303)


@bp.get("/sign-in")
@open_to_all
def explain() -> str | Response:
    """Say how one signs in here."""
    if g.signed_in is not None:
        return redirect(url_for("profile.sign_in.start"), 303)
    form = PasswordSignInForm() if current_app.config["PASSWORD_SIGN_IN"] else None
    return render_template("profile/sign_in.html", form=form)


@bp.get("/sign-in/<token>")
@open_to_all
def offer(token: str) -> str | tuple[str, int]:
    """Show the button that signs in. The link stays unused: mail scanners open every link they see."""
    with db.reading() as database_session:
        link = find_sign_in_link(database_session, token)
        if link is None:
            return link_is_over()
        organization = get_organization(database_session, link.organization_id).name
    return render_template("profile/sign_in_link.html", form=ConfirmForm(), organization=organization)


@bp.post("/sign-in/<token>")
@open_to_all
def sign_in(token: str) -> Response | tuple[str, int]:
    """Use the link up and open a session, in place of the one that this browser may have."""
    try:
        with db.unit_of_work() as database_session:
            session_token = use_link(database_session, token, **of_this_browser())
            note_start(database_session, session_token)
    except NotAuthenticated:
        return link_is_over()
    return begin(session_token, MEMBER)


@bp.get("/setup/<token>")
@open_to_all
def offer_setup(token: str) -> str | tuple[str, int]:
    """Show the button that opens Directory sync to the IT admin who holds a setup link."""
    with db.reading() as database_session:
        link = find_setup_link(database_session, token)
        if link is None:
            return setup_link_is_over()
        offered = {"organization": get_organization(database_session, link.organization_id).name, "link": link}
        database_session.expunge(link)
    return render_template("profile/setup_link_open.html", form=ConfirmForm(), **offered)


@bp.post("/setup/<token>")
@open_to_all
def open_setup(token: str) -> Response | tuple[str, int]:
    """Open a session of the setup link, in place of the one that this browser may have."""
    try:
        with db.unit_of_work() as database_session:
            session_token = use_setup_link(database_session, token, **of_this_browser())
            note_start(database_session, session_token)
    except NotAuthenticated:
        return setup_link_is_over()
    return begin(session_token, SETUP_LINK)


def of_this_browser() -> dict[str, Any]:
    """Return how a session of this browser is opened."""
    return {"limits": session_limits(), "user_agent": request.user_agent.string}


def note_start(database_session: Session, session_token: str) -> None:
    """Write down that a session began, and end the one that this browser had before."""
    who = find_signed_in(database_session, session_token, limits=session_limits())
    if who is not None:
        record_act(
            database_session,
            actor(who),
            "session.started",
            organization_id=who.organization_id,
            target_type="session",
            target_id=who.session_id,
            details={"proven_by": who.proven_by},
        )
    if g.signed_in is not None:
        end_session(database_session, g.signed_in.session_id)


def begin(session_token: str, kind: str) -> Response:
    """Give the browser its new session, and lead to where it wanted to go. Nothing of a former session stays."""
    address = address_to_return_to(kind)
    session.clear()
    session[SESSION_TOKEN] = session_token
    return redirect(address, 303)


@bp.post("/sign-out")
@needs()
def sign_out() -> Response:
    """End the session, here and on the server."""
    with db.unit_of_work() as database_session:
        end_session(database_session, signed_in().session_id)
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("profile.sign_in.explain"), 303)


def link_is_over() -> tuple[str, int]:
    """Return the page for a link that is unknown, used or expired: which of them it is, is nobody's business."""
    return render_template("profile/sign_in_link_over.html"), 410


def setup_link_is_over() -> tuple[str, int]:
    """Return the page for a setup link that is unknown, revoked or expired."""
    return render_template("profile/setup_link_over.html"), 410


def form_not_checked(_error: CSRFError) -> tuple[str, int]:
    """Return the page for a form that did not come from a page of this session."""
    text = render_template(
        "errors/error.html",
        status=400,
        title="This form is no longer valid",
        message="Nothing was changed. Go back, reload the page and send it again. Your browser must accept cookies.",
    )
    return text, 400
