"""What a developer sees of deliveries: each one verified, told in one readable line, and answered."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import urllib3
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from simulator.exchange import JsonObject
from simulator.receiver import Event, event_of

SIGNED_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
TOLERANCE_SECONDS = 5 * 60
FORWARD_SECONDS = 15
TEST_EVENT_TYPE = "webhookEndpoint.test"

Say = Callable[[str, str | None], None]


class NotBelieved(Exception):
    """Why a delivery must not be believed, in plain words."""


def verified(secret: str, body: bytes, headers: dict[str, str], now: float) -> Event:
    """Return the event of a delivery, verified by a library that is not ours.

    :param now: In Unix seconds.
    :raises NotBelieved: When it must not be believed.
    """
    missing = [name for name in SIGNED_HEADERS if not headers.get(name)]
    if missing:
        raise NotBelieved(f"not signed: the header {' and '.join(missing)} is missing")
    _check_time(headers["webhook-timestamp"], now)
    try:
        return event_of(headers["webhook-id"], Webhook(secret).verify(body, headers))
    except WebhookVerificationError as error:
        words = "another secret signed it, or the body was changed on the way"
        raise NotBelieved(f"bad signature: {words}") from error
    except ValueError as error:  # the library reads headers by splitting; event_of says what is missing
        raise NotBelieved(f"not understood: {error}") from error


def _check_time(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise NotBelieved(f"no time: webhook-timestamp says {timestamp[:40]!r} and not a number of seconds")
    age = round(now - int(timestamp[:12]))
    if abs(age) > TOLERANCE_SECONDS:
        when = f"signed {age} s ago" if age > 0 else f"signed {-age} s from now"
        words = f"{when}; more than {TOLERANCE_SECONDS} s may be a replay. Is the clock right?"
        raise NotBelieved(f"{'late' if age > 0 else 'early'}: {words}")


# -- Order and copies -----------------------------------------------------------------


@dataclass
class Stream:
    """The numbers of one organization that have come: the highest one, and those below it that have not."""

    highest: int | None = None
    missing: set[int] = field(default_factory=set)

    def note(self, sequence: int) -> str | None:
        """Take the number of a new event, and return what is remarkable about it."""
        if self.highest is None or sequence == self.highest + 1:
            self.highest = sequence
            return None
        if sequence > self.highest:
            gap = range(self.highest + 1, sequence)
            self.missing.update(gap)
            self.highest = sequence
            return f"gap: {_numbers(gap)} not seen (still to come, or not subscribed to)"
        late = f"after #{self.highest}, so it may be stale"
        if sequence in self.missing:
            self.missing.remove(sequence)
            return f"{late}; it fills a gap"
        return late


def _numbers(gap: range) -> str:
    return f"#{gap[0]}" if len(gap) == 1 else f"#{gap[0]} to #{gap[-1]}"


@dataclass(frozen=True)
class Forwarding:
    """Passes deliveries on, as they came, to a handler of the developer's."""

    url: str
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def send(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        """Return the status that the handler answered, or 502 and why there is none."""
        kept = {name: headers[name] for name in (*SIGNED_HEADERS, "content-type", "user-agent") if name in headers}
        try:
            answer = self.pool.request(
                "POST", self.url, body=body, headers=kept, redirect=False, timeout=FORWARD_SECONDS
            )
        except urllib3.exceptions.HTTPError as error:
            return 502, f"not forwarded: {error}"
        return answer.status, None


@dataclass
class Listener:
    """Takes deliveries, tells about each, and decides the answer.

    ``say`` gets a line and its colour. ``answer`` is the status for what can be
    believed; with ``forwarding`` it is what the handler there says.
    """

    secret: str
    say: Say
    answer: int = 204
    forwarding: Forwarding | None = None
    show_body: bool = False
    clock: Callable[[], float] = time.time
    events: int = 0
    copies: int = 0
    refused: int = 0
    _bodies: dict[str, JsonObject] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)
    _streams: dict[str | None, Stream] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Tell about a delivery and return the status of the answer."""
        with self._lock:
            now = self.clock()
            try:
                event = verified(self.secret, body, headers, now)
                remark = self._remark(event)
            except NotBelieved as reason:
                self.refused += 1
                shown = _printable(headers.get("webhook-id", "without an id")[:80])
                self.say(f"{_time(now)}  REFUSED  {shown}  {_printable(str(reason))}  → 400", "red")
                return 400
            status, trouble = (self.answer, None) if self.forwarding is None else self.forwarding.send(body, headers)
            self._tell(event, now, status, [note for note in (remark, trouble) if note])
            return status

    def _remark(self, event: Event) -> str | None:
        """Return what is remarkable about a verified event.

        :raises NotBelieved: When its id came before with another body.
        """
        known = self._bodies.setdefault(event.id, event.body)
        self._times[event.id] = self._times.get(event.id, 0) + 1
        if known != event.body:
            raise NotBelieved("contradiction: this id came before with another body")
        if self._times[event.id] > 1:
            self.copies += 1
            return f"copy {self._times[event.id]} of the same event: to be dropped"
        self.events += 1
        if event.type == TEST_EVENT_TYPE:  # numbered for itself
            return None
        return self._streams.setdefault(event.body.get("organization_id"), Stream()).note(event.sequence)

    def _tell(self, event: Event, now: float, status: int, notes: list[str]) -> None:
        delay = max(0.0, now - event.body["occurred_at"] / 1000)
        line = (
            f"{_time(now)}  good  #{event.sequence:<5} {event.type:<26} {subject_of(event.body)}  {event.id}"
            f"  {delay:.1f} s after it happened  → {status}"
        )
        good = 200 <= status < 300
        self.say("  ".join([line, *notes]), None if good and not notes else "yellow")
        if self.show_body:
            for part in json.dumps(event.body, ensure_ascii=False, indent=2).split("\n"):
                self.say(_printable(part), None)


def subject_of(envelope: JsonObject) -> str:
    """Return whom or what an event is about, for a person to read."""
    data = envelope["data"]
    subjects = ("user", "group", "scim_token", "webhook_endpoint")
    about: JsonObject = next((data[name] for name in subjects if isinstance(data.get(name), dict)), {})
    names = ("email_address", "username", "display_name", "name", "url", "id")
    return _printable(next((str(about[name]) for name in names if about.get(name)), "-"))


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _time(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
