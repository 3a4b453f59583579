"""Conditions on the elements of a multi-valued attribute: the ``type eq "work"`` of ``emails[type eq "work"]``.

The grammar is that of RFC 7644 section 3.4.2.2. Names and texts are compared
without regard to case, and a boolean equals its own name as a text, because
IdPs send and write both ``true`` and ``"True"``.
"""

import operator
from collections.abc import Callable
from typing import Any

from scim2_models.exceptions import InvalidFilterException
from scim2_models.path import AttrPath, Comparison, FilterNode, LogicalExpr, LogicalOperator, Not, Present, ScimFilter

from directory.syntax import SyntaxProblem
from folding import fold

Condition = Callable[[Any], bool]

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


def parse_condition(text: str) -> tuple[str, Condition]:
    """Return a condition in its canonical spelling, and as a function of one element.

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
    return str(node).lower(), _compiled(node)


def attribute_of(element: Any, name: str) -> Any:
    """Return an attribute of an element by its lower-case name, or None.

    A bare text or number stands for an element with nothing but a ``value``:
    IdPs send ``"manager": "42"`` for ``"manager": {"value": "42"}``.
    """
    if isinstance(element, dict):
        return next((value for key, value in element.items() if key.lower() == name), None)
    return element if name == "value" and isinstance(element, str | int | float) else None


def _compiled(node: FilterNode) -> Condition:
    if isinstance(node, Comparison):
        return _comparison(node)
    if isinstance(node, Present):
        read = _reader(node.attr_path)
        return lambda element: read(element) not in (None, "", [], {})
    if isinstance(node, Not):
        inner = _compiled(node.expr)
        return lambda element: not inner(element)
    if isinstance(node, LogicalExpr):
        terms = [_compiled(term) for term in node.terms]
        together = all if node.op == LogicalOperator.and_ else any
        return lambda element: together(term(element) for term in terms)
    raise SyntaxProblem("Brackets cannot stand inside of brackets.", column=1)


def _reader(path: AttrPath) -> Callable[[Any], Any]:
    if path.uri is not None:
        raise SyntaxProblem("An attribute in brackets is named without its schema.", column=1)
    name, sub_name = path.attr.lower(), (path.sub_attr or "").lower()
    if not sub_name:
        return lambda element: attribute_of(element, name)
    return lambda element: attribute_of(attribute_of(element, name), sub_name)


def _comparison(node: Comparison) -> Condition:
    read, kind, expected = _reader(node.attr_path), node.op.value, _comparable(node.value)
    if kind == "eq":
        return lambda element: _equal(read(element), expected)
    if kind == "ne":
        return lambda element: not _equal(read(element), expected)
    if kind in _TEXT_TESTS:
        test = _TEXT_TESTS[kind]
        return lambda element: _both(str, read(element), expected, test)
    order = _ORDERS[kind]
    return lambda element: (
        _both(str, read(element), expected, order) or _both((int, float), read(element), expected, order)
    )


def _comparable(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return fold(value) if isinstance(value, str) else value


def _equal(actual: Any, expected: Any) -> bool:
    return bool(_comparable(actual) == expected)


def _both(kind: type | tuple[type, ...], actual: Any, expected: Any, test: Callable[[Any, Any], bool]) -> bool:
    """Apply a test to two values of one kind; values of different kinds never pass."""
    actual = _comparable(actual)
    return isinstance(actual, kind) and isinstance(expected, kind) and test(actual, expected)
