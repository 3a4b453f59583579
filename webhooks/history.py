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
from ids import first_id
from models import Event
from webhooks.events import next_in
from webhooks.retention import kept_since, require_kept

POSITIONS = "positions"
CHUNK = 500


def list_organization_events(
    session: Session, organization_id: str, *, limit: int, after: str | None = None
) -> Sequence[Event]:
    """Return an organization's events in the order of their sequence; ``after`` is the id of the last one seen.

    :raises InvalidInput: When ``after`` is no event of the organization.
    :raises Gone: When events after it may have been removed.
    """
    query = select(Event).where(Event.stream == organization_id)
    if after is None:
        start = Event.id >= first_id("evt", kept_since(session))
    else:
        start = Event.sequence > _found(session, session.scalar(query.where(Event.id == after)), after).sequence
    found = session.scalars(query.where(start).order_by(Event.sequence).limit(limit)).all()
    _require_no_gap(session, after)
    return found


def list_user_events(
    session: Session, organization_id: str, user_id: str, *, limit: int, before: int | None = None
) -> Sequence[Event]:
    """Return an organization's events about one person that are still kept, the latest first.

    :param before: The sequence of the last one of the page before.
    """
    query = select(Event).where(
        Event.stream == organization_id,
        Event.user_id == user_id,
        Event.id >= first_id("evt", kept_since(session)),
    )
    if before is not None:
        query = query.where(Event.sequence < before)
    return session.scalars(query.order_by(Event.sequence.desc()).limit(limit)).all()


def list_all_events(session: Session, *, limit: int, after: str | None = None) -> Sequence[Event]:
    """Return the events of all organizations in the order of their position; ``after`` is the id of the last one seen.

    It writes: the session must be one of a unit of work.

    :raises InvalidInput: When ``after`` is no event.
    :raises Gone: When events after it may have been removed.
    """
    query = select(Event).where(Event.position > 0).order_by(Event.position).limit(limit)
    if after is None:
        query = query.where(Event.id >= first_id("evt", kept_since(session)))
    else:
        query = query.where(Event.position > _position_of(session, after))
    found = session.scalars(query).all()
    if len(found) < limit and _place(session, limit - len(found)):
        found = session.scalars(query).all()
    _require_no_gap(session, after)
    return found


def _position_of(session: Session, event_id: str) -> int:
    """Return the position of an event; one known from a webhook may not have been placed yet."""
    while True:
        event = _found(session, session.get(Event, event_id, populate_existing=True), event_id)
        if event.position is not None:
            return event.position
        _place(session, CHUNK)


def _place(session: Session, count: int) -> int:
    """Give the next positions to at most ``count`` events, earliest first, and return to how many."""
    last = next_in(session, POSITIONS, 0)  # locks the counter: only one reader at a time places events
    unplaced = select(Event.id).where(Event.position.is_(None)).order_by(Event.occurred_at, Event.sequence).limit(count)
    ids = session.scalars(unplaced).all()
    if ids:
        next_in(session, POSITIONS, len(ids))
        places = [{"id": event_id, "position": last + number} for number, event_id in enumerate(ids, start=1)]
        session.execute(update(Event), places)
    return len(ids)


def _found(session: Session, event: Event | None, after: str) -> Event:
    if event is None:
        _require_no_gap(session, after)
        message = "after names no event of this list. Give the id of the last event that you have seen."
        raise InvalidInput([DomainError(message, code="invalid_value", meta={"param": "after"})])
    return event


def _require_no_gap(session: Session, after: str | None) -> None:
    """Return if no event after this one was removed. Ask it last: since when events are kept is written first."""
    if after is not None:
        require_kept(
            session,
            after,
            code="events_expired",
            what="The events after this one are",
            remedy="Read the present state, for example GET /v1/organizations/{id}/memberships. Then list events "
            "without after, and go on from there.",
        )
