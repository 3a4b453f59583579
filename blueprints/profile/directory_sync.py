"""Directory sync: whether the IdP is connected, and the tokens with which it calls."""

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, needs, opens, signed_in
from blueprints.profile.form_nonces import claim_nonce, new_nonce
from blueprints.profile.forms import ConfirmForm, IssueTokenForm, RotateTokenForm, end_of
from blueprints.profile.providers import PROVIDERS
from clock import now_ms
from database import db
from directory.overview import get_overview
from directory.setups import find_setup
from directory.switching import find_switch
from models import ScimToken
from organizations.audit import record_act
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ
from organizations.scim_tokens import (
    get_scim_token,
    issue_scim_token,
    list_scim_tokens,
    revoke_scim_token,
    rotate_scim_token,
)
from webhooks.endpoints import list_given_up

bp = Blueprint("directory_sync", __name__, url_prefix="/organization/directory-sync")

SHOWN_TOKENS = 100
SOON_MS = 14 * 24 * 3600 * 1000


@bp.get("")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_overview() -> str:
    """Show the state of the connection, what to paste into the IdP, and the tokens."""
    now = now_ms()
    with db.reading() as session:
        overview = get_overview(session, signed_in().organization_id, now)
        tokens = list_scim_tokens(session, signed_in().organization_id, limit=SHOWN_TOKENS)
        given_up_endpoints = list_given_up(session, signed_in().organization_id)
        setup = find_setup(session, signed_in().organization_id)
        switch = find_switch(session, signed_in().organization_id)
        session.expunge_all()
    soon = [token for token in tokens if not is_past(token, now) and not token.replaced_by_id and ends_soon(token, now)]
    tokens = sorted(tokens, key=lambda token: is_past(token, now))
    return render_template(
        "profile/directory_sync.html",
        overview=overview,
        switch=switch,
        given_up_endpoints=given_up_endpoints,
        tokens=tokens,
        ending_tokens=soon,
        provider=PROVIDERS.get(setup.provider) if setup is not None else None,
        opens=opens,
        now=now,
        endpoint_url=endpoint_url(),
    )


@bp.get("/tokens/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def new_token() -> str:
    """Ask for the label of a new token."""
    return render_template("profile/token_new.html", form=IssueTokenForm(nonce=new_nonce()))


@bp.post("/tokens/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def issue_token() -> str | tuple[str, int]:
    """Issue a token, and show its plaintext in this answer and never again.

    There is no redirect here, because the plaintext would have to be kept for
    the page after it. The nonce keeps a reload from issuing another token.
    """
    form = IssueTokenForm()
    if not form.validate_on_submit():
        return render_template("profile/token_new.html", form=form), 422
    if not form.nonce.data or not claim_nonce(signed_in().session_id, form.nonce.data):
        return render_template("profile/token_issued_before.html", label=form.label.data), 409
    with db.unit_of_work() as session:
        token, plaintext = issue_scim_token(
            session, signed_in().organization_id, form.label.data, expires_at=form.expires_at()
        )
        record_token_act(session, "issued", token)
        issued = {"name": token.name, "expires_at": token.expires_at, "plaintext": plaintext}
    return render_template("profile/token_issued.html", issued=issued, endpoint_url=endpoint_url())


@bp.get("/tokens/<token_id>/rotate")
@needs(PROVISIONING_MANAGE, fresh=True)
def ask_rotation(token_id: str) -> str:
    """Ask for how long a token works on beside the one that takes its place."""
    return rotation_page(token_id, RotateTokenForm(formdata=None, nonce=new_nonce()))


@bp.post("/tokens/<token_id>/rotate")
@needs(PROVISIONING_MANAGE, fresh=True)
def rotate_token(token_id: str) -> str | tuple[str, int]:
    """Issue a token in the place of another one, and show its plaintext in this answer and never again."""
    form, organization_id = RotateTokenForm(), signed_in().organization_id
    if not form.validate_on_submit():
        return rotation_page(token_id, form), 422
    if not form.nonce.data or not claim_nonce(signed_in().session_id, form.nonce.data):
        with db.reading() as session:
            label = get_scim_token(session, organization_id, token_id).name
        return render_template("profile/token_issued_before.html", label=label), 409
    with db.unit_of_work() as session:
        token, plaintext = rotate_scim_token(
            session,
            organization_id,
            token_id,
            overlap_seconds=int(form.overlap.data),
            expires_at=end_of(form.lifetime.data),
        )
        record_token_act(session, "rotated", token, replaces=token_id)
        issued = {"name": token.name, "expires_at": token.expires_at, "plaintext": plaintext}
    return render_template("profile/token_issued.html", issued=issued, endpoint_url=endpoint_url())


def rotation_page(token_id: str, form: RotateTokenForm) -> str:
    """Return the page that asks how a token is replaced."""
    with db.reading() as session:
        token = get_scim_token(session, signed_in().organization_id, token_id)
        session.expunge(token)
    return render_template("profile/token_rotate.html", token=token, form=form)


@bp.get("/tokens/<token_id>/revoke")
@needs(PROVISIONING_MANAGE)
def confirm_revocation(token_id: str) -> str:
    """Say what revoking a token will do."""
    with db.reading() as session:
        token = get_scim_token(session, signed_in().organization_id, token_id)
        session.expunge(token)
    return render_template("profile/token_revoke.html", token=token, form=ConfirmForm())


@bp.post("/tokens/<token_id>/revoke")
@needs(PROVISIONING_MANAGE)
def revoke_token(token_id: str) -> Response:
    """Revoke a token at once."""
    with db.unit_of_work() as session:
        token = revoke_scim_token(session, signed_in().organization_id, token_id)
        name = token.name
        record_token_act(session, "revoked", token)
    flash(f"The token “{name}” is revoked.")
    return redirect(url_for("profile.directory_sync.show_overview"), 303)


def record_token_act(session: Session, what: str, token: ScimToken, **more: str) -> None:
    """Write down that a token was issued, rotated or revoked on a page."""
    record_act(
        session,
        acting_visitor(),
        f"scim_token.{what}",
        organization_id=token.organization_id,
        target_type="scim_token",
        target_id=token.id,
        details={"name": token.name, "prefix": token.prefix, **more},
    )


def is_past(token: ScimToken, now: int) -> bool:
    """Tell whether a token is revoked or expired."""
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)


def ends_soon(token: ScimToken, now: int) -> bool:
    """Tell whether a token expires within two weeks."""
    return token.expires_at is not None and token.expires_at - now < SOON_MS


def endpoint_url() -> str:
    """Return the SCIM base URL that an IT admin pastes into the IdP."""
    return str(current_app.config["SCIM_ENDPOINT_URL"])
