"""Which events the product must get for what the IdP did, and how that compares with what came."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.receiver import Event

DIRECTORY_EVENTS = ("scimUser.", "scimGroup.")


@dataclass(frozen=True)
class Comparison:
    """What is wrong between the expected and the received events; all empty when nothing is."""

    missing: list[str]
    surplus: list[str]
    disordered: list[str]
    gaps: list[int]

    @property
    def complaint(self) -> str | None:
        """All of it in words, or None."""
        parts = [
            ("never came", self.missing),
            ("came, though nothing happened that they tell of", self.surplus),
            ("came in another order than things happened", self.disordered),
            ("are sequence numbers that nothing came for", [str(gap) for gap in self.gaps]),
        ]
        return "; ".join(f"{', '.join(items[:10])} {words}" for words, items in parts if items) or None


class ExpectedEvents:
    """The events that must come, by the person or group they are about, in the order of what happened."""

    def __init__(self) -> None:
        self._types: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, event_type: str, subject: str) -> None:
        """Expect one more event about a subject."""
        self._types[subject].append(event_type)

    def __len__(self) -> int:
        return sum(len(types) for types in self._types.values())

    def arrived(self, events: Iterable[Event]) -> int:
        """Return how many events about the expected subjects came."""
        return sum(event.subject in self._types and event.type.startswith(DIRECTORY_EVENTS) for event in events)

    def all_came(self, events: list[Event]) -> bool:
        """Tell whether there is nothing left to wait for: neither an expected event nor one that a gap stands for."""
        comparison = self.compare(events)
        return not comparison.missing and not comparison.gaps

    def compare(self, events: list[Event]) -> Comparison:
        """Compare with what came, each subject's events by their sequence numbers."""
        came: defaultdict[str, list[str]] = defaultdict(list)
        for event in sorted(events, key=lambda event: event.sequence):
            if event.subject is not None and event.type.startswith(DIRECTORY_EVENTS):
                came[event.subject].append(event.type)
        missing, surplus, disordered = [], [], []
        for subject, wanted in self._types.items():
            lacking, excess = _difference(wanted, came[subject])
            missing += [f"{event_type} of {subject}" for event_type in lacking]
            surplus += [f"{event_type} of {subject}" for event_type in excess]
            if not lacking and not excess and wanted != came[subject]:
                disordered.append(f"{', '.join(came[subject])} of {subject}")
        return Comparison(missing, surplus, disordered, _gaps(event.sequence for event in events))


def _difference(wanted: list[str], came: list[str]) -> tuple[list[str], list[str]]:
    """Return what is wanted and did not come, and what came and is not wanted, each as often as it is so."""
    lacking, excess = list(wanted), []
    for event_type in came:
        if event_type in lacking:
            lacking.remove(event_type)
        else:
            excess.append(event_type)
    return lacking, excess


def _gaps(sequences: Iterable[int]) -> list[int]:
    """Return the numbers between the first and the last one that are not there."""
    present = set(sequences)
    return sorted(set(range(min(present), max(present))) - present) if present else []
