"""Signing in by a one-time link, and signing out."""

from flask import Blueprint, flash, g, redirect, render_template, session, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.wrappers import Response

from blueprints.profile.access import RETURN_TO, SESSION_TOKEN, needs, open_sections, open_to_all, signed_in
from blueprints.profile.forms import ConfirmForm
from database import db
from errors import NotAuthenticated
from organizations.organizations import get_organization
from organizations.sign_in import find_sign_in_link
from organizations.sign_in import sign_in as use_link
from organizations.sign_in import sign_out as end_session

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
    return render_template("profile/sign_in.html")


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
            session_token = use_link(database_session, token)
            if g.signed_in is not None:
                end_session(database_session, g.signed_in.session_id)
    except NotAuthenticated:
        return link_is_over()
    return_to = session.get(RETURN_TO)
    session.clear()
    session[SESSION_TOKEN] = session_token
    return redirect(return_to or url_for("profile.sign_in.start"), 303)


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


def form_not_checked(_error: CSRFError) -> tuple[str, int]:
    """Return the page for a form that did not come from a page of this session."""
    text = render_template(
        "errors/error.html",
        status=400,
        title="This form is no longer valid",
        message="Nothing was changed. Go back, reload the page and send it again. Your browser must accept cookies.",
    )
    return text, 400
