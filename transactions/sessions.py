"""What a unit of work writes with."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.orm.session import JoinTransactionMode

from prepared import RUNNER, Runner
from transactions.ahead import AHEAD
from transactions.kept import Connections, Kept
from transactions.sqlite import SqliteConnections


def connections_of(engine: Engine) -> Connections:
    """Return the connections of an engine, none of which is open yet."""
    if engine.dialect.name == "sqlite":
        return SqliteConnections(engine)
    # Only where it is needed: its driver takes 7 MiB.
    from transactions.postgresql import PostgresqlConnections  # noqa: PLC0415

    return PostgresqlConnections(engine)


class WritingSession(Session):
    """The session of a unit of work. Its transaction begins with its first statement, and not before.

    So on SQLite nobody has to wait while a request is still being received.

    :param is_brief: Whether its transaction takes so little time that others may wait for it.
    """

    def __init__(self, connections: Connections, *, is_brief: bool) -> None:
        # What fails in the ORM takes nothing of others away that may be in the same transaction.
        joining: JoinTransactionMode = "create_savepoint" if is_brief else "rollback_only"
        super().__init__(connections.engine, expire_on_commit=False, join_transaction_mode=joining)
        self._connections = connections
        # Whose it is, see ``Connections.take``; said anew for each unit of work.
        self.brief_for: str | None = None
        self._kept: Kept | None = None

    def start(self) -> None:
        """Begin the transaction, if it did not begin yet."""
        if self._kept is None:
            ahead = self.info.pop(AHEAD, None)
            self._kept = kept = self._connections.take(brief_for=self.brief_for, ahead=ahead)
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
        if not self.is_untouched():
            super().commit()
            self.close()
        kept = self._leave()
        if kept is not None:
            self._connections.commit(kept)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what is to be written."""
        if not self.is_untouched():
            super().flush(objects)

    def is_untouched(self) -> bool:
        """Tell whether nothing of the ORM took part, so that there is nothing to write, to end or to forget."""
        return self._transaction is None and not self._new and not self.identity_map

    def rollback(self, error: BaseException | None = None) -> None:
        """End the transaction, and leave nothing of it.

        :param error: Why. An error of the database may be the connection's fault, so that one is not used again.
        """
        is_broken = isinstance(error, SQLAlchemyError) and not isinstance(error, IntegrityError)
        try:
            self.close()
            kept = self._leave()
        except SQLAlchemyError:
            kept, is_broken = self._leave(), True
        if kept is not None:
            self._connections.roll_back(kept, is_broken=is_broken)

    def _leave(self) -> Kept | None:
        """Let go of the connection, which another thread may have next."""
        kept, self._kept, self.bind = self._kept, None, self._connections.engine
        self.info.pop(RUNNER, None)
        if kept is not None:
            kept.forget_savepoints()
        return kept


@event.listens_for(WritingSession, "do_orm_execute")
def _start_with_statement(state: Any) -> None:
    state.session.start()


@event.listens_for(WritingSession, "before_flush")
def _start_with_flush(session: WritingSession, *_: object) -> None:
    session.start()


@event.listens_for(WritingSession, "before_commit")
def _send_before_release(session: WritingSession) -> None:
    """Send what waits in a savepoint before its end, so that the savepoint is rolled back if any of it is refused."""
    if session.in_nested_transaction():
        Runner.of(session).send_waiting()
