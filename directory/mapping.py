"""The attribute mapping: what of a SCIM resource becomes which field of a person.

Two layers: platform defaults, then an organization's override, keyed by SCIM
path. ``docs/attribute-mapping.md`` explains the language to those who write it.
Pure: it reads nothing but its arguments, and nothing that it is given makes it
fail or run long.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from directory.destinations import ORGANIZATION_ROLE, PROFILE_FIELDS, Destination
from directory.evaluation import Evaluation, Mapped, Plan
from directory.explanation import Explanation, Step, explain_evaluation
from directory.group_values import with_groups
from directory.mapping_rules import DEFAULT_PATHS, Rule, default_rules, parse_value
from directory.paths import PRIMARY_EMAIL, AttributePath, check_spelling, parse_path
from directory.plain_mapping import PlainMapping
from directory.syntax import SyntaxProblem
from errors import DomainError, InvalidInput

log = logging.getLogger(__name__)

__all__ = ["Explanation", "Mapped", "Mapping", "Step", "compile_mapping", "compile_stored_mapping"]

# Bounds of an override.
MAX_ENTRIES = 100
MAX_VALUES = 20
MAX_OVERRIDE_CHARACTERS = 32 * 1024
COMPILED_MAPPINGS_KEPT = 1024


@dataclass(frozen=True)
class Mapping:
    """A checked mapping: for each destination the rules that may fill it, the first that gives a value wins."""

    plan: Plan

    @cached_property
    def maps_role(self) -> bool:
        """Whether the mapping has anything to say about roles."""
        return any(destination.is_role for destination, _ in self.plan)

    @cached_property
    def reads_groups(self) -> bool:
        """Whether a change of somebody's groups can change what the mapping gives."""
        return any(rule.path.begins_with("groups") for _, rules in self.plan for rule in rules)

    @cached_property
    def _plain(self) -> PlainMapping | None:
        return PlainMapping.of(self.plan)

    @property
    def decides_role_by_groups(self) -> bool:
        """Whether a role can follow from somebody's groups."""
        return self.of_roles().reads_groups

    @cached_property
    def metadata_paths(self) -> tuple[str, ...]:
        """The places below ``public_metadata`` that the mapping decides, such as ``a.b``."""
        return tuple(".".join(place.metadata_keys) for place, _ in self.plan if place.metadata_keys)

    def of_roles(self) -> "Mapping":
        """Return the part of the mapping that decides about roles."""
        return Mapping(tuple(entry for entry in self.plan if entry[0].is_role))

    def evaluate(self, document: dict[str, Any], groups: Sequence[dict[str, Any]]) -> Mapped:
        """Return what the mapping makes of a stored SCIM user and the groups pushed for it, in order of joining.

        Never raises: what cannot be computed for this person becomes a warning,
        and its field is left out.
        """
        fields = None if self._plain is None else self._plain.evaluate(document)
        if fields is not None:
            return Mapped(fields)
        return Evaluation(self._resource(document, groups), maps_role=self.maps_role).run(self.plan)

    def explain(self, resource: dict[str, Any], groups: Sequence[dict[str, Any]]) -> Explanation:
        """Return what ``evaluate`` returns for the same arguments, with the steps that led there. Never raises."""
        return explain_evaluation(self.plan, self._resource(resource, groups), maps_role=self.maps_role)

    def _resource(self, document: dict[str, Any], groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return with_groups(document, groups) if self.reads_groups else document


# -- Reading an override -------------------------------------------------------------


def compile_mapping(override: Any) -> Mapping:
    """Return the defaults with an override on top.

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
    mapping, problems = _compile(text)
    if problems:
        raise InvalidInput(list(problems))
    return mapping


def compile_stored_mapping(override: dict[str, Any]) -> Mapping:
    """Return the defaults with an override on top that was accepted once, without the entries that no longer work.

    What a newer version refuses must not stop a directory. Equal overrides are
    compiled once. The text itself is the key, so that no stale version and no
    other organization's can be found there.
    """
    return _compiled(json.dumps(override) if override else "{}")


# Drafts are not kept: there is no end of them, and the largest take more than a megabyte.
@lru_cache(maxsize=COMPILED_MAPPINGS_KEPT)
def _compiled(text: str) -> Mapping:
    return _compile(text)[0]


def _compile(text: str) -> tuple[Mapping, tuple[DomainError, ...]]:
    override = json.loads(text)
    reading = _Reading()
    if not isinstance(override, dict):
        reading.problems.append(_problem("The mapping is no JSON object."))
    elif len(override) > MAX_ENTRIES:
        reading.problems.append(_problem(f"The mapping has more than {MAX_ENTRIES} entries."))
    else:
        for key, value in override.items():
            reading.read(key, value)
    for problem in reading.problems:
        log.debug("not used of an attribute mapping: %s", problem.message)
    return Mapping(_plan(reading.rules)), tuple(reading.problems)


# Stands for a path that cannot be read, so that what is wrong with its values is told as well.
_ANY_PATH = parse_path(PRIMARY_EMAIL)


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
            else:
                self._value(key, path, text, position)

    def _path(self, key: str) -> AttributePath | None:
        try:
            path = parse_path(key)
            check_spelling(path)
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

    def _value(self, key: str, path: AttributePath | None, text: str, position: dict[str, int]) -> None:
        try:
            rules = parse_value(path or _ANY_PATH, text)
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
        if path is not None:
            self.rules[path.identity].extend(rules)

    def _overlapping(self, keys: tuple[str, ...]) -> str | None:
        """Return the name of a place above or below one in the metadata, or None."""
        for other, name in self.places.items():
            shorter = min(len(other), len(keys))
            if keys and other != keys and other[:shorter] == keys[:shorter]:
                return name
        return None


def _plan(override: dict[str, list[Rule]]) -> Plan:
    """Return the rules of each destination in the order in which they are asked.

    What the override adds comes first, from top to bottom; then the default
    paths in their own order, so that the primary e-mail address wins over the
    user name also where the override only changes how one of them is written.
    ``active`` comes first and the metadata last, so that no mapping is too much
    work for what decides about access.
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
    in_order = sorted(plan, key=_rank)
    return tuple((destination, tuple(plan[destination])) for destination in in_order)


def _rank(destination: Destination) -> int:
    return ["active", *PROFILE_FIELDS, ORGANIZATION_ROLE, destination.name].index(destination.name)


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
