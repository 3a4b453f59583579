"""SCIM filters as SQL (RFC 7644 §3.4.2.2), never evaluated over rows."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeGuard

from pydantic import TypeAdapter, ValidationError
from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    ORDERING_OPERATORS,
    STRING_OPERATORS,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from folding import LARGEST_NUMBER, fold
from scim.attributes import Attribute, EntryAttributes, Kind, StoredAttributes, undeclared_attribute
from scim.json_sql import JsonSql, Node

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"

MAX_BYTES = 4096
MAX_DEPTH = 20
MAX_NODES = 100

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = TypeAdapter(datetime)
# What an IdP writes for a truth value; Entra writes True.
BOOLEANS = {"true": True, "false": False}

Condition = ColumnElement[bool]


# -- Reading ----------------------------------------------------------------------

SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
NO_CHARACTER = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})|[\0\ud800-\udfff]")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
SYNTAX_ERROR = re.compile(r"invalid syntax at column \d+")


def holds_no_character(expression: str) -> bool:
    """Tell whether a filter or path holds, as an escape or as it is, what no database stores: NUL or half a pair."""
    return NO_CHARACTER.search(SURROGATE_PAIR.sub("", expression)) is not None


def parse_filter(expression: Any) -> ScimFilter[Any]:
    """Return a filter whose syntax is valid and whose size is reasonable. Names are not looked at yet.

    :raises InvalidFilterException: When it is no filter, too long, too deep, or
        compares with what cannot be stored. The text of the filter is not repeated.
    """
    if not isinstance(expression, str):
        raise InvalidFilterException(detail="The filter must be a text.")
    if len(expression.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidFilterException(detail=f"The filter is longer than {MAX_BYTES} bytes. Ask in several requests.")
    if holds_no_character(expression):
        raise InvalidFilterException(detail="The filter holds a character that cannot be compared.")
    if _depth(expression) > MAX_DEPTH:
        raise InvalidFilterException(detail=f"The filter is nested more than {MAX_DEPTH} levels deep.")
    try:
        parsed: ScimFilter[Any] = ScimFilter(expression)
    except (InvalidFilterException, ValueError, RecursionError) as error:
        place = SYNTAX_ERROR.search(str(getattr(error, "detail", "")))
        raise InvalidFilterException(
            detail=f"The filter is not one that RFC 7644 §3.4.2.2 describes{': ' + place[0] if place else ''}. "
            'Write attribute, operator and value, as in userName eq "somebody@example.com".'
        ) from error
    if _count(parsed.ast) > MAX_NODES:
        raise InvalidFilterException(
            detail=f"The filter has more than {MAX_NODES} expressions. Ask in several requests."
        )
    return parsed


def _depth(expression: str) -> int:
    """Return how deep parentheses and brackets are nested outside of quoted texts."""
    depth = deepest = 0
    for character in QUOTED.sub("", expression):
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    return deepest


def _count(node: FilterNode) -> int:
    """Return the number of expressions in a filter."""
    if isinstance(node, LogicalExpr):
        return 1 + sum(_count(term) for term in node.terms)
    if isinstance(node, Not):
        return 1 + _count(node.expr)
    return 1 + _count(node.val_filter) if isinstance(node, ValuePath) else 1


# -- As SQL -------------------------------------------------------------------------


class Names(Protocol):
    """What the names in a filter mean: attributes of a resource, or sub-attributes of an entry."""

    def find(self, path: AttrPath, *, comparing: bool) -> Attribute | None: ...
    def entries_of(self, path: AttrPath) -> EntryAttributes | None: ...


class SqlFilter(FilterVisitor[Condition]):
    """Compiles a filter to a condition over the table of its resources that is true or false, and never null.

    What another resource type declares is false here (RFC 7644 §3.4.2.1).

    :raises InvalidFilterException: On an operator or value that does not fit the attribute.
    """

    def __init__(self, names: Names, json: JsonSql, others: Sequence[StoredAttributes] = ()) -> None:
        self.names = names
        self.json = json
        self.others = others

    def visit_comparison(self, node: Comparison) -> Condition:
        """Compile ``attribute operator value``."""
        found = _indexed(self.names, node)
        if found is not None:
            return found
        attribute = self.names.find(node.attr_path, comparing=True)
        if attribute is None:
            return self._elsewhere(lambda names: names.find(node.attr_path, comparing=True))
        if node.op == CompareOperator.ne:
            return not_(self._compare(attribute, CompareOperator.eq, node.value))
        return self._compare(attribute, node.op, node.value)

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        """Compile ``and`` and ``or``."""
        join = and_ if node.op == LogicalOperator.and_ else or_
        return join(*(self.visit(term) for term in node.terms))

    def visit_not(self, node: Not) -> Condition:
        """Compile ``not (…)``."""
        return not_(self.visit(node.expr))

    def visit_present(self, node: Present) -> Condition:
        """Compile ``pr``: a value that is not empty."""
        attribute = self.names.find(node.attr_path, comparing=False)
        if attribute is None:
            return self._elsewhere(lambda names: names.find(node.attr_path, comparing=False))
        return attribute.any(lambda value: value.present)

    def visit_value_path(self, node: ValuePath) -> Condition:
        """Compile ``attribute[…]``: one entry meets all of it."""
        found = _indexed_entry(self.names, node)
        if found is not None:
            return found
        entries = self.names.entries_of(node.attr_path)
        if entries is None:
            return self._elsewhere(lambda names: names.entries_of(node.attr_path))
        return entries.entries.any(SqlFilter(entries, self.json).visit(node.val_filter))

    def _elsewhere(self, find: Callable[[StoredAttributes], object]) -> Condition:
        """Return false for what another of the searched resource types declares."""
        if all(find(names) is None for names in self.others):
            raise undeclared_attribute()
        return false()

    def _compare(self, attribute: Attribute, op: CompareOperator, value: Any) -> Condition:
        """Compile a comparison other than ``ne``, which is the opposite of ``eq``."""
        kind = attribute.kind
        if kind is Kind.complex:
            raise _refusal("This attribute has sub-attributes. Compare one of them, as in name.familyName.")
        if value is None and op not in STRING_OPERATORS:
            return attribute.is_null() if op == CompareOperator.eq else false()
        if kind is Kind.boolean or (kind is Kind.undeclared and isinstance(value, bool)):
            return self._compare_boolean(attribute, op, value)
        if kind is Kind.moment:
            return self._compare_number(attribute, op, _microseconds(value))
        if kind is Kind.undeclared and isinstance(value, int | float):
            return self._compare_number(attribute, op, _number(value))
        return self._compare_text(attribute, op, _operand(kind, op, value))

    def _compare_boolean(self, attribute: Attribute, op: CompareOperator, value: Any) -> Condition:
        operand = BOOLEANS.get(value.lower()) if isinstance(value, str) else value
        if op != CompareOperator.eq or not isinstance(operand, bool):
            raise _refusal("A boolean attribute is compared with eq or ne to true or false.")
        return attribute.any(lambda node: node.sure(node.is_true if operand else node.is_false))

    def _compare_number(self, attribute: Attribute, op: CompareOperator, value: float) -> Condition:
        if op in STRING_OPERATORS:
            raise _refusal("Dates and numbers are compared with eq, ne, gt, ge, lt and le.")
        return attribute.any(lambda node: node.sure(_ordered(node.number, op, value)))

    def _compare_text(self, attribute: Attribute, op: CompareOperator, value: str) -> Condition:
        return attribute.any(lambda node: node.sure(self._texts(node, op, value)))

    def _texts(self, node: Node, op: CompareOperator, value: str) -> Condition:
        """Compile a comparison of texts, in which no character has a special meaning."""
        text: Any = node.text
        if op == CompareOperator.co:
            return self.json.contains(text, value)
        if op == CompareOperator.sw:
            return func.substr(text, 1, len(value)) == value
        if op == CompareOperator.ew:
            start = func.length(text) - len(value) + 1
            return and_(start > 0, func.substr(text, start) == value)
        return _ordered(self.json.by_code_point(text) if op in ORDERING_OPERATORS else text, op, value)


def compile_filter(
    scim_filter: ScimFilter[Any], attributes: StoredAttributes, others: Sequence[StoredAttributes] = ()
) -> Condition:
    """Return a filter as a condition over the table of a resource type.

    :param others: The other resource types that the same request searches.
    :raises InvalidFilterException: When no searched type declares an attribute,
        or a comparison does not fit it.
    """
    return SqlFilter(attributes, attributes.json, others).visit(scim_filter.ast)


ORDERINGS: dict[CompareOperator, Callable[[Any, Any], Condition]] = {
    CompareOperator.eq: lambda left, right: left == right,
    CompareOperator.gt: lambda left, right: left > right,
    CompareOperator.ge: lambda left, right: left >= right,
    CompareOperator.lt: lambda left, right: left < right,
    CompareOperator.le: lambda left, right: left <= right,
}


def _ordered(expression: Any, op: CompareOperator, value: Any) -> Condition:
    return ORDERINGS[op](expression, value)


def _indexed(names: Names, node: Comparison) -> Condition | None:
    """Return ``emails eq`` and ``emails.value eq`` from the index of addresses; None for any other comparison."""
    path, value = node.attr_path, node.value
    if node.op != CompareOperator.eq or not value or not isinstance(value, str) or not _is_emails(names, path):
        return None
    return names.email_equals(value, None) if (path.sub_attr or "value").lower() == "value" else None


def _indexed_entry(names: Names, node: ValuePath) -> Condition | None:
    """Return Entra's ``emails[type eq "work"].value eq "…"`` from the index of addresses; None for anything else."""
    if not _is_emails(names, node.attr_path):
        return None
    joined = isinstance(node.val_filter, LogicalExpr) and node.val_filter.op == LogicalOperator.and_
    terms = node.val_filter.terms if isinstance(node.val_filter, LogicalExpr) and joined else (node.val_filter,)
    wanted = {
        str(term.attr_path).lower(): term.value
        for term in terms
        if isinstance(term, Comparison) and term.op == CompareOperator.eq and isinstance(term.value, str) and term.value
    }
    if len(wanted) != len(terms) or wanted.keys() | {"type"} != {"type", "value"} or "value" not in wanted:
        return None
    return names.email_equals(wanted["value"], wanted.get("type"))


def _is_emails(names: Names, path: AttrPath) -> TypeGuard[StoredAttributes]:
    """Tell whether a path is the addresses of a user, rather than something else of this name."""
    is_user = isinstance(names, StoredAttributes) and names.resource_type == "User"
    return is_user and path.attr.lower() == "emails" and (path.uri or USER_SCHEMA).lower() == USER_SCHEMA.lower()


# -- What is compared with -------------------------------------------------------------


def _refusal(detail: str) -> InvalidFilterException:
    return InvalidFilterException(detail=detail)


def _operand(kind: Kind, op: CompareOperator, value: Any) -> str:
    """Return the text that an attribute is compared with, in the form in which it is stored."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _refusal("This attribute is a text. Compare it with a text in quotation marks.")
    text = str(value)
    if kind is Kind.binary:
        return _base64(text, op)
    return text if kind is Kind.exact else fold(text)


def _base64(text: str, op: CompareOperator) -> str:
    if op != CompareOperator.eq:
        raise _refusal("A binary attribute is compared with eq or ne.")
    try:
        return base64.b64encode(base64.b64decode("".join(text.split()), validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise _refusal("A binary attribute is compared with a text in base64.") from error


def _number(value: float) -> float:
    if abs(value) > LARGEST_NUMBER:
        raise _refusal("The filter compares with a number that is too large.")
    return float(value)


def _microseconds(value: Any) -> int:
    """Return a dateTime in microseconds; one without an offset is in UTC."""
    try:
        moment = MOMENT.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        moment = None
    if moment is None:
        raise _refusal('This attribute is a dateTime. Compare it with one, as in "2026-01-31T09:30:00Z".')
    elapsed = moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
