"""The own account of a member: the password, and where else one is signed in."""

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, needs, session_limits, signed_in
from blueprints.profile.forms import ConfirmForm, NewPasswordForm
from blueprints.profile.password_sign_in import other_organizations, require_passwords
from blueprints.profile.passwords import hash_password
from database import db
from errors import InvalidInput
from organizations.audit import record_act
from organizations.passwords import check_new_password, find_credential_of, normal_password, set_own_password
from organizations.sessions import end_other_sessions, list_sessions

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.get("")
@needs()
def show_account() -> str:
    """Show who is signed in, whether there is a password, and where else this person is signed in."""
    who = signed_in()
    with db.reading() as session:
        found = list_sessions(session, who, limits=session_limits())
        sessions = sorted(found, key=lambda row: row[0].id != who.session_id)  # the present one first
        has_password = find_credential_of(session, who) is not None
        organizations = other_organizations(session, who)
        session.expunge_all()
    return render_template(
        "profile/account.html",
        sessions=sessions,
        has_password=has_password,
        passwords_open=current_app.config["PASSWORD_SIGN_IN"],
        several=len(organizations) > 1,
        form=ConfirmForm(),
    )


@bp.get("/password")
@needs(fresh=True)
def new_password() -> str:
    """Ask for a new password."""
    require_passwords()
    return render_template("profile/password.html", form=NewPasswordForm())


@bp.post("/password")
@needs(fresh=True)
def set_password() -> Response | tuple[str, int]:
    """Set the own password, and end every other session of this person: whoever knew the old one is out."""
    require_passwords()
    form, who = NewPasswordForm(), signed_in()
    if not form.validate_on_submit() or not is_accepted(form):
        return render_template("profile/password.html", form=form), 422
    password_hash = hash_password(form.password.data)
    with db.unit_of_work() as session:
        set_own_password(session, who, password_hash)
        end_other_sessions(session, who)
        record_act(
            session,
            acting_visitor(),
            "password.set",
            organization_id=who.organization_id,
            target_type="user",
            target_id=str(who.user_id),
        )
    flash("Your password is set. Elsewhere you are signed out.")
    return redirect(url_for("profile.account.show_account"), 303)


def is_accepted(form: NewPasswordForm) -> bool:
    """Tell whether the password is a good one; the form says why not."""
    who = signed_in()
    try:
        check_new_password(normal_password(form.password.data), (who.email_address, who.name, who.organization_name))
    except InvalidInput as error:
        form.password.errors = [error.message]
        return False
    return True


@bp.post("/sign-out-elsewhere")
@needs()
def sign_out_elsewhere() -> Response:
    """End every session of this person but the present one."""
    who = signed_in()
    with db.unit_of_work() as session:
        end_other_sessions(session, who)
        record_act(
            session,
            acting_visitor(),
            "sessions.ended",
            organization_id=who.organization_id,
            target_type="user",
            target_id=str(who.user_id),
        )
    flash("Elsewhere you are signed out.")
    return redirect(url_for("profile.account.show_account"), 303)
