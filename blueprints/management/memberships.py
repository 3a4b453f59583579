"""The members of an organization, and links that sign them in to the pages."""

from functools import partial

from flask import Response, current_app, jsonify, request

from blueprints.auth import require_key_holder, require_reach
from blueprints.management import bp
from blueprints.management.requests import Body, json_body, page, page_cursor, page_limit
from database import db
from organizations.members import list_memberships
from organizations.organizations import get_organization
from organizations.representations import membership_object
from organizations.sign_in import make_sign_in_link


class NewSignInLink(Body):
    """The body that makes a sign-in link for an active member."""

    user_id: str


@bp.get("/organizations/<organization_id>/memberships")
def list_members(organization_id: str) -> Response:
    """List the active memberships; with ``?include=deleted`` the ended ones too."""
    require_reach(organization_id)
    limit = page_limit()
    key = require_key_holder()
    with db.reading() as session:
        get_organization(session, organization_id)
        found = list_memberships(
            session,
            organization_id,
            limit=limit + 1,
            after=page_cursor(),
            include_deleted=request.args.get("include") == "deleted",
        )
        show = partial(membership_object, seen_by=key.organization_id)
        return jsonify(page(found, limit, show, lambda membership: membership.id))


@bp.post("/organizations/<organization_id>/sign-in-links")
def create_sign_in_link(organization_id: str) -> tuple[Response, int]:
    """Make a link that signs an active member in once, within 24 hours."""
    require_reach(organization_id)
    body = json_body(NewSignInLink)
    with db.unit_of_work() as session:
        get_organization(session, organization_id)
        link, token = make_sign_in_link(session, organization_id, body.user_id)
        response = jsonify(
            id=link.id,
            object="sign_in_link",
            organization_id=organization_id,
            user_id=link.user_id,
            url=f"{current_app.config['PUBLIC_URL']}/sign-in/{token}",
            created_at=link.created_at,
            expires_at=link.expires_at,
        )
    response.headers["Cache-Control"] = "no-store"
    return response, 201
