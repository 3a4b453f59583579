"""One reading of a person's resource: its attributes by name, and how much may still be looked at."""

from collections.abc import Sequence
from typing import Any

# Bounds of one reading, that is for one person. A unit of work is looking at one element, comparing
# one attribute, or applying one filter: about a third of a microsecond.
MAX_WORK = 10_000

# An object of more attributes is indexed when it is first asked, so that asking it often stays cheap.
_FEW = 6


class Exhausted(Exception):
    """The work of a reading is used up; its text continues a sentence."""

    def __init__(self) -> None:
        super().__init__("the attribute mapping and what the IdP sent are together too much to work through")


class Reading:
    """Reads attributes by their lower-case names from plain data, and counts the work done."""

    __slots__ = ("_indexed", "resource", "work_left")

    def __init__(self, resource: dict[str, Any], work: int = MAX_WORK) -> None:
        self.resource = resource
        self.work_left = work
        self._indexed: dict[int, dict[str, Any]] = {}

    def spend(self, units: int) -> None:
        """Count some work.

        :raises Exhausted: When more was done than one person is worth.
        """
        self.work_left -= units
        if self.work_left < 0:
            raise Exhausted

    def find(self, names: Sequence[str]) -> list[Any] | None:
        """Return what stands at a path of nothing but lower-case names, without nulls and empty texts.

        None where a list is on the way, whose elements are to be gone through.
        """
        self.spend(len(names))
        value: Any = self.resource
        for name in names:
            if value.__class__ is dict:
                index = self._indexed.get(id(value))
                value = (self._index(value) if index is None else index).get(name)
            elif isinstance(value, list):
                return None
            else:
                value = self.attribute(value, name)
            if value is None:
                return []
        return [] if value == "" else [value]

    def attribute(self, element: Any, name: str) -> Any:
        """Return an attribute of an element by its lower-case name, or None.

        A bare text or number stands for an element with nothing but a ``value``:
        IdPs send ``"manager": "42"`` for ``"manager": {"value": "42"}``.
        """
        if isinstance(element, dict):
            if len(element) > _FEW:
                index = self._indexed.get(id(element))
                return (self._index(element) if index is None else index).get(name)
            for key, value in element.items():
                if key.lower() == name:
                    return value
            return None
        return element if name == "value" and isinstance(element, str | int | float) else None

    def _index(self, element: dict[str, Any]) -> dict[str, Any]:
        """Return an object with lower-case names; of two names that differ only in case the first counts."""
        self.spend(len(element) >> 4)
        index = self._indexed[id(element)] = dict(
            zip(map(str.lower, reversed(element)), reversed(element.values()), strict=True)
        )
        return index
