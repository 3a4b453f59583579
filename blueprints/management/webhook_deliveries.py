"""Webhook deliveries: what was sent, what the receiver said, and sending it again."""

from flask import Response, jsonify, request

from blueprints.auth import require_key_holder
from blueprints.management import bp
from blueprints.management.requests import page, page_cursor, page_limit
from database import db
from errors import DomainError, InvalidInput
from webhooks.deliveries import STATES, get_delivery, list_deliveries, place, replay_delivery
from webhooks.representations import webhook_delivery_object


@bp.get("/webhook-deliveries")
def list_webhook_deliveries() -> Response:
    """List deliveries, latest event first, filtered by ``endpoint_id``, ``event_id`` and ``state``."""
    limit = page_limit()
    state = request.args.get("state")
    if state is not None and state not in STATES:
        problem = f"state must be one of {', '.join(STATES)}."
        raise InvalidInput([DomainError(problem, code="invalid_value", meta={"param": "state"})])
    with db.reading() as session:
        found = list_deliveries(
            session,
            require_key_holder().organization_id,
            limit=limit + 1,
            after=page_cursor(),
            endpoint_id=request.args.get("endpoint_id"),
            event_id=request.args.get("event_id"),
            state=state,
        )
        return jsonify(page(found, limit, webhook_delivery_object, place))


@bp.get("/webhook-deliveries/<delivery_id>")
def read_webhook_delivery(delivery_id: str) -> Response:
    """Return one delivery with all of its attempts."""
    with db.reading() as session:
        return jsonify(
            webhook_delivery_object(get_delivery(session, delivery_id, require_key_holder().organization_id))
        )


@bp.post("/webhook-deliveries/<delivery_id>/replay")
def replay_webhook_delivery(delivery_id: str) -> tuple[Response, int]:
    """Send the event of a delivery again, under its id. The answer is the delivery, which is pending again."""
    with db.unit_of_work() as session:
        delivery = get_delivery(session, delivery_id, require_key_holder().organization_id)
        replay_delivery(session, delivery)
        response = jsonify(webhook_delivery_object(delivery))
    return response, 202
