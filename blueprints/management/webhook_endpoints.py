"""Webhook endpoints: add, change, disable, remove, rotate the secret, try out, send again."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from flask import current_app
from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.auth import require_reach
from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import Body, Judged, Milliseconds, Page, PageQuery, page
from errors import InvalidInput
from models import WebhookEndpoint
from organizations.organizations import get_organization
from webhooks.deliveries import replay_since, send_test
from webhooks.destinations import MAX_URL_LENGTH, CheckedUrl, check_url, url_problems
from webhooks.endpoints import (
    DESCRIPTION_LENGTH,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    description_problems,
    event_type_problems,
    get_endpoint,
    list_endpoints,
    rotate_secret,
)
from webhooks.representations import (
    Moment,
    WebhookDeliveryObject,
    WebhookEndpointObject,
    WebhookEndpointWithSecretObject,
    webhook_delivery_object,
    webhook_endpoint_object,
    webhook_endpoint_with_secret_object,
)

ENDPOINTS = "/webhook-endpoints"
ENDPOINT = f"{ENDPOINTS}/<endpoint_id>"
# Each one makes this installation send a request, so it is no cannon.
TEST_LIMIT = "10 per minute"
NO_ORGANIZATION = {404: "There is no organization of this id."}
DISABLED = {409: "The endpoint is disabled."}


Url = Annotated[
    str,
    Judged(lambda url: url_problems(current_app.extensions["outbound_policy"], url), {"maxLength": MAX_URL_LENGTH}),
]
Description = Annotated[str, Judged(description_problems, {"maxLength": DESCRIPTION_LENGTH})]
EventTypes = Annotated[list[str], Judged(event_type_problems, {"minItems": 1})]


class EndpointQuery(PageQuery):
    """Which endpoints are wanted."""

    organization_id: Annotated[str | None, Field(description="Only those of one organization.")] = None


class NewEndpoint(Body):
    """The endpoint to add. Without an organization it is for all that the secret key opens."""

    url: Annotated[Url, Field(examples=["https://example.com/webhooks"])]
    description: Description | None = None
    organization_id: str | None = None
    enabled_event_types: EventTypes = Field(["*"], description="Types of events, `scimUser.*`, or `*`.")


class EndpointChange(Body):
    """What to change of an endpoint; what is left out stays."""

    url: Url | None = None
    description: Description | None = None
    enabled_event_types: EventTypes | None = None
    enabled: bool | None = None


class Replay(Body):
    """What to send again."""

    since: Milliseconds
    only_failed: Annotated[bool, Field(description="Leave out what was delivered.")] = False


class WebhookReplayObject(TypedDict):
    """A replay that began."""

    object: Literal["webhook_replay"]
    endpoint_id: str
    since: Moment
    deliveries: Annotated[int, Field(description="How many are pending because of it.")]


def checked_url(body: NewEndpoint | EndpointChange) -> CheckedUrl | None:
    """Return the URL of a body if it may be sent to. It may ask the name server.

    :raises InvalidInput: When it may not; what is wrong with the body besides is told as well.
    """
    if body.url is None:
        return None
    problems = [] if body.description is None else description_problems(body.description)
    problems += [] if body.enabled_event_types is None else event_type_problems(body.enabled_event_types)
    try:
        return check_url(current_app.extensions["outbound_policy"], body.url)
    except InvalidInput as refusal:
        raise InvalidInput(refusal.problems + problems) from refusal


def host_of(endpoint: WebhookEndpoint) -> str | None:
    """Return what the audit log keeps of an endpoint's address: the path may be a secret."""
    return urlsplit(endpoint.url).hostname


@operation("list_webhook_endpoints", "GET", ENDPOINTS, tag="Webhooks", errors=NO_ORGANIZATION)
def list_webhook_endpoints(session: Session, query: EndpointQuery) -> Page[WebhookEndpointObject]:
    """List the endpoints, newest first."""
    if query.organization_id is not None:
        require_reach(query.organization_id)
    organization_id = own_organization() if query.organization_id is None else query.organization_id
    found = list_endpoints(session, organization_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, webhook_endpoint_object, lambda endpoint: endpoint.id)


@operation(
    "create_webhook_endpoint",
    "POST",
    ENDPOINTS,
    tag="Webhooks",
    status=201,
    prepare=checked_url,
    errors=NO_ORGANIZATION,
)
def create_webhook_endpoint(
    session: Session, body: NewEndpoint, prepared: CheckedUrl
) -> WebhookEndpointWithSecretObject:
    """Add an endpoint. This answer and that of a rotation are the only ones that hold the signing secret."""
    organization_id = own_organization() if body.organization_id is None else body.organization_id
    if organization_id is not None:
        require_reach(organization_id)
        get_organization(session, organization_id)
    endpoint, secret = create_endpoint(
        session,
        current_app.extensions["secret_box"],
        url=prepared,
        organization_id=organization_id,
        description=body.description,
        enabled_event_types=body.enabled_event_types,
    )
    audit(session, "webhook_endpoint.created", webhook_endpoint_object(endpoint), host=host_of(endpoint))
    return webhook_endpoint_with_secret_object(endpoint, secret)


@operation("read_webhook_endpoint", "GET", ENDPOINT, tag="Webhooks")
def read_webhook_endpoint(session: Session, endpoint_id: str) -> WebhookEndpointObject:
    """Return one endpoint."""
    return webhook_endpoint_object(get_endpoint(session, endpoint_id, own_organization()))


@operation("change_webhook_endpoint", "PATCH", ENDPOINT, tag="Webhooks", prepare=checked_url)
def change_webhook_endpoint(
    session: Session, endpoint_id: str, body: EndpointChange, prepared: CheckedUrl | None
) -> WebhookEndpointObject:
    """Change an endpoint, or disable and enable it. What is pending waits while it is disabled."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - {"url"}}
    if "description" in changes:
        changes["description"] = changes["description"] or ""
    endpoint = get_endpoint(session, endpoint_id, own_organization())
    change_endpoint(session, endpoint, url=prepared, **changes)
    shown = webhook_endpoint_object(endpoint)
    audit(session, "webhook_endpoint.updated", shown, host=host_of(endpoint), changed=sorted(body.model_fields_set))
    return shown


@operation("delete_webhook_endpoint", "DELETE", ENDPOINT, tag="Webhooks", status=204)
def delete_webhook_endpoint(session: Session, endpoint_id: str) -> None:
    """Remove an endpoint with its deliveries."""
    endpoint = get_endpoint(session, endpoint_id, own_organization())
    audit(session, "webhook_endpoint.deleted", webhook_endpoint_object(endpoint), host=host_of(endpoint))
    delete_endpoint(session, endpoint)


@operation("rotate_webhook_secret", "POST", f"{ENDPOINT}/rotate-secret", tag="Webhooks")
def rotate_webhook_secret(session: Session, endpoint_id: str) -> WebhookEndpointWithSecretObject:
    """Give an endpoint a new signing secret; the one before signs as well for 24 hours."""
    endpoint = get_endpoint(session, endpoint_id, own_organization())
    secret = rotate_secret(session, current_app.extensions["secret_box"], endpoint)
    audit(session, "webhook_endpoint.secret_rotated", webhook_endpoint_object(endpoint), host=host_of(endpoint))
    return webhook_endpoint_with_secret_object(endpoint, secret)


@operation(
    "test_webhook_endpoint",
    "POST",
    f"{ENDPOINT}/test",
    tag="Webhooks",
    status=202,
    limit=TEST_LIMIT,
    errors=DISABLED,
)
def try_webhook_endpoint(session: Session, endpoint_id: str) -> WebhookDeliveryObject:
    """Send a test event to an endpoint, once. The answer is the delivery, which is still pending."""
    endpoint = get_endpoint(session, endpoint_id, own_organization())
    delivery = send_test(session, endpoint)
    audit(session, "webhook_endpoint.tested", webhook_endpoint_object(endpoint), host=host_of(endpoint))
    return webhook_delivery_object(delivery)


@operation(
    "replay_webhook_endpoint",
    "POST",
    f"{ENDPOINT}/replay",
    tag="Webhooks",
    status=202,
    errors={**DISABLED, 410: "Events since that moment are no longer kept."},
)
def replay_webhook_endpoint(session: Session, endpoint_id: str, body: Replay) -> WebhookReplayObject:
    """Send all events since a moment again, or those that failed.

    Those that the endpoint missed while it was disabled are sent too.
    """
    endpoint = get_endpoint(session, endpoint_id, own_organization())
    count = replay_since(session, endpoint, body.since, only_failed=body.only_failed)
    shown = webhook_endpoint_object(endpoint)
    audit(session, "webhook_endpoint.replayed", shown, host=host_of(endpoint), since=body.since, deliveries=count)
    return {"object": "webhook_replay", "endpoint_id": endpoint_id, "since": body.since, "deliveries": count}
