"""The database: how its connections are set up, and the unit of work, the only place that commits."""

import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, Index, Pool, UniqueConstraint, event, text
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from errors import Conflict
from models import Base
from prepared import KEPT, RUNNER, Prepared, Runner
from writing_turns import turns_of

log = logging.getLogger(__name__)

AfterCommit = Callable[[Session], None]

# How long a writer waits for another one on SQLite before it gives up.
SQLITE_BUSY_MILLISECONDS = 20_000
READ_ONLY = "authn_scim_read_only"
# Where a connection keeps its turn to write.
TURN = "authn_scim_turn"


SAVEPOINT, UNDONE, RELEASED = (
    Prepared(text(f"{words} of_block")) for words in ("SAVEPOINT", "ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT")
)


class Database(SQLAlchemy):
    """Flask-SQLAlchemy over our tables, with units of work.

    ``after_commit`` is called with the session after each committed unit of
    work. It tells the queue what became due; it must not raise, since the work
    is done and a sweep finds what the queue was not told.
    """

    def __init__(self) -> None:
        super().__init__(metadata=Base.metadata, session_options={"expire_on_commit": False})
        self.after_commit: AfterCommit | None = None
        self._of_thread = threading.local()

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """Yield the session of one transaction that writes: all of it is committed, or nothing.

        :raises Conflict: When a constraint of the database refuses the change;
            its ``constraint`` names the rule.
        """
        session = self.session()
        session.rollback()  # ends the snapshot of an earlier read, so that this transaction starts from the present
        session.info.clear()
        try:
            yield session
            session.commit()
        except IntegrityError as error:
            session.rollback()
            raise conflict_of(error) from error
        except BaseException:
            session.rollback()
            raise
        if self.after_commit is not None:
            self.after_commit(session)

    def reading(self) -> AbstractContextManager[Session]:
        """Yield the session of one transaction that only reads: one snapshot, no lock against writers."""
        engine = self.engine
        return self._sqlite_reader(engine) if engine.dialect.name == "sqlite" else self._reading_from_pool()

    @contextmanager
    def _reading_from_pool(self) -> Iterator[Session]:
        session = self.session()
        session.rollback()
        session.info.clear()
        session.connection(execution_options={READ_ONLY: True})
        try:
            yield session
        finally:
            session.rollback()

    def _sqlite_reader(self, engine: Engine) -> "SqliteReader":
        """Return what this thread reads the file of an engine with."""
        reader: SqliteReader | None = getattr(self._of_thread, "reader", None)
        if reader is None or not reader.is_usable(engine):
            reader = self._of_thread.reader = SqliteReader(engine)
        return reader


@contextmanager
def savepoint(session: Session) -> Iterator[None]:
    """Take back what the block wrote if it fails, and let the transaction go on.

    The block writes by statements alone: of a flush that fails the session would break the whole transaction off.
    """
    SAVEPOINT.run(session, {})
    try:
        yield
    except BaseException:
        UNDONE.run(session, {})
        RELEASED.run(session, {})
        raise
    RELEASED.run(session, {})


class SqliteReader:
    """A connection and a session that one thread keeps to read a SQLite file with: ``with`` it for one snapshot.

    Within another snapshot it is the same one.
    Taking both for each transaction costs more than most reads. To SQLAlchemy all
    is one transaction without an end; those of SQLite are begun and ended here.
    The connection is of no pool, refuses to write, and is closed with its thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._pool, self._process = engine.pool, os.getpid()
        self._failed: bool = False
        self._depth = 0
        self._connection = engine.connect().execution_options(**{KEPT: True})
        self._connection.detach()
        driver = self._connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA query_only = ON")
        self._driver: sqlite3.Connection = driver
        self._session: Session = Session(self._connection)
        weakref.finalize(self, _close_reader, self._session, self._connection, self._process).atexit = False

    def is_usable(self, engine: Engine) -> bool:
        """Tell whether it reads that engine's file: it has not failed, and neither was the engine disposed of since."""
        return self._pool is engine.pool and not self._failed and self._process == os.getpid()

    def __enter__(self) -> Session:
        if not self._depth:
            self._driver.execute("BEGIN")
        self._depth += 1
        return self._session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._depth -= 1
        if kind is not None and issubclass(kind, SQLAlchemyError):
            self._failed = True  # it may be the connection's fault
        if self._depth:
            return
        self._driver.rollback()
        if self._session.identity_map or self._session.new:
            self._session.expunge_all()
        info = self._session.info
        for key in info.keys() - {RUNNER}:  # whose transaction has no end
            del info[key]


INHERITED: list[Connection] = []


def _close_reader(session: Session, connection: Connection, process: int) -> None:
    """End a session and its connection, unless it was opened before a fork: SQLite forbids even to close such a one."""
    if process != os.getpid():
        INHERITED.append(connection)
        return
    session.close()
    connection.close()


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
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@event.listens_for(Engine, "begin")
def begin_transaction(connection: Connection) -> None:
    """Begin a SQLite transaction with the lock it will need.

    A transaction that reads first and writes later cannot wait for its lock
    (SQLITE_BUSY_SNAPSHOT), so one that may write takes the lock at once.
    """
    options = connection.get_execution_options()
    if connection.dialect.name != "sqlite" or KEPT in options:
        return
    if options.get(READ_ONLY, False):
        Runner.on(connection).run_text("BEGIN")
        return
    _take_turn(connection)
    Runner.on(connection).run_text("BEGIN IMMEDIATE")


def _take_turn(connection: Connection) -> None:
    """Wait until it is this connection's turn to write, which lasts until the connection is returned to its pool."""
    if TURN in connection.info:
        return
    turns = turns_of(connection.engine.url.database or "")
    if not turns.take(SQLITE_BUSY_MILLISECONDS / 1000):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
    connection.info[TURN] = turns


@event.listens_for(Pool, "checkin")
def give_turn_back(_connection: Any, record: Any) -> None:
    """Let the next writer go on, once the transaction is over."""
    turns = record.info.pop(TURN, None)
    if turns is not None:
        turns.give_back()
