"""Writers of one SQLite file take turns in the order in which they came, across the threads and processes.

SQLite has one writer at a time, and lets the others look again and again whether it
is gone, with ever longer pauses: whoever comes later may be first, and whoever waited
long sleeps on while the file is free. So each waits here before it begins.

Within a process a turn is handed from thread to thread. Between processes it is two
``flock``: who holds the first is next, and waits for the second. A process that ends, however
it ends, holds neither any more.
"""

import fcntl
import os
import stat
from collections import deque
from pathlib import Path
from threading import Lock


class ThreadTurns:
    """The turns of the threads of this process."""

    def __init__(self) -> None:
        self._mutex = Lock()
        # Those who wait, and whether what they want it for is brief.
        self._waiting: deque[tuple[Lock, bool]] = deque()
        self._is_taken = False

    def take(self, seconds: float, *, is_brief: bool = False) -> bool:
        """Wait for the turn, so many seconds at most; tell whether it came."""
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._waiting.append((mine, is_brief))
        try:
            if mine.acquire(timeout=seconds):
                return True
        except BaseException:  # such as of a signal: nobody else may have to wait for it
            if not self._leave(mine, is_brief):
                self.give_back()
            raise
        return not self._leave(mine, is_brief)

    def _leave(self, mine: Lock, is_brief: bool) -> bool:
        """Wait no longer, and tell whether the turn was not handed over in this very moment."""
        with self._mutex:
            if (mine, is_brief) not in self._waiting:
                return False
            self._waiting.remove((mine, is_brief))
            return True

    def is_brief_next(self) -> bool:
        """Tell whether whoever waits longest does so for something brief."""
        with self._mutex:
            return bool(self._waiting) and self._waiting[0][1]

    def pass_on(self) -> bool:
        """Give the turn to the next if that is brief, and tell whether."""
        with self._mutex:
            if not (self._waiting and self._waiting[0][1]):
                return False
            self._note_passed_on()
            self._waiting.popleft()[0].release()
            return True

    def _note_passed_on(self) -> None:
        """Note that the next has the turn, before it goes on."""

    def give_back(self) -> None:
        """End the turn; whoever waits longest is next."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft()[0].release()
            else:
                self._is_taken = False


class Turns(ThreadTurns):
    """The turns of one file. Their own files lie beside it and are empty."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self._database = database
        # Whether the turn was passed on to a thread, which does not have to wait for other processes.
        self._is_passed_on = False
        self._files: tuple[int, int] | None = None

    def take(self, seconds: float, *, is_brief: bool = False) -> bool:
        """Wait for the turn, so many seconds at most among the threads of this process; tell whether it came."""
        if not super().take(seconds, is_brief=is_brief):
            return False
        if self._is_passed_on:
            self._is_passed_on = False
            return True
        try:
            if self._files is None:
                self._files = self._open("next"), self._open("turn")
            queue, turn = self._files
            fcntl.flock(queue, fcntl.LOCK_EX)
            try:
                fcntl.flock(turn, fcntl.LOCK_EX)
            finally:
                fcntl.flock(queue, fcntl.LOCK_UN)
        except BaseException:
            super().give_back()
            raise
        return True

    def _note_passed_on(self) -> None:
        """Note that the next has the turn before those of other processes."""
        self._is_passed_on = True

    def give_back(self) -> None:
        """End the turn; whoever waits longest is next."""
        if self._files is not None:
            fcntl.flock(self._files[1], fcntl.LOCK_UN)
        super().give_back()

    def close(self) -> None:
        """Close the files; a turn that another process has in common with this one stays its own."""
        for descriptor in self._files or ():
            os.close(descriptor)
        self._files = None

    def _open(self, suffix: str) -> int:
        """Open a file for all who may write the database, as SQLite does with its own: root may come first."""
        descriptor = os.open(f"{self._database}-{suffix}", os.O_RDWR | os.O_CREAT, 0o600)
        database, mine = Path(self._database).stat(), os.fstat(descriptor)
        if mine.st_uid == os.geteuid() and (mine.st_uid, mine.st_mode) != (database.st_uid, database.st_mode):
            os.fchmod(descriptor, stat.S_IMODE(database.st_mode))
            if mine.st_uid == 0:
                os.fchown(descriptor, database.st_uid, database.st_gid)
        return descriptor


_known: dict[str, Turns] = {}


def turns_of(database: str) -> Turns:
    """Return the turns of a database file, the same for all who write to it in this process."""
    turns = _known.get(database)
    return turns if turns is not None else _known.setdefault(database, Turns(database))


def _forget_all() -> None:
    """Begin anew in a process that was just forked: the turns of its parent are not its own."""
    for turns in _known.values():
        turns.close()
    _known.clear()


os.register_at_fork(after_in_child=_forget_all)
