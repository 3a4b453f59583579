"""Organizations, and the address of their SCIM endpoint."""

from flask import Response, current_app, jsonify

from blueprints.auth import require_environment_key, require_key_holder, require_reach
from blueprints.management import bp
from blueprints.management.requests import Body, json_body, page, page_cursor, page_limit
from database import db
from organizations.organizations import get_organization, list_organizations, make_organization
from organizations.representations import organization_object


class NewOrganization(Body):
    """The body that makes an organization."""

    name: str


@bp.get("/organizations")
def list_all() -> Response:
    """List the organizations that this secret key opens."""
    limit = page_limit()
    own = require_key_holder().organization_id
    with db.reading() as session:
        if own is not None:
            return jsonify(page([get_organization(session, own)], limit, organization_object, lambda item: item.id))
        found = list_organizations(session, limit=limit + 1, after=page_cursor())
        return jsonify(page(found, limit, organization_object, lambda item: item.id))


@bp.post("/organizations")
def create() -> tuple[Response, int]:
    """Make an organization."""
    require_environment_key()
    body = json_body(NewOrganization)
    with db.unit_of_work() as session:
        return jsonify(organization_object(make_organization(session, body.name))), 201


@bp.get("/organizations/<organization_id>")
def read(organization_id: str) -> Response:
    """Return one organization."""
    require_reach(organization_id)
    with db.reading() as session:
        return jsonify(organization_object(get_organization(session, organization_id)))


@bp.get("/organizations/<organization_id>/scim/endpoint")
def endpoint(organization_id: str) -> Response:
    """Return the SCIM base URL. It is the same for all organizations: the token alone decides."""
    require_reach(organization_id)
    with db.reading() as session:
        get_organization(session, organization_id)
    return jsonify(endpoint_url=current_app.config["SCIM_ENDPOINT_URL"])
