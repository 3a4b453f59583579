"""Connections to a PostgreSQL server, which whoever needs one takes from a stack."""

import queue
from collections import deque
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from transactions.kept import Kept
from transactions.server_cursor import ServerCursor

# As many connections as a web process has threads are kept. A worker has more threads, which seldom ask the database
# at the same time.
KEPT_CONNECTIONS = 8
CONNECTIONS_AT_MOST = 40
# What the savepoints of SQLAlchemy begin with, before their names.
SAVEPOINT = "SAVEPOINT "
# How long a thread waits for one of them.
WAIT_SECONDS = 30.0


class Stack:
    """Connections of which the one that was given back last is taken first."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._idle: deque[Kept] = deque()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(CONNECTIONS_AT_MOST):
            self._places.put(None)

    def take(self, *preferred: deque[Kept]) -> Kept:
        """Return a connection that is in no transaction, one of those preferred if there is any.

        :raises OperationalError: When all are taken for too long.
        """
        try:
            self._places.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            driver: Any = self.engine.dialect.loaded_dbapi
            message = "all connections to PostgreSQL are taken"
            raise OperationalError("BEGIN", None, driver.OperationalError(message)) from None
        try:
            for idle in (*preferred, self._idle):
                kept = self._quiet_one(idle)
                if kept is not None:
                    return kept
            return self._new()
        except BaseException:
            self._places.put(None)
            raise

    def begin(self, *preferred: deque[Kept]) -> Kept:
        """Return a connection in a transaction, of which the server hears with its first statement."""
        kept = self.take(*preferred)
        try:
            kept.renew()
            kept.runner.begin()
        except BaseException:
            self.give_back(kept, is_broken=True)
            raise
        return kept

    def _quiet_one(self, idle: deque[Kept]) -> Kept | None:
        """Return the connection that was given back last, if the server did not close it meanwhile."""
        while idle:
            try:
                kept = idle.pop()
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

    def give_back(self, kept: Kept, *, is_broken: bool, to: deque[Kept] | None = None) -> None:
        """Keep a connection for the next one who needs one, or close it where there are enough.

        :param to: With which others it is kept, if not with those of everybody.
        """
        if is_broken:
            kept.close()
        elif to is not None:
            to.append(kept)
        elif len(self._idle) < KEPT_CONNECTIONS:
            self._idle.append(kept)
        else:
            kept.close()
        self._places.put(None)

    def close_idle(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()


def _keep_order(kept: Kept) -> None:
    """Let what SQLAlchemy runs on a connection be preceded by what waits there, or by what is rolled back forgotten."""
    runner, cursor, connection = kept.runner, kept.runner.cursor, kept.connection

    def send_before(sql: str) -> None:
        runner.send_waiting()
        if sql.startswith(SAVEPOINT):
            cursor.mark(sql.removeprefix(SAVEPOINT))
        cursor.note_sent(sql)

    # The listeners of the runner were collected before: it sees to that by itself.
    event.listen(connection, "before_cursor_execute", lambda _connection, _cursor, sql, *_: send_before(sql))
    event.listen(connection, "rollback_savepoint", lambda _connection, name, _context: cursor.forget(name))
    event.listen(connection, "rollback", lambda _: cursor.end())
