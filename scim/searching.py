"""Lists (RFC 7644 §3.4.2): which resources a search finds, in which order, and one page of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scim2_models import Resource, ScimFilter, SearchRequest
from sqlalchemy import ColumnElement, Select, Text, func, literal, select, union_all
from sqlalchemy.orm import Session

from directory.directories import Directory
from models import DirectoryUser
from scim.attributes import StoredAttributes, kind_of
from scim.documents import StoredDocument
from scim.filters import compile_filter
from scim.json_sql import json_sql
from scim.reading import OF_DIRECTORY, directory_parameters, documents_of, load_documents
from scim.sorting import Order, Position, SortValue, is_text, sort_value


@dataclass(frozen=True)
class Searched:
    """One resource type of a search: its attributes, the condition of the filter, and what it is ordered by."""

    attributes: StoredAttributes
    condition: ColumnElement[bool] | None
    value: SortValue | None

    def where(self, query: Any) -> Any:
        """Restrict a query of the type's rows to those that are found."""
        attributes = self.attributes
        query = query.where(attributes.table.organization_id == attributes.organization_id)
        if attributes.table is DirectoryUser:
            query = query.where(DirectoryUser.deleted_at.is_(None))
        return query if self.condition is None else query.where(self.condition)


@dataclass(frozen=True)
class Page:
    """A page of a list; ``total`` is None where nobody asked, and a position where there is no such page."""

    total: int | None
    documents: list[StoredDocument]
    next: Position | None = None
    previous: Position | None = None


class Search:
    """A search over one or several resource types of a directory, as one collection.

    :param models: The searched types by name, with their models.
    :raises InvalidFilterException: When the filter fits none of the types.
    :raises InvalidPathException: When lists cannot be sorted as asked.
    """

    def __init__(
        self,
        session: Session,
        directory: Directory,
        models: dict[str, type[Resource[Any]]],
        request: SearchRequest[Any],
        scim_filter: ScimFilter[Any] | None,
    ) -> None:
        json = json_sql(session.get_bind().dialect.name)
        types = [StoredAttributes(name, model, directory.organization_id, json) for name, model in models.items()]
        values = _sort_values(types, models, request)
        self.session, self.directory = session, directory
        self.searched = [
            Searched(
                attributes,
                None if scim_filter is None else compile_filter(scim_filter, attributes, types),
                values[attributes.resource_type] if values else None,
            )
            for attributes in types
        ]
        self.descending = request.sort_by is not None and request.sort_order == SearchRequest.SortOrder.descending

    def page_by_index(self, start_index: int, count: int | None, *, computed: bool) -> Page:
        """Return the page that begins at a 1-based index, and the number of all that is found."""
        if count == 0:
            return Page(self.count(), [])
        query, order = self._query()
        query = query.order_by(*order.by(backwards=False)).limit(count)
        rows = self._rows(query if start_index == 1 else query.offset(start_index - 1))
        is_all = start_index == 1 and (count is None or len(rows) < count)
        return Page(len(rows) if is_all else self.count(), self._documents(rows, computed))

    def page_by_cursor(self, position: Position | None, count: int | None, *, computed: bool) -> Page:
        """Return the page beside a position, without counting what is found; a count of 0 asks for nothing else."""
        if count == 0:
            return Page(self.count(), [])
        query, order = self._query()
        backwards = position is not None and not position.is_next
        if position is not None:
            query = query.where(order.beyond(position))
        rows = self._rows(query.order_by(*order.by(backwards=backwards)).limit(None if count is None else count + 1))
        has_more = count is not None and len(rows) > count
        rows = rows[:count]
        if backwards:
            rows = rows[::-1]
        if not rows:
            return Page(None, [])
        first, last = _position(rows[0], is_next=False), _position(rows[-1], is_next=True)
        has_next, has_previous = (True, has_more) if backwards else (has_more, position is not None)
        return Page(None, self._documents(rows, computed), last if has_next else None, first if has_previous else None)

    def count(self) -> int:
        """Return how many resources are found."""
        return sum(
            self.session.scalar(searched.where(select(func.count()).select_from(searched.attributes.table))) or 0
            for searched in self.searched
        )

    def _query(self) -> tuple[Any, Order]:
        """Return the query of what is found, and its order: whole rows of one type, or the keys of several."""
        if len(self.searched) == 1:
            searched = self.searched[0]
            query: Any = OF_DIRECTORY[searched.attributes.resource_type]
            if searched.value is not None:
                query = query.add_columns(searched.value.expression.label("sort_value"))
            order = Order(searched.value, (searched.attributes.table_id,), self.descending)
            return query if searched.condition is None else query.where(searched.condition), order
        keys = union_all(*(_keys(number, searched) for number, searched in enumerate(self.searched))).subquery()
        value = SortValue(keys.c.sort_value, optional=True) if self.searched[0].value else None
        return select(keys), Order(value, (keys.c.type, keys.c.id), self.descending)

    def _rows(self, query: Any) -> Sequence[Any]:
        """Return what a query finds, as rows of the connection: they hold columns, and no objects of a session."""
        self.session.flush()  # statements on the connection do not see to that themselves
        rows: Sequence[Any] = self.session.connection().execute(query, directory_parameters(self.directory)).all()
        return rows

    def _documents(self, rows: Sequence[Any], computed: bool) -> list[StoredDocument]:
        if len(self.searched) == 1:
            resource_type = self.searched[0].attributes.resource_type
            return documents_of(self.session, self.directory, resource_type, rows, computed)
        keys = [(self.searched[row.type].attributes.resource_type, row.id) for row in rows]
        return load_documents(self.session, self.directory, keys, computed=computed)


def _keys(number: int, searched: Searched) -> Select[Any]:
    attributes = searched.attributes
    query = select(literal(number).label("type"), attributes.table_id.label("id"))
    value = literal(None, Text) if searched.value is None else searched.value.expression
    keys: Select[Any] = searched.where(query.add_columns(value.label("sort_value")))
    return keys


def _sort_values(
    types: list[StoredAttributes], models: dict[str, type[Resource[Any]]], request: SearchRequest[Any]
) -> dict[str, SortValue]:
    """Return what each type is ordered by; nothing when the request does not say."""
    if request.sort_by is None:
        return {}
    bindings = {name: request.sort_binding(model) for name, model in models.items()}
    as_text = next(is_text(kind_of(binding)) for binding in bindings.values() if binding is not None)
    return {
        attributes.resource_type: sort_value(attributes, bindings[attributes.resource_type], is_text=as_text)
        for attributes in types
    }


def _position(row: Any, *, is_next: bool) -> Position:
    return Position(is_next, getattr(row, "sort_value", None), getattr(row, "type", 0), row.id)
