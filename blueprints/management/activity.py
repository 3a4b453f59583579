"""The activity log of an organization's directory."""

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import operation
from blueprints.management.requests import Page, PageQuery, Since, page
from directory.activity import ScimActivityObject, activity_object
from directory.activity_search import ActivityFilter, list_activity

STATUSES = {"succeeded": 2, "refused": 4, "failed": 5}


class ActivityQuery(PageQuery):
    """Which requests are wanted."""

    status: Annotated[
        Literal["succeeded", "refused", "failed"] | None,
        Field(description="`refused` is 4xx, `failed` 5xx."),
    ] = None
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] | None = None
    resource_id: Annotated[str | None, Field(description="Only requests about this person or group.")] = None
    token_id: Annotated[str | None, Field(description="Only requests with this SCIM token.")] = None
    since: Annotated[Since | None, Field(description="Only from this moment on, in Unix milliseconds.")] = None
    until: Annotated[Since | None, Field(description="Only before this moment, in Unix milliseconds.")] = None


@operation("list_scim_activity", "GET", "/organizations/<organization_id>/scim/activity", tag="Directory")
def list_all(session: Session, organization_id: str, query: ActivityQuery) -> Page[ScimActivityObject]:
    """List the requests of the identity provider that wrote or were refused, the latest first.

    Each says what the admin should know about it.
    """
    wanted = ActivityFilter(
        status_class=STATUSES.get(query.status or ""),
        method=query.method or "",
        target_id=query.resource_id or "",
        token_id=query.token_id or "",
        since=query.since,
        until=query.until,
    )
    found = list_activity(session, organization_id, wanted, limit=query.limit + 1, older_than=query.cursor)
    return page(found, query.limit, activity_object, lambda activity: activity.id)
