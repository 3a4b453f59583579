"""Deliveries as the product sees them: looking them up, sending again one or all since a time, trying an endpoint."""

from collections.abc import Sequence

from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.orm import Session, joinedload, load_only, selectinload

from clock import now_ms
from errors import Conflict, NotFound
from ids import first_id
from models import Event, WebhookDelivery, WebhookEndpoint
from webhooks.events import TEST_EVENT_TYPE, add_deliveries, mark_due, matches, write_events
from webhooks.outbox import UNSYNCHRONIZED
from webhooks.representations import webhook_endpoint_object
from webhooks.retention import gone, is_kept, kept_since, require_kept

STATES = ("pending", "succeeded", "failed")
# How many events without a delivery are looked at in one statement of a replay.
CHUNK = 500


def deliveries_of(organization_id: str | None) -> Select[WebhookDelivery]:
    """Return the query of the deliveries that a caller may see: to an organization's own endpoints, or all for None."""
    query = (
        select(WebhookDelivery)
        .options(joinedload(WebhookDelivery.endpoint), selectinload(WebhookDelivery.attempts))
        .execution_options(populate_existing=True)
    )
    if organization_id is None:
        return query
    own = select(WebhookEndpoint.id).where(WebhookEndpoint.organization_id == organization_id)
    return query.where(WebhookDelivery.endpoint_id.in_(own))


def list_deliveries(
    session: Session,
    organization_id: str | None,
    *,
    limit: int,
    after: str | None = None,
    endpoint_id: str | None = None,
    event_id: str | None = None,
    state: str | None = None,
) -> Sequence[WebhookDelivery]:
    """Return one page of deliveries, latest event first; ``after`` is the ``place`` of the last one before the page."""
    query = deliveries_of(organization_id)
    if endpoint_id is not None:
        query = query.where(WebhookDelivery.endpoint_id == endpoint_id)
    if event_id is not None:
        query = query.where(WebhookDelivery.event_id == event_id)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    if after is not None:
        last_event, _, last = after.partition("|")
        earlier = (WebhookDelivery.event_id == last_event) & (WebhookDelivery.id < last)
        query = query.where(WebhookDelivery.event_id <= last_event, or_(WebhookDelivery.event_id < last_event, earlier))
    order = (WebhookDelivery.event_id.desc(), WebhookDelivery.id.desc())
    return session.scalars(query.order_by(*order).limit(limit)).all()


def place(delivery: WebhookDelivery) -> str:
    """Return where a delivery stands in a list, for the page after it."""
    return f"{delivery.event_id}|{delivery.id}"


def get_delivery(session: Session, delivery_id: str, organization_id: str | None) -> WebhookDelivery:
    """Return a delivery.

    :raises NotFound: When there is none of this id that the caller may see.
    :raises Gone: When those of that time were removed with their events.
    """
    delivery = session.scalar(deliveries_of(organization_id).where(WebhookDelivery.id == delivery_id))
    if delivery is None:
        require_kept(
            session,
            delivery_id,
            code="webhook_delivery_expired",
            what="The deliveries of that time are",
            remedy="They cannot be sent again.",
        )
        raise NotFound("No such webhook delivery.", code="webhook_delivery_not_found")
    return delivery


def replay_delivery(session: Session, delivery: WebhookDelivery) -> None:
    """Send the event again, under its id and with its body, on a schedule that begins anew. Earlier attempts stay.

    :raises Conflict: When the endpoint is disabled.
    :raises Gone: When the event is old enough to be removed at any moment.
    """
    _require_enabled(delivery.endpoint)
    if delivery.state != "pending" and not is_kept(session, delivery.event_id):
        raise gone(kept_since(session), code="event_expired", what="The event is", remedy="It cannot be sent again.")
    delivery.state = "pending"
    delivery.attempt_count = 0
    delivery.next_attempt_at = now_ms()
    delivery.finished_at = None
    session.flush()
    mark_due(session, delivery.endpoint_id)


def replay_since(session: Session, endpoint: WebhookEndpoint, since: int, *, only_failed: bool = False) -> int:
    """Send again all events since a moment, also those that the endpoint missed while it was disabled.

    :param since: In Unix milliseconds.
    :param only_failed: Leave out what was delivered.
    :return: How many deliveries are now pending because of it.
    :raises Conflict: When the endpoint is disabled.
    :raises Gone: When events since that moment were removed.
    """
    _require_enabled(endpoint)
    kept = kept_since(session)
    if since < kept:
        raise gone(
            kept,
            code="events_expired",
            what="The first events since that moment are",
            remedy="To send again what there still is, give meta.kept_since as since.",
        )
    missed = _add_missed(session, endpoint, since)
    events = select(Event.id).where(Event.id >= first_id("evt", since), Event.type != TEST_EVENT_TYPE)
    again = (
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.event_id.in_(events))
        .where(WebhookDelivery.state.in_(("failed",) if only_failed else ("failed", "succeeded")))
        .values(state="pending", attempt_count=0, next_attempt_at=now_ms(), finished_at=None)
        .returning(WebhookDelivery.id)
    )
    count = missed + len(session.scalars(again, execution_options=UNSYNCHRONIZED).all())
    mark_due(session, endpoint.id)
    return count


def _add_missed(session: Session, endpoint: WebhookEndpoint, since: int) -> int:
    """Add the deliveries of matching events that have none to this endpoint, and return how many."""
    has_one = exists().where(WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.event_id == Event.id)
    query = select(Event).where(Event.id >= first_id("evt", since), Event.type != TEST_EVENT_TYPE, ~has_one)
    query = query.options(load_only(Event.type, Event.occurred_at))
    if endpoint.organization_id is not None:
        query = query.where(Event.organization_id == endpoint.organization_id)
    count, last = 0, ""
    while events := session.scalars(query.where(Event.id > last).order_by(Event.id).limit(CHUNK)).all():
        last = events[-1].id
        wanted = [
            (event, endpoint.id)
            for event in events
            if any(matches(pattern, event.type) for pattern in endpoint.enabled_event_types)
        ]
        count += len(add_deliveries(session, wanted))
    return count


def send_test(session: Session, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Make an event that goes to this endpoint alone, once, whatever it subscribed to; return its delivery.

    It is numbered for itself, so that nobody misses a number of the organization's events.

    :raises Conflict: When the endpoint is disabled.
    """
    _require_enabled(endpoint)
    data = {"webhook_endpoint": webhook_endpoint_object(endpoint)}
    events = write_events(
        session,
        endpoint.organization_id,
        endpoint.id,
        [(TEST_EVENT_TYPE, data)],
        position=0,  # before the first of the environment: no list of events shows it
    )
    [delivery_id] = add_deliveries(session, [(events[0], endpoint.id)])
    return get_delivery(session, delivery_id, endpoint.organization_id)


def _require_enabled(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        raise Conflict(
            "The webhook endpoint is disabled.",
            long_message='Enable it first: PATCH it with {"enabled": true}.',
            code="webhook_endpoint_disabled",
        )
