"""The database: how its connections are set up, and the unit of work, the only place that commits."""

import logging
import sqlite3
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, cast

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, Index, Pool, UniqueConstraint, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from errors import Conflict
from models import Base
from prepared import KEPT, Runner
from transactions.kept import Connections, Found
from transactions.sessions import WritingSession, connections_of
from transactions.sqlite import BUSY_MILLISECONDS, take_turn
from transactions.turns import turns_of

log = logging.getLogger(__name__)

AfterCommit = Callable[[Session], None]

# Under this name an application keeps its connections.
CONNECTIONS = "database_connections"
# Where a connection of the pool keeps its turn to write.
TURN = "authn_scim_turn"
BLOCK = "of_block"
RELEASE = f"RELEASE SAVEPOINT {BLOCK}"


class Database(SQLAlchemy):
    """Flask-SQLAlchemy over our tables, with units of work.

    ``after_commit`` is called with the session after each committed unit of
    work. It tells the queue what became due; it must not raise, since the work
    is done and a sweep finds what the queue was not told.
    """

    def __init__(self) -> None:
        super().__init__(metadata=Base.metadata, session_options={"expire_on_commit": False})
        self.after_commit: AfterCommit | None = None

    def unit_of_work(self, *, brief_for: str | None = None) -> "UnitOfWork":
        """Return what opens the session of one transaction that writes: all of it is committed, or nothing.

        :param brief_for: The organization whose work it is, if it takes so little time that it may be committed
            together with other work of that organization; on SQLite, with anybody's.
        :raises Conflict: At its end, when a constraint of the database refuses the change;
            its ``constraint`` names the rule.
        """
        return UnitOfWork(self._connections(), brief_for)

    def reading(self) -> AbstractContextManager[Session]:
        """Return what opens the session of one transaction that only reads, without a lock against writers.

        On SQLite it sees one moment; on PostgreSQL each statement sees what was committed before it.
        """
        return self._connections().reading()

    def shared_reading(self, question: Hashable, read: Callable[[Session], Found]) -> Found:
        """Return what ``read`` finds in a transaction that only reads.

        On PostgreSQL threads that ask the same question at the same moment are answered by one that begins after each
        of them asked. So what it finds must be nothing that can be changed, and the same for the same question.
        """
        return self._connections().shared_reading(question, read)

    def _connections(self) -> Connections:
        kept: dict[str, Any] = _this_application().extensions
        connections: Connections | None = kept.get(CONNECTIONS)
        return connections or kept.setdefault(CONNECTIONS, connections_of(self.engine))

    def _teardown_session(self, exc: BaseException | None) -> None:
        """Remove the session of a context that asked for one of Flask-SQLAlchemy's: nothing that is served does."""
        if self.session.registry.registry:
            super()._teardown_session(exc)


# What ``current_app`` stands for, which it would look for with each attribute.
_this_application: Callable[[], Flask] = cast(Any, current_app)._get_current_object


class UnitOfWork:
    """One transaction that writes: all that is done within is committed, or nothing is."""

    def __init__(self, connections: Connections, brief_for: str | None) -> None:
        self._connections, self._brief_for = connections, brief_for

    def __enter__(self) -> Session:
        session: WritingSession
        is_brief = self._brief_for is not None
        try:
            session = self._connections.spare_sessions[is_brief].pop()
        except IndexError:
            session = WritingSession(self._connections, is_brief=is_brief)
        session.brief_for = self._brief_for
        self._session = session
        return session

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        session = self._session
        try:
            self._end(error)
        finally:
            session.info.clear()  # what stands there holds the session itself: only a collection would free it
        if error is None and session.is_untouched():  # else it is not worth finding out in which state it is
            self._connections.spare_sessions[self._brief_for is not None].append(session)

    def _end(self, error: BaseException | None) -> None:
        session = self._session
        if error is None:
            try:
                session.commit()
            except BaseException as failure:
                session.rollback(failure)
                if isinstance(failure, IntegrityError):
                    raise conflict_of(failure) from failure
                raise
            if db.after_commit is not None:
                db.after_commit(session)
            return
        session.rollback(error)
        if isinstance(error, IntegrityError):
            raise conflict_of(error) from error


class Savepoint:
    """Takes back what its block wrote if it fails, and lets the transaction go on.

    The block writes by statements alone: of a flush that fails the session would break the whole transaction off. And
    the unit of work is not brief: the session of such a one has a savepoint of its own, which would end with this.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        runner = Runner.of(self._session)
        runner.run_text_later(f"SAVEPOINT {BLOCK}")
        runner.mark(BLOCK)

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        runner = Runner.of(self._session)
        if kind is not None:
            self._undo(runner)
            return
        try:
            runner.run_text(RELEASE)  # and with it all that waited: what is refused of that, is refused here
        except DBAPIError:
            self._undo(runner)
            raise

    def _undo(self, runner: Runner) -> None:
        runner.forget(BLOCK)
        runner.run_text_later(f"ROLLBACK TO SAVEPOINT {BLOCK}")
        runner.run_text_later(RELEASE)


db = Database()


def conflict_of(error: IntegrityError) -> Conflict:
    """Return the conflict of a violated constraint, under the constraint's own name on every database."""
    name = _constraint_name(error.orig)
    return Conflict("Another object already has this value.", constraint=name)


def _constraint_name(error: BaseException | None) -> str | None:
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        return str(diagnostics.constraint_name) if diagnostics.constraint_name else None
    # SQLite names the columns instead: "UNIQUE constraint failed: users.email_key".
    kind, _, columns = str(error).partition(": ")
    if kind != "UNIQUE constraint failed":
        return None
    return _unique_constraints().get(columns)


def _unique_constraints() -> dict[str, str]:
    """Return the names of all unique constraints and indexes, by their columns as SQLite writes them."""
    names: dict[str, str] = {}
    for table in Base.metadata.sorted_tables:
        rules: list[UniqueConstraint | Index] = [r for r in table.constraints if isinstance(r, UniqueConstraint)]
        for rule in [*rules, *(index for index in table.indexes if index.unique)]:
            columns = ", ".join(f"{table.name}.{column.name}" for column in rule.columns)
            names[columns] = str(rule.name)
    return names


@event.listens_for(Engine, "connect")
def set_up_connection(connection: Any, _record: Any) -> None:
    """Make SQLite durable and concurrent: WAL, every commit on disk, foreign keys, and transactions begun by us."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None  # no implicit BEGIN; begin_transaction below says which kind
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@event.listens_for(Engine, "begin")
def begin_transaction(connection: Connection) -> None:
    """Begin a transaction on a connection of the pool, such as a migration's, with the lock that it may need."""
    if connection.dialect.name != "sqlite" or KEPT in connection.get_execution_options():
        return
    if TURN not in connection.info:
        turns = turns_of(connection.engine.url.database or "")
        take_turn(turns)
        connection.info[TURN] = turns
    Runner.on(connection).run_text("BEGIN IMMEDIATE")


@event.listens_for(Pool, "checkin")
def give_turn_back(_connection: Any, record: Any) -> None:
    """Let the next writer go on, once the transaction is over."""
    turns = record.info.pop(TURN, None)
    if turns is not None:
        turns.give_back()
