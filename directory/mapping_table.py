"""An attribute mapping as a table: one row for each path, with what it gives for one person."""

from collections.abc import Mapping as Entries
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from directory.explanation import Explanation, Step
from directory.mapping import Mapping, compile_mapping, compile_stored_mapping
from directory.mapping_people import Person
from directory.mapping_rules import DEFAULT_DESTINATIONS, DEFAULT_PATHS, DEFAULTS, Rule, parse_value
from directory.paths import parse_path
from directory.resources import load
from directory.syntax import SyntaxProblem
from errors import DomainError, InvalidInput

Source = Literal["default", "overridden", "added"]


@dataclass(frozen=True)
class Goal:
    """One value of a row: what is made of what stands at the path, and where that goes.

    ``text`` is the value as the API has it; ``expression`` is None where a
    value goes on as it was sent. ``destination`` is empty for a text that
    cannot be read.
    """

    text: str
    expression: str | None
    destination: str
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Row:
    """What a mapping says of one path; without goals the path goes nowhere."""

    path: str
    source: Source
    goals: Sequence[Goal]
    problems: Sequence[DomainError]

    @property
    def raw(self) -> Any:
        """What stands at the path for the person of the examples; None for nothing."""
        steps = [step for goal in self.goals for step in goal.steps if step.raw is not None]
        found = list(dict.fromkeys(repr(step.raw) for step in steps))
        by_text = {repr(step.raw): step.raw for step in steps}
        return by_text[found[0]] if len(found) == 1 else [by_text[text] for text in found] or None


def mapping_rows(override: dict[str, Any], person: Person | None) -> list[Row]:
    """Return the rows of a mapping in the order in which they are asked: what was added, then the default paths."""
    problems = find_problems(override)
    explanation = _explain(compile_stored_mapping(override), person)
    by_identity = {_identity(path): path for path in override}
    added = [
        _row(path, "added", override[path], problems, explanation)
        for path in override
        if _identity(path) not in DEFAULT_PATHS
    ]
    return added + [_default_row(path, by_identity, override, problems, explanation) for path, _ in DEFAULTS]


def find_problems(override: dict[str, Any]) -> list[DomainError]:
    """Return all that is wrong with a mapping, as ``compile_mapping`` raises it."""
    try:
        compile_mapping(override)
    except InvalidInput as invalid:
        return invalid.problems
    return []


def _explain(mapping: Mapping, person: Person | None) -> Explanation | None:
    if person is None:
        return None
    return mapping.explain({**load(person.row.document), "groups": person.row.sent_groups}, person.groups)


def _identity(path: str) -> str:
    try:
        return parse_path(path).identity
    except SyntaxProblem:
        return path


def _default_row(
    path: str,
    by_identity: Entries[str, str],
    override: dict[str, Any],
    problems: Sequence[DomainError],
    explanation: Explanation | None,
) -> Row:
    written = by_identity.get(_identity(path))
    if written is not None:
        return _row(written, "overridden", override[written], problems, explanation)
    destination = DEFAULT_DESTINATIONS[_identity(path)].name
    return _row(path, "default", destination, (), explanation)


def _row(
    path: str, source: Source, value: Any, problems: Sequence[DomainError], explanation: Explanation | None
) -> Row:
    values = value if isinstance(value, list) else [value]
    steps = [step for step in explanation.steps if step.path == path] if explanation else []
    goals = [_goal(path, text, steps) for text in values]
    return Row(path, source, goals, [problem for problem in problems if problem.meta.get("key") == path])


def _goal(path: str, text: Any, steps: Sequence[Step]) -> Goal:
    rules = _rules(path, text)
    if not rules:
        return Goal(str(text), None, "")
    expression = rules[0].expression.text if rules[0].expression else None
    names = {rule.destination.name for rule in rules}
    own = [step for step in steps if step.destination in names and step.expression == expression]
    return Goal(text, expression, rules[0].destination.name, own)


def _rules(path: str, text: Any) -> list[Rule]:
    try:
        return parse_value(parse_path(path), text) if isinstance(text, str) else []
    except SyntaxProblem:
        return []
