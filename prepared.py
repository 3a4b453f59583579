"""Statements that are written out once and then run by the database driver itself.

SQLAlchemy asks anew at each execution what a statement looks like, which of its values have
to be converted, and what its result is. For what each request runs that costs several
times what SQLite does. A ``Prepared`` statement asks once for each kind of database.

It belongs to the session's transaction like any other statement, is seen by listeners for
``before_cursor_execute`` and ``after_cursor_execute``, and fails with SQLAlchemy's errors.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Insert, Update, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.sql.base import Executable

from written import Row, Written, write

# The option of a connection whose transactions are begun and ended by whoever keeps it, all with one runner.
KEPT = "authn_scim_kept"
# Under this key of ``session.info`` stands what the transaction runs its statements with.
RUNNER = "prepared_runner"


# Of statements that were asked ahead the values, and where the result will be; see ``Asked``.
Answers = dict["Prepared", tuple[Mapping[str, Any], list[Any]]]
# Runs a statement with values, and returns what the driver does.
Run = Callable[..., Any]


@dataclass(frozen=True)
class Runner:
    """The connection of a transaction: as SQLAlchemy knows it, and the driver's own."""

    connection: Connection
    dialect: Dialect
    kind: str  # the name of the dialect
    driver: Any
    # What every failure of the driver is one of.
    error: type[Exception]
    # One for all its statements, whose rows are fetched at once: PostgreSQL's driver makes one in 30 calls.
    cursor: Any
    # The transaction or savepoint that the session was in, if the ORM had a part in any: the innermost.
    within: SessionTransaction | None
    # Makes of a way to run statements one that is seen by those who want to see each before and after it is executed.
    seen: Callable[..., Run]
    # Who wants to see each commit. All of them are those of the moment when the transaction began, or, where a
    # connection is kept, when that was opened: to ask each time costs most.
    committing: Sequence[Callable[..., None]]
    # Runs a statement whose rows are fetched next.
    execute: Run
    # Runs a statement, and one for each of several values, of whose result nobody asks: they may wait for one of which
    # somebody does.
    execute_later: Run
    executemany_later: Run
    # Lets one wait whose rows are wanted later, and returns where they will be; None where none waits.
    ask: Run | None
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
        dialect, driver = connection.dialect, connection.connection.dbapi_connection
        assert driver is not None
        is_waiting = cursor is not None
        if cursor is None:
            is_numbered = dialect.name == "postgresql"
            cursor = dialect.loaded_dbapi.RawCursor(driver) if is_numbered else driver.cursor()
        seen = _seen_by(connection, cursor)
        return cls(
            connection=connection,
            dialect=dialect,
            kind=dialect.name,
            driver=driver,
            error=dialect.loaded_dbapi.Error,
            cursor=cursor,
            within=None,
            seen=seen,
            committing=tuple(connection.dispatch.commit),
            execute=seen(cursor.execute),
            execute_later=seen(cursor.execute_later if is_waiting else cursor.execute),
            executemany_later=seen(cursor.executemany_later if is_waiting else cursor.executemany, many=True),
            ask=seen(cursor.ask) if is_waiting else None,
            ending=cursor if is_waiting else driver,
        )

    @property
    def known(self) -> dict[Any, Any] | None:
        """What the transaction knows of rows that it holds, see ``ServerCursor``; None where it may as well ask."""
        return self.cursor.known if self.ending is self.cursor else None

    def run_text(self, sql: str) -> None:
        """Run a statement without values, as it stands."""
        self._run(self.execute, sql)

    def run_text_later(self, sql: str) -> None:
        """Run a statement without values of whose result nobody asks: it may wait for one of which somebody does."""
        self._run(self.execute_later, sql)

    def begin(self) -> None:
        """Begin a transaction on a connection where statements wait."""
        self._run(self.seen(self.cursor.begin), "BEGIN")

    def _run(self, run: Run, sql: str) -> None:
        try:
            run(sql, ())
        except self.error as error:
            raise _failure(self, sql, error) from error

    def send_waiting(self) -> None:
        """Run what waits.

        :raises DBAPIError: What the database refuses, such as ``IntegrityError``.
        """
        if self.ending is not self.cursor:
            return
        try:
            self.cursor.send_waiting()
        except self.error as error:
            raise _failure(self, "", error) from error

    def mark(self, name: str) -> None:
        """Note how things stand, where statements wait; see ``ServerCursor.mark``."""
        if self.ending is self.cursor:
            self.cursor.mark(name)

    def forget(self, name: str) -> None:
        """Leave what waits since a mark, to which the transaction is rolled back."""
        if self.ending is self.cursor:
            self.cursor.forget(name)

    def commit(self) -> None:
        """Commit the driver's transaction, seen by listeners for ``commit``.

        :raises DBAPIError: When the database could not.
        """
        for listener in self.committing:
            listener(self.connection)
        try:
            if self.known is not None:
                for sql, values in self.cursor.at_end.values():
                    self.execute_later(sql, values)
            self.ending.commit()
        except self.error as error:
            raise _failure(self, "COMMIT", error) from error

    def rollback(self) -> None:
        """End the driver's transaction, if there is one, and leave nothing of it."""
        try:
            self.ending.rollback()
        except self.error as error:
            raise _failure(self, "ROLLBACK", error) from error


def _seen_by(connection: Connection, cursor: Any) -> Callable[..., Run]:
    """Return what lets a connection's listeners see whatever is run in some way."""
    before, after = tuple(connection.dispatch.before_cursor_execute), tuple(connection.dispatch.after_cursor_execute)

    def seen(run: Run, *, many: bool = False) -> Run:
        def run_and_tell(sql: str, values: Any) -> Any:
            for listener in before:
                listener(connection, cursor, sql, values, None, many)
            returned = run(sql, values)
            for listener in after:
                listener(connection, cursor, sql, values, None, many)
            return returned

        return run_and_tell if before or after else run

    return seen


class Prepared:
    """A statement of SQLAlchemy Core whose values have names; one with a list (``IN``) is a ``PreparedList``.

    :param statement: Where kinds of databases need their own, those by the names of their dialects.
    """

    def __init__(self, statement: Executable | Mapping[str, Executable]) -> None:
        self.statement: Any = statement
        # By the kind of database; of an INSERT or UPDATE, which is of their columns, and by the names of the values.
        self._written: dict[str | tuple[str, ...], Written] = {}
        self._is_of_columns = isinstance(statement, Insert | Update)

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[Row]:
        """Run it with these values, and return all rows that it finds.

        :raises DBAPIError: What the database refuses, such as ``IntegrityError``.
        """
        runner, (sql, bound, read) = self.begin(session, values)
        try:
            runner.execute(sql, bound(values))
            rows: list[Row] = runner.cursor.fetchall()
        except runner.error as error:
            raise _failure(runner, sql, error) from error
        return rows if read is None else read(rows)

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
        runner, (sql, bound, _) = self.begin(session, values)
        try:
            runner.execute_later(sql, bound(values))
        except runner.error as error:
            raise _failure(runner, sql, error) from error

    def run_at_end(self, session: Session, key: Hashable, values: Mapping[str, Any]) -> None:
        """Run it at the end of the transaction, with the values that were said last under this key.

        Only in a transaction that knows things (``Runner.known``): nobody has to read then what is put off.
        """
        runner, (sql, bound, _) = self.begin(session, values)
        runner.cursor.at_end[key] = sql, bound(values)

    def run_all(self, session: Session, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of these values, which all have the same names, as ``run`` does."""
        if len(values) < 2:
            for only in values:
                self.run(session, only)
            return
        runner, (sql, bound, _) = self.begin(session, values[0])
        try:
            runner.executemany_later(sql, list(map(bound, values)))
        except runner.error as error:
            raise _failure(runner, sql, error) from error

    def begin(self, session: Session, values: Mapping[str, Any]) -> tuple[Runner, Written]:
        """Return what runs it in a session's transaction, and the statement for its database and these values."""
        runner = session.info.get(RUNNER)
        if runner is None or runner.within is not session._transaction:
            runner = Runner.of(session)
        return runner, self.written(runner, values)

    def written(self, runner: Runner, values: Mapping[str, Any]) -> Written:
        """Return the statement for a kind of database and these values."""
        key = (runner.kind, *values) if self._is_of_columns else runner.kind
        written = self._written.get(key)
        if written is None:
            statement = self.statement[runner.kind] if isinstance(self.statement, Mapping) else self.statement
            written = self._written[key] = write(statement, runner.dialect, list(values))
        return written


class Asked:
    """Rows that are asked for ahead of their use: on PostgreSQL they come in the round trip of the next statement.

    There they are as they were when they were asked for, which somebody else may have done (``transactions/ahead.py``).
    On SQLite the statement is run when they are used, if ever.
    """

    def __init__(self, statement: Prepared, session: Session, values: Mapping[str, Any]) -> None:
        self._statement, self._session, self._values, self._place = statement, session, values, None
        runner: Runner = session.info.get(RUNNER) or Runner.of(session)
        ask = runner.ask
        if ask is not None:
            self._runner, self._written = runner, (sql, bound, _) = statement.begin(session, values)
            answers: Answers | None = runner.cursor.answers
            asked, place = (answers and answers.pop(statement, None)) or (None, None)
            if asked == values:
                self._place = place
                return
            try:
                self._place = ask(sql, bound(values))
            except runner.error as error:
                raise _failure(runner, sql, error) from error

    def rows(self) -> list[Row]:
        """Return the rows. They are asked for anew if they were used before.

        :raises DBAPIError: What the database refuses.
        """
        place, self._place = self._place, None
        if place is not None:
            runner, (sql, _, read) = self._runner, self._written
            try:
                rows: list[Row] | None = runner.cursor.rows_at(place)
            except runner.error as error:
                raise _failure(runner, sql, error) from error
            if rows is not None:
                return rows if read is None else read(rows)
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
