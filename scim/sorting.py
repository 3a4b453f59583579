"""The order of a list (RFC 7644 §3.4.2.3), and where in it a page begins."""

from dataclasses import dataclass
from typing import Any

from scim2_models import AttributeBinding, InvalidCursorException, InvalidFilterException, InvalidPathException
from sqlalchemy import BigInteger, ColumnElement, Text, and_, case, literal, null, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from scim.attributes import Kind, StoredAttributes
from scim.json_sql import Node

Condition = ColumnElement[bool]


@dataclass(frozen=True)
class SortValue:
    """What resources of one type are ordered by. ``optional`` tells that some may have no value."""

    expression: ColumnElement[Any]
    optional: bool


def sort_value(attributes: StoredAttributes, binding: AttributeBinding | None, *, is_text: bool) -> SortValue:
    """Return what the resources of a type are ordered by; null where the type does not declare the attribute.

    :raises InvalidPathException: When nobody can be ordered by it.
    """
    if binding is None:
        return SortValue(null().cast(Text if is_text else BigInteger), optional=True)
    if binding.urn.lower().endswith(":meta.location"):  # the same prefix for all, then the id
        return SortValue(attributes.json.by_code_point(attributes.table_id), optional=False)
    try:
        attribute = attributes.of_binding(binding)
    except InvalidFilterException as error:
        raise InvalidPathException(path="", detail="Lists cannot be sorted by this attribute.") from error
    expression = attribute.first(lambda node: _ordered_form(attributes, attribute.kind, node))
    required = isinstance(expression, InstrumentedAttribute) and not expression.property.columns[0].nullable
    return SortValue(expression, optional=not required)


def is_text(kind: Kind) -> bool:
    """Tell whether values of a kind are ordered as texts; others are ordered as numbers."""
    return kind not in (Kind.boolean, Kind.moment)


def _ordered_form(attributes: StoredAttributes, kind: Kind, node: Node) -> ColumnElement[Any]:
    if kind is Kind.boolean:
        return case((node.is_true, 1), (node.is_false, 0))
    return node.number if kind is Kind.moment else attributes.json.by_code_point(node.text)


@dataclass(frozen=True)
class Position:
    """The resource beside which a page begins or ends: its sort value, the number of its type, and its id."""

    is_next: bool
    value: Any
    type: int
    id: str

    def to_json(self) -> list[Any]:
        """Return the position as a cursor holds it."""
        return [self.is_next, self.value, self.type, self.id]

    @classmethod
    def of(cls, held: Any) -> "Position":
        """Return the position that a cursor holds.

        :raises InvalidCursorException: When it holds none.
        """
        try:
            is_next, value, type_, id_ = held
        except (TypeError, ValueError):
            raise InvalidCursorException from None
        readable = isinstance(is_next, bool) and isinstance(value, str | int | float | None)
        if not readable or not isinstance(type_, int) or not isinstance(id_, str):
            raise InvalidCursorException
        return cls(is_next, value, type_, id_)


@dataclass(frozen=True)
class Order:
    """The order of the rows of a search. ``value`` is None when they are ordered by id alone.

    Descending is the exact reverse of ascending, so people without a value come first in it.
    """

    value: SortValue | None
    tail: tuple[ColumnElement[Any], ...]
    descending: bool

    def by(self, *, backwards: bool) -> list[ColumnElement[Any]]:
        """Return what the rows are ordered by, in a page that is read forwards or backwards."""
        terms: list[ColumnElement[Any]] = list(self.tail)
        if self.value is not None:
            terms.insert(0, self.value.expression)
            if self.value.optional:
                terms.insert(0, case((self.value.expression.is_(None), 1), else_=0))
        return [term.desc() if self.descending != backwards else term.asc() for term in terms]

    def beyond(self, position: Position) -> Condition:
        """Return the condition of the rows after a position, or of those before it."""
        upwards = position.is_next != self.descending
        anchors: tuple[Any, ...] = (position.type, position.id) if len(self.tail) > 1 else (position.id,)
        if self.value is None:
            return _compare(self.tail, anchors, upwards)
        missing = self.value.expression.is_(None)
        if position.value is None:
            among = and_(missing, _compare(self.tail, anchors, upwards))
            return among if upwards else or_(self.value.expression.is_not(None), among)
        present = _compare((self.value.expression, *self.tail), (position.value, *anchors), upwards)
        return or_(present, missing) if upwards and self.value.optional else present


def _compare(terms: tuple[ColumnElement[Any], ...], anchors: tuple[Any, ...], upwards: bool) -> Condition:
    """Compare terms as one; on an index of them this is a range."""
    left: ColumnElement[Any] = terms[0] if len(terms) == 1 else tuple_(*terms)
    right: Any = anchors[0] if len(terms) == 1 else tuple_(*(literal(anchor) for anchor in anchors))
    condition: Condition = left > right if upwards else left < right
    return condition
