"""Setup links: an admin of the organization invites the IT admin who connects the identity provider."""

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, needs, signed_in
from blueprints.profile.form_nonces import claim_nonce, new_nonce
from blueprints.profile.forms import ConfirmForm, SetupLinkForm
from clock import now_ms
from database import db
from models import SetupLink
from organizations.audit import record_act
from organizations.roles import PROVISIONING_MANAGE
from organizations.setup_links import get_setup_link, list_setup_links, make_setup_link, revoke_setup_link

bp = Blueprint("setup_links", __name__, url_prefix="/organization/directory-sync/setup-links")

SHOWN_LINKS = 100


@bp.get("")
@needs(PROVISIONING_MANAGE)
def show_links() -> str:
    """Show the setup links of the organization; those that still open something first."""
    now = now_ms()
    with db.reading() as session:
        links = list_setup_links(session, signed_in().organization_id, limit=SHOWN_LINKS)
        session.expunge_all()
    links = sorted(links, key=lambda link: not is_open(link, now))
    return render_template("profile/setup_links.html", links=links, now=now)


@bp.get("/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def new_link() -> str:
    """Ask whom a new link is for, and for how long."""
    return render_template("profile/setup_link_new.html", form=SetupLinkForm(nonce=new_nonce()))


@bp.post("/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def make_link() -> str | tuple[str, int]:
    """Make a link, and show it in this answer and never again."""
    form = SetupLinkForm()
    if not form.validate_on_submit():
        return render_template("profile/setup_link_new.html", form=form), 422
    if not form.nonce.data or not claim_nonce(signed_in().session_id, form.nonce.data):
        return render_template("profile/setup_link_made_before.html", name=form.name.data), 409
    organization_id = signed_in().organization_id
    with db.unit_of_work() as session:
        link, token = make_setup_link(
            session, organization_id, form.name.data, lifetime_seconds=int(form.lifetime.data)
        )
        record_act(
            session,
            acting_visitor(),
            "setup_link.made",
            organization_id=organization_id,
            target_type="setup_link",
            target_id=link.id,
            details={"name": link.name, "expires_at": link.expires_at},
        )
        made = {"name": link.name, "expires_at": link.expires_at, "url": setup_url(token)}
    return render_template("profile/setup_link_made.html", made=made)


@bp.get("/<link_id>/revoke")
@needs(PROVISIONING_MANAGE)
def confirm_revocation(link_id: str) -> str:
    """Say what revoking a link will do."""
    with db.reading() as session:
        link = get_setup_link(session, signed_in().organization_id, link_id)
        session.expunge(link)
    return render_template(
        "profile/setup_link_revoke.html", link=link, open=is_open(link, now_ms()), form=ConfirmForm()
    )


@bp.post("/<link_id>/revoke")
@needs(PROVISIONING_MANAGE)
def revoke_link(link_id: str) -> Response:
    """End a link and its sessions at once."""
    organization_id = signed_in().organization_id
    with db.unit_of_work() as session:
        link = revoke_setup_link(session, organization_id, link_id)
        record_act(
            session,
            acting_visitor(),
            "setup_link.revoked",
            organization_id=organization_id,
            target_type="setup_link",
            target_id=link.id,
            details={"name": link.name},
        )
        name = link.name
    flash(f"The setup link “{name}” is revoked. Whoever used it is signed out.")
    return redirect(url_for("profile.setup_links.show_links"), 303)


def is_open(link: SetupLink, now: int) -> bool:
    """Tell whether a link still opens something."""
    return link.revoked_at is None and link.expires_at > now


def setup_url(token: str) -> str:
    """Return the address that an IT admin opens."""
    return f"{current_app.config['PUBLIC_URL']}/setup/{token}"
