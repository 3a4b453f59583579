"""Transactions over connections that are kept, from one to the next.

SQLAlchemy's pool and sessions begin a transaction in some 150 function calls and end it in as
many, and ask PostgreSQL six times for what one question costs once. So connections are kept here, outside of the pool,
and transactions are begun and ended by the driver. To SQLAlchemy each of these connections is in one transaction
without an end, in which the session of each unit of work or reading takes part.
"""

import os
import queue
import select
import sqlite3
import threading
import weakref
from collections import deque
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction

from prepared import KEPT, RUNNER, Runner
from writing_turns import turns_of

# How long a writer waits for another one on SQLite before it gives up.
SQLITE_BUSY_MILLISECONDS = 20_000
# As many connections to PostgreSQL as a web process has threads are kept. A worker has more threads, which seldom ask
# the database at the same time.
POSTGRESQL_CONNECTIONS = 8
POSTGRESQL_CONNECTIONS_AT_MOST = 40
# How long a thread waits for one of them.
POSTGRESQL_WAIT_SECONDS = 30.0


class Kept:
    """A connection that is of no pool any more, and what runs statements on it."""

    def __init__(self, engine: Engine) -> None:
        self._pool, self._process = engine.pool, os.getpid()
        self.connection = engine.connect().execution_options(**{KEPT: True})
        self.connection.detach()
        self.connection.begin()
        self.driver: Any = self.connection.connection.dbapi_connection
        self.runner = Runner.on(self.connection)
        self._heard: select.poll | None = None

    def is_usable(self, engine: Engine) -> bool:
        """Tell whether it is this process's, and the engine was not disposed of since."""
        return self._pool is engine.pool and self._process == os.getpid()

    def is_quiet(self) -> bool:
        """Tell whether the server said nothing, as it was asked nothing: else the connection has ended."""
        if self._heard is None:
            self._heard = select.poll()
            self._heard.register(self.driver, select.POLLIN)
        return not self._heard.poll(0)

    def renew(self) -> None:
        """Begin the transaction without an end anew, where a failure of the ORM ended it."""
        if not self.connection.in_transaction():
            self.connection.begin()

    def close(self) -> None:
        """Close it, unless it was opened before a fork: it is the parent's, and SQLite forbids even to close it."""
        if self._process == os.getpid():
            self.driver.close()  # which asks nothing of a server that may be gone
        else:
            INHERITED.append(self.driver)


INHERITED: list[Any] = []


class Connections:
    """The connections to one database that are kept. Each kind of database has its own way."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def reading(self) -> AbstractContextManager[Session]:
        """Return what opens a transaction that only reads, when it is entered."""
        raise NotImplementedError

    def take(self) -> Kept:
        """Begin a transaction that writes, and return its connection, which is this thread's until it is given back."""
        raise NotImplementedError

    def give_back(self, kept: Kept, *, is_broken: bool) -> None:
        """Take back a connection whose transaction has ended; a broken one is closed."""
        raise NotImplementedError


def connections_of(engine: Engine) -> Connections:
    """Return the connections of an engine, none of which is open yet."""
    return SqliteConnections(engine) if engine.dialect.name == "sqlite" else PostgresqlConnections(engine)


# -- SQLite -----------------------------------------------------------------------


class SqliteConnections(Connections):
    """One connection for all who write, since they take turns anyway; and one for each thread that reads.

    What a connection has read of the file it needs to read again once another one has written.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._turns = turns_of(engine.url.database or "")
        self._of_thread = threading.local()
        self._writer: Kept | None = None

    def reading(self) -> "SqliteReader":
        """Return what this thread reads with."""
        reader: SqliteReader | None = getattr(self._of_thread, "reader", None)
        if reader is None or not reader.is_usable(self.engine):
            reader = self._of_thread.reader = SqliteReader(self.engine)
        return reader

    def take(self) -> Kept:
        """Wait for the turn to write, and take the write lock at once.

        A transaction that reads first and writes later could not wait for the lock (SQLITE_BUSY_SNAPSHOT).
        """
        if self._writer is None:
            self.engine.connect().close()  # makes the file, beside which those of the turns lie
        take_turn(self._turns)
        try:
            writer = self._usable_writer()
            writer.runner.run_text("BEGIN IMMEDIATE")
        except BaseException:
            self._turns.give_back()
            raise
        return writer

    def _usable_writer(self) -> Kept:
        writer = self._writer
        if writer is not None and not writer.is_usable(self.engine):
            self._writer = None
            writer.close()
        if self._writer is None:
            self._writer = Kept(self.engine)
        return self._writer

    def give_back(self, kept: Kept, *, is_broken: bool) -> None:
        """Let the next writer go on."""
        if is_broken:
            self._writer = None
            kept.close()
        self._turns.give_back()


def take_turn(turns: Any) -> None:
    """Wait for the turn to write.

    :raises OperationalError: When it did not come in time.
    """
    if not turns.take(SQLITE_BUSY_MILLISECONDS / 1000):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))


class SqliteReader:
    """A connection and a session that one thread keeps to read a SQLite file with: ``with`` it for one snapshot.

    Within another snapshot it is the same one. The connection refuses to write, and is closed with its thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._kept = kept = Kept(engine)
        self._failed: bool = False
        self._depth = 0
        kept.driver.execute("PRAGMA query_only = ON")
        self._session: Session = Session(kept.connection)
        weakref.finalize(self, _close_reader, self._session, kept).atexit = False

    def is_usable(self, engine: Engine) -> bool:
        """Tell whether it reads that engine's file: it has not failed, and neither was the engine disposed of since."""
        return not self._failed and self._kept.is_usable(engine)

    def __enter__(self) -> Session:
        if not self._depth:
            self._kept.driver.execute("BEGIN")
        self._depth += 1
        return self._session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._depth -= 1
        if kind is not None and issubclass(kind, SQLAlchemyError):
            self._failed = True  # it may be the connection's fault
        if self._depth:
            return
        self._kept.driver.rollback()
        if self._session.identity_map or self._session.new:
            self._session.expunge_all()
        info = self._session.info
        for key in info.keys() - {RUNNER}:  # whose transaction has no end
            del info[key]


def _close_reader(session: Session, kept: Kept) -> None:
    session.close()
    kept.close()


# -- PostgreSQL -------------------------------------------------------------------


class PostgresqlConnections(Connections):
    """Connections that whoever needs one takes from a stack, for reading and for writing.

    Outside of a transaction each statement is one of its own, so a reading costs one round trip for each question. That
    is what READ COMMITTED gives it in any case. And statements stay prepared on the server, which a ROLLBACK after
    each reading would undo.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._idle: deque[Kept] = deque()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(POSTGRESQL_CONNECTIONS_AT_MOST):
            self._places.put(None)
        event.listen(engine, "engine_disposed", self._close_idle)

    def reading(self) -> "PostgresqlReading":
        """Return a reading, which takes a connection when it is entered."""
        return PostgresqlReading(self)

    def take(self) -> Kept:
        """Begin a transaction that writes."""
        kept = self.take_idle()
        try:
            kept.runner.run_text("BEGIN")
        except BaseException:
            self.give_back(kept, is_broken=True)
            raise
        return kept

    def take_idle(self) -> Kept:
        """Return a connection that is in no transaction.

        :raises OperationalError: When all are taken for too long.
        """
        try:
            self._places.get(timeout=POSTGRESQL_WAIT_SECONDS)
        except queue.Empty:
            driver: Any = self.engine.dialect.loaded_dbapi
            message = "all connections to PostgreSQL are taken"
            raise OperationalError("BEGIN", None, driver.OperationalError(message)) from None
        try:
            return self._quiet_one() or self._new()
        except BaseException:
            self._places.put(None)
            raise

    def _quiet_one(self) -> Kept | None:
        """Return the connection that was given back last, if the server did not close it meanwhile."""
        while self._idle:
            try:
                kept = self._idle.pop()
            except IndexError:  # another thread took it in this very moment
                break
            if kept.is_usable(self.engine) and kept.is_quiet():
                return kept
            kept.close()
        return None

    def _new(self) -> Kept:
        kept = Kept(self.engine)
        kept.driver.autocommit = True
        return kept

    def give_back(self, kept: Kept, *, is_broken: bool) -> None:
        """Keep a connection for the next one who needs one, or close it where there are enough."""
        if is_broken or len(self._idle) >= POSTGRESQL_CONNECTIONS:
            kept.close()
        else:
            self._idle.append(kept)
        self._places.put(None)

    def _close_idle(self, _engine: Engine) -> None:
        while self._idle:
            self._idle.pop().close()


class PostgresqlReading:
    """A session that reads: each statement sees what was committed before it."""

    def __init__(self, connections: PostgresqlConnections) -> None:
        self._connections = connections

    def __enter__(self) -> Session:
        self._kept = kept = self._connections.take_idle()
        self._session = session = Session(kept.connection)
        session.info[RUNNER] = kept.runner
        return session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        kept, session = self._kept, self._session
        is_broken = kind is not None and issubclass(kind, SQLAlchemyError)
        if session.get_transaction() is not None:  # something of the ORM had a part in it
            try:
                session.close()
                kept.renew()
            except SQLAlchemyError:
                is_broken = True
        self._connections.give_back(kept, is_broken=is_broken)


# -- Writing ----------------------------------------------------------------------


class WritingSession(Session):
    """The session of a unit of work. Its transaction begins with its first statement, and not before.

    So on SQLite nobody has to wait while a request is still being received.
    """

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.engine, expire_on_commit=False)
        self._connections = connections
        self._kept: Kept | None = None

    def start(self) -> None:
        """Begin the transaction, if it did not begin yet."""
        if self._kept is None:
            self._kept = kept = self._connections.take()
            self.bind = kept.connection
            self.info[RUNNER] = kept.runner

    def connection(self, *args: Any, **options: Any) -> Connection:
        """Return the connection of the transaction, which begins if it did not yet."""
        self.start()
        if self._kept is not None and self.get_transaction() is None and not (args or options):
            return self._kept.connection  # nothing of the ORM has a part in it so far
        return super().connection(*args, **options)

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint, within the transaction."""
        self.start()
        return super().begin_nested()

    def commit(self) -> None:
        """Write what is to be written, and end the transaction: all of it is on disk then.

        :raises DBAPIError: When it is not; ``rollback`` has to follow.
        """
        if self.new or self.dirty or self.deleted:
            self.flush()
        kept = self._kept
        if kept is None:
            self.close()
            return
        kept.runner.commit()
        self.close()
        kept.renew()
        self._leave(kept, is_broken=False)

    def rollback(self, error: BaseException | None = None) -> None:
        """End the transaction, and leave nothing of it.

        :param error: Why. An error of the database may be the connection's fault, so that one is not used again.
        """
        kept = self._kept
        if kept is None:
            self.close()
            return
        is_broken = isinstance(error, SQLAlchemyError) and not isinstance(error, IntegrityError)
        try:
            kept.runner.rollback()
            self.close()
            kept.renew()
        except SQLAlchemyError:
            is_broken = True  # it is closed, and with it ends the transaction
        self._leave(kept, is_broken=is_broken)

    def _leave(self, kept: Kept, *, is_broken: bool) -> None:
        self._kept, self.bind = None, self._connections.engine
        self.info.pop(RUNNER, None)
        self._connections.give_back(kept, is_broken=is_broken)


@event.listens_for(WritingSession, "do_orm_execute")
def _start_with_statement(state: Any) -> None:
    state.session.start()


@event.listens_for(WritingSession, "before_flush")
def _start_with_flush(session: WritingSession, *_: object) -> None:
    session.start()
