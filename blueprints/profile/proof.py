"""Proving again who one is, before a secret is shown or a way in is opened."""

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from blueprints.profile.access import is_fresh, needs, signed_in

bp = Blueprint("proof", __name__)


@bp.get("/sign-in/again")
@needs()
def ask() -> str | Response:
    """Ask for a new proof, and say how it is given."""
    if is_fresh(signed_in()):
        return redirect(url_for("profile.sign_in.start"), 303)
    return render_template("profile/proof.html")
