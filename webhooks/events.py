"""Events: written in the transaction of the change, numbered per stream, with a delivery for each subscriber."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable

from clock import now_ms
from ids import new_id
from json_text import compact
from models import Event, EventSequence, Organization, WebhookDelivery, WebhookEndpoint
from prepared import Asked, Prepared, Runner
from written import Row

DESCRIPTIONS = {
    "scimUser.provisioned": "The directory added or reactivated a person; user and membership are there.",
    "scimUser.updated": "The directory changed a person, or a group gave them another role; `changes` says what.",
    "scimUser.deprovisioned": "The directory deactivated or removed a person; membership and sessions are ended.",
    "scimGroup.created": "The directory pushed a new group.",
    "scimGroup.updated": "The directory changed a group or its members.",
    "scimGroup.deleted": "The directory removed a group.",
    "scimToken.issued": "A SCIM token was issued for an identity provider.",
    "scimToken.revoked": "A SCIM token was revoked.",
    "scimToken.expiring": "A SCIM token that was not rotated expires within 14 days; told once.",
    "organizationMembership.created": "Somebody became a member of an organization other than by its directory.",
    "organizationMembership.updated": "A member got another role other than by the directory.",
    "organizationMembership.deleted": "Somebody was removed from an organization other than by its directory.",
    "organization.deleted": "An organization was deleted, with its memberships, directory, tokens and endpoints.",
    "organization.lastAdminRemoved": "The last member who could manage provisioning was removed, or lost the role.",
    "webhookEndpoint.disabled": "A webhook endpoint receives nothing more: by hand, gone (410), or failing for days.",
}
EVENT_TYPES = tuple(DESCRIPTIONS)
# Sent to one endpoint when somebody tries it out; nobody can subscribe to it.
TEST_EVENT_TYPE = "webhookEndpoint.test"

ENVIRONMENT_STREAM = "environment"
# More events than an organization has between two backups.
SKIPPED_NUMBERS = 1_000_000


def _advance(upsert: Any) -> Executable:
    """Return the statement that advances a counter.

    It is one statement, so that two writers who meet a stream for the first
    time wait for each other instead of failing.
    """
    advanced: Executable = (
        upsert(EventSequence)
        .values(stream=bindparam("of_stream"), last=bindparam("by_count"))
        .on_conflict_do_update(
            index_elements=[EventSequence.stream], set_={"last": EventSequence.last + bindparam("by_count")}
        )
        .returning(EventSequence.last)
    )
    return advanced


ADDED_EVENTS, ADDED_DELIVERIES = Prepared(insert(Event)), Prepared(insert(WebhookDelivery))
REACHED = Prepared(
    update(EventSequence).where(EventSequence.stream == bindparam("of_stream")).values(last=bindparam("reached"))
)
ADVANCE = Prepared({"postgresql": _advance(postgresql.insert), "sqlite": _advance(sqlite.insert)})
SUBSCRIPTIONS = Prepared(
    select(WebhookEndpoint.id, WebhookEndpoint.enabled_event_types)
    .where(
        WebhookEndpoint.enabled,
        or_(WebhookEndpoint.organization_id.is_(None), WebhookEndpoint.organization_id == bindparam("organization")),
    )
    # Where rows can be locked, an endpoint that is being deleted is waited for; this transaction would fail on it.
    .with_for_update(read=True, key_share=True)
)
# Under this key of ``session.info`` stand the ids of the endpoints for which the transaction made something due.
DUE_ENDPOINTS = "due_webhook_endpoints"
# Under this key stand the events that a transaction of many writes puts off to its end.
DEFERRED = "deferred_events"


# A type, and the data.
NewEvent = tuple[str, Mapping[str, Any]]


class RecordedEvent(NamedTuple):
    """An event that the transaction wrote; ``body`` is its envelope as JSON text."""

    id: str
    type: str
    sequence: int
    occurred_at: int
    body: str


def record_event(
    session: Session, event_type: str, organization_id: str | None, data: Mapping[str, Any]
) -> RecordedEvent:
    """Write an event, and a pending delivery for each enabled endpoint that subscribed to it.

    It belongs to the caller's transaction: it exists if and only if the change
    does. ``sequence`` grows by one per organization without a gap, because the
    counter's row is locked until the commit; so record events last, to hold
    that lock shortly.
    """
    return _record(session, organization_id, [(event_type, data)])[0]


def record_events(session: Session, organization_id: str | None, events: Sequence[NewEvent]) -> list[RecordedEvent]:
    """Write several events of one organization in few statements, as ``record_event`` does, and return them.

    Inside ``deferred_events`` they are put off, and none is returned.
    """
    if DEFERRED in session.info:
        session.info[DEFERRED].extend(events)
        return []
    return _record(session, organization_id, events)


@contextmanager
def deferred_events(session: Session, organization_id: str) -> Iterator[list[NewEvent]]:
    """Put the events that are recorded with ``record_events`` in the block off to its end.

    So a transaction of many writes locks the counter once, and last. The list
    that is yielded holds them in order; what is taken out of it is not written.
    """
    events: list[NewEvent] = []
    session.info[DEFERRED] = events
    try:
        yield events
    finally:
        del session.info[DEFERRED]
    _record(session, organization_id, events)


def _record(session: Session, organization_id: str | None, events: Sequence[NewEvent]) -> list[RecordedEvent]:
    if not events:
        return []
    stream = organization_id or ENVIRONMENT_STREAM
    session.flush()
    asked: Asked | None = session.info.pop((SUBSCRIPTIONS, organization_id), None)
    of_organization = {"organization": organization_id}
    if _holds_counter(session, stream):
        subscriptions = asked.rows() if asked else SUBSCRIPTIONS.rows(session, of_organization)
        last = next_in(session, stream, len(events))
    else:  # both in one round trip
        numbers = ADVANCE.ask(session, {"of_stream": stream, "by_count": len(events)})
        subscriptions = SUBSCRIPTIONS.rows(session, of_organization)
        last = _note_last(session, stream, numbers.rows())
    recorded = write_events(session, organization_id, stream, events, last=last)
    if subscriptions:
        duties = [
            (event, endpoint_id)
            for event in recorded
            for endpoint_id, patterns in subscriptions
            if any(matches(pattern, event.type) for pattern in patterns)
        ]
        add_deliveries(session, duties)
    return recorded


def ask_subscriptions(session: Session, organization_id: str) -> None:
    """Ask who is to be told of an organization's next events ahead of them (see ``Asked``), where its counter is held.

    Else somebody who subscribed while it was waited for would miss them.
    """
    if _holds_counter(session, organization_id) and DEFERRED not in session.info:
        values = {"organization": organization_id}
        session.info[SUBSCRIPTIONS, organization_id] = SUBSCRIPTIONS.ask(session, values)


def write_events(
    session: Session,
    organization_id: str | None,
    stream: str,
    events: Sequence[NewEvent],
    *,
    position: int | None = None,
    last: int | None = None,
) -> list[RecordedEvent]:
    """Write events with the next numbers of a stream, and no delivery.

    :param last: The number of the last of them, if they have been taken.
    """
    if not events:
        return []
    if last is None:
        session.flush()
        last = next_in(session, stream, len(events))
    # Read after the stream is locked, so that times grow with the sequence.
    now = now_ms()
    recorded = [
        _numbered(event_type, organization_id, data, sequence, now)
        for sequence, (event_type, data) in enumerate(events, start=last - len(events) + 1)
    ]
    common = {"organization_id": organization_id, "stream": stream, "position": position}
    rows = [
        {**event._asdict(), **common, "user_id": user_id_of(data)}
        for event, (_, data) in zip(recorded, events, strict=True)
    ]
    ADDED_EVENTS.run_all(session, rows)
    return recorded


def user_id_of(data: Mapping[str, Any]) -> str | None:
    """Return the id of the person whom the data of an event is about, or None."""
    user = data.get("user")
    return user["id"] if user else None


def _numbered(
    event_type: str, organization_id: str | None, data: Mapping[str, Any], sequence: int, now: int
) -> RecordedEvent:
    event_id = new_id("evt")
    envelope = {
        "object": "event",
        "id": event_id,
        "type": event_type,
        "occurred_at": now,
        "sequence": sequence,
        "organization_id": organization_id,
        "data": data,
    }
    return RecordedEvent(event_id, event_type, sequence, now, compact(envelope))


def next_in(session: Session, stream: str, count: int) -> int:
    """Advance a counter by ``count`` and return its new value. Its row is held until the end of the transaction.

    Who goes on with a transaction that holds the row knows the value. What has become of it by the end is written then.
    """
    known, key = Runner.of(session).known, (EventSequence, stream)
    if known is None or key not in known:
        return _note_last(session, stream, ADVANCE.rows(session, {"of_stream": stream, "by_count": count}))
    known[key] += count
    REACHED.run_at_end(session, key, {"of_stream": stream, "reached": known[key]})
    last: int = known[key]
    return last


def _holds_counter(session: Session, stream: str) -> bool:
    """Tell whether the transaction is known to hold a counter, so that its value is known as well."""
    known = Runner.of(session).known
    return known is not None and (EventSequence, stream) in known


def _note_last(session: Session, stream: str, rows: Sequence[Row]) -> int:
    """Return the value of a counter that was advanced, for those who go on with the transaction as well."""
    [(value,)] = rows
    known = Runner.of(session).known
    if known is not None:
        known[EventSequence, stream] = int(value)
    return int(value)


def skip_numbers(session: Session) -> int:
    """Let the next event of each organization, and of the environment, have a far higher number.

    For a database that was put back to an earlier state: receivers have seen
    higher numbers than it knows, and drop what comes with lower ones as stale.

    :return: How many streams there are.
    """
    streams = [*session.scalars(select(Organization.id)), ENVIRONMENT_STREAM]
    for stream in sorted(streams):
        next_in(session, stream, SKIPPED_NUMBERS)
    return len(streams)


def add_deliveries(session: Session, duties: Sequence[tuple["RecordedEvent | Event", str]]) -> list[str]:
    """Add the duties to bring events to endpoints, due at once, and return the ids of the deliveries."""
    now = now_ms()
    rows = [
        {
            "id": new_id("whd"),
            "endpoint_id": endpoint_id,
            "event_id": event.id,
            "event_type": event.type,
            "state": "pending",
            "attempt_count": 0,
            "next_attempt_at": event.occurred_at,
            "created_at": now,
        }
        for event, endpoint_id in duties
    ]
    ADDED_DELIVERIES.run_all(session, rows)
    for _, endpoint_id in duties:
        mark_due(session, endpoint_id)
    return [str(row["id"]) for row in rows]


def mark_due(session: Session, endpoint_id: str) -> None:
    """Have the queue told, after the commit, that something is due for an endpoint."""
    session.info.setdefault(DUE_ENDPOINTS, set()).add(endpoint_id)


def matches(pattern: str, event_type: str) -> bool:
    """Tell whether a subscription (``*``, ``scimUser.*`` or an exact type) covers an event type."""
    if pattern in ("*", event_type):
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])
