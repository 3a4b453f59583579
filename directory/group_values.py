"""The groups of a person as an attribute mapping sees them under ``groups``."""

from collections.abc import Sequence
from typing import Any

from folding import fold

GroupValue = dict[str, Any]

# As many as a path looks at. Only pushed groups may be more.
MAX_SENT = 1000
# A longer name is compared as it is written: folding is slow in some alphabets.
MAX_FOLDED_CHARACTERS = 256


def with_groups(resource: dict[str, Any], pushed: Sequence[GroupValue]) -> dict[str, Any]:
    """Return a resource whose ``groups`` are those of its body, then the pushed groups, each once.

    An element of the body that stands for a pushed group, by id, external id or
    name, takes the form of the pushed one, so that its ``value`` is a name.
    """
    own = next((value for name, value in resource.items() if name.lower() == "groups"), None)
    others = {name: value for name, value in resource.items() if name.lower() != "groups"}
    return {**others, "groups": _merged(_as_list(own), pushed) if own else list(pushed)}


def _merged(own: list[Any], pushed: Sequence[GroupValue]) -> list[GroupValue]:
    by_name = _by_every_name(pushed)
    merged: list[GroupValue] = []
    seen: set[int] = set()
    for element in own:
        value = _group_value(element)
        name = value.get("value") if value else None
        group = by_name.get(_key(name), value) if isinstance(name, str) else value
        if group is not None and id(group) not in seen:
            seen.add(id(group))
            merged.append(group)
    merged.extend(group for group in pushed if id(group) not in seen)
    return merged


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value[:MAX_SENT] if isinstance(value, list) else [value]


def _group_value(element: Any) -> GroupValue | None:
    """Return one element of a body's ``groups`` as an object; a bare text is a name."""
    if isinstance(element, str):
        return {"value": element, "display": element}
    if not isinstance(element, dict):
        return None
    if element.get("value") in (None, ""):
        return {**element, "value": element.get("display")}
    return element


def _by_every_name(pushed: Sequence[GroupValue]) -> dict[str, GroupValue]:
    """Return the pushed groups by all that a body may call them; ids come before names, the first of a name wins."""
    found: dict[str, GroupValue] = {}
    for key in ("id", "externalId", "value"):
        for group in pushed:
            if group.get(key):
                found.setdefault(_key(str(group[key])), group)
    return found


def _key(name: str) -> str:
    return fold(name) if len(name) <= MAX_FOLDED_CHARACTERS else name
