"""Events about directory groups: which group, and who joined and left it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from directory.directories import Directory, find_connection_id
from models import DirectoryGroup
from webhooks.events import record_events

NewEvent = tuple[str, dict[str, Any]]


def group_object(group: DirectoryGroup) -> dict[str, Any]:
    """Return a group as the JSON API and the events show it."""
    return {
        "id": group.id,
        "object": "directory_group",
        "organization_id": group.organization_id,
        "display_name": group.display_name,
        "external_id": group.external_id,
        "created_at": group.created_at,
        "updated_at": group.last_modified_at,
    }


def group_event(
    connection_id: str | None,
    event_type: str,
    group: DirectoryGroup,
    *,
    joined: Sequence[str] = (),
    left: Sequence[str] = (),
) -> NewEvent:
    """Return an event about a group, whose directory is of a known enterprise connection, yet to be recorded."""
    return event_type, {
        "group": group_object(group),
        "members": {"added": list(joined), "removed": list(left)},
        "enterprise_connection_id": connection_id,
        "organization_id": group.organization_id,
    }


def record_departures(session: Session, directory: Directory, user_id: str, groups: Sequence[DirectoryGroup]) -> None:
    """Record that somebody who was deleted left these groups."""
    if not groups:
        return
    connection_id = find_connection_id(session, directory)
    events = [group_event(connection_id, "scimGroup.updated", group, left=[user_id]) for group in groups]
    record_events(session, directory.organization_id, events)
