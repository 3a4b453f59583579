"""Webhook endpoints: where events are sent, which ones, and whether any are at the moment.

Every function that loads takes the organization that the caller speaks for, or
None for a caller who speaks for the whole environment; the organization is part
of the query, so an endpoint of another one does not exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotFound
from ids import new_id
from models import WebhookEndpoint
from webhooks.destinations import CheckedUrl
from webhooks.events import EVENT_TYPES, mark_due, matches, record_event
from webhooks.representations import webhook_endpoint_object
from webhooks.schedule import HOUR
from webhooks.secrets import CannotOpen, SecretBox
from webhooks.signing import new_signing_secret

DESCRIPTION_LENGTH = 500
PREVIOUS_SECRET_MS = 24 * HOUR
# Each of them is one more signature in every request.
FORMER_SECRETS = 4
SHOWN_GIVEN_UP = 5
DISABLED_BY_HAND = "manual"
DISABLED_AS_GONE = "gone"
DISABLED_AS_FAILING = "failing"


def endpoints_of(organization_id: str | None) -> Select[WebhookEndpoint]:
    """Return the query of the endpoints that a caller may see: an organization's own, or all for None."""
    query = select(WebhookEndpoint).execution_options(populate_existing=True)
    return query if organization_id is None else query.where(WebhookEndpoint.organization_id == organization_id)


def list_endpoints(
    session: Session, organization_id: str | None, *, limit: int, after: str | None = None
) -> Sequence[WebhookEndpoint]:
    """Return one page of endpoints, newest first; ``after`` is the id of the last one of the page before."""
    query = endpoints_of(organization_id).order_by(WebhookEndpoint.id.desc()).limit(limit)
    return session.scalars(query if after is None else query.where(WebhookEndpoint.id < after)).all()


def get_endpoint(session: Session, endpoint_id: str, organization_id: str | None) -> WebhookEndpoint:
    """Return an endpoint.

    :raises NotFound: When there is none of this id that the caller may see.
    """
    endpoint = session.scalar(endpoints_of(organization_id).where(WebhookEndpoint.id == endpoint_id))
    if endpoint is None:
        raise NotFound("No such webhook endpoint.", code="webhook_endpoint_not_found")
    return endpoint


@dataclass(frozen=True)
class GivenUp:
    """An endpoint that was disabled as ``gone`` or ``failing``. ``host`` is None where it is not the organization's."""

    host: str | None
    reason: str
    disabled_at: int


def list_given_up(session: Session, organization_id: str) -> list[GivenUp]:
    """Return the endpoints with an organization's events that were disabled because nobody took them, latest first."""
    query = (
        select(WebhookEndpoint)
        .where(WebhookEndpoint.disabled_reason.in_((DISABLED_AS_GONE, DISABLED_AS_FAILING)))
        .where(or_(WebhookEndpoint.organization_id.is_(None), WebhookEndpoint.organization_id == organization_id))
        .order_by(WebhookEndpoint.disabled_at.desc())
        .limit(SHOWN_GIVEN_UP)
    )
    return [
        GivenUp(
            # The path may hold a secret; the address of the product's own endpoint is no business of a customer.
            host=None if endpoint.organization_id is None else urlsplit(endpoint.url).hostname,
            reason=endpoint.disabled_reason or "",
            disabled_at=endpoint.disabled_at or 0,
        )
        for endpoint in session.scalars(query)
    ]


def create_endpoint(
    session: Session,
    box: SecretBox,
    *,
    url: CheckedUrl,
    organization_id: str | None,
    description: str | None = None,
    enabled_event_types: Sequence[str] = ("*",),
) -> tuple[WebhookEndpoint, str]:
    """Add an endpoint, and return it with its signing secret, which is not shown again.

    :raises InvalidInput: When the description is too long or an event type is unknown.
    """
    _check(description, enabled_event_types)
    now = now_ms()
    secret = new_signing_secret()
    endpoint = WebhookEndpoint(
        id=new_id("whe"),
        organization_id=organization_id,
        url=url,
        description=description,
        enabled_event_types=list(enabled_event_types),
        enabled=True,
        encrypted_secret=box.seal(secret),
        created_at=now,
        updated_at=now,
    )
    session.add(endpoint)
    session.flush()
    return endpoint, secret


def change_endpoint(
    session: Session,
    endpoint: WebhookEndpoint,
    *,
    url: CheckedUrl | None = None,
    description: str | None = None,
    enabled_event_types: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given; an empty description removes it. Events already recorded keep their deliveries.

    :raises InvalidInput: When the description is too long or an event type is unknown.
    """
    _check(description, enabled_event_types)
    if url is not None and url != endpoint.url:
        endpoint.url = url
        endpoint.failing_since = None  # what failed was another receiver
    if description is not None:
        endpoint.description = description or None
    if enabled_event_types is not None:
        endpoint.enabled_event_types = list(enabled_event_types)
    endpoint.updated_at = now_ms()
    if enabled is True and not endpoint.enabled:
        _enable(session, endpoint)
    session.flush()
    if enabled is False:
        disable_endpoint(session, endpoint, DISABLED_BY_HAND)


def _enable(session: Session, endpoint: WebhookEndpoint) -> None:
    """Send to an endpoint again, beginning with what has waited."""
    endpoint.enabled = True
    endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
    mark_due(session, endpoint.id)


def disable_endpoint(session: Session, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send nothing more to an endpoint. Its pending deliveries stay, and wait until it is enabled again.

    :param reason: ``manual``, ``gone`` (410) or ``failing`` (five days of nothing but failures).
    """
    if not endpoint.enabled:
        return
    now = now_ms()
    endpoint.enabled = False
    endpoint.disabled_at = endpoint.updated_at = now
    endpoint.disabled_reason = reason
    session.flush()
    data = {"webhook_endpoint": webhook_endpoint_object(endpoint), "reason": reason}
    record_event(session, "webhookEndpoint.disabled", endpoint.organization_id, data)


def rotate_secret(session: Session, box: SecretBox, endpoint: WebhookEndpoint) -> str:
    """Give an endpoint a new signing secret and return it. The one before signs too, for 24 hours.

    So does one that was rotated within the last 24 hours: whoever has it was promised that.
    """
    session.refresh(endpoint, with_for_update={"key_share": True})  # two rotations at once are one after the other
    now = now_ms()
    secret = new_signing_secret()
    former = {"sealed": endpoint.encrypted_secret, "expires_at": now + PREVIOUS_SECRET_MS}
    endpoint.former_secrets = [former, *_still_signing(endpoint)][:FORMER_SECRETS]
    endpoint.encrypted_secret = box.seal(secret)
    endpoint.updated_at = now
    session.flush()
    return secret


@dataclass(frozen=True)
class Resealed:
    """What ``reseal_secrets`` did: how many endpoints it changed and looked at, and whose secret no key opens."""

    changed: int
    looked_at: int
    unreadable: tuple[str, ...]
    last: str | None


def reseal_secrets(session: Session, box: SecretBox, after: str | None, limit: int) -> Resealed:
    """Encrypt the secrets of the next endpoints with the present key; ``last`` is None when there are no more.

    :param after: The ``last`` of the call before, or None to begin.
    """
    query = select(WebhookEndpoint).order_by(WebhookEndpoint.id).limit(limit).with_for_update(key_share=True)
    if after is not None:
        query = query.where(WebhookEndpoint.id > after)
    endpoints = session.scalars(query, execution_options={"populate_existing": True}).all()
    changed, unreadable = 0, []
    for endpoint in endpoints:
        endpoint.former_secrets = _still_signing(endpoint)
        try:
            changed += _reseal(endpoint, box)
        except CannotOpen:
            unreadable.append(endpoint.id)
    session.flush()
    return Resealed(changed, len(endpoints), tuple(unreadable), endpoints[-1].id if len(endpoints) == limit else None)


def _still_signing(endpoint: WebhookEndpoint) -> list[dict[str, Any]]:
    return [secret for secret in endpoint.former_secrets if secret["expires_at"] > now_ms()]


def _reseal(endpoint: WebhookEndpoint, box: SecretBox) -> bool:
    """Seal an endpoint's secrets with the present key, and tell whether that changed anything.

    :raises CannotOpen: When one cannot be opened; nothing is changed then.
    """
    former = endpoint.former_secrets
    if all(map(box.is_current, [endpoint.encrypted_secret, *(secret["sealed"] for secret in former)])):
        return False
    current = box.seal(box.open(endpoint.encrypted_secret))
    endpoint.former_secrets = [{**secret, "sealed": box.seal(box.open(secret["sealed"]))} for secret in former]
    endpoint.encrypted_secret = current
    return True


def delete_endpoint(session: Session, endpoint: WebhookEndpoint) -> None:
    """Remove an endpoint with its deliveries. The events stay."""
    session.delete(endpoint)
    session.flush()


def _check(description: str | None, event_types: Sequence[str] | None) -> None:
    problems = [] if description is None else description_problems(description)
    problems += [] if event_types is None else event_type_problems(event_types)
    if problems:
        raise InvalidInput(problems)


def description_problems(description: str) -> list[DomainError]:
    """Return what is wrong with the description of an endpoint."""
    if len(description) <= DESCRIPTION_LENGTH:
        return []
    message = f"The description is longer than {DESCRIPTION_LENGTH} characters."
    return [DomainError(message, code="invalid_value", meta={"param": "description"})]


def event_type_problems(event_types: Sequence[str]) -> list[DomainError]:
    """Return what is wrong with what an endpoint subscribes to: types of events, families of them, or all."""
    if not event_types:
        message = "enabled_event_types is empty. Give event types, or * for all of them."
        return [DomainError(message, code="invalid_value", meta={"param": "enabled_event_types"})]
    return [
        DomainError(
            f"{pattern!r} is no event type.",
            long_message="Give types that GET /v1/event-types lists, a family such as scimUser.*, or * for all.",
            code="unknown_event_type",
            meta={"param": "enabled_event_types", "value": pattern},
        )
        for pattern in event_types
        if not any(matches(pattern, event_type) for event_type in EVENT_TYPES)
    ]
