"""Conditions on the elements of a multi-valued attribute: the ``type eq "work"`` of ``emails[type eq "work"]``.

The grammar is that of RFC 7644 section 3.4.2.2. Names and texts are compared
without regard to case, and a boolean equals its own name as a text, because
IdPs send and write both ``true`` and ``"True"``.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

from scim2_models.exceptions import InvalidFilterException
from scim2_models.path import AttrPath, Comparison, FilterNode, LogicalExpr, LogicalOperator, Not, Present, ScimFilter

from directory.reading import Reading
from directory.syntax import SyntaxProblem
from folding import fold

# A longer text is not compared; no IdP has a type, a name or an address of that length.
MAX_COMPARED_CHARACTERS = 1024

Read = Callable[[Any, Reading], Any]
Condition = Callable[[Any, Reading], bool]

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
}


def parse_condition(text: str) -> tuple[str, Condition, tuple[str, ...]]:
    """Return a condition in its canonical spelling, as a function of one element, and the attributes that it asks for.

    :raises SyntaxProblem: When it does not parse, or names an attribute that
        cannot be in an element.
    """
    try:
        node: FilterNode = ScimFilter(text).ast
    except InvalidFilterException as error:
        column = getattr(error.__cause__, "column", None)
        column = column if isinstance(column, int) and column > 0 else 1
        reason = 'The condition in the brackets does not parse. Write it as [type eq "work"], [0] or [*].'
        raise SyntaxProblem(reason, column=column) from error
    return str(node).lower(), _compiled(node), tuple(_asked(node))


def _asked(node: FilterNode) -> Iterator[str]:
    if isinstance(node, Not):
        yield from _asked(node.expr)
    elif isinstance(node, LogicalExpr):
        for term in node.terms:
            yield from _asked(term)
    elif isinstance(node, Comparison | Present):
        yield node.attr_path.attr.lower()


def _compiled(node: FilterNode) -> Condition:
    if isinstance(node, Comparison):
        return _comparison(node)
    if isinstance(node, Present):
        read = _reader(node.attr_path)
        return lambda element, reading: read(element, reading) not in (None, "", [], {})
    if isinstance(node, Not):
        inner = _compiled(node.expr)
        return lambda element, reading: not inner(element, reading)
    if isinstance(node, LogicalExpr):
        terms = [_compiled(term) for term in node.terms]
        together = all if node.op == LogicalOperator.and_ else any
        return lambda element, reading: together(term(element, reading) for term in terms)
    raise SyntaxProblem("Brackets cannot stand inside of brackets.", column=1)


def _reader(path: AttrPath) -> Read:
    if path.uri is not None:
        raise SyntaxProblem("An attribute in brackets is named without its schema.", column=1)
    name, sub_name = path.attr.lower(), (path.sub_attr or "").lower()

    def read(element: Any, reading: Reading) -> Any:
        reading.spend(1)
        value = reading.attribute(element, name)
        return reading.attribute(value, sub_name) if sub_name else value

    return read


def _comparison(node: Comparison) -> Condition:
    read, kind, expected = _reader(node.attr_path), node.op.value, _folded(node.value)

    def actual(element: Any, reading: Reading) -> Any:
        return _comparable(read(element, reading), reading)

    if kind == "eq":
        return lambda element, reading: bool(actual(element, reading) == expected)
    if kind == "ne":
        return lambda element, reading: bool(actual(element, reading) != expected)
    if kind in _TEXT_TESTS:
        test = _TEXT_TESTS[kind]
        return lambda element, reading: _both(str, actual(element, reading), expected, test)
    order = _ORDERS[kind]

    def ordered(element: Any, reading: Reading) -> bool:
        value = actual(element, reading)
        return _both(str, value, expected, order) or _both((int, float), value, expected, order)

    return ordered


def _folded(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return fold(value) if isinstance(value, str) else value


def _comparable(value: Any, reading: Reading) -> Any:
    """Return a value as it is compared; None for one that is never equal to anything."""
    if isinstance(value, str):
        if len(value) > MAX_COMPARED_CHARACTERS:
            return None
        if not value.isascii():
            reading.spend(len(value) >> 2)
    elif isinstance(value, list | dict):
        return None
    return _folded(value)


def _both(kind: type | tuple[type, ...], actual: Any, expected: Any, test: Callable[[Any, Any], bool]) -> bool:
    """Apply a test to two values of one kind; values of different kinds never pass."""
    return isinstance(actual, kind) and isinstance(expected, kind) and test(actual, expected)
