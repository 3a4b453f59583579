"""Webhook endpoints: add, change, disable, remove, rotate the secret, try out, send again."""

from typing import Any

from flask import Response, current_app, jsonify, request
from pydantic import Field

from blueprints.auth import require_key_holder, require_reach
from blueprints.limits import limiter
from blueprints.management import bp
from blueprints.management.requests import Body, Milliseconds, json_body, page, page_cursor, page_limit
from database import db
from organizations.organizations import get_organization
from webhooks.deliveries import replay_since, send_test
from webhooks.destinations import CheckedUrl, check_url
from webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    rotate_secret,
)
from webhooks.representations import webhook_delivery_object, webhook_endpoint_object

ENDPOINT = "/webhook-endpoints/<endpoint_id>"
# Each one makes this installation send a request, so it is no cannon.
TEST_LIMIT = "10 per minute"


class NewEndpoint(Body):
    """The body that adds an endpoint. Without an organization it is for all that the secret key opens."""

    url: str
    description: str | None = None
    organization_id: str | None = None
    enabled_event_types: list[str] = Field(default=["*"])


class EndpointChange(Body):
    """The body that changes an endpoint: what is left out stays."""

    url: str | None = None
    description: str | None = None
    enabled_event_types: list[str] | None = None
    enabled: bool | None = None


class Replay(Body):
    """The body that sends events again; ``since`` is in Unix milliseconds."""

    since: Milliseconds
    only_failed: bool = False


def own_organization() -> str | None:
    """Return the organization that this secret key speaks for, or None when it opens the whole environment."""
    return require_key_holder().organization_id


def checked(url: str) -> CheckedUrl:
    """Return the URL if it may be sent to. It may ask the name server, so this is outside of any unit of work."""
    return check_url(current_app.extensions["outbound_policy"], url)


@bp.get("/webhook-endpoints")
def list_webhook_endpoints() -> Response:
    """List the endpoints, newest first; with ``organization_id`` those of one organization."""
    limit = page_limit()
    organization_id = own_organization()
    if "organization_id" in request.args:
        organization_id = request.args["organization_id"]
        require_reach(organization_id)
    with db.reading() as session:
        found = list_endpoints(session, organization_id, limit=limit + 1, after=page_cursor())
        return jsonify(page(found, limit, webhook_endpoint_object, lambda endpoint: endpoint.id))


@bp.post("/webhook-endpoints")
def create_webhook_endpoint() -> tuple[Response, int]:
    """Add an endpoint. This answer and that of a rotation are the only ones that hold the signing secret."""
    body = json_body(NewEndpoint)
    organization_id = own_organization() if body.organization_id is None else body.organization_id
    if organization_id is not None:
        require_reach(organization_id)
    url = checked(body.url)
    with db.unit_of_work() as session:
        if organization_id is not None:
            get_organization(session, organization_id)
        endpoint, secret = create_endpoint(
            session,
            current_app.extensions["secret_box"],
            url=url,
            organization_id=organization_id,
            description=body.description,
            enabled_event_types=body.enabled_event_types,
        )
        response = jsonify(webhook_endpoint_object(endpoint, secret))
    return _not_stored(response), 201


@bp.get(ENDPOINT)
def read_webhook_endpoint(endpoint_id: str) -> Response:
    """Return one endpoint."""
    with db.reading() as session:
        return jsonify(webhook_endpoint_object(get_endpoint(session, endpoint_id, own_organization())))


@bp.patch(ENDPOINT)
def change_webhook_endpoint(endpoint_id: str) -> Response:
    """Change an endpoint, or disable and enable it. What is pending waits while it is disabled."""
    body = json_body(EndpointChange)
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - {"url"}}
    if "description" in changes:
        changes["description"] = changes["description"] or ""
    url = None if body.url is None else checked(body.url)
    with db.unit_of_work() as session:
        endpoint = get_endpoint(session, endpoint_id, own_organization())
        change_endpoint(session, endpoint, url=url, **changes)
        return jsonify(webhook_endpoint_object(endpoint))


@bp.delete(ENDPOINT)
def delete_webhook_endpoint(endpoint_id: str) -> tuple[str, int]:
    """Remove an endpoint with its deliveries."""
    with db.unit_of_work() as session:
        delete_endpoint(session, get_endpoint(session, endpoint_id, own_organization()))
    return "", 204


@bp.post(f"{ENDPOINT}/rotate-secret")
def rotate_webhook_secret(endpoint_id: str) -> Response:
    """Give an endpoint a new signing secret; the one before signs as well for 24 hours."""
    with db.unit_of_work() as session:
        endpoint = get_endpoint(session, endpoint_id, own_organization())
        secret = rotate_secret(session, current_app.extensions["secret_box"], endpoint)
        response = jsonify(webhook_endpoint_object(endpoint, secret))
    return _not_stored(response)


@bp.post(f"{ENDPOINT}/test")
@limiter.limit(TEST_LIMIT, key_func=lambda: (request.view_args or {})["endpoint_id"])
def try_webhook_endpoint(endpoint_id: str) -> tuple[Response, int]:
    """Send a test event to an endpoint, once. The answer is the delivery, which is still pending."""
    with db.unit_of_work() as session:
        delivery = send_test(session, get_endpoint(session, endpoint_id, own_organization()))
        response = jsonify(webhook_delivery_object(delivery))
    return response, 202


@bp.post(f"{ENDPOINT}/replay")
def replay_webhook_endpoint(endpoint_id: str) -> tuple[Response, int]:
    """Send all events since a moment again, or those that failed; with those missed while the endpoint was disabled."""
    body = json_body(Replay)
    with db.unit_of_work() as session:
        endpoint = get_endpoint(session, endpoint_id, own_organization())
        count = replay_since(session, endpoint, body.since, only_failed=body.only_failed)
    return jsonify(object="webhook_replay", endpoint_id=endpoint_id, since=body.since, deliveries=count), 202


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
