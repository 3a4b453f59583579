"""The activity log of an organization's directory."""

from flask import Response, jsonify

from blueprints.auth import require_reach
from blueprints.management import bp
from blueprints.management.requests import page, page_cursor, page_limit
from database import db
from directory.activity import activity_object, list_activity
from organizations.organizations import get_organization


@bp.get("/organizations/<organization_id>/scim/activity", endpoint="list_scim_activity")
def list_all(organization_id: str) -> Response:
    """List the requests of the IdP that wrote or were refused, the latest first, with what the admin should know."""
    require_reach(organization_id)
    limit = page_limit()
    with db.reading() as session:
        get_organization(session, organization_id)
        found = list_activity(session, organization_id, limit=limit + 1, before=page_cursor())
        return jsonify(page(found, limit, activity_object, lambda activity: activity.id))
