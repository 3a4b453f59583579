"""The webhook objects of the JSON API: plain dictionaries, times in Unix milliseconds, secrets only when just made.

The types are what the published document says of the objects.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

JsonObject = dict[str, Any]

# Marks a member that is in the answer which makes it, and in no other.
SHOWN_ONCE = "x-shown-once"

Moment = Annotated[int, Field(description="In Unix milliseconds.")]
ShownOnce = Annotated[
    str,
    Field(
        description="Shown in this answer and never again; keep it.",
        json_schema_extra={"format": "password", SHOWN_ONCE: True},
    ),
]


class WebhookEndpointObject(TypedDict):
    """Where events are sent to."""

    id: str
    object: Literal["webhook_endpoint"]
    url: str
    description: str | None
    organization_id: Annotated[str | None, Field(description="Whose events it gets; null for the whole environment.")]
    enabled_event_types: Annotated[list[str], Field(description="Types of events, `scimUser.*`, or `*` for all.")]
    enabled: bool
    disabled_at: Moment | None
    disabled_reason: str | None
    created_at: Moment
    updated_at: Moment


class WebhookEndpointWithSecretObject(WebhookEndpointObject):
    """An endpoint that was just added, or got a new secret."""

    signing_secret: ShownOnce


class WebhookAttemptObject(TypedDict):
    """One try of a delivery: what the receiver answered, or why there was no answer."""

    id: str
    object: Literal["webhook_attempt"]
    attempted_at: Moment
    milliseconds: Annotated[int, Field(description="How long the receiver took.")]
    status: Annotated[int | None, Field(description="HTTP status of the answer.")]
    error: str | None
    response_body: Annotated[str | None, Field(description="The first 4 KiB of the answer.")]


class WebhookDeliveryObject(TypedDict):
    """An event on its way to an endpoint, with every attempt so far, oldest first."""

    id: str
    object: Literal["webhook_delivery"]
    endpoint_id: str
    event_id: str
    event_type: str
    state: Annotated[str, Field(json_schema_extra={"enum": ["pending", "succeeded", "failed"]})]
    attempts: list[WebhookAttemptObject]
    next_attempt_at: Moment | None
    created_at: Moment


def webhook_endpoint_object(endpoint: WebhookEndpoint) -> WebhookEndpointObject:
    """Return an endpoint, without its secret."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "description": endpoint.description,
        "organization_id": endpoint.organization_id,
        "enabled_event_types": endpoint.enabled_event_types,
        "enabled": endpoint.enabled,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def webhook_endpoint_with_secret_object(
    endpoint: WebhookEndpoint, signing_secret: str
) -> WebhookEndpointWithSecretObject:
    """Return an endpoint with its signing secret, for the answers that create and rotate."""
    return {**webhook_endpoint_object(endpoint), "signing_secret": signing_secret}


def webhook_delivery_object(delivery: WebhookDelivery) -> WebhookDeliveryObject:
    """Return a delivery with all of its attempts, oldest first."""
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "endpoint_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "state": delivery.state,
        "attempts": [webhook_attempt_object(attempt) for attempt in delivery.attempts],
        "next_attempt_at": delivery.next_attempt_at,
        "created_at": delivery.created_at,
    }


def webhook_attempt_object(attempt: WebhookAttempt) -> WebhookAttemptObject:
    """Return one attempt: the status and the beginning of the answer, or the error that kept it from coming."""
    return {
        "id": attempt.id,
        "object": "webhook_attempt",
        "attempted_at": attempt.attempted_at,
        "milliseconds": attempt.milliseconds,
        "status": attempt.status,
        "error": attempt.error,
        "response_body": attempt.response_body,
    }
