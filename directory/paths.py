"""Paths into a SCIM resource: the keys of an attribute mapping.

They are the attribute paths of RFC 7644 section 3.10, as Okta and Entra write
them, with two additions: an index, ``groups[0].value``, and ``[*]`` for all.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from directory.conditions import parse_condition
from directory.known_attributes import CORE_USER as OWN_SCHEMA
from directory.known_attributes import Miss, find_miss
from directory.reading import Reading
from directory.syntax import SyntaxProblem, check_characters

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:user"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"
PRIMARY_EMAIL = "emails[primary eq true].value"

OWN_ATTRIBUTE = f"{OWN_SCHEMA}:"

MAX_PATH_LENGTH = 512
MAX_STEPS = 8
# Of a longer list only so many elements are looked at: nobody's resource may take the processor for itself.
MAX_ELEMENTS = 1000

_NAME = re.compile(r"[A-Za-z$][A-Za-z0-9$_-]*")
_INDEX = re.compile(r"[0-9]{1,3}")
_SCHEMA = re.compile(r"urn(?::[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9]))*)+", re.IGNORECASE)

Select = Callable[[list[Any], Reading], list[Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One attribute on the way: its lower-case name, and which of its elements are meant (None: the value as it is).

    ``asked`` are the attributes that a condition asks the elements for.
    """

    name: str
    spelling: str
    select: Select | None
    asked: tuple[str, ...] = ()

    def apply(self, values: list[Any], reading: Reading) -> list[Any]:
        """Return the attribute of each value; a list on the way is gone through element by element."""
        if len(values) == 1 and not isinstance(values[0], list):  # nearly always
            reading.spend(1)
            only = reading.attribute(values[0], self.name)
            if self.select is not None:
                return self.select(_as_list(only)[:MAX_ELEMENTS], reading)
            return [] if only is None else [only]
        found: list[Any] = []
        left = MAX_ELEMENTS
        for value in islice(_elements(values), MAX_ELEMENTS):
            reading.spend(1)
            attribute = reading.attribute(value, self.name)
            if self.select is not None:
                elements = _as_list(attribute)[:left]
                left -= len(elements)
                found.extend(self.select(elements, reading))
            elif attribute is not None:
                found.append(attribute)
        return found


def _elements(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class Location:
    """A reading of a path: steps from the resource itself, or from the block of an extension schema."""

    schema: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class AttributePath:
    """A path, ready to be read.

    ``identity`` is the same for two spellings of one path. ``takes_all`` tells
    whether a ``[*]`` asks for all elements. A URN-qualified path may have
    several readings, because the name of a schema may contain dots and end
    anywhere; the first whose schema is in the resource counts.
    """

    text: str
    identity: str
    takes_all: bool
    locations: tuple[Location, ...]

    def find(self, reading: Reading) -> list[Any]:
        """Return what stands at the path, in order, without nulls and empty texts.

        :raises Exhausted: When the work of the reading is used up.
        """
        found = reading.find(self.names) if self.names else None
        if found is not None:
            return found
        for location in self.locations:
            start = (
                reading.resource if location.schema is None else reading.attribute(reading.resource, location.schema)
            )
            if start is not None:
                values = [start]
                for step in location.steps:
                    values = step.apply(values, reading)
                return [value for value in values if value is not None and value != ""]
        return []

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names on the way through the resource itself, where there is nothing else on it; else none."""
        steps = self.locations[0].steps
        is_plain = len(self.locations) == 1 and self.locations[0].schema is None
        return tuple(step.name for step in steps) if is_plain and all(step.select is None for step in steps) else ()

    def begins_with(self, name: str) -> bool:
        """Tell whether the path leads through an attribute of the resource itself, such as ``groups``."""
        return any(
            location.schema is None and bool(location.steps) and location.steps[0].name == name
            for location in self.locations
        )


def check_spelling(path: AttributePath) -> None:
    """Refuse a path that misses an attribute of the standard by little, since it would find nothing.

    Any other name may be one of the IdP's own. A path that names the core
    schema in full is taken as it stands.

    :raises SyntaxProblem: It suggests what to write.
    """
    qualified = path.text[:4].lower() == "urn:"
    for location in path.locations:
        miss = None
        if location.schema is not None or not qualified:
            miss = find_miss([(step.name, step.asked) for step in location.steps], location.schema)
        if miss is not None:
            raise _misspelt(path.text, miss, start=len(location.schema or ""), qualified=qualified)


def _misspelt(text: str, miss: Miss, *, start: int, qualified: bool) -> SyntaxProblem:
    match = re.compile(rf"(?<![\w$-]){re.escape(miss.name)}(?![\w$-])", re.IGNORECASE).search(text, start)
    begin, end = match.span() if match else (0, len(text))
    meant = text[:begin] + miss.meant + ("" if miss.is_whole else text[end:])
    reason = f"The standard has no attribute {text[begin:end]!r} here. Did you mean {meant!r}?"
    if not qualified:
        reason += f" If the IdP really sends an attribute of this name, write {OWN_ATTRIBUTE}{text}"
    return SyntaxProblem(reason, column=begin + 1, suggestion=meant)


def parse_path(text: str) -> AttributePath:
    """Read a path.

    :raises SyntaxProblem: When it is no path; its column is a place in ``text``.
    """
    if not text:
        raise SyntaxProblem("The path is empty. Write one such as name.givenName.")
    if len(text) > MAX_PATH_LENGTH:
        raise SyntaxProblem(f"The path is longer than {MAX_PATH_LENGTH} characters.", column=MAX_PATH_LENGTH + 1)
    check_characters(text)
    qualified = text[:4].lower() == "urn:"
    locations = _qualified_locations(text) if qualified else (Location(None, _parse_steps(text, 0)),)
    return AttributePath(text, _identity(text, locations), "[*]" in re.sub(r"\s", "", text), locations)


def _identity(text: str, locations: tuple[Location, ...]) -> str:
    for location in locations:
        spelling = ".".join(step.spelling for step in location.steps)
        if location.schema is None:
            return PRIMARY_EMAIL if spelling == 'emails[primary eq "true"].value' else spelling
        if location.schema == ENTERPRISE_USER:
            return f"{ENTERPRISE_USER}:{spelling}"
    return text.lower()


def _qualified_locations(text: str) -> tuple[Location, ...]:
    """Return the readings of a URN-qualified path, that of the longest schema name first.

    Both ``urn:…:2.0:User.department`` and ``urn:…:2.0:User:department`` are
    written, so the name of the schema may end at the last colon or at a dot
    after it; and a schema alone means its whole block.
    """
    head = text.partition("[")[0]
    colon = head.rfind(":")
    ends = [colon, *(dot.start() for dot in re.finditer(r"\.", head) if dot.start() > colon)]
    if len(ends) > MAX_STEPS:
        raise SyntaxProblem(f"The path has more than {MAX_STEPS} attributes.", column=ends[MAX_STEPS] + 1)
    locations = [Location(text.lower(), ())] if _SCHEMA.fullmatch(text) else []
    problem = SyntaxProblem("There is no schema name before the attribute.", column=1)
    for end in reversed(ends):
        schema = text[:end].lower()
        if not _SCHEMA.fullmatch(schema):
            continue
        try:
            locations.append(Location(None if schema == CORE_USER else schema, _parse_steps(text, end + 1)))
        except SyntaxProblem as error:
            problem = error
    if not locations:
        raise problem
    return tuple(locations)


def _parse_steps(text: str, start: int) -> tuple[Step, ...]:
    """Read ``name.name[…].name`` from a position to the end."""
    steps: list[Step] = []
    position = start
    while True:
        step, position = _parse_step(text, position)
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise SyntaxProblem(f"The path has more than {MAX_STEPS} attributes.", column=position)
        if position == len(text):
            return tuple(steps)
        if text[position] != ".":
            raise SyntaxProblem(f"{text[position]!r} cannot stand here; a dot comes next.", column=position + 1)
        position += 1


def _parse_step(text: str, position: int) -> tuple[Step, int]:
    """Return the attribute that begins at a position, with its brackets, and where it ends."""
    match = _NAME.match(text, position)
    if match is None:
        found = f"not with {text[position]!r}" if position < len(text) else "and the path ends here"
        raise SyntaxProblem(f"An attribute name begins with a letter, {found}.", column=position + 1)
    name, end = match.group().lower(), match.end()
    if text[end : end + 1] != "[":
        return Step(name, name, None), end
    closing = _closing_bracket(text, end)
    inside, select, asked = _parse_selection(text, end + 1, closing)
    return Step(name, f"{name}[{inside}]", select, asked), closing + 1


def _closing_bracket(text: str, opening: int) -> int:
    quoted = False
    position = opening + 1
    while position < len(text):
        character = text[position]
        if quoted and character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == "]" and not quoted:
            return position
        position += 1
    raise SyntaxProblem("This bracket is never closed.", column=opening + 1)


def _parse_selection(text: str, start: int, end: int) -> tuple[str, Select, tuple[str, ...]]:
    """Return what stands in brackets: its canonical spelling, a function of the elements, the attributes asked for."""
    inside = text[start:end].strip()
    if inside == "*":
        return "*", lambda elements, _: elements, ()
    if _INDEX.fullmatch(inside):
        index = int(inside)
        return str(index), lambda elements, _: elements[index : index + 1], ()
    if not inside or inside.lstrip("+-").isdigit():
        raise SyntaxProblem("Count from [0] to [999], or write [*] for all.", column=start + 1)
    try:
        spelling, condition, asked = parse_condition(text[start:end])
    except SyntaxProblem as problem:
        raise problem.shifted(start) from problem
    return spelling, lambda elements, reading: [one for one in elements if condition(one, reading)], asked
