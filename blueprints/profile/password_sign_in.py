"""Signing in by e-mail address and password, and choosing among one's organizations."""

from flask import Blueprint, current_app, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import needs, open_to_all, signed_in
from blueprints.profile.forms import ConfirmForm, PasswordSignInForm
from blueprints.profile.passwords import matches
from blueprints.profile.sign_in import begin, note_start, of_this_browser
from database import db
from errors import NotFound
from organizations.passwords import (
    PASSWORD,
    Credential,
    find_credential,
    find_credential_of,
    is_current,
    organizations_opened_by,
)
from organizations.sessions import MEMBER, Proof, SignedIn, open_session

bp = Blueprint("password_sign_in", __name__)


def require_passwords() -> None:
    """Let a request pass only where passwords are a way in.

    :raises NotFound: Where a setting says that they are not.
    """
    if not current_app.config["PASSWORD_SIGN_IN"]:
        raise NotFound("There is nothing at this address.")


@bp.post("/sign-in")
@open_to_all
def sign_in() -> Response | tuple[str, int]:
    """Open a session for whoever knows the password of an e-mail address.

    What is wrong is never told: not whether the address is known, nor whether its person was let go.
    """
    require_passwords()
    form = PasswordSignInForm()
    if not form.validate_on_submit():
        return render_template("profile/sign_in.html", form=form), 422
    with db.reading() as session:
        credential = find_credential(session, form.email.data)
    right = matches(credential, form.email.data, form.password.data)
    opened = begin_with_password(credential) if right and credential is not None else None
    if opened is None:
        form.password.errors = ["The e-mail address or the password is not right."]
        return render_template("profile/sign_in.html", form=form), 422
    return opened


def begin_with_password(credential: Credential) -> Response | None:
    """Open a session in the person's organization, or lead to the choice of one; None for a member of none."""
    with db.unit_of_work() as session:
        organizations = organizations_opened_by(session, credential)
        if not organizations or not is_current(session, credential):
            return None
        token = open_session(session, proof_of(credential, organizations[0][0]), **of_this_browser())
        note_start(session, token)
    response = begin(token, MEMBER)
    return response if len(organizations) == 1 else redirect(url_for("profile.password_sign_in.choose"), 303)


def proof_of(credential: Credential, organization_id: str) -> Proof:
    """Return what a password proves: a membership in one organization."""
    bound = credential.organization_id is not None
    return Proof(PASSWORD, organization_id, credential.user_id, organization_bound=bound)


@bp.get("/sign-in/organizations")
@needs()
def choose() -> str:
    """Show the organizations that the member may go to without signing in again."""
    with db.reading() as session:
        organizations = other_organizations(session, signed_in())
    return render_template("profile/organizations.html", organizations=organizations, form=ConfirmForm())


@bp.post("/sign-in/organizations/<organization_id>")
@needs()
def go_to(organization_id: str) -> Response:
    """Open a session in another organization, in place of the present one, which it does not outlast."""
    who = signed_in()
    with db.unit_of_work() as session:
        if organization_id not in dict(other_organizations(session, who)):
            raise NotFound("You have no such organization, or have to sign in to it.")
        proof = Proof(
            PASSWORD,
            organization_id,
            who.user_id,
            organization_bound=who.organization_bound,  # a proof never speaks for more than it did
            until=who.expires_at,
            at=who.proven_at,
        )
        token = open_session(session, proof, **of_this_browser())
        note_start(session, token)
    return begin(token, MEMBER)


def other_organizations(session: Session, who: SignedIn) -> list[tuple[str, str]]:
    """Return the organizations that the password opens, if it was the password that opened this session."""
    credential = find_credential_of(session, who) if who.proven_by == PASSWORD else None
    return [] if credential is None else organizations_opened_by(session, credential)
