"""The webhook objects of the JSON API: plain dictionaries, times in Unix milliseconds, secrets only when just made."""

from typing import Any

from models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

JsonObject = dict[str, Any]


def webhook_endpoint_object(endpoint: WebhookEndpoint, signing_secret: str | None = None) -> JsonObject:
    """Return an endpoint; ``signing_secret`` only in the answers that create and rotate."""
    shown = {} if signing_secret is None else {"signing_secret": signing_secret}
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
        **shown,
    }


def webhook_delivery_object(delivery: WebhookDelivery) -> JsonObject:
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


def webhook_attempt_object(attempt: WebhookAttempt) -> JsonObject:
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
