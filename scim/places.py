"""Who stood at which place of a list, as this process has seen: where the next page begins without walking to it."""

from bisect import bisect_right, insort
from collections import OrderedDict
from threading import Lock

DIRECTORIES = 64
# A million people, a hundred on a page.
PLACES_OF_LIST = 10_000


class Places:
    """Places of one list, all of the time since it last shifted: up to which id so many of its members stand.

    They are a short cut and no truth: a process that knows none reads the list from its start.
    """

    def __init__(self, shifts: int) -> None:
        self.shifts = shifts
        self._lock = Lock()
        self._known: list[tuple[int, str]] = [(0, "")]

    def nearest(self, place: int) -> tuple[int, str]:
        """Return the last known place that is not beyond this one, and the id that stands before it."""
        with self._lock:
            return self._known[bisect_right(self._known, (place, "~")) - 1]

    def note(self, place: int, last_id: str) -> None:
        """Remember that so many members stand up to an id, itself included."""
        with self._lock:
            found = bisect_right(self._known, (place, "~")) - 1
            if self._known[found][0] != place and len(self._known) < PLACES_OF_LIST:
                insort(self._known, (place, last_id))


class KnownPlaces:
    """The places of the lists that were read last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lists: OrderedDict[tuple[str, str], Places] = OrderedDict()

    def of(self, organization_id: str, resource_type: str, shifts: int) -> Places:
        """Return the places of a list, those of the time before it shifted forgotten."""
        key = organization_id, resource_type
        with self._lock:
            places = self._lists.get(key)
            if places is None or places.shifts != shifts:
                places = self._lists[key] = Places(shifts)
            self._lists.move_to_end(key)
            if len(self._lists) > DIRECTORIES:
                self._lists.popitem(last=False)
            return places


PLACES = KnownPlaces()
