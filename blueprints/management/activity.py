"""The activity log of an organization's directory."""

from sqlalchemy.orm import Session

from blueprints.management.operations import operation
from blueprints.management.requests import Page, PageQuery, page
from directory.activity import ScimActivityObject, activity_object, list_activity


@operation("list_scim_activity", "GET", "/organizations/<organization_id>/scim/activity", tag="Directory")
def list_all(session: Session, organization_id: str, query: PageQuery) -> Page[ScimActivityObject]:
    """List the requests of the identity provider that wrote or were refused, the latest first.

    Each says what the admin should know about it.
    """
    found = list_activity(session, organization_id, limit=query.limit + 1, before=query.cursor)
    return page(found, query.limit, activity_object, lambda activity: activity.id)
