"""What became of one person in an organization, told from its events: by its directory, and by hand."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from models import Event
from webhooks.history import list_user_events

MAX_SHOWN_CHANGES = 50


@dataclass(frozen=True)
class FieldChange:
    """One field, or one place such as ``public_metadata.department``, and its value before and after."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class HistoryEntry:
    """One event about a person: its type, when (Unix milliseconds), and what changed, where the event says that."""

    event_id: str
    type: str
    occurred_at: int
    changes: Sequence[FieldChange]


@dataclass(frozen=True)
class HistoryPage:
    """One page of a history, the latest first; ``older`` asks for the next, None where nothing older is kept."""

    entries: Sequence[HistoryEntry]
    older: int | None


def list_person_history(
    session: Session, organization_id: str, user_id: str, *, limit: int, before: int | None = None
) -> HistoryPage:
    """Return one page of what became of a person, as long as the events are kept."""
    events = list_user_events(session, organization_id, user_id, limit=limit + 1, before=before)
    shown = events[:limit]
    return HistoryPage([_entry(event) for event in shown], shown[-1].sequence if len(events) > limit else None)


def _entry(event: Event) -> HistoryEntry:
    changes = json.loads(event.body)["data"].get("changes") or {}
    told = [
        told
        for field, change in changes.items()
        for told in _field_changes(field, change.get("from"), change.get("to"))
    ]
    return HistoryEntry(event.id, event.type, event.occurred_at, told[:MAX_SHOWN_CHANGES])


def _field_changes(field: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """Yield what changed of a field; of an object each place that differs."""
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        for key in dict.fromkeys([*old, *new]):
            yield from _field_changes(f"{field}.{key}", old.get(key), new.get(key))
    elif before != after:
        yield FieldChange(field, before, after)
