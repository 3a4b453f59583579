"""PostgreSQL: connections that whoever needs one takes from a stack, for reading and for writing."""

import queue
from collections import deque
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from prepared import RUNNER
from transactions.kept import Connections, Kept, empty
from transactions.server_cursor import ServerCursor

# As many connections as a web process has threads are kept. A worker has more threads, which seldom ask the database
# at the same time.
KEPT_CONNECTIONS = 8
CONNECTIONS_AT_MOST = 40
# How long a thread waits for one of them.
WAIT_SECONDS = 30.0
# So many brief transactions of a process are under way at once, as long as each is over in this time. More would wait
# for each other at the server, for the row that counts the events of an organization, which costs both of them more.
BRIEF_AT_ONCE = 3
BRIEF_SECONDS = 0.02


class PostgresqlConnections(Connections):
    """A stack of connections.

    Outside of a transaction each statement is one of its own, so a reading costs one round trip for each question. That
    is what READ COMMITTED gives it in any case. And statements stay prepared on the server, which a ROLLBACK after
    each reading would undo.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._idle: deque[Kept] = deque()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(CONNECTIONS_AT_MOST):
            self._places.put(None)
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(BRIEF_AT_ONCE):
            self._turns.put(None)
        event.listen(engine, "engine_disposed", self._close_idle)

    def reading(self) -> "PostgresqlReading":
        """Return a reading, which takes a connection when it is entered."""
        return PostgresqlReading(self)

    def take(self, *, is_brief: bool) -> Kept:
        """Begin a transaction that writes. A brief one waits for its turn, but never for long, whoever else is slow."""
        has_turn = is_brief and self._take_turn()
        try:
            kept = self.take_idle()
        except BaseException:
            if has_turn:
                self._turns.put(None)
            raise
        kept.has_turn = has_turn
        try:
            kept.renew()
            kept.runner.begin()
        except BaseException:
            self.give_back(kept, is_broken=True)
            raise
        return kept

    def _take_turn(self) -> bool:
        try:
            self._turns.get(timeout=BRIEF_SECONDS)
        except queue.Empty:
            return False
        return True

    def commit(self, kept: Kept) -> None:
        """End a transaction, and return when all of it is on disk."""
        try:
            kept.runner.commit()
        except BaseException as failure:
            self.roll_back(kept, is_broken=isinstance(failure, OperationalError))
            raise
        self.give_back(kept, is_broken=False)

    def roll_back(self, kept: Kept, *, is_broken: bool) -> None:
        """End a transaction, and leave nothing of it."""
        try:
            kept.runner.rollback()
        except SQLAlchemyError:
            is_broken = True  # it is closed, and with it ends the transaction
        self.give_back(kept, is_broken=is_broken)

    def take_idle(self) -> Kept:
        """Return a connection that is in no transaction.

        :raises OperationalError: When all are taken for too long.
        """
        try:
            self._places.get(timeout=WAIT_SECONDS)
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
        kept = Kept(self.engine, ServerCursor)
        kept.driver.autocommit = True
        _keep_order(kept)
        return kept

    def give_back(self, kept: Kept, *, is_broken: bool) -> None:
        """Keep a connection for the next one who needs one, or close it where there are enough."""
        if kept.has_turn:
            kept.has_turn = False
            self._turns.put(None)
        if is_broken or len(self._idle) >= KEPT_CONNECTIONS:
            kept.close()
        else:
            self._idle.append(kept)
        self._places.put(None)

    def _close_idle(self, _engine: Engine) -> None:
        while self._idle:
            self._idle.pop().close()


def _keep_order(kept: Kept) -> None:
    """Let what SQLAlchemy runs on a connection be preceded by what waits there, or by what is rolled back forgotten."""
    runner, cursor, connection = kept.runner, kept.runner.cursor, kept.connection
    # The listeners of the runner were collected before: it sees to that by itself.
    event.listen(connection, "before_cursor_execute", lambda *_: runner.send_waiting())
    event.listen(connection, "rollback_savepoint", lambda *_: cursor.forget())
    event.listen(connection, "rollback", lambda _: cursor.end())


class PostgresqlReading:
    """A session that reads: each statement sees what was committed before it."""

    def __init__(self, connections: PostgresqlConnections) -> None:
        self._connections = connections

    def __enter__(self) -> Session:
        self._kept = kept = self._connections.take_idle()
        return kept.reading_session()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        kept, session = self._kept, self._kept.reading_session()
        is_broken = kind is not None and issubclass(kind, SQLAlchemyError)
        try:
            if session._transaction is not None:  # something of the ORM had a part in it
                session.close()
                kept.renew()
                session.info[RUNNER] = kept.runner
            empty(session)
        except SQLAlchemyError:
            is_broken = True
        self._connections.give_back(kept, is_broken=is_broken)
