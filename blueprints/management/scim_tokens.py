"""SCIM tokens: issue, list, revoke."""

from flask import Response, jsonify

from blueprints.auth import require_reach
from blueprints.management import bp
from blueprints.management.requests import Body, Milliseconds, json_body, page, page_cursor, page_limit
from database import db
from organizations.organizations import get_organization
from organizations.representations import scim_token_object
from organizations.scim_tokens import get_scim_token, issue_scim_token, list_scim_tokens, revoke_scim_token

BASE = "/organizations/<organization_id>/scim/tokens"


class NewToken(Body):
    """The body that issues a token. ``expires_at`` is in Unix milliseconds."""

    name: str
    enterprise_connection_id: str | None = None
    expires_at: Milliseconds | None = None


@bp.get(BASE, endpoint="list_scim_tokens")
def list_tokens(organization_id: str) -> Response:
    """List the tokens of an organization, newest first, by prefix; plaintexts are gone."""
    require_reach(organization_id)
    limit = page_limit()
    with db.reading() as session:
        get_organization(session, organization_id)
        found = list_scim_tokens(session, organization_id, limit=limit + 1, after=page_cursor())
        return jsonify(page(found, limit, scim_token_object, lambda token: token.id))


@bp.post(BASE, endpoint="issue_scim_token")
def issue(organization_id: str) -> tuple[Response, int]:
    """Issue a token. This answer is the only one that holds its plaintext."""
    require_reach(organization_id)
    body = json_body(NewToken)
    with db.unit_of_work() as session:
        get_organization(session, organization_id)
        token, plaintext = issue_scim_token(
            session,
            organization_id,
            body.name,
            enterprise_connection_id=body.enterprise_connection_id,
            expires_at=body.expires_at,
        )
        response = jsonify(scim_token_object(token, plaintext=plaintext))
    response.headers["Cache-Control"] = "no-store"
    return response, 201


@bp.get(f"{BASE}/<token_id>", endpoint="read_scim_token")
def read(organization_id: str, token_id: str) -> Response:
    """Return one token."""
    require_reach(organization_id)
    with db.reading() as session:
        return jsonify(scim_token_object(get_scim_token(session, organization_id, token_id)))


@bp.post(f"{BASE}/<token_id>/revoke", endpoint="revoke_scim_token")
def revoke(organization_id: str, token_id: str) -> Response:
    """End a token at once, and return it."""
    require_reach(organization_id)
    with db.unit_of_work() as session:
        return jsonify(scim_token_object(revoke_scim_token(session, organization_id, token_id)))
