"""Statements that are written out once and then run by the database driver itself.

SQLAlchemy asks anew at each execution what a statement looks like, which of its values have
to be converted, and what its result is. For what each request runs that costs several
times what SQLite does. A ``Prepared`` statement asks once for each kind of database.

It belongs to the session's transaction like any other statement, is seen by listeners for
``before_cursor_execute`` and ``after_cursor_execute``, and fails with SQLAlchemy's errors.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import JSON, BindParameter, Boolean, Connection, Dialect, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from json_text import compact, read_compact

Row = tuple[Any, ...]
Converter = Callable[[Any], Any]
# The option of a connection whose transactions are begun and ended by whoever keeps it, all with one runner.
KEPT = "authn_scim_kept"
# Under this key of ``session.info`` stands what the transaction runs its statements with.
RUNNER = "prepared_runner"


Listener = Callable[..., None]


@dataclass(frozen=True)
class Runner:
    """The connection of a transaction: as SQLAlchemy knows it, and the driver's own."""

    connection: Connection
    dialect: Dialect
    kind: str  # the name of the dialect
    driver: Any
    # One for all its statements, whose rows are fetched at once: PostgreSQL's driver makes one in 30 calls.
    cursor: Any
    # The transaction or savepoint that the session was in, if the ORM had a part in any: the innermost.
    within: SessionTransaction | None
    # Those who want to see each statement before and after it is executed, and each commit: as they were when the
    # transaction began, or, where a connection is kept, when that was opened. To ask each time costs most.
    before: Sequence[Listener]
    after: Sequence[Listener]
    committing: Sequence[Listener]
    # Runs a statement, and one for each of several values, of whose result nobody asks: they may wait for one of which
    # somebody does.
    execute_later: Callable[..., Any]
    executemany_later: Callable[..., Any]
    # Lets one wait whose rows are wanted later, and returns where they will be; None where none waits.
    ask: Callable[..., Any] | None
    # What ends a transaction: the driver, or a cursor some of whose statements were not sent so far.
    ending: Any

    @classmethod
    def of(cls, session: Session) -> "Runner":
        """Return that of a session's transaction. It, or its savepoint, begins with that if it did not before."""
        runner: Runner | None = session.info.get(RUNNER)
        if runner is not None and runner.within is session._transaction:
            return runner
        connection = session.connection()
        runner = session.info.get(RUNNER)  # which a transaction that began this moment may have brought
        if runner is None or runner.connection is not connection:
            runner = cls.on(connection)
        if runner.within is not session._transaction:
            runner = replace(runner, within=session._transaction)
        session.info[RUNNER] = runner
        return runner

    @classmethod
    def on(cls, connection: Connection, cursor: Any = None) -> "Runner":
        """Return that of a connection, with a cursor of one's own if one has it."""
        dispatch, dialect, driver = connection.dispatch, connection.dialect, connection.connection.dbapi_connection
        listeners = tuple(dispatch.before_cursor_execute), tuple(dispatch.after_cursor_execute), tuple(dispatch.commit)
        assert driver is not None
        if cursor is not None:
            later = cursor.execute_later, cursor.executemany_later, cursor.ask
            return cls(connection, dialect, dialect.name, driver, cursor, None, *listeners, *later, cursor)
        is_numbered = dialect.name == "postgresql"
        cursor = dialect.loaded_dbapi.RawCursor(driver) if is_numbered else driver.cursor()
        later = cursor.execute, cursor.executemany, None  # of the driver's own cursor no statement waits
        return cls(connection, dialect, dialect.name, driver, cursor, None, *listeners, *later, driver)

    def run_text(self, sql: str) -> None:
        """Run a statement without values, as it stands."""
        _execute(self, self.cursor.execute, sql, ())

    def run_text_later(self, sql: str) -> None:
        """Run a statement without values of whose result nobody asks: it may wait for one of which somebody does."""
        _execute(self, self.execute_later, sql, ())

    def begin(self) -> None:
        """Begin a transaction on a connection where statements wait."""
        _execute(self, self.cursor.begin, "BEGIN", ())

    def send_waiting(self) -> None:
        """Run what waits.

        :raises DBAPIError: What the database refuses, such as ``IntegrityError``.
        """
        if self.ending is not self.cursor:
            return
        try:
            self.cursor.send_waiting()
        except self.dialect.loaded_dbapi.Error as error:
            raise _failure(self, "", error) from error

    def forget(self) -> None:
        """Leave what waits since the last savepoint, to which the transaction is rolled back."""
        if self.ending is self.cursor:
            self.cursor.forget()

    def commit(self) -> None:
        """Commit the driver's transaction, seen by listeners for ``commit``.

        :raises DBAPIError: When the database could not.
        """
        for listener in self.committing:
            listener(self.connection)
        try:
            self.ending.commit()
        except self.dialect.loaded_dbapi.Error as error:
            raise _failure(self, "COMMIT", error) from error

    def rollback(self) -> None:
        """End the driver's transaction, if there is one, and leave nothing of it."""
        try:
            self.ending.rollback()
        except self.dialect.loaded_dbapi.Error as error:
            raise _failure(self, "ROLLBACK", error) from error


@dataclass(frozen=True)
class Written:
    """A statement as one kind of database reads it, and what converts the values on both ways."""

    sql: str
    # The names of the values, in the order in which they stand in the statement, and by their place those to convert.
    names: Sequence[str]
    converters: Sequence[tuple[int, Converter]]
    # What the statement itself says, and what a column that is not given gets.
    constants: Mapping[str, Any]
    defaults: Sequence[tuple[str, Any]]
    # By their place in a row, the columns that have to be converted.
    results: Sequence[tuple[int, Converter]]

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Return the values of one execution as the driver takes them."""
        if self.defaults or self.constants:
            given = {name: default.arg(None) if default.is_callable else default.arg for name, default in self.defaults}
            values = {**self.constants, **given, **values}
        bound = list(map(values.__getitem__, self.names))
        for place, convert in self.converters:
            bound[place] = convert(bound[place])
        return bound

    def rows_of(self, rows: list[Row]) -> list[Row]:
        """Return rows of the driver with their values as the models have them."""
        converted = []
        for row in rows:
            values = list(row)
            for place, convert in self.results:
                values[place] = convert(values[place])
            converted.append(tuple(values))
        return converted


class Prepared:
    """A statement of SQLAlchemy Core whose values have names; one with a list (``IN``) is a ``PreparedList``.

    :param statement: Where kinds of databases need their own, those by the names of their dialects.
    """

    def __init__(self, statement: Executable | Mapping[str, Executable]) -> None:
        self.statement: Any = statement
        # By the kind of database and the names of the values: an INSERT or UPDATE is of their columns.
        self._written: dict[tuple[str, ...], Written] = {}

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[Row]:
        """Run it with these values, and return all rows that it finds.

        :raises DBAPIError: What the database refuses, such as ``IntegrityError``.
        """
        runner, written = self.begin(session, values)
        _execute(runner, runner.cursor.execute, written.sql, written.bound(values))
        try:
            rows = runner.cursor.fetchall()
        except runner.dialect.loaded_dbapi.Error as error:
            raise _failure(runner, written.sql, error) from error
        return written.rows_of(rows) if written.results else rows

    def row(self, session: Session, values: Mapping[str, Any]) -> Row | None:
        """Run it with these values, and return the first row that it finds, or None."""
        found = self.rows(session, values)
        return found[0] if found else None

    def ask(self, session: Session, values: Mapping[str, Any]) -> "Asked":
        """Ask for the rows that it finds with these values, and go on: see ``Asked``."""
        return Asked(self, session, values)

    def run(self, session: Session, values: Mapping[str, Any]) -> None:
        """Run it with these values, for what it changes.

        On PostgreSQL it is run with the next statement of which rows are asked, or at the end of the transaction; so
        what the database refuses may be said only then.

        :raises DBAPIError: What the database refuses, such as ``IntegrityError``.
        """
        runner, written = self.begin(session, values)
        _execute(runner, runner.execute_later, written.sql, written.bound(values))

    def run_all(self, session: Session, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of these values, which all have the same names, as ``run`` does."""
        if len(values) < 2:
            for only in values:
                self.run(session, only)
            return
        runner, written = self.begin(session, values[0])
        _execute(runner, runner.executemany_later, written.sql, [written.bound(each) for each in values], many=True)

    def begin(self, session: Session, values: Mapping[str, Any]) -> tuple[Runner, Written]:
        """Return what runs it in a session's transaction, and the statement for its database and these values."""
        runner = session.info.get(RUNNER)
        if runner is None or runner.within is not session._transaction:
            runner = Runner.of(session)
        written = self._written.get((runner.kind, *values))
        return runner, self.written_for(runner.dialect, values) if written is None else written

    def written_for(self, dialect: Dialect, values: Mapping[str, Any]) -> Written:
        """Return the statement for a kind of database and these values."""
        key = (dialect.name, *values)
        written = self._written.get(key)
        if written is None:
            statement = self.statement[dialect.name] if isinstance(self.statement, Mapping) else self.statement
            written = self._written[key] = _write(statement, dialect, list(values))
        return written


class Asked:
    """Rows that are asked for ahead of their use: on PostgreSQL they come in the round trip of the next statement.

    There they are as they were when they were asked for. On SQLite the statement is run when they are used, if ever.
    """

    def __init__(self, statement: Prepared, session: Session, values: Mapping[str, Any]) -> None:
        self._statement, self._session, self._values = statement, session, values
        self._place: Any = None
        runner: Runner = session.info.get(RUNNER) or Runner.of(session)
        ask = runner.ask
        if ask is not None:
            self._runner, self._written = runner, written = statement.begin(session, values)
            self._place = _execute(runner, ask, written.sql, written.bound(values))

    def rows(self) -> list[Row]:
        """Return the rows. They are asked for anew if they were used before.

        :raises DBAPIError: What the database refuses.
        """
        place, self._place = self._place, None
        if place is not None:
            runner, written = self._runner, self._written
            try:
                rows = runner.cursor.rows_at(place)
            except runner.dialect.loaded_dbapi.Error as error:
                raise _failure(runner, written.sql, error) from error
            if rows is not None:
                return written.rows_of(rows)
        return self._statement.rows(self._session, self._values)


class PreparedList:
    """A statement that asks for some of a list, prepared for a few lengths: a list is filled up with its last value.

    :param statement_of: Makes the statement; it is given what to compare with ``IN``.
    """

    LENGTHS = (1, 10, 100, 500)

    def __init__(self, statement_of: Callable[[list[BindParameter[Any]]], Executable]) -> None:
        self.statement_of = statement_of
        self._prepared: dict[int, Prepared] = {}

    def rows(self, session: Session, values: Mapping[str, Any], listed: Sequence[Any]) -> list[Row]:
        """Run it with these values for a list that is not empty, of 500 at most, and return all rows that it finds."""
        prepared, filled = self._filled(listed)
        return prepared.rows(session, {**values, **filled})

    def run(self, session: Session, values: Mapping[str, Any], listed: Sequence[Any]) -> None:
        """Run it with these values for such a list, for what it changes."""
        prepared, filled = self._filled(listed)
        prepared.run(session, {**values, **filled})

    def _filled(self, listed: Sequence[Any]) -> tuple[Prepared, dict[str, Any]]:
        length = self.LENGTHS[bisect_left(self.LENGTHS, len(listed))]
        prepared = self._prepared.get(length)
        if prepared is None:  # the long ones are large, and seldom needed
            places: list[BindParameter[Any]] = [bindparam(f"listed_{place}") for place in range(length)]
            prepared = self._prepared[length] = Prepared(self.statement_of(places))
        filled = [*listed, *[listed[-1]] * (length - len(listed))]
        return prepared, {f"listed_{place}": value for place, value in enumerate(filled)}


def _write(statement: Any, dialect: Dialect, names: Sequence[str]) -> Written:
    """Return a statement written out for one kind of database.

    :raises ValueError: When it has a part whose length is only known when it is executed.
    """
    compiled = statement.compile(dialect=_by_number(dialect), column_keys=list(names))
    if compiled.post_compile_params or compiled.literal_execute_params:
        raise ValueError(f"This statement is written anew for each execution: {compiled}")
    binds, names_in_order = compiled.binds, compiled.positiontup
    converters = [_bound_by(binds[name].type.dialect_impl(dialect), dialect) for name in names_in_order]
    defaults = [(column.key, column.default) for column in compiled.insert_prefetch]
    return Written(
        sql=str(compiled),
        names=names_in_order,
        converters=[(place, convert) for place, convert in enumerate(converters) if convert is not None],
        constants={
            name: bind.effective_value for name, bind in binds.items() if not bind.required and name not in names
        },
        defaults=defaults,
        results=_results(statement, dialect),
    )


def _by_number(dialect: Dialect) -> Dialect:
    """Return a kind of database with values by their place: ``?``, and on PostgreSQL ``$1``, as its server has them."""
    if dialect.positional:
        return dialect
    numbered: Any = copy(dialect)
    numbered.paramstyle, numbered.positional = "numeric_dollar", True
    numbered.identifier_preparer = numbered.preparer(numbered)
    by_number: Dialect = numbered
    return by_number


def _results(statement: Any, dialect: Dialect) -> list[tuple[int, Converter]]:
    columns = getattr(statement, "exported_columns", ())
    found = (_read_by(column.type.dialect_impl(dialect), dialect) for column in columns)
    return [(place, converter) for place, converter in enumerate(found) if converter is not None]


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


def _execute(runner: Runner, run: Callable[..., Any], sql: str, values: Any, *, many: bool = False) -> Any:
    """Run a statement with what runs it, and return what that returns.

    The runner's cursor has the rows until the next statement is run.
    """
    for listener in runner.before:
        listener(runner.connection, runner.cursor, sql, values, None, many)
    try:
        returned = run(sql, values)
    except runner.dialect.loaded_dbapi.Error as error:
        raise _failure(runner, sql, error) from error
    for listener in runner.after:
        listener(runner.connection, runner.cursor, sql, values, None, many)
    return returned


def _failure(runner: Runner, sql: str, error: Exception) -> BaseException:
    """Return a failure of the driver as SQLAlchemy tells it; of a lost connection its pool hears, as it would else."""
    dialect = runner.dialect
    is_lost = dialect.is_disconnect(error, runner.driver, None)  # type: ignore[arg-type]
    if is_lost and not runner.connection.invalidated:
        runner.connection.invalidate(error)
    return DBAPIError.instance(
        getattr(runner.cursor, "failed", None) or sql,  # one that waited for it may be what failed
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )
