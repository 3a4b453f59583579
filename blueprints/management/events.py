"""Events for those who poll, and the types there are."""

import json
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal

from flask import Response, request
from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.auth import require_reach
from blueprints.management.operations import operation, own_organization
from blueprints.management.requests import DEFAULT_LIMIT, Limit, Page, PageMeta, Query
from database import db
from organizations.organizations import get_organization
from webhooks.events import DESCRIPTIONS
from webhooks.history import list_all_events, list_organization_events
from webhooks.representations import Moment


class EventObject(TypedDict):
    """Something that happened, as it is sent to webhooks."""

    object: Literal["event"]
    id: str
    type: str
    occurred_at: Moment
    sequence: Annotated[int, Field(description="Grows by one in each organization.")]
    organization_id: str | None
    data: dict[str, Any]


class EventPage(TypedDict):
    """The next events in their order."""

    data: list[EventObject]
    meta: PageMeta


class EventTypeObject(TypedDict):
    """A type of events that a webhook endpoint can subscribe to."""

    object: Literal["event_type"]
    type: str
    description: str


class EventQuery(Query):
    """Which events are wanted."""

    limit: Limit = DEFAULT_LIMIT
    after: Annotated[str | None, Field(description="Id of the last event that you have seen.")] = None
    cursor: Annotated[str | None, Field(description="The same as `after`, which wins.")] = None
    organization_id: Annotated[str | None, Field(description="Only the events of one organization.")] = None


def _transaction() -> AbstractContextManager[Session]:
    """Events of the whole environment get their place when they are first read, which writes."""
    of_one = own_organization() is not None or "organization_id" in request.args
    return db.reading() if of_one else db.unit_of_work()


@operation(
    "list_events",
    "GET",
    "/events",
    tag="Events",
    transaction=_transaction,
    errors={404: "There is no organization of this id.", 410: "Events after that one are no longer kept."},
)
def list_events(session: Session, query: EventQuery) -> EventPage | Response:
    """List events in order: of one organization, or of all that this secret key opens.

    `after` is the id of the last event seen, so whoever polls keeps that and nothing else.
    """
    after, limit = query.after or query.cursor, query.limit
    if query.organization_id is not None:
        require_reach(query.organization_id)
    organization_id = own_organization() if query.organization_id is None else query.organization_id
    if organization_id is None:
        events = list_all_events(session, limit=limit + 1, after=after)
    else:
        get_organization(session, organization_id)
        events = list_organization_events(session, organization_id, limit=limit + 1, after=after)
    shown = events[:limit]
    meta = json.dumps({"next_cursor": shown[-1].id if len(events) > limit else None})
    # As they are sent to webhooks, byte for byte.
    data = ",".join(event.body for event in shown)
    return Response(f'{{"data":[{data}],"meta":{meta}}}', mimetype="application/json")


@operation("list_event_types", "GET", "/event-types", tag="Events")
def list_event_types(_session: Session) -> Page[EventTypeObject]:
    """List the types of events that a webhook endpoint can subscribe to."""
    types: list[EventTypeObject] = [
        {"object": "event_type", "type": event_type, "description": description}
        for event_type, description in DESCRIPTIONS.items()
    ]
    return {"data": types, "meta": {"next_cursor": None}}
