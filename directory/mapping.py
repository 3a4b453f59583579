"""The attribute mapping: what of a SCIM resource becomes which field of a person.

Two layers: platform defaults, then an organization's override, keyed by SCIM
path. ``docs/attribute-mapping.md`` explains the language to those who write it.
Pure: it reads nothing but its arguments, and nothing that it is given makes it
fail or run long.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from directory.destinations import Destination, Unusable
from directory.group_values import with_groups
from directory.liquid_filters import FilterProblem
from directory.mapping_rules import DEFAULT_PATHS, Rule, default_rules, parse_value
from directory.paths import AttributePath, parse_path
from directory.syntax import SyntaxProblem
from errors import DomainError, InvalidInput

log = logging.getLogger(__name__)

# Bounds of an override.
MAX_ENTRIES = 100
MAX_VALUES = 20
MAX_OVERRIDE_CHARACTERS = 32 * 1024
COMPILED_MAPPINGS_KEPT = 128

# Bounds of one evaluation, that is for one person.
MAX_EXPRESSION_RUNS = 1000
MAX_METADATA_CHARACTERS = 64 * 1024
MAX_WARNINGS = 20


@dataclass(frozen=True)
class Mapped:
    """What a mapping makes of one person's resource.

    ``fields`` has a key for each profile field that the mapping decides: None
    means that the directory has no value, a missing key that nothing is to be
    changed. ``metadata_paths`` (``a.b``) are the places below
    ``public_metadata`` that the mapping decides: what stands there, and not in
    this ``public_metadata``, is to go. ``known_paths`` are those of the mapping,
    also where nothing could be decided for this person. ``role_candidates`` are in the order
    found, each once. ``warnings`` are sentences for the IT admin, without
    personal data.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    public_metadata: dict[str, Any] = field(default_factory=dict)
    metadata_paths: list[str] = field(default_factory=list)
    known_paths: tuple[str, ...] = ()
    role_candidates: list[str] = field(default_factory=list)
    maps_role: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mapping:
    """A checked mapping: for each destination the rules that may fill it, the first that gives a value wins."""

    plan: tuple[tuple[Destination, tuple[Rule, ...]], ...]

    @cached_property
    def maps_role(self) -> bool:
        """Whether the mapping has anything to say about roles."""
        return any(destination.is_role for destination, _ in self.plan)

    @cached_property
    def reads_groups(self) -> bool:
        """Whether a change of somebody's groups can change what the mapping gives."""
        return any(rule.path.begins_with("groups") for _, rules in self.plan for rule in rules)

    @cached_property
    def metadata_paths(self) -> tuple[str, ...]:
        """The places below ``public_metadata`` that the mapping decides, such as ``a.b``."""
        return tuple(".".join(place.metadata_keys) for place, _ in self.plan if place.metadata_keys)

    def evaluate(self, document: dict[str, Any], groups: list[dict[str, Any]]) -> Mapped:
        """Return what the mapping makes of a stored SCIM user and the groups pushed for it, in order of joining.

        Never raises: what cannot be computed for this person becomes a warning,
        and its field is left out.
        """
        return _Evaluation(self, document, groups).run()


class _Failed(Exception):
    """A destination whose value could not be computed; its text says why."""


class _Evaluation:
    """One evaluation: the resource it reads, and how much of its bounds is left."""

    def __init__(self, mapping: Mapping, document: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        self.mapping = mapping
        self.resource = with_groups(document, groups) if mapping.reads_groups else document
        self.mapped = Mapped(maps_role=mapping.maps_role, known_paths=mapping.metadata_paths)
        self.runs_left = MAX_EXPRESSION_RUNS
        self.metadata_left = MAX_METADATA_CHARACTERS

    def run(self) -> Mapped:
        """Fill every destination, each for itself."""
        for destination, rules in self.mapping.plan:
            try:
                self._fill(destination, rules)
            except _Failed as failure:
                done = "was not fully read" if destination.is_role else "was left as it is"
                self._warn(f"{destination.name} {done}: {failure}.")
            except Exception:  # a mapping that fails for one person must not stop the directory
                log.exception("the attribute mapping failed for %s", destination.name)
                self._warn(f"{destination.name} was left as it is: its mapping failed unexpectedly.")
        return self.mapped

    def _fill(self, destination: Destination, rules: tuple[Rule, ...]) -> None:
        if destination.is_role:
            self._add_candidates(rules)
        elif destination.metadata_keys:
            self._fill_metadata(destination, rules)
        else:
            value = self._value(rules)
            # Without a word on ``active`` a person is what the resource says.
            if value is not None or destination.name != "active":
                self.mapped.fields[destination.name] = value

    def _value(self, rules: tuple[Rule, ...]) -> Any:
        """Return the first usable value that the rules give, or None."""
        for rule in rules:
            usable = self._usable(rule)
            value = list(usable) if rule.path.takes_all and rule.destination.metadata_keys else next(usable, None)
            if value not in (None, []):
                return value
        return None

    def _fill_metadata(self, destination: Destination, rules: tuple[Rule, ...]) -> None:
        value = self._value(rules)
        if value is not None:
            self.metadata_left -= len(json.dumps(value, ensure_ascii=False))
            if self.metadata_left < 0:
                raise _Failed("there is no more room in public_metadata")
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
        for output in self._outputs(rule):
            # A list is a list of roles; for any other destination it is one value.
            for value in output if rule.destination.is_role and isinstance(output, list) else (output,):
                try:
                    usable = rule.convert(value)
                except Unusable as problem:
                    self._warn(f"{rule.path.text} was not used for {rule.destination.name}: {problem}.")
                    continue
                if usable is not None:
                    yield usable

    def _outputs(self, rule: Rule) -> Iterator[Any]:
        """Yield what stands at the path of a rule, or what its expression makes of it.

        Without anything at the path an expression is asked only if it has a
        ``default``, so that no text is made around nothing.
        """
        found: list[Any] = rule.find(self.resource)
        if rule.expression is None:
            yield from found
            return
        for value in found or ([None] if rule.expression.has_default else []):
            self.runs_left -= 1
            if self.runs_left < 0:
                raise _Failed(f"there are more than {MAX_EXPRESSION_RUNS} values to evaluate expressions for")
            try:
                yield rule.expression.evaluate(value)
            except FilterProblem as problem:
                if not rule.destination.is_role:
                    raise _Failed(f"in the expression of {rule.path.text} {problem}") from problem
                self._warn(f"No role came from {rule.path.text}: {problem}.")

    def _warn(self, sentence: str) -> None:
        if sentence not in self.mapped.warnings and len(self.mapped.warnings) < MAX_WARNINGS:
            self.mapped.warnings.append(sentence)


# -- Reading an override -------------------------------------------------------------


def compile_mapping(override: dict[str, Any]) -> Mapping:
    """Return the defaults with an override on top. Equal overrides are compiled once.

    :raises InvalidInput: With every problem of the override. Each has the code
        ``invalid_mapping``, and in ``meta`` the ``key``, and where it is known
        the ``place`` ("path" or "value"), the ``index`` in a list of values, the
        ``column`` from 1, and a ``suggestion``.
    """
    try:
        text = json.dumps(override)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput([_problem("The mapping is no JSON object.")]) from error
    if len(text) > MAX_OVERRIDE_CHARACTERS:
        raise InvalidInput([_problem(f"The mapping is longer than {MAX_OVERRIDE_CHARACTERS} characters of JSON.")])
    return _compiled(text)


@lru_cache(maxsize=COMPILED_MAPPINGS_KEPT)
def _compiled(text: str) -> Mapping:
    override = json.loads(text)
    if not isinstance(override, dict):
        raise InvalidInput([_problem("The mapping is no JSON object.")])
    if len(override) > MAX_ENTRIES:
        raise InvalidInput([_problem(f"The mapping has more than {MAX_ENTRIES} entries.")])
    reading = _Reading()
    for key, value in override.items():
        reading.read(key, value)
    if reading.problems:
        raise InvalidInput(reading.problems)
    return Mapping(_plan(reading.rules))


class _Reading:
    """Reads the entries of an override, and collects all that is wrong with them."""

    def __init__(self) -> None:
        self.rules: dict[str, list[Rule]] = {}
        self.problems: list[DomainError] = []
        self.spellings: dict[str, str] = {}
        self.places: dict[tuple[str, ...], str] = {}

    def read(self, key: str, value: Any) -> None:
        """Read one entry: a path, and a value or a list of values."""
        path = self._path(key)
        values = value if isinstance(value, list) else [value]
        if len(values) > MAX_VALUES:
            self.problems.append(_problem(f"There are more than {MAX_VALUES} values.", key=key, place="value"))
            return
        for index, text in enumerate(values):
            position = {"index": index} if isinstance(value, list) else {}
            if not isinstance(text, str):
                reason = "A value is a text: a destination, or an expression. An empty list maps the path to nothing."
                self.problems.append(_problem(reason, key=key, place="value", **position))
            elif path is not None:
                self._value(key, path, text, position)

    def _path(self, key: str) -> AttributePath | None:
        try:
            path = parse_path(key)
        except SyntaxProblem as problem:
            self.problems.append(_syntax_problem(problem, key=key, place="path"))
            return None
        if path.identity in self.spellings:
            reason = f"This is the same path as {self.spellings[path.identity]!r}. Give the values of both as one list."
            self.problems.append(_problem(reason, key=key, place="path"))
            return None
        self.spellings[path.identity] = key
        self.rules[path.identity] = []
        return path

    def _value(self, key: str, path: AttributePath, text: str, position: dict[str, int]) -> None:
        try:
            rules = parse_value(path, text)
        except SyntaxProblem as problem:
            self.problems.append(_syntax_problem(problem, key=key, place="value", **position))
            return
        keys = rules[0].destination.metadata_keys
        overlapping = self._overlapping(keys)
        if overlapping is not None:
            reason = (
                f"public_metadata.{'.'.join(keys)} and {overlapping} cannot both be written: one contains the other."
            )
            self.problems.append(_problem(reason, key=key, place="value", **position))
            return
        if keys:
            self.places[keys] = rules[0].destination.name
        self.rules[path.identity].extend(rules)

    def _overlapping(self, keys: tuple[str, ...]) -> str | None:
        """Return the name of a place above or below one in the metadata, or None."""
        for other, name in self.places.items():
            shorter = min(len(other), len(keys))
            if keys and other != keys and other[:shorter] == keys[:shorter]:
                return name
        return None


def _plan(override: dict[str, list[Rule]]) -> tuple[tuple[Destination, tuple[Rule, ...]], ...]:
    """Return the rules of each destination in the order in which they are asked.

    What the override adds comes first, from top to bottom; then the default
    paths in their own order, so that the primary e-mail address wins over the
    user name also where the override only changes how one of them is written.
    """
    added = [rule for rules in override.values() for rule in rules if not rule.is_default]
    defaults = [
        rule
        for identity in DEFAULT_PATHS
        for rule in override.get(identity, default_rules(identity))
        if rule.is_default
    ]
    plan: dict[Destination, list[Rule]] = {}
    for rule in added + defaults:
        plan.setdefault(rule.destination, []).append(rule)
    return tuple((destination, tuple(rules)) for destination, rules in plan.items())


def _problem(reason: str, *, key: str | None = None, **meta: Any) -> DomainError:
    """Return a problem of one entry of the override, or of the whole where there is no key."""
    if key is None:
        return DomainError(reason, code="invalid_mapping")
    named = key if len(key) <= 80 else f"{key[:79]}…"
    known = {name: value for name, value in meta.items() if value is not None}
    return DomainError(
        f"{named}: {reason}",
        code="invalid_mapping",
        long_message=f"{named}: {_where(known)}{reason}",
        meta={"key": key, **known},
    )


def _where(meta: dict[str, Any]) -> str:
    """Return the place of a problem in words, such as "in value 2, at character 17: "."""
    if "column" not in meta and "index" not in meta:
        return ""
    place = f"in value {meta['index'] + 1}" if "index" in meta else f"in the {meta['place']}"
    column = f", at character {meta['column']}" if "column" in meta else ""
    return f"{place}{column}: "


def _syntax_problem(problem: SyntaxProblem, *, key: str, place: str, **position: int) -> DomainError:
    return _problem(
        problem.reason, key=key, place=place, **position, column=problem.column, suggestion=problem.suggestion
    )
