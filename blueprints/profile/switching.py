"""Switching the directory off and on, and how far what follows from it is. Setup links do not open this."""

from flask import Blueprint, flash, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, needs, signed_in
from blueprints.profile.forms import ConfirmForm, SwitchOffForm
from database import db
from directory.switching import directory_object, disable_directory, enable_directory
from errors import Conflict
from organizations.audit import record_act
from organizations.roles import PROVISIONING_MANAGE

bp = Blueprint("switching", __name__, url_prefix="/organization/directory-sync/switch")


@bp.get("")
@needs(PROVISIONING_MANAGE)
def show_switch() -> str:
    """Show whether the directory is on, what the other position would do, and how far the last change is."""
    return _page(SwitchOffForm())


@bp.post("/off")
@needs(PROVISIONING_MANAGE, fresh=True)
def switch_off() -> str | Response | tuple[str, int]:
    """Switch the directory off; its people are kept or suspended, as was chosen."""
    form = SwitchOffForm()
    if not form.validate_on_submit():
        return _page(form), 422
    try:
        with db.unit_of_work() as session:
            disable_directory(session, signed_in().organization_id, form.people.data)
            _record(session, "scim_directory.disabled", people=form.people.data)
    except Conflict as refusal:
        form.people.errors = [f"{refusal.message} {refusal.long_message}"]
        return _page(form), 409
    flash("Directory sync is switched off. The identity provider is refused until you switch it on again.")
    return redirect(url_for(".show_switch"), 303)


@bp.post("/on")
@needs(PROVISIONING_MANAGE)
def switch_on() -> Response:
    """Switch the directory on again, and restore whom switching it off suspended."""
    with db.unit_of_work() as session:
        enable_directory(session, signed_in().organization_id)
        _record(session, "scim_directory.enabled")
    flash("Directory sync is switched on. What the identity provider was refused meanwhile, it has to send again.")
    return redirect(url_for(".show_switch"), 303)


def _record(session: Session, action: str, **details: str) -> None:
    organization_id = signed_in().organization_id
    record_act(
        session,
        acting_visitor(),
        action,
        organization_id=organization_id,
        target_type="scim_directory",
        target_id=organization_id,
        details=details,
    )


def _page(form: SwitchOffForm) -> str:
    with db.reading() as session:
        directory = directory_object(session, signed_in().organization_id)
    return render_template("profile/switch.html", directory=directory, form=form, confirm=ConfirmForm())
