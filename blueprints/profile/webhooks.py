"""Webhooks: the endpoints of an organization, what was sent to them, and sending it again.

Only the organization's own endpoints are shown. Those of the product, which hear of
all organizations, are its business.
"""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.limits import limiter
from blueprints.profile.access import acting_visitor, needs, signed_in
from blueprints.profile.activity import day_of, in_milliseconds
from blueprints.profile.form_nonces import claim_nonce, new_nonce
from blueprints.profile.forms import ConfirmForm, printable
from blueprints.profile.webhook_forms import EndpointForm, ReplayForm, endpoint_form
from clock import now_ms
from database import db
from errors import Conflict, Gone, InvalidInput
from models import WebhookEndpoint
from organizations.audit import record_act
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ
from webhooks.deliveries import STATES, get_delivery, replay_delivery, replay_since, send_test
from webhooks.delivery_search import DeliveryFilter, search_deliveries
from webhooks.destinations import CheckedUrl, check_url
from webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    list_given_up,
    rotate_secret,
)
from webhooks.events import EVENT_TYPES, TEST_EVENT_TYPE

bp = Blueprint("webhooks", __name__, url_prefix="/organization/webhooks")

SHOWN_ENDPOINTS = 100
PAGE_SIZE = 50
SHOWN_DELIVERIES = 10
TEST_LIMIT = "10 per minute"

ENDPOINT = "/<endpoint_id>"
SHOW = "profile.webhooks.show_endpoint"


def own() -> str:
    """Return the organization whose endpoints these pages are about."""
    return signed_in().organization_id


def own_endpoint(session: Session, endpoint_id: str) -> WebhookEndpoint:
    """Return an endpoint of the organization.

    :raises NotFound: When it has none of this id.
    """
    return get_endpoint(session, endpoint_id, own())


def checked(form: EndpointForm) -> CheckedUrl | None:
    """Return the URL of a form if it may be sent to. It may ask the name server: call it outside of a unit of work."""
    if not form.check():
        return None
    try:
        return check_url(current_app.extensions["outbound_policy"], form.url.data or "")
    except InvalidInput as refusal:
        form.show(refusal)
        return None


def record(session: Session, action: str, endpoint: WebhookEndpoint, **details: Any) -> None:
    """Write an act on an endpoint into the audit log; of its address the host alone, since a path may be a secret."""
    record_act(
        session,
        acting_visitor(),
        action,
        organization_id=own(),
        target_type="webhook_endpoint",
        target_id=endpoint.id,
        details={"host": urlsplit(endpoint.url).hostname, **details},
    )


def to_endpoint(endpoint_id: str) -> Response:
    """Lead to the page of an endpoint."""
    return redirect(url_for(SHOW, endpoint_id=endpoint_id), 303)


# -- Endpoints ------------------------------------------------------------------------


@bp.get("")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_webhooks() -> str:
    """Show the endpoints, and the trouble of those of the product."""
    with db.reading() as session:
        endpoints = list_endpoints(session, own(), limit=SHOWN_ENDPOINTS)
        given_up = [endpoint for endpoint in list_given_up(session, own()) if endpoint.host is None]
        session.expunge_all()
    return render_template("profile/webhooks/list.html", endpoints=endpoints, given_up_endpoints=given_up)


@bp.get("/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def new_endpoint() -> str:
    """Ask for a new endpoint."""
    return render_template("profile/webhooks/edit.html", form=endpoint_form(nonce=new_nonce()), endpoint=None)


@bp.post("/new")
@needs(PROVISIONING_MANAGE, fresh=True)
def add_endpoint() -> str | tuple[str, int]:
    """Add an endpoint, and show its signing secret in this answer and never again."""
    form = endpoint_form()
    url = checked(form)
    if url is None:
        return render_template("profile/webhooks/edit.html", form=form, endpoint=None), 422
    if not form.nonce.data or not claim_nonce(signed_in().session_id, form.nonce.data):
        return render_template("profile/webhooks/sent_before.html"), 409
    with db.unit_of_work() as session:
        endpoint, secret = create_endpoint(
            session,
            current_app.extensions["secret_box"],
            url=url,
            organization_id=own(),
            description=form.description.data or None,
            enabled_event_types=form.event_types(),
        )
        record(session, "webhook_endpoint.created", endpoint, enabled_event_types=endpoint.enabled_event_types)
        session.flush()
        session.expunge(endpoint)
    return render_template("profile/webhooks/secret.html", endpoint=endpoint, secret=secret, is_new=True)


@bp.get(ENDPOINT)
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_endpoint(endpoint_id: str) -> str:
    """Show one endpoint with its latest deliveries."""
    now = now_ms()
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        page = search_deliveries(session, own(), DeliveryFilter(endpoint_id=endpoint_id), limit=SHOWN_DELIVERIES)
        session.expunge_all()
    former = [secret["expires_at"] for secret in endpoint.former_secrets if secret["expires_at"] > now]
    return render_template(
        "profile/webhooks/endpoint.html",
        endpoint=endpoint,
        deliveries=page.deliveries,
        former_until=max(former, default=None),
        now=now,
        form=ConfirmForm(),
    )


@bp.get(f"{ENDPOINT}/edit")
@needs(PROVISIONING_MANAGE, fresh=True)
def edit_endpoint(endpoint_id: str) -> str:
    """Show the form that changes an endpoint."""
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        session.expunge(endpoint)
    form = endpoint_form(endpoint.enabled_event_types, url=endpoint.url, description=endpoint.description)
    return render_template("profile/webhooks/edit.html", form=form, endpoint=endpoint)


@bp.post(f"{ENDPOINT}/edit")
@needs(PROVISIONING_MANAGE, fresh=True)
def save_endpoint(endpoint_id: str) -> Response | tuple[str, int]:
    """Change the address, the description and the events of an endpoint."""
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        session.expunge(endpoint)
    form = endpoint_form()
    url = checked(form)
    if url is None:
        return render_template("profile/webhooks/edit.html", form=form, endpoint=endpoint), 422
    with db.unit_of_work() as session:
        endpoint = own_endpoint(session, endpoint_id)
        before = {"url": endpoint.url, "description": endpoint.description, "events": endpoint.enabled_event_types}
        types, description = form.event_types(), form.description.data or ""
        change_endpoint(session, endpoint, url=url, description=description, enabled_event_types=types)
        after = {"url": endpoint.url, "description": endpoint.description, "events": endpoint.enabled_event_types}
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            record(session, "webhook_endpoint.updated", endpoint, changed=changed)
    flash("The endpoint is changed. Events already recorded keep their deliveries.")
    return to_endpoint(endpoint_id)


@bp.post(f"{ENDPOINT}/switch")
@needs(PROVISIONING_MANAGE)
def switch_endpoint(endpoint_id: str) -> Response:
    """Disable or enable an endpoint."""
    enabled = request.form.get("enabled") == "yes"
    with db.unit_of_work() as session:
        endpoint = own_endpoint(session, endpoint_id)
        if endpoint.enabled != enabled:
            change_endpoint(session, endpoint, enabled=enabled)
            record(session, "webhook_endpoint.enabled" if enabled else "webhook_endpoint.disabled", endpoint)
    flash(
        "The endpoint is enabled. What has waited is sent now."
        if enabled
        else "The endpoint is disabled. Deliveries wait until it is enabled; new events make none."
    )
    return to_endpoint(endpoint_id)


@bp.get(f"{ENDPOINT}/rotate-secret")
@needs(PROVISIONING_MANAGE, fresh=True)
def confirm_rotation(endpoint_id: str) -> str:
    """Say what a new signing secret means."""
    return _confirm("profile/webhooks/rotate.html", endpoint_id, nonce=new_nonce())


@bp.post(f"{ENDPOINT}/rotate-secret")
@needs(PROVISIONING_MANAGE, fresh=True)
def rotate(endpoint_id: str) -> str | tuple[str, int]:
    """Give an endpoint a new signing secret, and show it in this answer and never again."""
    with db.reading() as session:
        own_endpoint(session, endpoint_id)
    if not claim_nonce(signed_in().session_id, printable(request.form.get("nonce")) or "none"):
        return render_template("profile/webhooks/sent_before.html"), 409
    with db.unit_of_work() as session:
        endpoint = own_endpoint(session, endpoint_id)
        secret = rotate_secret(session, current_app.extensions["secret_box"], endpoint)
        record(session, "webhook_endpoint.secret_rotated", endpoint)
        session.flush()
        session.expunge(endpoint)
    return render_template("profile/webhooks/secret.html", endpoint=endpoint, secret=secret, is_new=False)


@bp.get(f"{ENDPOINT}/delete")
@needs(PROVISIONING_MANAGE)
def confirm_deletion(endpoint_id: str) -> str:
    """Say what deleting an endpoint means."""
    return _confirm("profile/webhooks/delete.html", endpoint_id)


@bp.post(f"{ENDPOINT}/delete")
@needs(PROVISIONING_MANAGE)
def delete(endpoint_id: str) -> Response:
    """Delete an endpoint with its deliveries."""
    with db.unit_of_work() as session:
        endpoint = own_endpoint(session, endpoint_id)
        record(session, "webhook_endpoint.deleted", endpoint)
        delete_endpoint(session, endpoint)
    flash("The endpoint is deleted.")
    return redirect(url_for("profile.webhooks.show_webhooks"), 303)


def _confirm(template: str, endpoint_id: str, **values: Any) -> str:
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        session.expunge(endpoint)
    return render_template(template, endpoint=endpoint, form=ConfirmForm(), **values)


@bp.post(f"{ENDPOINT}/test")
@needs(PROVISIONING_MANAGE)
@limiter.limit(TEST_LIMIT, key_func=lambda: (request.view_args or {})["endpoint_id"])
def try_endpoint(endpoint_id: str) -> Response:
    """Send a test event to an endpoint, once, and lead to its delivery."""
    try:
        with db.unit_of_work() as session:
            endpoint = own_endpoint(session, endpoint_id)
            delivery = send_test(session, endpoint)
            record(session, "webhook_endpoint.tested", endpoint)
    except Conflict:
        flash("Nothing was sent: the endpoint is disabled. Enable it first.")
        return to_endpoint(endpoint_id)
    return redirect(url_for("profile.webhooks.show_delivery", delivery_id=delivery.id), 303)


# -- Deliveries -----------------------------------------------------------------------


def chosen() -> tuple[dict[str, str], DeliveryFilter]:
    """Return the filters of this address as they were written, and what they mean; nonsense means nothing."""
    written = {name: printable(request.args.get(name))[:200] for name in ("receiver", "state", "type", "from", "to")}
    written["state"] = written["state"] if written["state"] in STATES else ""
    written["type"] = written["type"] if written["type"] in (*EVENT_TYPES, TEST_EVENT_TYPE) else ""
    since, until = day_of(written["from"]), day_of(written["to"])
    written["from"], written["to"] = (written["from"] if since else ""), (written["to"] if until else "")
    return {name: value for name, value in written.items() if value}, DeliveryFilter(
        endpoint_id=written["receiver"],
        state=written["state"],
        event_type=written["type"],
        since=in_milliseconds(since) if since else None,
        until=in_milliseconds(until + timedelta(days=1)) if until else None,
    )


@bp.get("/deliveries")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_deliveries() -> str:
    """Show one page of deliveries, the latest event first."""
    written, wanted = chosen()
    with db.reading() as session:
        page = search_deliveries(
            session,
            own(),
            wanted,
            limit=PAGE_SIZE,
            older_than=printable(request.args.get("older_than")) or None,
            newer_than=printable(request.args.get("newer_than")) or None,
        )
        endpoints = list_endpoints(session, own(), limit=SHOWN_ENDPOINTS)
        session.expunge_all()
    return render_template(
        "profile/webhooks/deliveries.html",
        page=page,
        filters=written,
        endpoints=endpoints,
        states=STATES,
        event_types=(*EVENT_TYPES, TEST_EVENT_TYPE),
        now=now_ms(),
    )


@bp.get("/deliveries/<delivery_id>")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_delivery(delivery_id: str) -> str:
    """Show one delivery: its attempts, what was sent, and when it is tried again."""
    with db.reading() as session:
        delivery = get_delivery(session, delivery_id, own())
        payload = json.dumps(json.loads(delivery.event.body), ensure_ascii=False, indent=2)
        session.expunge_all()
    return render_template(
        "profile/webhooks/delivery.html", delivery=delivery, payload=payload, now=now_ms(), form=ConfirmForm()
    )


@bp.post("/deliveries/<delivery_id>")
@needs(PROVISIONING_MANAGE)
def replay_one(delivery_id: str) -> Response:
    """Send the event of a delivery again, under its id."""
    try:
        with db.unit_of_work() as session:
            delivery = get_delivery(session, delivery_id, own())
            replay_delivery(session, delivery)
            record(session, "webhook_delivery.replayed", delivery.endpoint, delivery_id=delivery_id)
        flash("The event is sent again, under the same id.")
    except Conflict:
        flash("Nothing was sent: the endpoint is disabled. Enable it first.")
    return redirect(url_for("profile.webhooks.show_delivery", delivery_id=delivery_id), 303)


@bp.get(f"{ENDPOINT}/replay")
@needs(PROVISIONING_MANAGE)
def choose_replay(endpoint_id: str) -> str:
    """Ask since when events are sent again."""
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        session.expunge(endpoint)
    return render_template("profile/webhooks/replay.html", endpoint=endpoint, form=ReplayForm())


@bp.post(f"{ENDPOINT}/replay")
@needs(PROVISIONING_MANAGE)
def replay_all(endpoint_id: str) -> Response | tuple[str, int]:
    """Send the events since a moment again."""
    form = ReplayForm()
    since = form.moment(now_ms())
    with db.reading() as session:
        endpoint = own_endpoint(session, endpoint_id)
        session.expunge(endpoint)
    if since is None:
        return render_template("profile/webhooks/replay.html", endpoint=endpoint, form=form), 422
    try:
        with db.unit_of_work() as session:
            endpoint = own_endpoint(session, endpoint_id)
            count = replay_since(session, endpoint, since, only_failed=bool(form.only_failed.data))
            record(session, "webhook_endpoint.replayed", endpoint, since=since, deliveries=count)
    except (Conflict, Gone) as refusal:
        form.since.errors = [refusal.message]
        return render_template("profile/webhooks/replay.html", endpoint=endpoint, form=form), 409
    flash(f"{count:,} {'event is' if count == 1 else 'events are'} on the way again." if count else "Nothing to send.")
    return redirect(url_for("profile.webhooks.show_deliveries", receiver=endpoint_id), 303)
