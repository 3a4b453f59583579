"""Events for those who poll, and the types there are."""

import json
from collections.abc import Sequence

from flask import Response, jsonify, request

from blueprints.auth import require_key_holder, require_reach
from blueprints.management import bp
from blueprints.management.requests import page_limit
from database import db
from models import Event
from organizations.organizations import get_organization
from webhooks.events import DESCRIPTIONS
from webhooks.history import list_all_events, list_organization_events


@bp.get("/events")
def list_events() -> Response:
    """List events in order: of one organization, or of all that this secret key opens.

    ``after`` is the id of the last event seen, so whoever polls keeps that and nothing else.
    """
    limit = page_limit()
    after = request.args.get("after") or request.args.get("cursor")
    organization_id = require_key_holder().organization_id
    if "organization_id" in request.args:
        organization_id = request.args["organization_id"]
        require_reach(organization_id)
    if organization_id is None:
        with db.unit_of_work() as session:
            return _envelopes(list_all_events(session, limit=limit + 1, after=after), limit)
    with db.reading() as session:
        get_organization(session, organization_id)
        return _envelopes(list_organization_events(session, organization_id, limit=limit + 1, after=after), limit)


def _envelopes(events: Sequence[Event], limit: int) -> Response:
    """Return a page of events as they are sent to webhooks, byte for byte."""
    shown = events[:limit]
    meta = json.dumps({"next_cursor": shown[-1].id if len(events) > limit else None})
    data = ",".join(event.body for event in shown)
    return Response(f'{{"data":[{data}],"meta":{meta}}}', mimetype="application/json")


@bp.get("/event-types")
def list_event_types() -> Response:
    """List the types of events that a webhook endpoint can subscribe to."""
    types = [
        {"object": "event_type", "type": event_type, "description": description}
        for event_type, description in DESCRIPTIONS.items()
    ]
    return jsonify(data=types, meta={"next_cursor": None})
