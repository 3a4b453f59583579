"""The attribute mapping of an organization's directory."""

from typing import Any

from flask import Response, jsonify

from blueprints.auth import require_reach
from blueprints.management import bp
from blueprints.management.requests import Body, json_body
from database import db
from directory.mappings import find_mapping_override, replace_mapping
from organizations.organizations import get_organization
from organizations.representations import attribute_mapping_object

PATH = "/organizations/<organization_id>/scim/attribute-mappings"


class NewMapping(Body):
    """The body that replaces the override; an empty mapping brings the defaults back."""

    mapping: dict[str, Any]


@bp.get(PATH, endpoint="read_attribute_mapping")
def read(organization_id: str) -> Response:
    """Return what the organization overrides of the default mapping."""
    require_reach(organization_id)
    with db.reading() as session:
        get_organization(session, organization_id)
        return jsonify(attribute_mapping_object(organization_id, find_mapping_override(session, organization_id)))


@bp.put(PATH, endpoint="replace_attribute_mapping")
def replace(organization_id: str) -> Response:
    """Replace the override. A mapping that cannot work is refused whole, naming each place."""
    require_reach(organization_id)
    body = json_body(NewMapping)
    with db.unit_of_work() as session:
        get_organization(session, organization_id)
        override = replace_mapping(session, organization_id, body.mapping)
        return jsonify(attribute_mapping_object(organization_id, override))
