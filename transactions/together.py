"""Units of work that have a transaction in common, which the last of them commits."""

import threading

from sqlalchemy.exc import OperationalError

from transactions.turns import ThreadTurns

# On SQLite each but the first has a savepoint.
SAVEPOINT, RELEASE, ROLLBACK = "SAVEPOINT of_unit", "RELEASE SAVEPOINT of_unit", "ROLLBACK TO SAVEPOINT of_unit"


class Undone(OperationalError):
    """Nothing is left of a unit of work, as one that shared its transaction was refused. Done alone, it may succeed."""


class Group:
    """Those that are done wait for the one that will commit."""

    def __init__(self) -> None:
        self._waiting: list[threading.Lock] = []
        self._failure: BaseException | None = None

    def pass_on(self, turns: ThreadTurns) -> "threading.Lock | None":
        """Leave the transaction to the next in turn, and return what to wait with; None when nobody is next any more.

        From then on all that belongs to the turn is that one's.
        """
        lock = threading.Lock()
        lock.acquire()
        self._waiting.append(lock)
        if turns.pass_on():
            return lock
        self._waiting.remove(lock)
        return None

    def wait(self, lock: threading.Lock) -> None:
        """Return when all is on disk.

        :raises Undone: When nothing of it is left.
        :raises OperationalError: When it did not come on disk, as far as is known.
        """
        lock.acquire()
        failure = self._failure
        if failure is not None:
            kind = Undone if isinstance(failure, Undone) else OperationalError
            raise kind("COMMIT", None, getattr(failure, "orig", None) or failure) from failure

    def end(self, failure: BaseException | None) -> None:
        """Let all go on who wait."""
        self._failure = failure
        for lock in self._waiting:
            lock.release()
