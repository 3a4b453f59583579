"""Delivery: one drain brings what is due to one endpoint, in order, over one connection.

A drain works in rounds. A round loads some deliveries, sends them with no
transaction open, and writes all outcomes in the transaction that loads the next
ones. A process that dies in between leaves the sent ones pending, and they are
sent again under the same ids and with the same bodies: at least once, never lost.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.orm import Session

from batches import Store
from clock import now_ms
from ids import new_id
from models import WebhookEndpoint
from webhooks.destinations import Resolver
from webhooks.endpoints import DISABLED_AS_FAILING, DISABLED_AS_GONE, disable_endpoint
from webhooks.events import mark_due
from webhooks.outbound import Limits, OutboundError, OutboundPolicy, Sender
from webhooks.outbox import (
    DueDelivery,
    Outcome,
    Round,
    claim,
    find_round,
    list_due_endpoints,
    may_claim,
    note_health,
    put_off,
    record_outcomes,
    release,
    renew,
)
from webhooks.schedule import HOUR, JITTER, MINUTE, retry_after_ms
from webhooks.secrets import CannotOpen, SecretBox
from webhooks.signing import signature_headers

log = logging.getLogger(__name__)


class Hints(Protocol):
    """Where commits look whether an endpoint is being attended to, so that they need not call for it."""

    def drop(self, endpoint_id: str) -> None:
        """Have commits call again. Comes before every look at what is due, so that none is missed."""

    def hold(self, endpoint_id: str) -> None:
        """Tell commits that there will be another look."""


class NoHints:
    """Every commit calls."""

    def drop(self, endpoint_id: str) -> None:
        """Change nothing."""

    def hold(self, endpoint_id: str) -> None:
        """Change nothing."""


USER_AGENT = "authn-scim-webhooks"
CANNOT_SIGN = (
    "Nothing was sent: the signing secret was encrypted with another SECRET_KEY. "
    "Give that key in SECRET_KEY_FALLBACKS, or rotate the endpoint's secret."
)
FAILING_MS = 5 * 24 * HOUR
# Outcomes are written at least this often, so that little is sent twice when the process dies.
ROUND_SECONDS = 1.0
FIRST_ROUND = 16
LONGEST_ROUND = 256
# After this long a drain hands over, so that an endpoint with much to receive does not keep a place for itself.
DRAIN_SECONDS = 30.0
# So many attempts in a row without an answer mean that the receiver is down, and all else for it waits a minute.
SILENT_ATTEMPTS = 2


@dataclass(frozen=True)
class Carrier:
    """What a delivery needs beside the database: the rules of the network, the key to the secrets, time and chance.

    ``stopping`` tells a drain to leave after the attempt it is at; ``count`` is told what came of attempts.
    """

    policy: OutboundPolicy
    secret_box: SecretBox
    now: Callable[[], int] = now_ms
    random: Callable[[], float] = random.random
    stopping: Callable[[], bool] = lambda: False
    hints: Hints = field(default_factory=NoHints)
    count: Callable[[Sequence[Outcome]], None] = lambda _: None
    resolve: Resolver | None = None
    limits: Limits = field(default_factory=Limits)


def deliver_due(store: Store, endpoint_id: str, carrier: Carrier) -> int:
    """Send what is due for one endpoint, and return how many attempts that took.

    None when another drain is at it, the endpoint is disabled or nothing is due.
    """
    claimant = new_id("drain")
    carrier.hints.drop(endpoint_id)
    with store.reading() as session:  # spares the writers when there is nothing to do
        if not may_claim(session, endpoint_id, carrier.now()):
            return 0
    with store.unit_of_work() as session:
        now = carrier.now()
        claimed = claim(session, endpoint_id, claimant, now)
        first = find_round(session, endpoint_id, now, FIRST_ROUND) if claimed else None
    if first is None:
        return 0
    return _Drain(store, endpoint_id, claimant, carrier).run(first)


def due_endpoints(session: Session, now: int | None = None) -> Sequence[str]:
    """Return the ids of the endpoints that a drain should be started for."""
    return list_due_endpoints(session, now_ms() if now is None else now)


class _Drain:
    """The rounds of one claim. ``silence`` counts the attempts without an answer since the last answer."""

    def __init__(self, store: Store, endpoint_id: str, claimant: str, carrier: Carrier) -> None:
        self.store = store
        self.endpoint_id = endpoint_id
        self.claimant = claimant
        self.carrier = carrier
        self.ends = time.monotonic() + DRAIN_SECONDS
        self.silence = 0
        self.rest_until: int | None = None

    def run(self, first: Round) -> int:
        """Send rounds until nothing is due, and return the number of attempts."""
        attempts = 0
        upcoming: Round | None = first
        while upcoming is not None:
            url = upcoming.url  # it may be changed between two rounds
            with Sender(self.carrier.policy, url, resolve=self.carrier.resolve, limits=self.carrier.limits) as sender:
                while upcoming is not None and upcoming.url == url:
                    self.carrier.hints.hold(self.endpoint_id)
                    outcomes = self.send(sender, upcoming)
                    attempts += len(outcomes)
                    self.carrier.hints.drop(self.endpoint_id)
                    with self.store.unit_of_work() as session:
                        upcoming = self.settle(session, outcomes)
                    self.carrier.count(outcomes)
        return attempts

    # -- Sending, outside of any transaction

    def send(self, sender: Sender, upcoming: Round) -> list[Outcome]:
        """Attempt the deliveries of a round, as far as it gets."""
        outcomes: list[Outcome] = []
        round_ends = time.monotonic() + ROUND_SECONDS
        secrets = self._open_secrets(upcoming)
        for delivery in upcoming.deliveries:
            outcomes.append(self.attempt(sender, delivery, secrets))
            self._note_silence(outcomes[-1])
            gone = outcomes[-1].status == 410
            if gone or self.rest_until is not None or time.monotonic() > round_ends or self.carrier.stopping():
                break
        return outcomes

    def _open_secrets(self, upcoming: Round) -> list[str]:
        """Return the plain secrets, or none when the present one was sealed with a key that is not known."""
        opened = []
        for sealed in upcoming.sealed_secrets:
            try:
                opened.append(self.carrier.secret_box.open(sealed))
            except CannotOpen:
                log.error("%s: %s", self.endpoint_id, CANNOT_SIGN)
                if not opened:
                    break  # without the present secret nothing is sent; without a former one, the others will do
        return opened

    def attempt(self, sender: Sender, delivery: DueDelivery, secrets: Sequence[str]) -> Outcome:
        """Make one attempt. Every failure is an outcome too."""
        began, started = self.carrier.now(), time.monotonic()
        if not secrets:
            return Outcome(delivery, began, 0, error=CANNOT_SIGN)
        signed = signature_headers(delivery.event_id, began // 1000, delivery.body, secrets)
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **signed}
        try:
            answer = sender.post(delivery.body, headers)
        except OutboundError as error:
            return Outcome(delivery, began, _since(started), error=str(error))
        except Exception:
            # Without an outcome the delivery would stay due, and be tried again and again without its schedule.
            log.exception("delivery %s could not be attempted", delivery.id)
            return Outcome(delivery, began, _since(started), error="Something went wrong on the sending side.")
        return Outcome(
            delivery,
            began,
            _since(started),
            status=answer.status,
            error=answer.error,
            response_body=_storable(answer.body),
            retry_after=retry_after_ms(answer.retry_after, self.carrier.now()),
        )

    def _note_silence(self, outcome: Outcome) -> None:
        """Decide whether the receiver should be left in peace: it asked for it, or it is down."""
        now = self.carrier.now()
        minute = round(MINUTE * (1 + JITTER * self.carrier.random()))
        self.silence = self.silence + 1 if outcome.status in (None, 502, 503, 504) else 0
        if outcome.status == 429 or (outcome.status == 503 and outcome.retry_after):
            self.rest_until = now + max(minute, outcome.retry_after or 0)
        elif self.silence >= SILENT_ATTEMPTS:
            self.rest_until = now + minute

    # -- Recording, in one transaction

    def settle(self, session: Session, outcomes: Sequence[Outcome]) -> Round | None:
        """Write the outcomes and return the next round. When there is none, the claim is given back."""
        held = renew(session, self.endpoint_id, self.claimant, self.carrier.now())
        # Read now that the lock is held: what was committed while waiting for it must not lie in the future.
        now = self.carrier.now()
        record_outcomes(session, outcomes, now, self.carrier.random)
        _disable_if_dead(session, self.endpoint_id, outcomes)
        if not held:
            return None
        if self.rest_until is not None:
            put_off(session, self.endpoint_id, now, self.rest_until)
        longer = min(LONGEST_ROUND, max(FIRST_ROUND, 2 * len(outcomes)))
        upcoming = find_round(session, self.endpoint_id, now, longer)
        leaving = self.carrier.stopping() or time.monotonic() > self.ends
        if upcoming is not None and not leaving and self.rest_until is None:
            return upcoming
        release(session, self.endpoint_id, self.claimant)
        if upcoming is not None:
            mark_due(session, self.endpoint_id)
        return None


def _disable_if_dead(session: Session, endpoint_id: str, outcomes: Sequence[Outcome]) -> None:
    """Disable an endpoint that is gone (410), or has failed for five days."""
    asked = [outcome for outcome in outcomes if outcome.error != CANNOT_SIGN]  # the fault is on this side
    failing_since = note_health(session, endpoint_id, asked)
    reason = None
    if any(outcome.status == 410 for outcome in asked):
        reason = DISABLED_AS_GONE
    elif failing_since is not None and asked and asked[-1].attempted_at - failing_since >= FAILING_MS:
        reason = DISABLED_AS_FAILING
    endpoint = session.get(WebhookEndpoint, endpoint_id, populate_existing=True) if reason else None
    if reason and endpoint:
        disable_endpoint(session, endpoint, reason)


def _since(started: float) -> int:
    """Return the milliseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - started) * 1000)


def _storable(body: bytes) -> str:
    """Return the beginning of an answer as text that every database stores: PostgreSQL refuses NUL."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")
