"""Rows written at once, by statements that are built once.

The ORM's unit of work finds out by itself what is to be written, and in which
order. Where that is known, finding it out costs more than the writing.
"""

from collections.abc import Sequence
from itertools import compress, repeat
from operator import ne
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Table, bindparam, insert, inspect, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from models import Base, DirectoryGroup, DirectoryUser, DirectoryUserEmail, OrganizationMembership, Role, User
from prepared import Prepared

RowT = TypeVar("RowT", bound=Base)

WRITTEN: tuple[type[Base], ...] = (DirectoryGroup, DirectoryUser, DirectoryUserEmail, OrganizationMembership, User)
INSERT = {model: Prepared(insert(model)) for model in WRITTEN}
KEYS = {model: [column.name for column in cast(Table, model.__table__).primary_key] for model in WRITTEN}
# By the names of the keys, those of the values that say which row is meant.
THIS = {model: {name: f"this_{name}" for name in KEYS[model]} for model in WRITTEN}
UPDATE = {
    model: Prepared(
        update(cast(Table, model.__table__)).where(
            *(model.__table__.c[name] == bindparam(this) for name, this in THIS[model].items())
        )
    )
    for model in WRITTEN
}


# The columns that are read with a row; a folded document is compared in the database and never read back. Of a role
# those by which a directory decides.
LOADED: dict[type[Base], list[ColumnElement[Any]]] = {
    model: [attribute.columns[0] for attribute in inspect(model).column_attrs if not attribute.deferred]
    for model in WRITTEN
}
LOADED[Role] = [cast(Table, Role.__table__).c[name] for name in ("id", "key", "permissions")]
NAMES = {model: [str(column.key) for column in columns] for model, columns in LOADED.items()}
UNKNOWN = object()  # equals nothing
NOTHING = {model: dict.fromkeys(column.key for column in cast(Table, model.__table__).columns) for model in WRITTEN}


class PlainRow:
    """A row of which the session knows nothing: it has the columns as its attributes, and nothing else of its model.

    It is no object of the ORM, which would take longer to make than to read from the database, and each of whose
    attributes is asked for by way of a function.
    """


PLAIN: dict[type[Base], type[PlainRow]] = {model: type(f"Plain{model.__name__}", (PlainRow,), {}) for model in LOADED}
MODEL_OF: dict[type, type[Base]] = {kind: model for model in WRITTEN for kind in (model, PLAIN[model])}


def plain_row(model: type[RowT], columns: dict[str, Any]) -> RowT:
    """Return the plain row of these columns, which are the row's from now on."""
    row: Any = PLAIN[model]()
    row.__dict__ = columns
    plain: RowT = row
    return plain


def loaded_row(model: type[RowT], columns: Sequence[Any]) -> RowT:
    """Return the plain row of its ``LOADED`` columns; what stands behind them is not looked at."""
    return plain_row(model, dict(zip(NAMES[model], columns, strict=False)))


def is_plain(row: Base) -> bool:
    """Tell whether the session knows nothing of a row."""
    return isinstance(row, PlainRow)


def add_row(session: Session, model: type[RowT], **values: Any) -> RowT:
    """Insert a row and return it, without the session keeping it."""
    INSERT[model].run(session, values)
    return plain_row(model, {**NOTHING[model], **values})


def write_row(session: Session, row: Base, **values: Any) -> None:
    """Write those of these values that differ, into the database and into the row."""
    known = row.__dict__  # a column that was not loaded is written, and not loaded for that
    before = map(known.get, values, repeat(UNKNOWN))
    changed = {name: values[name] for name in compress(values, map(ne, before, values.values()))}
    if not changed:
        return
    model = MODEL_OF[type(row)]
    this = {name: known[key] for key, name in THIS[model].items()}
    UPDATE[model].run(session, {**this, **changed})
    if isinstance(row, PlainRow):
        known.update(changed)
        return
    for name, value in changed.items():
        set_committed_value(row, name, value)
