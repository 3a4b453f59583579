"""PostgreSQL: connections that whoever needs one takes from a stack, for reading and for writing."""

from collections.abc import Callable, Hashable

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from prepared import RUNNER
from transactions.ahead import Ahead
from transactions.kept import Connections, Found, Kept, empty
from transactions.lanes import Lane, Lanes
from transactions.shared_readings import SharedReadings
from transactions.stack import Stack


class PostgresqlConnections(Connections):
    """A stack of connections, and lanes for units of work that share one.

    Outside of a transaction each statement is one of its own, so a reading costs one round trip for each question. That
    is what READ COMMITTED gives it in any case. And statements stay prepared on the server, which a ROLLBACK after
    each reading would undo.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._stack = Stack(engine)
        self._lanes = Lanes(self._stack)
        self._shared = SharedReadings()
        event.listen(engine, "engine_disposed", self._close_idle)

    def reading(self) -> "PostgresqlReading":
        """Return a reading, which takes a connection when it is entered."""
        return PostgresqlReading(self._stack)

    def shared_reading(self, question: Hashable, read: Callable[[Session], Found]) -> Found:
        """Return what a reading finds, which threads that ask the same question at the same moment share."""

        def run() -> Found:
            with self.reading() as session:
                return read(session)

        found: Found = self._shared.read(question, run)
        return found

    def take(self, *, brief_for: str | None = None, ahead: Ahead | None = None) -> Kept:
        """Begin a transaction that writes, or go on with that of others of the same organization."""
        kept = None if brief_for is None else self._lanes.take(brief_for, ahead)
        return kept or self._stack.begin()

    def commit(self, kept: Kept) -> None:
        """End a unit of work, and return when all of it is on disk."""
        lane: Lane | None = kept.lane
        if lane is not None:
            self._lanes.commit(kept, lane)
            return
        try:
            kept.runner.commit()
        except BaseException as failure:
            self.roll_back(kept, is_broken=isinstance(failure, OperationalError))
            raise
        self._stack.give_back(kept, is_broken=False)

    def roll_back(self, kept: Kept, *, is_broken: bool) -> None:
        """End a unit of work, and leave nothing of it.

        :raises OperationalError: When others did something in the same transaction that did not come on disk.
        """
        lane: Lane | None = kept.lane
        if lane is not None:
            self._lanes.roll_back(kept, lane, is_broken=is_broken)
            return
        try:
            kept.runner.rollback()
        except SQLAlchemyError:
            is_broken = True  # it is closed, and with it ends the transaction
        self._stack.give_back(kept, is_broken=is_broken)

    def _close_idle(self, _engine: Engine) -> None:
        self._stack.close_idle()
        self._lanes.close_idle()


class PostgresqlReading:
    """A session that reads: each statement sees what was committed before it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __enter__(self) -> Session:
        self._kept = kept = self._stack.take()
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
        self._stack.give_back(kept, is_broken=is_broken)
