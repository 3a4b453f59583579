"""Events for those who poll: the same envelopes as the webhooks, in an order in which nothing is ever skipped.

Within one organization the order is ``sequence``. It has no gap and is given
under a lock that is held until the commit, so whoever has seen number n and asks
for what is after n has missed nothing.

For the whole environment no such number is given when an event is written, since
all organizations would wait for each other. It is given when a reader asks:
under a lock, every committed event without a ``position`` gets the next one. What
is committed later gets a later position, whatever its time says.
"""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from errors import DomainError, InvalidInput
from models import Event
from webhooks.events import next_in

POSITIONS = "positions"
CHUNK = 500


def list_organization_events(
    session: Session, organization_id: str, *, limit: int, after: str | None = None
) -> Sequence[Event]:
    """Return an organization's events in the order of their sequence; ``after`` is the id of the last one seen.

    :raises InvalidInput: When ``after`` is no event of the organization.
    """
    query = select(Event).where(Event.stream == organization_id)
    if after is not None:
        last = session.scalar(query.where(Event.id == after))
        query = query.where(Event.sequence > _found(last).sequence)
    return session.scalars(query.order_by(Event.sequence).limit(limit)).all()


def list_all_events(session: Session, *, limit: int, after: str | None = None) -> Sequence[Event]:
    """Return the events of all organizations in the order of their position; ``after`` is the id of the last one seen.

    It writes: the session must be one of a unit of work.

    :raises InvalidInput: When ``after`` is no event.
    """
    start = 0
    if after is not None:
        start = _position_of(session, after)
    query = select(Event).where(Event.position > start).order_by(Event.position).limit(limit)
    found = session.scalars(query).all()
    if len(found) < limit and _place(session, limit - len(found)):
        found = session.scalars(query).all()
    return found


def _position_of(session: Session, event_id: str) -> int:
    """Return the position of an event; one known from a webhook may not have been placed yet."""
    while True:
        event = _found(session.get(Event, event_id, populate_existing=True))
        if event.position is not None:
            return event.position
        _place(session, CHUNK)


def _place(session: Session, count: int) -> int:
    """Give the next positions to at most ``count`` events, earliest first, and return to how many."""
    last = next_in(session, POSITIONS, 0)  # locks the counter: only one reader at a time places events
    unplaced = select(Event.id).where(Event.position.is_(None)).order_by(Event.occurred_at, Event.id).limit(count)
    ids = session.scalars(unplaced).all()
    if ids:
        next_in(session, POSITIONS, len(ids))
        places = [{"id": event_id, "position": last + number} for number, event_id in enumerate(ids, start=1)]
        session.execute(update(Event), places)
    return len(ids)


def _found(event: Event | None) -> Event:
    if event is None:
        message = "after names no event of this list. Give the id of the last event that you have seen."
        raise InvalidInput([DomainError(message, code="invalid_value", meta={"param": "after"})])
    return event
