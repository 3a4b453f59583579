"""Deliveries to one organization's endpoints, narrowed and in pages, as its admins look at them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import or_
from sqlalchemy.orm import Session

from ids import first_id
from models import WebhookDelivery
from webhooks.deliveries import deliveries_of, place


@dataclass(frozen=True)
class DeliveryFilter:
    """Which deliveries are wanted; empty means all. ``since`` and ``until`` are in Unix milliseconds."""

    endpoint_id: str = ""
    state: str = ""
    event_type: str = ""
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class DeliveryPage:
    """One page, the latest event first, and the places beside which the pages around it begin, None for none."""

    deliveries: Sequence[WebhookDelivery]
    newer_than: str | None
    older_than: str | None


def search_deliveries(
    session: Session,
    organization_id: str,
    wanted: DeliveryFilter,
    *,
    limit: int,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> DeliveryPage:
    """Return one page of the deliveries to an organization's own endpoints."""
    delivery = WebhookDelivery
    query = deliveries_of(organization_id)
    for column, value in (
        (delivery.endpoint_id, wanted.endpoint_id),
        (delivery.state, wanted.state),
        (delivery.event_type, wanted.event_type),
    ):
        if value:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(delivery.event_id >= first_id("evt", wanted.since))
    if wanted.until is not None:
        query = query.where(delivery.event_id < first_id("evt", wanted.until))
    if newer_than is not None:
        event_id, _, last = newer_than.partition("|")
        later = (delivery.event_id == event_id) & (delivery.id > last)
        query = query.where(or_(delivery.event_id > event_id, later)).order_by(delivery.event_id, delivery.id)
        found = session.scalars(query.limit(limit + 1)).all()
        shown = found[:limit][::-1]
        return DeliveryPage(shown, _end(shown[:1], len(found) > limit), _end(shown[-1:], bool(shown)))
    if older_than is not None:
        event_id, _, last = older_than.partition("|")
        earlier = (delivery.event_id == event_id) & (delivery.id < last)
        query = query.where(or_(delivery.event_id < event_id, earlier))
    found = session.scalars(query.order_by(delivery.event_id.desc(), delivery.id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    return DeliveryPage(shown, _end(shown[:1], older_than is not None), _end(shown[-1:], len(found) > limit))


def _end(deliveries: Sequence[WebhookDelivery], there_is_more: bool) -> str | None:
    return place(deliveries[0]) if deliveries and there_is_more else None
