"""The plain case of an attribute mapping: texts and flags of a person that become fields of the profile as they stand.

The default mapping is such a one, and so is what IdPs send. An ``Evaluation`` asks of every value what it may be, and
counts how much it looks at; of these it would return the same at four times the cost. Whatever is not that plain is
left to it: an expression, a role, metadata, a number where a text belongs, a list on the way, what a field does not
accept, a great many of anything. ``tests/directory/test_plain_mapping.py`` compares both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from directory.destinations import as_text
from directory.evaluation import Plan
from directory.mapping_rules import Rule
from directory.paths import PRIMARY_EMAIL
from folding import fold

# Of so few of each the work of a reading is never used up.
MOST_RULES = 32
MOST_ATTRIBUTES = 64
MOST_ADDRESSES = 16
# So many characters are short enough for any field.
SHORT = 256
# What the schema has in an e-mail address. In lower case, so that no other spelling can be meant.
OF_ADDRESS = frozenset({"value", "type", "primary", "display", "$ref"})

NOTHING: dict[str, Any] = {}

# The attribute, the sub-attribute if it leads to one, and what makes the value fit.
Asked = tuple[str, str | None, Callable[[Any], Any]]


class NotPlain(Exception):
    """A value that an evaluation has to judge."""


@dataclass(frozen=True)
class PlainMapping:
    """What a mapping asks that only fills fields of the profile: of each field the paths, and what makes them fit.

    ``objects`` are the attributes through which paths lead.
    """

    fields: tuple[tuple[str, tuple[Asked, ...]], ...]
    objects: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan) -> "PlainMapping | None":
        """Return what a plan asks, if all of it is plain; else None."""
        rules = [rule for _, rules in plan for rule in rules]
        if len(rules) > MOST_RULES or not all(map(_is_plain, rules)):
            return None
        paths = [_path(rule) for rule in rules]
        fields = tuple((to.name, tuple(map(_asked, rules))) for to, rules in plan)
        return cls(fields, tuple({path[0]: None for path in paths if len(path) > 1}))

    def evaluate(self, resource: dict[str, Any]) -> dict[str, Any] | None:
        """Return the fields that an evaluation would give, or None when it has to judge the resource."""
        try:
            known = by_name(resource)
            known[PRIMARY_EMAIL] = _address(known.get("emails"))
            within = {name: by_name(known[name]) for name in self.objects if known.get(name) is not None}
            fields: dict[str, Any] = {}
            for name, asked in self.fields:
                value = _first_usable(asked, known, within)
                if value is not None or name != "active":
                    fields[name] = value
        except Exception:  # whatever it is: the evaluation judges it, and says what has to be said
            return None
        return fields if _obeys(fields, resource, known) else None


def _is_plain(rule: Rule) -> bool:
    destination, path = rule.destination, _path(rule)
    fills_profile = not (destination.is_role or destination.metadata_keys)
    return fills_profile and rule.expression is None and len(path) in (1, 2) and path[0] != "groups"


def _path(rule: Rule) -> tuple[str, ...]:
    """Return the names on the way to a value; of the primary address its path, as if that were one."""
    return (PRIMARY_EMAIL,) if rule.path.identity == PRIMARY_EMAIL else rule.path.names


def _asked(rule: Rule) -> Asked:
    name, *rest = _path(rule)
    return name, rest[0] if rest else None, rule.convert


def by_name(value: Any) -> dict[str, Any]:
    """Return an object by its names in lower case; of two that differ only in case the first counts.

    :raises NotPlain: When it is none, or a large one.
    """
    if value.__class__ is not dict or len(value) > MOST_ATTRIBUTES:
        raise NotPlain
    return dict(zip(map(str.lower, reversed(value)), reversed(value.values()), strict=True))


def _address(entries: Any) -> str | None:
    """Return the address that counts among the ``emails``: the primary, else the first for work, else the first."""
    if entries is None:
        return None
    if entries.__class__ is not list or len(entries) > MOST_ADDRESSES:
        raise NotPlain
    first = for_work = None
    for entry in entries:
        if entry.__class__ is not dict or not entry.keys() <= OF_ADDRESS:
            raise NotPlain
        value, primary, kind = entry.get("value"), entry.get("primary", False), entry.get("type", "")
        if value is None or value == "":
            continue
        if value.__class__ is not str or primary.__class__ is not bool or kind.__class__ is not str:
            raise NotPlain
        if primary:
            return str(value)
        first = first or value
        if for_work is None and (kind == "work" or fold(kind) == "work"):
            for_work = value
    return for_work or first


def _first_usable(asked: tuple[Asked, ...], known: dict[str, Any], within: dict[str, dict[str, Any]]) -> Any:
    """Return the first value at the paths of a field that it accepts, or None."""
    for name, member, convert in asked:
        value = known.get(name) if member is None else within.get(name, NOTHING).get(member)
        if value is None or value == "":
            continue
        if convert is as_text and value.__class__ is str and len(value) <= SHORT and value.strip():
            return value  # as it would be found to be: almost all are such
        if value.__class__ not in (str, bool):
            raise NotPlain
        usable = convert(value)
        if usable is not None:
            return usable
    return None


def _obeys(fields: dict[str, Any], resource: dict[str, Any], known: dict[str, Any]) -> bool:
    """Tell whether nothing has to be said about what the IdP says of somebody's activity, which it does plainly."""
    said = resource.get("active")
    if said.__class__ is not bool:
        return "active" not in known
    return bool(fields.setdefault("active", said) == said or said)
