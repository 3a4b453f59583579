"""One evaluation of an attribute mapping: the rules of a mapping asked about one person's resource.

Pure: it reads nothing but its arguments, and nothing that it is given makes it
fail or run long.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from directory.destinations import Destination, Unusable, as_boolean
from directory.expressions import Expression
from directory.liquid_filters import FilterProblem
from directory.mapping_rules import Rule
from directory.reading import MAX_WORK, Exhausted, Reading
from directory.sizes import count_parts

log = logging.getLogger(__name__)

# Bounds of one evaluation, that is for one person.
MAX_METADATA_CHARACTERS = 64 * 1024
MAX_WARNINGS = 20
# Of a larger value so many parts are counted as work; it is refused before they are all looked at.
MAX_PARTS = 4096

# For each destination the rules that may fill it, in the order in which they are asked.
Plan = tuple[tuple[Destination, tuple[Rule, ...]], ...]


@dataclass
class Mapped:
    """What a mapping makes of one person's resource.

    ``fields`` has a key for each profile field that the mapping decides: None
    means that the directory has no value, a missing key that nothing is to be
    changed. ``metadata_paths`` (``a.b``) are the places below
    ``public_metadata`` that the mapping decides: what stands there, and not in
    this ``public_metadata``, is to go. ``role_candidates`` are in the order
    found, each once; ``role_failed`` tells that there may be more of them that
    could not be computed. ``warnings`` are sentences for the IT admin, without
    personal data.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    public_metadata: dict[str, Any] = field(default_factory=dict)
    metadata_paths: list[str] = field(default_factory=list)
    # Those of the mapping that could not be decided for this person.
    undecided_paths: list[str] = field(default_factory=list)
    role_candidates: list[str] = field(default_factory=list)
    maps_role: bool = False
    role_failed: bool = False
    warnings: list[str] = field(default_factory=list)


class Failed(Exception):
    """A destination whose value could not be computed; its text says why."""


def _left(destination: Destination) -> str:
    if destination.is_role:
        return "was not fully read"
    return "is what the IdP says" if destination.name == "active" else "was left as it is"


class Evaluation:
    """One evaluation: the resource it reads, and how much of its bounds is left."""

    def __init__(self, resource: dict[str, Any], *, maps_role: bool, work: int = MAX_WORK) -> None:
        self.reading = Reading(resource, work)
        self.found: dict[str, list[Any]] = {}
        self.mapped = Mapped(maps_role=maps_role)
        self.failures: dict[Destination, str] = {}
        self.metadata_left = MAX_METADATA_CHARACTERS

    def run(self, plan: Plan) -> Mapped:
        """Fill every destination, each for itself."""
        for destination, rules in plan:
            try:
                self._fill(destination, rules)
            except (Failed, Exhausted) as failure:
                self._fail(destination, f"{destination.name} {_left(destination)}: {failure}.")
            except Exception:  # a mapping that fails for one person must not stop the directory
                log.exception("the attribute mapping failed for %s", destination.name)
                self._fail(destination, f"{destination.name} {_left(destination)}: its mapping failed unexpectedly.")
        self._obey()
        return self.mapped

    def _obey(self) -> None:
        """Let go whom the IdP deactivates, whatever the mapping makes of it; what it does not decide the IdP does."""
        said, decided = self._own_activity(), self.mapped.fields.get("active")
        if decided is None and said is not None:
            self.mapped.fields["active"] = said
        elif decided is True and said is False:
            self.mapped.fields["active"] = False
            self._warn("active is false, as the IdP says: a mapping keeps nobody whom the IdP deactivates.")

    def _fail(self, destination: Destination, sentence: str) -> None:
        if destination.metadata_keys:
            self.mapped.undecided_paths.append(".".join(destination.metadata_keys))
        self.failures[destination] = sentence
        self._warn(sentence)
        self.mapped.role_failed |= destination.is_role

    def _fill(self, destination: Destination, rules: tuple[Rule, ...]) -> None:
        if destination.is_role:
            self._add_candidates(rules)
        elif destination.metadata_keys:
            self._fill_metadata(destination, rules)
        else:
            value = self._value(rules)
            if value is not None or destination.name != "active":
                self.mapped.fields[destination.name] = value

    def _own_activity(self) -> bool | None:
        resource = self.reading.resource
        said = (value for name, value in resource.items() if name.lower() == "active")
        try:
            return as_boolean(resource["active"] if "active" in resource else next(said, None))
        except Unusable:
            return None

    def _value(self, rules: tuple[Rule, ...]) -> Any:
        """Return the first usable value that the rules give, or None."""
        for rule in rules:
            if rule.path.takes_all and rule.destination.metadata_keys:
                value: Any = list(self._usable(rule))
            else:
                value = self._first_usable(rule)
            if value is not None and value != []:
                return value
        return None

    def _first_usable(self, rule: Rule) -> Any:
        """Return the first value of a rule that its destination accepts, or None."""
        if rule.expression is not None or rule.destination.is_role:
            return next(self._usable(rule), None)
        for value in self.inputs(rule):  # nearly always: a text or a flag, as it stands
            self._spend_on(value)
            usable = self._converted(rule, value)
            if usable is not None:
                return usable
        return None

    def _fill_metadata(self, destination: Destination, rules: tuple[Rule, ...]) -> None:
        value = self._value(rules)
        if value is not None:
            self.metadata_left -= len(json.dumps(value, ensure_ascii=False))
            if self.metadata_left < 0:
                raise Failed("there is no more room in public_metadata")
            inner = self.mapped.public_metadata
            *outer, last = destination.metadata_keys
            for key in outer:
                inner = inner.setdefault(key, {})
            inner[last] = value
        self.mapped.metadata_paths.append(".".join(destination.metadata_keys))

    def _add_candidates(self, rules: tuple[Rule, ...]) -> None:
        """Collect the candidates of all rules; what was found before one fails still counts."""
        candidates: dict[str, None] = {}
        try:
            for rule in rules:
                for candidate in self._usable(rule):
                    candidates[candidate] = None
        finally:
            self.mapped.role_candidates.extend(candidates)

    def _usable(self, rule: Rule) -> Iterator[Any]:
        """Yield the values of a rule that its destination accepts, and note the others."""
        for value in self.inputs(rule):
            yield from self.usable_of(rule, value)

    def inputs(self, rule: Rule) -> list[Any]:
        """Return what stands at the path of a rule.

        Without anything at the path an expression is asked only if it has a
        ``default``, so that no text is made around nothing.
        """
        path = rule.path.text
        found = self.found.get(path)
        if found is None:
            found = self.found[path] = rule.find(self.reading)
        if not found and rule.expression is not None and rule.expression.has_default:
            return [None]
        return found

    def usable_of(self, rule: Rule, value: Any) -> Iterator[Any]:
        """Yield what a rule makes of one value, as its destination accepts it; for a role a list is several.

        :raises Failed: When the destination has to be given up.
        """
        self._spend_on(value)
        output = value if rule.expression is None else self._output(rule, rule.expression, value)
        for part in output if rule.destination.is_role and isinstance(output, list) else (output,):
            usable = self._converted(rule, part)
            if usable is not None:
                yield usable

    def _spend_on(self, value: Any) -> None:
        self.reading.spend(2 * count_parts(value, MAX_PARTS) if value.__class__ in (list, dict) else 2)

    def _converted(self, rule: Rule, value: Any) -> Any:
        """Return a value as the destination of its rule accepts it; None, and a warning, where it does not."""
        try:
            return rule.convert(value)
        except Unusable as problem:
            self._warn(f"{rule.path.text} was not used for {rule.destination.name}: {problem}.")
            self.mapped.role_failed |= rule.destination.is_role
            self.reading.spend(4)
            return None

    def _output(self, rule: Rule, expression: Expression, value: Any) -> Any:
        try:
            return expression.without_value() if value is None else expression.evaluate(value, self.reading.spend)
        except FilterProblem as problem:
            if not rule.destination.is_role:
                raise Failed(f"in the expression of {rule.path.text} {problem}") from problem
            self._warn(f"No role came from {rule.path.text}: {problem}.")
            self.mapped.role_failed = True
            self.reading.spend(4)
            return None

    def _warn(self, sentence: str) -> None:
        if sentence not in self.mapped.warnings and len(self.mapped.warnings) < MAX_WARNINGS:
            self.mapped.warnings.append(sentence)
