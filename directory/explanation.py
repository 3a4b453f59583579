"""Why an attribute mapping gave what it gave: every rule, what it read, what it made of it, and what became of that."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from directory.evaluation import Evaluation, Failed, Mapped, Plan
from directory.mapping_rules import Rule
from directory.reading import MAX_WORK, Exhausted
from directory.sizes import Oversize, plain_copy

MAX_SHOWN_BYTES = 1024
MAX_STEPS = 1000

Outcome = Literal["used", "overruled", "empty", "unusable"]


@dataclass(frozen=True)
class Step:
    """What one rule, a path and a destination, gave for one person.

    ``raw`` is what stands at the path: one value, a list where the path finds
    several, None for nothing. ``result`` is what the destination would get.
    What is too large to be shown is a text that says so. ``expression`` is
    Liquid as it was written, None where a value goes on as it was sent.

    ``outcome``: ``used``; ``overruled``, when an earlier rule of the same
    destination gave a value or failed; ``empty``, when there was nothing;
    ``unusable``, when there was something that the expression or the
    destination could not take, or the whole destination was given up. A
    candidate for the role is ``used`` when it is a candidate: which one wins
    depends on the roles that exist. ``warning`` says in a sentence what was wrong.
    """

    destination: str
    path: str
    expression: str | None
    source: Literal["default", "override"]
    raw: Any
    result: Any
    outcome: Outcome
    warning: str | None


@dataclass(frozen=True)
class Explanation:
    """The steps of an evaluation in its order, and what it gave: ``mapped`` is what ``Mapping.evaluate`` returns."""

    steps: tuple[Step, ...]
    mapped: Mapped


def explain_evaluation(plan: Plan, resource: dict[str, Any], *, maps_role: bool) -> Explanation:
    """Evaluate a plan, and return the result with one step for each rule, or for each candidate for the role.

    There are at most ``MAX_STEPS``; what comes after them is left out.

    The evaluation itself is the one that everybody gets. The steps are found
    afterwards, by asking every rule once more, also those that were not asked
    because an earlier one had an answer.
    """
    evaluation = Evaluation(resource, maps_role=maps_role)
    mapped = evaluation.run(plan)
    again = Evaluation(resource, maps_role=maps_role, work=10 * MAX_WORK)  # it asks rules that were not asked
    steps = (
        step
        for destination, rules in plan
        for step in (
            _role_steps(again, rules, mapped.role_candidates, evaluation.failures.get(destination))
            if destination.is_role
            else _steps(again, rules, evaluation.failures.get(destination))
        )
    )
    return Explanation(tuple(islice(steps, MAX_STEPS)), mapped)


def _steps(again: Evaluation, rules: tuple[Rule, ...], failure: str | None) -> Iterator[Step]:
    decided = False
    for rule in rules:
        found = _found(again, rule)
        takes_all = rule.path.takes_all and bool(rule.destination.metadata_keys)
        usable, warnings, failed = _asked(again, rule, found, takes_all=takes_all)
        result = (usable if takes_all else usable[0]) if usable else None
        warning = warnings[0] if warnings else None
        outcome: Outcome
        if result is None:
            outcome = "unusable" if warning else "empty"
        elif decided:
            outcome = "overruled"
        else:
            outcome, warning = ("unusable", failure) if failure else ("used", warning)
        decided = decided or failed or result is not None
        yield _step(rule, _one_or_all(found), result, outcome, warning)


def _role_steps(again: Evaluation, rules: tuple[Rule, ...], accepted: list[str], failure: str | None) -> Iterator[Step]:
    for rule in rules:
        found = _found(again, rule)
        if not found:
            yield _step(rule, None, None, "empty", None)
        for raw in found:
            candidates, warnings, _ = _asked(again, rule, [raw], takes_all=True)
            for candidate in candidates:
                refused = None if candidate in accepted else failure
                yield _step(rule, raw, candidate, "unusable" if refused else "used", refused)
            if warnings or not candidates:
                warning = warnings[0] if warnings else None
                yield _step(rule, raw, None, "unusable" if warning else "empty", warning)


def _asked(again: Evaluation, rule: Rule, values: list[Any], *, takes_all: bool) -> tuple[list[Any], list[str], bool]:
    """Return what a rule makes of some values (the first usable one, or all), the warnings, and whether it failed."""
    again.mapped = Mapped()
    usable: list[Any] = []
    try:
        for value in values:
            usable.extend(again.usable_of(rule, value))
            if usable and not takes_all:
                break
    except (Failed, Exhausted) as failure:
        return [], [*again.mapped.warnings, f"{failure}."], True
    except Exception:  # the evaluation has logged it
        return [], ["The mapping failed unexpectedly."], True
    return usable, again.mapped.warnings, False


def _found(again: Evaluation, rule: Rule) -> list[Any]:
    try:
        return again.inputs(rule)
    except Exhausted:
        return []


def _one_or_all(found: list[Any]) -> Any:
    if len(found) > 1:
        return found
    return found[0] if found else None


def _step(rule: Rule, raw: Any, result: Any, outcome: Outcome, warning: str | None) -> Step:
    expression = rule.expression.text if rule.expression else None
    name, path = rule.destination.name, rule.path.text
    return Step(name, path, expression, rule.source, _shown(raw), _shown(result), outcome, warning)


def _shown(value: Any) -> Any:
    """Return a copy of a value that is small enough to be shown, or a text in its place that says what it is like."""
    try:
        return plain_copy(value, MAX_SHOWN_BYTES)
    except Oversize as error:
        return f"(not shown: the value {error})"
