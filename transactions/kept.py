"""A connection that is kept, and what each kind of database does with those it has."""

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from prepared import KEPT, RUNNER, Runner
from transactions.ahead import Ahead

Found = TypeVar("Found")
# What a session that reads keeps from one transaction to the next, as it does its connection.
OF_READER = frozenset({RUNNER})


class Kept:
    """A connection that is of no pool any more, and what runs statements on it.

    :param cursor: What makes a cursor of the driver's connection, where that is not the driver itself.
    """

    def __init__(self, engine: Engine, cursor: Callable[[Any], Any] = lambda _: None) -> None:
        self._pool, self._process = engine.pool, os.getpid()
        self.connection = engine.connect().execution_options(**{KEPT: True})
        self.connection.detach()
        self.connection.begin()
        self.driver: Any = self.connection.connection.dbapi_connection
        self.runner = Runner.on(self.connection, cursor=cursor(self.driver))
        self._heard: select.poll | None = None
        # Those whose transaction it runs, where it is one that they have in common, see ``lanes.py``.
        self.lane: Any = None
        # What reads with it, once something does.
        self.reader: Session | None = None

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

    def forget_savepoints(self) -> None:
        """Forget those that SQLAlchemy could not end: it takes them for neither open nor over, and refuses all else."""
        while (savepoint := self.connection.get_nested_transaction()) is not None:
            savepoint.is_active = False  # whatever is left of it ends with the unit of work: nothing is asked for that
            savepoint.close()

    def reading_session(self) -> Session:
        """Return the session that reads with it, with nothing in it."""
        session = self.reader
        if session is None:
            session = self.reader = Session(self.connection)
            session.info[RUNNER] = self.runner
        return session

    def close(self) -> None:
        """Close it, unless it was opened before a fork: it is the parent's, and SQLite forbids even to close it."""
        if self._process == os.getpid():
            self.driver.close()  # which asks nothing of a server that may be gone
        else:
            INHERITED.append(self.driver)


INHERITED: list[Any] = []


def empty(session: Session) -> None:
    """Leave nothing in a session that reads of what it read, and of what was noted."""
    if session._new or session.identity_map:
        session.expunge_all()
    if not session.info.keys() <= OF_READER:
        for key in session.info.keys() - OF_READER:
            del session.info[key]


class Connections(ABC):
    """The connections to one database that are kept."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # Sessions of units of work that have ended, with nothing in them: those of long ones and of brief ones. To make
        # one takes as long as three statements.
        self.spare_sessions: tuple[list[Any], list[Any]] = ([], [])

    @abstractmethod
    def reading(self) -> AbstractContextManager[Session]:
        """Return what opens a transaction that only reads, when it is entered."""

    def shared_reading(self, question: Hashable, read: Callable[[Session], Found]) -> Found:  # noqa: ARG002
        """Return what a reading finds; threads that ask the same question at the same moment may share it."""
        with self.reading() as session:
            return read(session)

    @abstractmethod
    def take(self, *, brief_for: str | None = None, ahead: Ahead | None = None) -> Kept:
        """Begin a transaction that writes, and return its connection, which is this thread's until it has ended.

        :param brief_for: Whose unit of work it is, if it takes so little time that others of the same may wait for
            it, to be committed with it.
        :param ahead: What it will ask first, if that is known: others may ask it while it waits.
        """

    @abstractmethod
    def commit(self, kept: Kept) -> None:
        """End a transaction, and return when all of it is on disk.

        :raises DBAPIError: When it is not; then nothing of it is left.
        """

    @abstractmethod
    def roll_back(self, kept: Kept, *, is_broken: bool) -> None:
        """End a transaction, and leave nothing of it.

        :param is_broken: Whether the connection may be the cause, so that it is not used again.
        """
