"""Questions that several threads ask at the same moment, of which the database is asked one for all of them."""

import threading
from collections.abc import Callable, Hashable
from typing import Any


class Reading:
    """What is asked once: what came of it, and those who wait for that."""

    def __init__(self) -> None:
        self.found: Any = None
        self.failure: BaseException | None = None
        self.waiting: list[threading.Lock] = []


class SharedReadings:
    """At most one reading for each question at a time, and one that is next.

    Whoever asks takes part in the one that is next, never in one that has begun: so each is told what holds at some
    moment after it asked, as if it had read by itself. (What is called single flight lets latecomers take part, too.)
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # Of each question that is being asked, what the next one begins with, if anybody waits for that.
        self._begun: dict[Hashable, threading.Lock | None] = {}
        self._next: dict[Hashable, Reading] = {}

    def read(self, question: Hashable, read: Callable[[], Any]) -> Any:
        """Return what one reading finds, which must be nothing that can be changed.

        :raises BaseException: What it raised, for each of those who took part in it.
        """
        mine = turn = None
        with self._mutex:
            reading = self._next.get(question)
            if reading is not None:
                mine = _taken_lock()
                reading.waiting.append(mine)
            else:
                reading = Reading()
                if question in self._begun:
                    turn = self._begun[question] = _taken_lock()
                    self._next[question] = reading
                else:
                    self._begun[question] = None
        if mine is None:
            return self._read(question, reading, turn, read)
        mine.acquire()
        if reading.failure is not None:
            raise reading.failure
        return reading.found

    def _read(self, question: Hashable, reading: Reading, turn: Any, read: Callable[[], Any]) -> Any:
        """Read for all who wait, once the one before is over."""
        if turn is not None:
            turn.acquire()
            with self._mutex:
                del self._next[question]
                self._begun[question] = None
        try:
            reading.found = read()
        except BaseException as failure:
            reading.failure = failure
            raise
        finally:
            with self._mutex:
                following = self._begun[question]
                if following is None:
                    del self._begun[question]
            for lock in reading.waiting:
                lock.release()
            if following is not None:
                following.release()
        return reading.found


def _taken_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
