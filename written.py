"""Statements of SQLAlchemy Core, written out as one kind of database reads them, with what converts their values."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import JSON, Boolean, Dialect
from sqlalchemy.types import TypeEngine

from json_text import compact, read_compact

Row = tuple[Any, ...]
Converter = Callable[[Any], Any]
# Makes of the values of one execution what the driver takes, in the order in which they stand in the statement.
Binder = Callable[[Mapping[str, Any]], Sequence[Any]]
# Makes of the driver's rows those of the models.
Reader = Callable[[list[Row]], list[Row]]


class Written(NamedTuple):
    """A statement as one kind of database reads it, and what converts the values on both ways."""

    sql: str
    bound: Binder
    # None where the driver's rows are as the models have them.
    read: Reader | None


def write(statement: Any, dialect: Dialect, names: Sequence[str]) -> Written:
    """Return a statement written out for one kind of database.

    :raises ValueError: When it has a part whose length is only known when it is executed.
    """
    compiled = statement.compile(dialect=_by_number(dialect), column_keys=list(names))
    if compiled.post_compile_params or compiled.literal_execute_params:
        raise ValueError(f"This statement is written anew for each execution: {compiled}")
    binds, names_in_order = compiled.binds, compiled.positiontup
    converters = [_bound_by(binds[name].type.dialect_impl(dialect), dialect) for name in names_in_order]
    constants = {name: bind.effective_value for name, bind in binds.items() if not bind.required and name not in names}
    defaults = [(column.key, column.default) for column in compiled.insert_prefetch]
    bound = _binder(names_in_order, converters)
    if constants or defaults:
        bound = _with_defaults(bound, constants, defaults)
    return Written(str(compiled), bound, _reader(statement, dialect))


def _binder(names: Sequence[str], converters: Sequence[Converter | None]) -> Binder:
    """Return what puts values into the order in which they stand in a statement, and converts those that need it."""
    if not names:
        return lambda _: ()
    found = itemgetter(*names)
    in_order = found if len(names) > 1 else lambda values: (found(values),)
    converted = [(place, convert) for place, convert in enumerate(converters) if convert is not None]
    if not converted:
        return in_order

    def bound(values: Mapping[str, Any]) -> Sequence[Any]:
        several = [*in_order(values)]
        for place, convert in converted:
            several[place] = convert(several[place])
        return several

    return bound


def _with_defaults(
    bound: Binder,
    constants: Mapping[str, Any],
    defaults: Sequence[tuple[str, Any]],
) -> Binder:
    """Return the same for a statement that says some values itself, and has columns that need not be given."""

    def completed(values: Mapping[str, Any]) -> Sequence[Any]:
        given = {name: default.arg(None) if default.is_callable else default.arg for name, default in defaults}
        return bound({**constants, **given, **values})

    return completed


def _by_number(dialect: Dialect) -> Dialect:
    """Return a kind of database with values by their place: ``?``, and on PostgreSQL ``$1``, as its server has them."""
    if dialect.positional:
        return dialect
    numbered: Any = copy(dialect)
    numbered.paramstyle, numbered.positional = "numeric_dollar", True
    numbered.identifier_preparer = numbered.preparer(numbered)
    by_number: Dialect = numbered
    return by_number


def _reader(statement: Any, dialect: Dialect) -> Reader | None:
    """Return what converts the columns of rows that need it; None where none does."""
    columns = getattr(statement, "exported_columns", ())
    found = [_read_by(column.type.dialect_impl(dialect), dialect) for column in columns]
    converted = [(place, convert) for place, convert in enumerate(found) if convert is not None]

    def read(rows: list[Row]) -> list[Row]:
        several = []
        for row in rows:
            values = [*row]
            for place, convert in converted:
                values[place] = convert(values[place])
            several.append(tuple(values))
        return several

    return read if converted else None


def _bound_by(type_: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """Return what makes of a value of the models one of the driver; None where they are the same."""
    convert = type_.bind_processor(dialect)
    if convert is not None and isinstance(type_, JSON):
        return _json_bound(convert)
    return BITS.__getitem__ if isinstance(type_, Boolean) and dialect.name == "sqlite" else convert


def _read_by(type_: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """Return what makes of a value of the driver one of the models; None where they are the same."""
    convert = type_.result_processor(dialect, None)
    is_text = isinstance(type_, JSON) and dialect.name == "sqlite"
    return _json_read(convert) if is_text and convert is not None else convert


# What SQLAlchemy's own converters do, and psycopg's, with each value in several functions.
BITS = {True: 1, False: 0, None: None}
EMPTY = {"{}": dict, "[]": list}  # as most are
EMPTY_TEXTS = {kind: text for text, kind in EMPTY.items()}


def _json_bound(others: Converter) -> Converter:
    """Return what writes objects and lists as text, and whatever else there is by way of ``others``."""

    def bound(value: Any) -> Any:
        kind = value.__class__
        if kind is not dict and kind is not list:
            return others(value)
        return compact(value) if value else EMPTY_TEXTS[kind]

    return bound


def _json_read(others: Converter) -> Converter:
    """Return what reads texts that ``_json_bound`` wrote, and whatever else there is by way of ``others``."""

    def read(text: Any) -> Any:
        if text in EMPTY:
            return EMPTY[text]()
        return read_compact(text) if text.__class__ is str else others(text)

    return read
