"""How long events are kept: those older than the setting are removed, with their deliveries and attempts.

Which events are old is read off their ids, which hold their time. Before
anything is removed it is written down, in a transaction of its own, since when
events are kept. Whoever reads events asks for that last, so a reader is told of a
gap and never steps over one. An event with a pending delivery stays until that
is settled; but no list shows it any more, since its neighbours may be gone.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Select, delete, exists, select
from sqlalchemy.orm import Session

from batches import Store, in_batches
from errors import Gone
from ids import first_id, time_of
from models import Event, EventSequence, WebhookDelivery
from webhooks.events import next_in
from webhooks.outbox import PENDING, UNSYNCHRONIZED
from webhooks.schedule import HOUR

DAY = 24 * HOUR
KEPT_SINCE = "kept_since"


# -- What is still kept -----------------------------------------------------------


def kept_since(session: Session) -> int:
    """Return since when every event is kept, in Unix milliseconds; 0 as long as none was removed."""
    return session.scalar(select(EventSequence.last).where(EventSequence.stream == KEPT_SINCE)) or 0


def is_kept(session: Session, event_id: str) -> bool:
    """Tell whether an event is of the time since when every event is kept."""
    return event_id >= first_id("evt", kept_since(session))


def require_kept(session: Session, identifier: str, *, code: str, what: str, remedy: str) -> None:
    """Return if nothing of the time when this id was made was removed.

    :param identifier: Any text: what is no id of ours was not made at any time.
    :param what: What cannot be had any more, as the beginning of a sentence.
    :raises Gone: Otherwise.
    """
    made_at, since = time_of(identifier), kept_since(session)
    if made_at is not None and made_at < since:
        raise gone(since, code=code, what=what, remedy=remedy)


def gone(since: int, *, code: str, what: str, remedy: str) -> Gone:
    """Return the error that says since when events are kept and what to do."""
    moment = datetime.fromtimestamp(since / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Gone(
        f"{what} no longer kept.",
        long_message=f"{what} no longer kept: events from before {moment} were removed. {remedy}",
        code=code,
        meta={"kept_since": since},
    )


# -- Removing -----------------------------------------------------------------------


def remove_expired(
    store: Store, now: int, days: int, *, seconds: float = 1.0, pause: Callable[[float], bool] = lambda _: False
) -> int:
    """Remove events that are more than so many days old, and return how many were removed.

    For ``seconds`` and ``pause`` see ``batches.in_batches``.
    """
    until = (now - days * DAY) // HOUR * HOUR
    with store.reading() as session:  # spares the writers when there is nothing to do
        if session.scalar(_removable(until).limit(1)) is None:
            return 0
    with store.unit_of_work() as session:
        _keep_since(session, until)
    return in_batches(store, partial(_remove_batch, until=until), seconds=seconds, pause=pause)


def _removable(until: int) -> Select[str]:
    """Return the query of the events from before a moment that nobody has to be told of any more, oldest first."""
    pending = exists().where(WebhookDelivery.event_id == Event.id, WebhookDelivery.state == PENDING)
    return select(Event.id).where(Event.id < first_id("evt", until), ~pending).order_by(Event.id)


def _keep_since(session: Session, until: int) -> None:
    last = next_in(session, KEPT_SINCE, 0)
    if until > last:
        next_in(session, KEPT_SINCE, until - last)


def _remove_batch(session: Session, limit: int, *, until: int) -> int:
    """Remove at most ``limit`` events. With the event's row held nobody adds a delivery, with theirs nobody replays."""
    ids = session.scalars(_removable(until).limit(limit).with_for_update(skip_locked=True, of=Event)).all()
    deliveries = select(WebhookDelivery.event_id, WebhookDelivery.state).where(WebhookDelivery.event_id.in_(ids))
    held = session.execute(deliveries.with_for_update()).all()
    pending = {event_id for event_id, state in held if state == "pending"}
    removed = [event_id for event_id in ids if event_id not in pending]
    session.execute(delete(Event).where(Event.id.in_(removed)), execution_options=UNSYNCHRONIZED)
    return len(removed)
