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

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, exists, insert, literal_column, or_, select, update
from sqlalchemy.orm import Session

from ids import first_id, new_id
from models import Event, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from webhooks.events import TEST_EVENT_TYPE
from webhooks.schedule import MINUTE, next_attempt_at

# Longer than one round takes: a second of sending, and one attempt that uses up its 15 seconds.
CLAIM_MS = 20_000
# What lies further ahead than clocks differ was written by one that was wrong, and set back since.
TOO_FAR_AHEAD_MS = 5 * MINUTE
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


# Every drain passes here, however little is due, so the statements are built once.
_THIS = WebhookEndpoint.id == bindparam("endpoint")
_MINE = and_(_THIS, WebhookEndpoint.claimed_by == bindparam("claimant"))
_IS_DUE = and_(WebhookDelivery.state == PENDING, WebhookDelivery.next_attempt_at <= bindparam("at"))
_MAY_BE_CLAIMED = and_(
    WebhookEndpoint.enabled,
    or_(
        WebhookEndpoint.claimed_until.is_(None),
        WebhookEndpoint.claimed_until <= bindparam("at"),
        WebhookEndpoint.claimed_until > bindparam("at", type_=BigInteger) + TOO_FAR_AHEAD_MS,
    ),
    exists().where(WebhookDelivery.endpoint_id == WebhookEndpoint.id, _IS_DUE),
)
DUE_ENDPOINTS = select(WebhookEndpoint.id).where(_MAY_BE_CLAIMED).order_by(WebhookEndpoint.id)
FREE = select(WebhookEndpoint.id).where(_THIS, _MAY_BE_CLAIMED).with_for_update(key_share=True)
CLAIM = (
    update(WebhookEndpoint)
    .where(_THIS, _MAY_BE_CLAIMED)
    .values(claimed_by=bindparam("claimant"), claimed_until=bindparam("until"))
    .returning(WebhookEndpoint.id)
)
RENEW = update(WebhookEndpoint).where(_MINE).values(claimed_until=bindparam("until")).returning(WebhookEndpoint.id)
RELEASE = update(WebhookEndpoint).where(_MINE).values(claimed_by=None, claimed_until=None)
RECEIVER = select(
    WebhookEndpoint.url,
    WebhookEndpoint.encrypted_secret,
    WebhookEndpoint.former_secrets,
).where(_THIS, WebhookEndpoint.enabled)
# What has been due the longest.
DUE_DELIVERIES = (
    select(
        WebhookDelivery.id,
        WebhookDelivery.event_id,
        WebhookDelivery.event_type,
        WebhookDelivery.attempt_count,
        Event.sequence,
        Event.body,
    )
    .join(Event, Event.id == WebhookDelivery.event_id)
    .where(WebhookDelivery.endpoint_id == bindparam("endpoint"), _IS_DUE)
    .order_by(WebhookDelivery.next_attempt_at, Event.sequence)
    .limit(bindparam("at_most"))
)
PRESENT = select(WebhookDelivery.id).where(WebhookDelivery.id.in_(bindparam("ids", expanding=True)))
SUCCEEDED = (
    update(WebhookDelivery)
    .where(WebhookDelivery.id.in_(bindparam("ids", expanding=True)))
    .values(
        state="succeeded",
        attempt_count=WebhookDelivery.attempt_count + 1,
        next_attempt_at=None,
        finished_at=bindparam("at"),
    )
)
FAILED = (
    update(WebhookDelivery)
    .where(WebhookDelivery.id == bindparam("delivery"))
    .values(
        state=bindparam("now_state"),
        attempt_count=bindparam("attempts"),
        next_attempt_at=bindparam("again"),
        finished_at=bindparam("ended"),
    )
)
PUT_OFF = (
    update(WebhookDelivery)
    .where(WebhookDelivery.endpoint_id == bindparam("endpoint"), _IS_DUE)
    .values(next_attempt_at=bindparam("until"))
)
FAILING_SINCE = select(WebhookEndpoint.failing_since).where(_THIS).with_for_update(key_share=True)
SET_FAILING_SINCE = update(WebhookEndpoint).where(_THIS).values(failing_since=bindparam("since"))


def recall_untimely(session: Session, now: int) -> int:
    """Make due what was recorded by a clock that ran ahead and was not tried since, and return how many that were.

    What such a clock has put off since waits as long as it was wrong by.
    """
    recall = update(WebhookDelivery).where(*_untimely(now)).values(next_attempt_at=now).returning(WebhookDelivery.id)
    return len(session.scalars(recall, execution_options=UNSYNCHRONIZED).all())


def has_untimely(session: Session, now: int) -> bool:
    """Tell whether ``recall_untimely`` has anything to do."""
    return session.scalar(select(WebhookDelivery.id).where(*_untimely(now)).limit(1)) is not None


def _untimely(now: int) -> tuple[ColumnElement[bool], ...]:
    return (
        WebhookDelivery.id > first_id("whd", now + TOO_FAR_AHEAD_MS),
        WebhookDelivery.state == PENDING,
        WebhookDelivery.attempt_count == 0,
        WebhookDelivery.next_attempt_at > now,
        WebhookDelivery.next_attempt_at <= WebhookDelivery.created_at,
    )


def list_due_endpoints(session: Session, now: int) -> Sequence[str]:
    """Return the ids of all enabled endpoints that something is due for and nobody is sending to."""
    return session.connection().scalars(DUE_ENDPOINTS, {"at": now}).all()


# -- Claims -------------------------------------------------------------------


def may_claim(session: Session, endpoint_id: str, now: int) -> bool:
    """Tell whether ``claim`` would take an endpoint. Where rows can be locked, it waits for a drain just leaving."""
    return session.connection().scalar(FREE, {"endpoint": endpoint_id, "at": now}) is not None


def claim(session: Session, endpoint_id: str, claimant: str, now: int) -> bool:
    """Take an endpoint for one drain, if it is enabled, something is due and nobody else has it."""
    values = {"endpoint": endpoint_id, "claimant": claimant, "at": now, "until": now + CLAIM_MS}
    return session.connection().scalar(CLAIM, values) is not None


def renew(session: Session, endpoint_id: str, claimant: str, now: int) -> bool:
    """Prolong a claim and lock the endpoint's row. False when somebody else has it by now, or it was deleted."""
    values = {"endpoint": endpoint_id, "claimant": claimant, "until": now + CLAIM_MS}
    return session.connection().scalar(RENEW, values) is not None


def release(session: Session, endpoint_id: str, claimant: str) -> None:
    """End a claim."""
    session.connection().execute(RELEASE, {"endpoint": endpoint_id, "claimant": claimant})


# -- What is due ------------------------------------------------------------------


def find_round(session: Session, endpoint_id: str, now: int, limit: int) -> Round | None:
    """Return what is to be sent next, at most ``limit`` deliveries; None when there is nothing or it is disabled."""
    endpoint = session.connection().execute(RECEIVER, {"endpoint": endpoint_id}).one_or_none()
    if endpoint is None:
        return None
    deliveries = _due_deliveries(session, endpoint_id, now, limit)
    former = [secret["sealed"] for secret in endpoint.former_secrets if secret["expires_at"] > now]
    return Round(endpoint.url, (endpoint.encrypted_secret, *former), deliveries) if deliveries else None


def _due_deliveries(session: Session, endpoint_id: str, now: int, limit: int) -> tuple[DueDelivery, ...]:
    """Return the deliveries that have been due the longest, in the order of their events' sequence."""
    values = {"endpoint": endpoint_id, "at": now, "at_most": limit}
    rows = session.connection().execute(DUE_DELIVERIES, values)
    due = [DueDelivery(*row[:5], body=row.body.encode()) for row in rows]
    return tuple(sorted(due, key=lambda delivery: delivery.sequence))


# -- What came of it ------------------------------------------------------------------


def record_outcomes(session: Session, outcomes: Sequence[Outcome], now: int, random: Callable[[], float]) -> None:
    """Write the attempts and what they mean for their deliveries: succeeded, to be tried again, or failed for good.

    What was deleted meanwhile is passed over. It does not ask for the claim:
    what happened is written, even by a drain that has lost it.
    """
    connection = session.connection()
    present = set(connection.scalars(PRESENT, {"ids": [outcome.delivery.id for outcome in outcomes]}))
    known = [outcome for outcome in outcomes if outcome.delivery.id in present]
    if not known:
        return
    connection.execute(insert(WebhookAttempt), [_attempt_row(outcome) for outcome in known])
    succeeded = [outcome.delivery.id for outcome in known if outcome.succeeded]
    if succeeded:
        connection.execute(SUCCEEDED, {"ids": succeeded, "at": now})
    failures = [_failure_row(outcome, now, random) for outcome in known if not outcome.succeeded]
    if failures:
        connection.execute(FAILED, failures)


def _failure_row(outcome: Outcome, now: int, random: Callable[[], float]) -> dict[str, object]:
    delivery = outcome.delivery
    failed_attempts = delivery.attempt_count + 1
    again = next_attempt_at(failed_attempts, now, random, outcome.retry_after)
    if delivery.event_type == TEST_EVENT_TYPE:
        again = None  # somebody is looking at it now, and will press the button again
    return {
        "delivery": delivery.id,
        "now_state": "failed" if again is None else "pending",
        "attempts": failed_attempts,
        "again": again,
        "ended": now if again is None else None,
    }


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
    session.connection().execute(PUT_OFF, {"endpoint": endpoint_id, "at": now, "until": until})


def note_health(session: Session, endpoint_id: str, outcomes: Sequence[Outcome]) -> int | None:
    """Keep since when an endpoint has only failed, in Unix milliseconds, and return that; None when it has not."""
    connection = session.connection()
    row = connection.execute(FAILING_SINCE, {"endpoint": endpoint_id}).one_or_none()
    if row is None:
        return None
    since: int | None = row.failing_since
    for outcome in outcomes:
        if outcome.succeeded:
            since = None
        elif since is None:
            since = outcome.attempted_at
    if since != row.failing_since:
        connection.execute(SET_FAILING_SINCE, {"endpoint": endpoint_id, "since": since})
    return since
