"""SQLite: one connection for all who write, since they take turns anyway, and one for each thread that reads.

What a connection has read of the file it needs to read again once another one has written.
"""

import sqlite3
import threading
import weakref

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from transactions.ahead import Ahead
from transactions.kept import Connections, Kept, empty
from transactions.together import RELEASE, ROLLBACK, SAVEPOINT, Group
from transactions.turns import Turns, turns_of

# How long a writer waits for another one before it gives up.
BUSY_MILLISECONDS = 20_000
READER_CACHE_KIB = 512


class SqliteConnections(Connections):
    """The connection that writes, and those that read.

    To wait for the disk is the most expensive part of a small transaction. So a brief one that is done, while the next
    brief one waits for its turn, leaves the transaction open to that, which does its own work in a savepoint.
    The last of them commits, and nobody is answered before.
    """

    commits_together = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._turns = turns_of(engine.url.database or "")
        self._of_thread = threading.local()
        # The rest is the business of the thread whose turn it is: those whose transaction is open still, and whether
        # its own is brief.
        self._writer: Kept | None = None
        self._group: Group | None = None
        self._is_brief = False

    def reading(self) -> "SqliteReader":
        """Return what this thread reads with."""
        reader: SqliteReader | None = getattr(self._of_thread, "reader", None)
        if reader is None or not reader.is_usable(self.engine):
            reader = self._of_thread.reader = SqliteReader(self.engine)
        return reader

    def take(self, *, brief_for: str | None = None, ahead: Ahead | None = None) -> Kept:  # noqa: ARG002
        """Wait for the turn to write, and take the write lock at once.

        A transaction that reads first and writes later could not wait for the lock (SQLITE_BUSY_SNAPSHOT).
        """
        if self._writer is None:
            self.engine.connect().close()  # makes the file, beside which those of the turns lie
        is_brief = brief_for is not None
        take_turn(self._turns, is_brief=is_brief)
        self._is_brief = is_brief
        try:
            if self._group is not None and self._writer is not None:
                self._writer.runner.run_text(SAVEPOINT)
                return self._writer
            writer = self._usable_writer()
            writer.renew()
            writer.runner.run_text("BEGIN IMMEDIATE")
        except BaseException as failure:
            self._end(failure, is_broken=True)
            raise
        return writer

    def _usable_writer(self) -> Kept:
        writer = self._writer
        if writer is not None and not writer.is_usable(self.engine):
            self._writer = None
            writer.close()
        if self._writer is None:
            self._writer = writer = Kept(self.engine)
            # What a savepoint needs to be undone would else be written to a file for each of them.
            writer.driver.execute("PRAGMA temp_store = MEMORY")
        return self._writer

    def commit(self, kept: Kept) -> None:
        """End a unit of work, and return when all of it is on disk."""
        try:
            passed_on = self._pass_on(kept) if self._is_brief and self._turns.is_brief_next() else None
            if passed_on is None:
                self._commit(kept)
        except BaseException as failure:
            self._end(failure, is_broken=True)
            raise
        if passed_on is None:
            self._end()
        else:
            group, lock = passed_on
            group.wait(lock)

    def _pass_on(self, kept: Kept) -> tuple[Group, threading.Lock] | None:
        """Leave the transaction to the next in turn, and return what to wait with; None when nobody is next."""
        if self._group is not None:
            kept.runner.run_text(RELEASE)
        group = self._group = self._group or Group()
        lock = group.pass_on(self._turns)
        return None if lock is None else (group, lock)

    def _commit(self, kept: Kept) -> None:
        if not kept.driver.in_transaction:
            # On a full disk SQLite ends the transaction at any of its statements.
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("the disk may be full"))
        kept.runner.commit()

    def roll_back(self, kept: Kept, *, is_broken: bool) -> None:
        """End a unit of work, and leave nothing of it; what was done before it in the same transaction is committed.

        What it ends with may come of what others did. So it waits for that to be on disk, too.

        :raises OperationalError: When it did not come on disk.
        """
        if self._group is None:
            self._end(is_broken=is_broken)
            return
        try:
            kept.runner.run_text(ROLLBACK)
        except BaseException as failure:
            self._end(failure, is_broken=True)
            raise
        self.commit(kept)

    def _end(self, failure: BaseException | None = None, *, is_broken: bool = False) -> None:
        """End this turn, and what is left of the transaction; all who wait for it are told."""
        group, self._group = self._group, None
        writer = self._writer
        if writer is not None and not (_is_over(writer) and not is_broken):
            self._writer = None
            writer.close()
        self._turns.give_back()
        if group is not None:
            group.end(failure)


def _is_over(writer: Kept) -> bool:
    """End a transaction that was not committed, if there is one, and tell whether that went well."""
    if not writer.driver.in_transaction:
        return True
    try:
        writer.runner.rollback()
    except SQLAlchemyError:
        return False
    return True


def take_turn(turns: Turns, *, is_brief: bool = False) -> None:
    """Wait for the turn to write.

    :raises OperationalError: When it did not come in time.
    """
    if not turns.take(BUSY_MILLISECONDS / 1000, is_brief=is_brief):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))


class SqliteReader:
    """A connection and a session that one thread keeps to read a SQLite file with: ``with`` it for one snapshot.

    Within another snapshot it is the same one. The connection refuses to write, and is closed with its thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._kept = kept = Kept(engine)
        # Its statements stay prepared, those that begin and end a transaction among them.
        self._cursor = kept.runner.cursor
        self._failed: bool = False
        self._depth = 0
        kept.driver.execute("PRAGMA query_only = ON")
        # Four times less than SQLite takes: each thread has such a cache, and what another one writes empties it.
        kept.driver.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        self._session = kept.reading_session()
        weakref.finalize(self, _close_reader, self._session, kept).atexit = False

    def is_usable(self, engine: Engine) -> bool:
        """Tell whether it reads that engine's file: it has not failed, and neither was the engine disposed of since."""
        return not self._failed and self._kept.is_usable(engine)

    def __enter__(self) -> Session:
        if not self._depth:
            self._cursor.execute("BEGIN")
        self._depth += 1
        return self._session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._depth -= 1
        if kind is not None and issubclass(kind, SQLAlchemyError):
            self._failed = True  # it may be the connection's fault
        if self._depth:
            return
        if self._kept.driver.in_transaction:  # else SQLite has ended it, as it does at some errors
            self._cursor.execute("ROLLBACK")
        empty(self._session)


def _close_reader(session: Session, kept: Kept) -> None:
    session.close()
    kept.close()
