"""The outbox in the database: what is due, who may send it, and what came of it.

One drain at a time sends to an endpoint. It claims the endpoint's row for a few
seconds and renews the claim with each result it writes; a claim left behind by a
process that died runs out by itself. The database keeps the claim, not Redis, so
that it is granted and ended in the same transaction as the work it guards.

All that a drain learns is written before it looks for more, in one transaction:
it releases its claim only when, with the endpoint's row locked, nothing is due.
So whoever was refused the claim can leave, and what they came for is sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Exists, and_, exists, insert, literal_column, or_, select, update
from sqlalchemy.orm import Session

from ids import new_id
from models import Event, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from webhooks.events import TEST_EVENT_TYPE
from webhooks.schedule import next_attempt_at

# Longer than one round takes: a second of sending, and one attempt that uses up its 15 seconds.
CLAIM_MS = 20_000
# As text in the statement, where the partial index over pending deliveries can be seen to fit.
PENDING: ColumnElement[str] = literal_column("'pending'")
UNSYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True)
class DueDelivery:
    """One delivery to attempt now; ``body`` is the event as it is sent, the same on each attempt."""

    id: str
    event_id: str
    event_type: str
    attempt_count: int
    sequence: int
    body: bytes


@dataclass(frozen=True)
class Round:
    """What a drain sends next: where to, the sealed secrets to sign with, and the deliveries in order."""

    url: str
    sealed_secrets: tuple[str, ...]
    deliveries: tuple[DueDelivery, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt. Times are Unix milliseconds; ``retry_after`` is a wait in milliseconds."""

    delivery: DueDelivery
    attempted_at: int
    milliseconds: int
    status: int | None = None
    error: str | None = None
    response_body: str | None = None
    retry_after: int | None = None

    @property
    def succeeded(self) -> bool:
        """Tell whether the receiver took the event: a whole answer with a 2xx status, in time."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


def is_due(now: int) -> ColumnElement[bool]:
    """Return the condition that a delivery is to be attempted now."""
    return and_(WebhookDelivery.state == PENDING, WebhookDelivery.next_attempt_at <= now)


def _has_due(now: int) -> Exists:
    return exists().where(WebhookDelivery.endpoint_id == WebhookEndpoint.id, is_due(now))


def _is_unclaimed(now: int) -> ColumnElement[bool]:
    return or_(WebhookEndpoint.claimed_until.is_(None), WebhookEndpoint.claimed_until <= now)


def list_due_endpoints(session: Session, now: int) -> Sequence[str]:
    """Return the ids of all enabled endpoints that something is due for and nobody is sending to."""
    due = select(WebhookEndpoint.id).where(WebhookEndpoint.enabled, _is_unclaimed(now), _has_due(now))
    return session.scalars(due.order_by(WebhookEndpoint.id)).all()


# -- Claims -------------------------------------------------------------------


def may_claim(session: Session, endpoint_id: str, now: int) -> bool:
    """Tell whether ``claim`` would take an endpoint. Where rows can be locked, it waits for a drain just leaving."""
    free = select(WebhookEndpoint.id).where(
        WebhookEndpoint.id == endpoint_id, WebhookEndpoint.enabled, _is_unclaimed(now), _has_due(now)
    )
    return session.scalar(free.with_for_update(key_share=True)) is not None


def claim(session: Session, endpoint_id: str, claimant: str, now: int) -> bool:
    """Take an endpoint for one drain, if it is enabled, something is due and nobody else has it."""
    taken = (
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.enabled, _is_unclaimed(now), _has_due(now))
        .values(claimed_by=claimant, claimed_until=now + CLAIM_MS)
        .returning(WebhookEndpoint.id)
    )
    return session.scalar(taken, execution_options=UNSYNCHRONIZED) is not None


def renew(session: Session, endpoint_id: str, claimant: str, now: int) -> bool:
    """Prolong a claim and lock the endpoint's row. False when somebody else has it by now, or it was deleted."""
    renewed = (
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.claimed_by == claimant)
        .values(claimed_until=now + CLAIM_MS)
        .returning(WebhookEndpoint.id)
    )
    return session.scalar(renewed, execution_options=UNSYNCHRONIZED) is not None


def release(session: Session, endpoint_id: str, claimant: str) -> None:
    """End a claim."""
    released = (
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.claimed_by == claimant)
        .values(claimed_by=None, claimed_until=None)
    )
    session.execute(released, execution_options=UNSYNCHRONIZED)


# -- What is due ------------------------------------------------------------------


def find_round(session: Session, endpoint_id: str, now: int, limit: int) -> Round | None:
    """Return what is to be sent next, at most ``limit`` deliveries; None when there is nothing or it is disabled."""
    endpoint = session.execute(
        select(
            WebhookEndpoint.url,
            WebhookEndpoint.encrypted_secret,
            WebhookEndpoint.previous_encrypted_secret,
            WebhookEndpoint.previous_secret_expires_at,
        ).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.enabled)
    ).one_or_none()
    if endpoint is None:
        return None
    deliveries = _due_deliveries(session, endpoint_id, now, limit)
    secrets = [endpoint.encrypted_secret]
    if endpoint.previous_encrypted_secret and (endpoint.previous_secret_expires_at or 0) > now:
        secrets.append(endpoint.previous_encrypted_secret)
    return Round(endpoint.url, tuple(secrets), deliveries) if deliveries else None


def _due_deliveries(session: Session, endpoint_id: str, now: int, limit: int) -> tuple[DueDelivery, ...]:
    """Return the deliveries that have been due the longest, in the order of their events' sequence."""
    rows = session.execute(
        select(
            WebhookDelivery.id,
            WebhookDelivery.event_id,
            WebhookDelivery.event_type,
            WebhookDelivery.attempt_count,
            Event.sequence,
            Event.body,
        )
        .join(Event, Event.id == WebhookDelivery.event_id)
        .where(WebhookDelivery.endpoint_id == endpoint_id, is_due(now))
        .order_by(WebhookDelivery.next_attempt_at, Event.sequence)
        .limit(limit)
    )
    due = [DueDelivery(*row[:5], body=row.body.encode()) for row in rows]
    return tuple(sorted(due, key=lambda delivery: delivery.sequence))


# -- What came of it ------------------------------------------------------------------


def record_outcomes(session: Session, outcomes: Sequence[Outcome], now: int, random: Callable[[], float]) -> None:
    """Write the attempts and what they mean for their deliveries: succeeded, to be tried again, or failed for good.

    What was deleted meanwhile is passed over. It does not ask for the claim:
    what happened is written, even by a drain that has lost it.
    """
    ids = [outcome.delivery.id for outcome in outcomes]
    present = set(session.scalars(select(WebhookDelivery.id).where(WebhookDelivery.id.in_(ids))))
    known = [outcome for outcome in outcomes if outcome.delivery.id in present]
    if not known:
        return
    session.connection().execute(insert(WebhookAttempt), [_attempt_row(outcome) for outcome in known])
    succeeded = [outcome.delivery.id for outcome in known if outcome.succeeded]
    if succeeded:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id.in_(succeeded))
            .values(
                state="succeeded",
                attempt_count=WebhookDelivery.attempt_count + 1,
                next_attempt_at=None,
                finished_at=now,
            ),
            execution_options=UNSYNCHRONIZED,
        )
    for outcome in known:
        if not outcome.succeeded:
            _record_failure(session, outcome, now, random)


def _record_failure(session: Session, outcome: Outcome, now: int, random: Callable[[], float]) -> None:
    delivery = outcome.delivery
    failed_attempts = delivery.attempt_count + 1
    again = next_attempt_at(failed_attempts, now, random, outcome.retry_after)
    if delivery.event_type == TEST_EVENT_TYPE:
        again = None  # somebody is looking at it now, and will press the button again
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery.id)
        .values(
            state="failed" if again is None else "pending",
            attempt_count=failed_attempts,
            next_attempt_at=again,
            finished_at=now if again is None else None,
        ),
        execution_options=UNSYNCHRONIZED,
    )


def _attempt_row(outcome: Outcome) -> dict[str, object]:
    return {
        "id": new_id("wha"),
        "delivery_id": outcome.delivery.id,
        "attempted_at": outcome.attempted_at,
        "status": outcome.status,
        "milliseconds": outcome.milliseconds,
        "error": outcome.error,
        "response_body": outcome.response_body,
    }


def put_off(session: Session, endpoint_id: str, now: int, until: int) -> None:
    """Let all that is due for an endpoint wait. It is no attempt, and no step of anything's schedule."""
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id == endpoint_id, is_due(now))
        .values(next_attempt_at=until),
        execution_options=UNSYNCHRONIZED,
    )
