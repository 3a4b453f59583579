"""What became of one person in an organization: from its events, with the requests of the IdP that caused them.

Events tell what changed, whoever did it. The activity log tells which IdP asked,
and what was refused. An event and the line of the request that caused it are
written in one transaction, moments apart; a change that came by a group or by a
new attribute mapping has no line under the person's own id.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ids import first_id
from models import DirectoryActivity, Event
from webhooks.history import list_user_events

MAX_SHOWN_CHANGES = 50
MAX_REQUESTS = 200
# Between the writing of an event and of the line of its request; of a Bulk request that may be its whole length.
APART_MS = 5_000
# What a request does to a person, by the event that tells of it.
CAUSES = {
    "scimUser.provisioned": ("created", "restored", "activated"),
    "scimUser.updated": ("updated",),
    "scimUser.deprovisioned": ("deactivated", "deleted"),
}


@dataclass(frozen=True)
class FieldChange:
    """One field, or one place such as ``public_metadata.department``, and its value before and after."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class HistoryEntry:
    """One event about a person, or a request that led to none; when is in Unix milliseconds.

    ``type`` is that of the event, None for a request without one: refused, or
    about somebody who is inactive. ``request`` is the line of the activity log,
    where there is one.
    """

    type: str | None
    occurred_at: int
    changes: Sequence[FieldChange] = field(default_factory=tuple)
    request: DirectoryActivity | None = None


@dataclass(frozen=True)
class HistoryPage:
    """One page of a history, the latest first; ``older`` asks for the next, None where nothing older is kept."""

    entries: Sequence[HistoryEntry]
    older: int | None


def list_person_history(
    session: Session, organization_id: str, user_id: str, *, limit: int, before: int | None = None
) -> HistoryPage:
    """Return one page of what became of a person, as long as events are kept.

    :param limit: How many events; the requests without one between them come on top.
    """
    events = list_user_events(session, organization_id, user_id, limit=limit + 1, before=before)
    shown, has_older = events[:limit], len(events) > limit
    since = shown[-1].occurred_at if has_older else 0
    until = _time_of(session, organization_id, before)
    requests = _requests(session, organization_id, user_id, since, until)
    entries = [_entry(event, requests) for event in shown]
    told = {entry.request.id for entry in entries if entry.request is not None}
    others = [
        HistoryEntry(None, request.occurred_at, request=request)
        for request in requests
        if request.id not in told and since <= request.occurred_at and (until is None or request.occurred_at < until)
    ]
    # Stable: of one moment the events stay in the order of their sequence.
    entries = sorted([*entries, *others], key=lambda entry: -entry.occurred_at)
    return HistoryPage(entries, shown[-1].sequence if has_older else None)


def _time_of(session: Session, organization_id: str, sequence: int | None) -> int | None:
    if sequence is None:
        return None
    return session.scalar(select(Event.occurred_at).where(Event.stream == organization_id, Event.sequence == sequence))


def _requests(
    session: Session, organization_id: str, user_id: str, since: int, until: int | None
) -> Sequence[DirectoryActivity]:
    """Return the latest requests about a person within some time, the latest first."""
    activity = DirectoryActivity
    query = select(activity).where(
        activity.organization_id == organization_id,
        activity.target_id == user_id,
        activity.action.not_in(("unchanged", "tested")),
    )
    if since:
        query = query.where(activity.id >= first_id("req", since - APART_MS))
    if until is not None:
        query = query.where(activity.id < first_id("req", until + APART_MS))
    return session.scalars(query.order_by(activity.id.desc()).limit(MAX_REQUESTS)).all()


def _entry(event: Event, requests: Sequence[DirectoryActivity]) -> HistoryEntry:
    changes = json.loads(event.body)["data"].get("changes") or {}
    told = [
        told for name, change in changes.items() for told in _field_changes(name, change.get("from"), change.get("to"))
    ]
    cause = _cause(event, changes, requests)
    return HistoryEntry(event.type, event.occurred_at, told[:MAX_SHOWN_CHANGES], cause)


def _cause(event: Event, changes: dict[str, Any], requests: Sequence[DirectoryActivity]) -> DirectoryActivity | None:
    """Return the request that caused an event: the first that did the same, and was written down soon after it."""
    latest = event.occurred_at + APART_MS
    causes = [
        request
        for request in requests
        if request.action in CAUSES.get(event.type, ())
        and event.occurred_at <= request.occurred_at <= latest
        and (request.action != "updated" or request.effects[0]["changes"] == changes)
    ]
    return causes[-1] if causes else None


def _field_changes(name: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """Yield what changed of a field; of an object each place that differs."""
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        for key in dict.fromkeys([*old, *new]):
            yield from _field_changes(f"{name}.{key}", old.get(key), new.get(key))
    elif before != after:
        yield FieldChange(name, before, after)
