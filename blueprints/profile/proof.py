"""Proving again who one is, before a secret is shown or a way in is opened."""

from flask import Blueprint, current_app, redirect, render_template, url_for
from werkzeug.wrappers import Response

from blueprints.profile.access import is_fresh, needs, signed_in
from blueprints.profile.forms import PasswordProofForm
from blueprints.profile.password_sign_in import proof_of, require_passwords
from blueprints.profile.passwords import matches
from blueprints.profile.sign_in import begin, note_start, of_this_browser
from database import db
from organizations.passwords import Credential, find_credential_of, is_current
from organizations.sessions import open_session

bp = Blueprint("proof", __name__)


@bp.get("/sign-in/again")
@needs()
def ask() -> str | Response:
    """Ask for a new proof: the password of whoever has one; else say how a link gives it."""
    if is_fresh(signed_in()):
        return redirect(url_for("profile.sign_in.start"), 303)
    form = PasswordProofForm() if find_own_credential() is not None else None
    return render_template("profile/proof.html", form=form)


@bp.post("/sign-in/again")
@needs()
def prove() -> Response | tuple[str, int]:
    """Begin a new session for whoever knows the password, and go on to where the proof was asked for."""
    require_passwords()
    form, credential = PasswordProofForm(), find_own_credential()
    if credential is None or not form.validate_on_submit():
        return render_template("profile/proof.html", form=form if credential is not None else None), 422
    who = signed_in()
    if not matches(credential, who.email_address or str(who.user_id), form.password.data):
        form.password.errors = ["The password is not right."]
        return render_template("profile/proof.html", form=form), 422
    with db.unit_of_work() as session:
        if not is_current(session, credential):
            return render_template("profile/proof.html", form=form), 422
        token = open_session(session, proof_of(credential, who.organization_id), **of_this_browser())
        note_start(session, token)
    return begin(token, who.kind)


def find_own_credential() -> Credential | None:
    """Return what the password of the member who is signed in is checked against, if a password is a way in."""
    if not current_app.config["PASSWORD_SIGN_IN"] or signed_in().user_id is None:
        return None
    with db.reading() as session:
        return find_credential_of(session, signed_in())
