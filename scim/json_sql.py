"""Reading JSON inside the database: the same questions in the words of SQLite and of PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FromClause,
    Integer,
    and_,
    case,
    cast,
    column,
    exists,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from models import Key

# What is some text, number or truth value at any depth, and no empty text.
SOMETHING: ColumnElement[Any] = literal_column(
    """'$.** ? (@.type() == "number" || @.type() == "boolean" || (@.type() == "string" && @ != ""))'::jsonpath"""
)


@dataclass(frozen=True)
class Node:
    """One stored value, asked for as each type; each expression is null where the value is of another type.

    ``column`` tells that the value is a column of its own, which has one type
    and may have an index.
    """

    is_null: ColumnElement[bool]
    present: ColumnElement[bool]
    text: ColumnElement[Any] = null()  # noqa: RUF009  (immutable)
    number: ColumnElement[Any] = null()  # noqa: RUF009
    is_true: ColumnElement[bool] = false()  # noqa: RUF009
    is_false: ColumnElement[bool] = false()  # noqa: RUF009
    column: bool = False

    def sure(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return a condition that is false, not null, where there is no value of the type."""
        return and_(not_(self.is_null), condition) if self.column else func.coalesce(condition, false())


@dataclass(frozen=True)
class Entries:
    """The values of a multi-valued attribute as rows: the entry itself, its members, and its place."""

    rows: FromClause
    itself: Node
    member: Callable[[str], Node]
    place: ColumnElement[Any]

    def any(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Tell whether an entry meets a condition."""
        return exists(select(1).select_from(self.rows).where(condition))

    def first(self, expression: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what an expression says of the primary entry, else of the first one (RFC 7644 §3.4.2.3)."""
        primary = func.coalesce(self.member("primary").is_true, false())
        return select(expression).select_from(self.rows).order_by(primary.desc(), self.place).limit(1).scalar_subquery()


class JsonSql(ABC):
    """The JSON functions of one database. A path is a tuple of names, from the top of a document."""

    @abstractmethod
    def at(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Node:
        """Return the value at a path."""

    @abstractmethod
    def entries(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Entries:
        """Return the entries of the array at a path; a value that is no array is the only entry."""

    @abstractmethod
    def contains(self, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
        """Tell whether a text contains another, both literally."""

    @abstractmethod
    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a text that is ordered by its code points."""


class SqliteJson(JsonSql):
    """The JSON functions of SQLite."""

    def at(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Node:
        """Return the value at a path."""
        where = _sqlite_path(path)
        tree = func.json_tree(document, where).table_valued("atom")
        present = exists(select(1).select_from(tree).where(tree.c.atom.is_not(None), tree.c.atom != ""))
        return self._node(func.json_type(document, where), func.json_extract(document, where), present)

    def entries(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Entries:
        """Return the entries of the array at a path; an object is wrapped, else json_each would give its members."""
        where = _sqlite_path(path)
        is_object = func.json_type(document, where) == "object"
        wrapped = func.json_array(func.json_extract(document, where))
        each = func.json_each(
            case((is_object, wrapped), else_=document), case((is_object, "$"), else_=where)
        ).table_valued("key", "value", "type")
        entry = case((each.c.type == "object", each.c.value), else_="{}")
        scalar = and_(each.c.type.not_in(("object", "array", "null")), each.c.value != "")
        itself = self._node(each.c.type, each.c.value, or_(scalar, self.at(entry, ()).present))
        return Entries(each, itself, lambda name: self.at(entry, (name,)), each.c.key)

    def _node(self, kind: ColumnElement[Any], value: ColumnElement[Any], present: ColumnElement[bool]) -> Node:
        return Node(
            is_null=or_(kind.is_(None), kind == "null"),
            present=present,
            text=case((kind == "text", value)),
            number=case((kind.in_(("integer", "real")), cast(value, Double))),
            is_true=kind == "true",
            is_false=kind == "false",
        )

    def contains(self, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
        """Tell whether a text contains another, both literally."""
        return func.instr(text, part) > 0

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the text: SQLite compares bytes, and UTF-8 keeps the order of code points."""
        return text


class PostgresJson(JsonSql):
    """The JSON functions of PostgreSQL."""

    def at(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Node:
        """Return the value at a path."""
        if not path:
            return self._node(document, document.op("#>>")(literal_column("'{}'::text[]")))
        value = func.jsonb_extract_path(document, *path, type_=JSONB)
        return self._node(value, func.jsonb_extract_path_text(document, *path))

    def entries(self, document: ColumnElement[Any], path: tuple[str, ...]) -> Entries:
        """Return the entries of the array at a path."""
        value = func.jsonb_extract_path(document, *path, type_=JSONB)
        is_array = func.jsonb_typeof(value) == "array"
        array = case((is_array, value), (value.is_not(None), func.jsonb_build_array(value, type_=JSONB)))
        each = (
            func.jsonb_array_elements(array, type_=JSONB)
            .table_valued(column("value", JSONB), with_ordinality="place", name=None)
            .render_derived()
        )
        return Entries(each, self.at(each.c.value, ()), lambda name: self.at(each.c.value, (name,)), each.c.place)

    def _node(self, value: ColumnElement[Any], text: ColumnElement[Any]) -> Node:
        kind = func.jsonb_typeof(value)
        return Node(
            is_null=or_(kind.is_(None), kind == "null"),
            present=func.coalesce(func.jsonb_path_exists(value, SOMETHING), false()),
            text=case((kind == "string", text)),
            number=case((kind == "number", cast(text, Double))),
            is_true=and_(kind == "boolean", text == "true"),
            is_false=and_(kind == "boolean", text == "false"),
        )

    def contains(self, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
        """Tell whether a text contains another, both literally."""
        return func.strpos(text, part) > 0

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the text without the rules of a language; a folded column has none."""
        return text if text.type is Key else text.collate("C")


def json_sql(dialect: str) -> JsonSql:
    """Return the JSON functions of a database by its name."""
    return PostgresJson() if dialect == "postgresql" else SqliteJson()


def text_column(expression: Any) -> Node:
    """Return a column that holds text, or nothing, as a value."""
    return Node(
        is_null=expression.is_(None),
        present=and_(expression.is_not(None), expression != ""),
        text=expression,
        column=True,
    )


def boolean_column(expression: Any) -> Node:
    """Return a column that is true, false or null as a value."""
    return Node(
        is_null=expression.is_(None),
        present=expression.is_not(None),
        number=cast(expression, Integer),
        is_true=expression,
        is_false=not_(expression),
        column=True,
    )


def moment_column(milliseconds: Any) -> Node:
    """Return a column of Unix milliseconds as a value in microseconds, in which a filter may speak of it."""
    return Node(
        is_null=milliseconds.is_(None),
        present=milliseconds.is_not(None),
        number=cast(milliseconds, BigInteger) * 1000,
        column=True,
    )


def _sqlite_path(path: tuple[str, ...]) -> str:
    """Return a path as SQLite writes it. A name has no quotation mark: the grammar of filters has none."""
    return "$" + "".join(f'."{name}"' for name in path)
