"""Webhook deliveries: what was sent, what the receiver said, and sending it again."""

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import Page, PageQuery, page
from webhooks.deliveries import get_delivery, list_deliveries, place, replay_delivery
from webhooks.representations import WebhookDeliveryObject, webhook_delivery_object

EXPIRED = {410: "It is so old that it is no longer kept."}


class DeliveryQuery(PageQuery):
    """Which deliveries are wanted."""

    endpoint_id: Annotated[str | None, Field(description="Only those to this endpoint.")] = None
    event_id: Annotated[str | None, Field(description="Only those of this event.")] = None
    state: Annotated[
        Literal["pending", "succeeded", "failed"] | None, Field(description="Only those in this state.")
    ] = None


@operation("list_webhook_deliveries", "GET", "/webhook-deliveries", tag="Webhooks")
def list_webhook_deliveries(session: Session, query: DeliveryQuery) -> Page[WebhookDeliveryObject]:
    """List deliveries, latest event first."""
    found = list_deliveries(
        session,
        own_organization(),
        limit=query.limit + 1,
        after=query.cursor,
        endpoint_id=query.endpoint_id,
        event_id=query.event_id,
        state=query.state,
    )
    return page(found, query.limit, webhook_delivery_object, place)


@operation("read_webhook_delivery", "GET", "/webhook-deliveries/<delivery_id>", tag="Webhooks", errors=EXPIRED)
def read_webhook_delivery(session: Session, delivery_id: str) -> WebhookDeliveryObject:
    """Return one delivery with all of its attempts."""
    return webhook_delivery_object(get_delivery(session, delivery_id, own_organization()))


@operation(
    "replay_webhook_delivery",
    "POST",
    "/webhook-deliveries/<delivery_id>/replay",
    tag="Webhooks",
    status=202,
    errors={409: "The endpoint is disabled.", **EXPIRED},
)
def replay_webhook_delivery(session: Session, delivery_id: str) -> WebhookDeliveryObject:
    """Send the event of a delivery again, under its id. The answer is the delivery, which is pending again."""
    delivery = get_delivery(session, delivery_id, own_organization())
    replay_delivery(session, delivery)
    shown = webhook_delivery_object(delivery)
    audit(session, "webhook_delivery.replayed", shown, organization_id=delivery.endpoint.organization_id)
    return shown
