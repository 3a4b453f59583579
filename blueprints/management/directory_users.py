"""The people of an organization's directory."""

from flask import Response, jsonify

from blueprints.auth import require_reach
from blueprints.management import bp
from database import db
from directory.person_explanation import explain_person, explanation_object
from organizations.organizations import get_organization


@bp.get("/organizations/<organization_id>/scim/users/<user_id>/explanation", endpoint="explain_directory_user")
def explain(organization_id: str, user_id: str) -> Response:
    """Tell where each field and the role of a person come from: path, raw value, expression, result, when."""
    require_reach(organization_id)
    with db.reading() as session:
        get_organization(session, organization_id)
        return jsonify(explanation_object(explain_person(session, organization_id, user_id)))
