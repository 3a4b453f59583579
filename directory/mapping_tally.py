"""What a mapping would do to a directory, sorted by what it means for people: who loses access first."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from directory.mapping import Mapping
from directory.mapping_preview import LOOKED_AT, Preview, count_people, preview_directory

LEAVES, JOINS, ROLE, ADDRESS, PROFILE, WARNED = "leaves", "joins", "role", "address", "profile", "warned"
KINDS = (LEAVES, JOINS, ROLE, ADDRESS, PROFILE, WARNED)
# How many people of each kind are named; all are counted.
NAMED = 25
# Roles from and to which people go; further ones are counted as one.
MAX_GROUPS = 40


@dataclass(frozen=True, order=True)
class Outcome:
    """What becomes of some people: a kind, and for ``role`` the keys of the roles before and after."""

    rank: int
    before: str = ""
    after: str = ""

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return KINDS[self.rank]

    @property
    def key(self) -> str:
        """The outcome as a text, which ``Outcome.read`` reads."""
        return "|".join((self.kind, self.before, self.after))

    @classmethod
    def read(cls, key: str) -> "Outcome":
        """Return the outcome of a text.

        :raises ValueError: When it is none.
        """
        kind, before, after = key.split("|")
        return cls(KINDS.index(kind), before, after)


@dataclass
class Tally:
    """How many people were looked at, and what would become of them. ``named`` are some of the last page only."""

    examined: int = 0
    changed: int = 0
    warned: int = 0
    counts: dict[Outcome, int] = field(default_factory=dict)
    named: dict[Outcome, list[Preview]] = field(default_factory=dict)

    def add(self, preview: Preview) -> None:
        """Count one person under the most severe thing that would happen."""
        outcome = _outcome(preview)
        if outcome not in self.counts and len(self.counts) >= MAX_GROUPS:
            outcome = Outcome(KINDS.index(ROLE))
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        named = self.named.setdefault(outcome, [])
        if len(named) < NAMED:
            named.append(preview)

    @property
    def outcomes(self) -> list[Outcome]:
        """What would happen to anybody, the most severe first."""
        return sorted(self.counts)

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON, for the page after this one."""
        counts = {outcome.key: number for outcome, number in self.counts.items()}
        return {"examined": self.examined, "changed": self.changed, "warned": self.warned, "counts": counts}

    @classmethod
    def from_json(cls, value: Any) -> "Tally":
        """Return the counts that ``as_json`` gave.

        :raises ValueError: When it gave no such thing.
        """
        try:
            numbers = [value[name] for name in ("examined", "changed", "warned")]
            counts = {Outcome.read(key): number for key, number in value["counts"].items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("no counts") from error
        if len(counts) > MAX_GROUPS + 1 or not all(_is_count(number) for number in (*numbers, *counts.values())):
            raise ValueError("no counts")
        examined, changed, warned = numbers
        return cls(examined, changed, warned, counts)


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 10**9


def _outcome(preview: Preview) -> Outcome:
    changes = preview.changes
    if preview.lets_go:
        return Outcome(KINDS.index(LEAVES))
    if changes.get("active", {}).get("to") is True:
        return Outcome(KINDS.index(JOINS))
    if "role" in changes:
        role = changes["role"]
        return Outcome(KINDS.index(ROLE), role["from"] or "", role["to"] or "")
    if "email_address" in changes:
        return Outcome(KINDS.index(ADDRESS))
    return Outcome(KINDS.index(PROFILE if changes else WARNED))


@dataclass(frozen=True)
class TalliedPage:
    """The counts up to a page. ``last`` is the person with whom it ended, None at the end of the directory."""

    tally: Tally
    total: int
    last: str | None


def tally_directory(
    session: Session, organization_id: str, mapping: Mapping, *, after: str | None = None, before: Tally | None = None
) -> TalliedPage:
    """Return what a mapping would do to the next people by their ids, added to the counts of the pages before.

    A page ends after 2,000 people, or after two seconds.
    """
    page = preview_directory(session, organization_id, mapping, after=after, limit=LOOKED_AT)
    tally = before or Tally()
    tally.examined += page.examined
    tally.changed += page.changed
    tally.warned += page.warned
    for preview in page.previews:
        tally.add(preview)
    return TalliedPage(tally, max(count_people(session, organization_id), tally.examined), page.last)
