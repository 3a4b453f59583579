"""Removing much in small transactions, so that no writer waits for it noticeably."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy.orm import Session

FIRST_BATCH = 50
LARGEST_BATCH = 1000
# A batch is made smaller when it took longer than this.
BATCH_SECONDS = 0.05
# Between two batches writers have their turn: for as long as the batch took, and at least for this long.
PAUSE_SECONDS = 0.1


class Store(Protocol):
    """Opens transactions: units of work that are committed at their end, and reads. ``database.Database`` is one."""

    def unit_of_work(self) -> AbstractContextManager[Session]:
        """Open a transaction that writes."""

    def reading(self) -> AbstractContextManager[Session]:
        """Open a transaction that only reads."""


def in_batches(
    store: Store,
    remove: Callable[[Session, int], int],
    *,
    seconds: float = 1.0,
    pause: Callable[[float], bool] = lambda _: False,
) -> int:
    """Remove rows, each batch in a transaction of its own, and return how many were removed.

    It ends when a batch finds fewer than it may remove, after ``seconds``, or
    when ``pause``, which waits, tells it to stop.

    :param remove: Removes at most so many rows, and returns how many.
    """
    removed, batch, ends = 0, FIRST_BATCH, time.monotonic() + seconds
    while True:
        with store.unit_of_work() as session:
            session.connection()  # on SQLite it waits here for other writers, which says nothing of the batch
            started = time.monotonic()
            count = remove(session, batch)
        took = time.monotonic() - started
        removed += count
        if count < batch or time.monotonic() >= ends or pause(max(took, PAUSE_SECONDS)):
            return removed
        batch = max(1, batch // 2) if took > BATCH_SECONDS else min(2 * batch, LARGEST_BATCH)
