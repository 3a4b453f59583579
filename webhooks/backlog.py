"""How far the deliveries are behind, over the whole environment: for operators."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import WebhookDelivery, WebhookEndpoint
from webhooks.outbox import PENDING


@dataclass(frozen=True)
class Backlog:
    """Deliveries that wait, the time in Unix milliseconds since when the oldest of them is due, and endpoints off."""

    pending: int
    oldest_due_at: int | None
    disabled_endpoints: int


def measure_backlog(session: Session) -> Backlog:
    """Return how far the deliveries are behind. Those of disabled endpoints wait for nobody and are not counted."""
    waiting = (
        select(func.count(), func.min(WebhookDelivery.next_attempt_at))
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(WebhookDelivery.state == PENDING, WebhookEndpoint.enabled)
    )
    pending, oldest_due_at = session.execute(waiting).one()
    disabled = session.scalar(select(func.count()).where(WebhookEndpoint.enabled.is_(False))) or 0
    return Backlog(pending, oldest_due_at, disabled)
