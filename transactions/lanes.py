"""PostgreSQL: brief units of work of one organization, committed together where they would wait for each other."""

import queue
import threading
from collections import deque
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from transactions.ahead import Ahead
from transactions.kept import Kept
from transactions.stack import Stack
from transactions.together import Group, Undone
from transactions.turns import ThreadTurns

# A session of the server that does the same again has at hand what it needs.
KEPT_CONNECTIONS = 1
# How long a unit of work waits for those of its organization before it goes its own way, whoever is slow.
TURN_SECONDS = 0.05
# Those of so many organizations are under way at once, as long as they are over in this time. More would take the
# processor from each other.
AT_ONCE = 2
PLACE_SECONDS = 0.02
# How long one that follows others in their transaction waits for a lock. Those before it hold theirs until the end, the
# row that counts the events of their organization among them, so somebody who has that lock may wait for them.
SET_PATIENCE = "SET LOCAL lock_timeout = 100"
# What one does who follows others begins with this mark.
UNIT = "unit"


class Lane:
    """The units of work of one organization, which follow each other.

    What is here belongs to the one whose turn it is.
    """

    def __init__(self) -> None:
        self.turns = ThreadTurns()
        # The connection of the transaction that is open, whether it has one of the few places, and those who have done
        # their part of it.
        self.kept: Kept | None = None
        self.has_place = False
        self.group: Group | None = None
        # What those who wait will ask first; each belongs to its own, but for the answers.
        self.ahead: list[Ahead] = []


class Lanes:
    """The lanes of all organizations that somebody is at work for.

    Units of work of one organization would wait for each other at the server in any case, for the row that counts its
    events. So they follow each other here, and, as on SQLite, one that is done while the next one waits leaves the
    transaction open to that. The last of them commits, and nobody is answered before.

    What one of them has written is sent with what the next one asks. So whoever is refused something need not be who
    caused it: then nothing is left of any of them, and each is told to do its work again, alone (``Undone``). They need
    no savepoints then: of one that fails by itself what waits is left out, and where more was done, all is undone, too.

    What somebody who waits will ask first is asked by whoever gets the turn, as long as it is about something else.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._idle: deque[Kept] = deque()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(AT_ONCE):
            self._places.put(None)
        self._lanes: WeakValueDictionary[str, Lane] = WeakValueDictionary()
        self._mutex = threading.Lock()

    def take(self, organization: str, ahead: Ahead | None = None) -> Kept | None:
        """Begin a transaction, or go on with that of others; None where that would take too long."""
        with self._mutex:
            lane = self._lanes.get(organization)
            if lane is None:
                lane = self._lanes[organization] = Lane()
        if not self._take_turn(lane, ahead):
            return None
        if lane.kept is not None:
            self._follow(lane.kept, lane, ahead)
            return lane.kept
        try:
            lane.has_place = self._take_place()
            lane.kept = kept = self._stack.begin(self._idle)
        except BaseException as failure:
            self._end(lane, failure, is_broken=True)
            raise
        kept.lane = lane
        return kept

    def _take_turn(self, lane: Lane, ahead: Ahead | None) -> bool:
        if ahead is None:
            return lane.turns.take(TURN_SECONDS, is_brief=True)
        lane.ahead.append(ahead)
        try:
            return lane.turns.take(TURN_SECONDS, is_brief=True)
        finally:
            lane.ahead.remove(ahead)

    def _follow(self, kept: Kept, lane: Lane, ahead: Ahead | None) -> None:
        """Go on with the transaction of others, and ask what those who wait will ask.

        :raises Undone: When the server refused something that the others had written.
        """
        try:
            for other in [*lane.ahead]:
                if ahead is None or other.about == ahead.about:
                    other.answers = None  # who comes first may change what was asked
                elif other.answers is None:
                    other.ask(kept.runner)
            kept.runner.mark(UNIT)
        except DBAPIError as failure:
            self._undo(kept, lane, failure)
        kept.runner.cursor.answers = ahead and ahead.answers

    def _take_place(self) -> bool:
        try:
            self._places.get(timeout=PLACE_SECONDS)
        except queue.Empty:
            return False
        return True

    def commit(self, kept: Kept, lane: Lane) -> None:
        """End a unit of work, and return when all of it is on disk."""
        if lane.group is not None:
            self._go_on(kept, lane, lane.group)
            return
        is_shared = lane.turns.is_brief_next()
        try:
            if is_shared:
                kept.runner.run_text_later(SET_PATIENCE)
            else:
                kept.runner.commit()
        except BaseException as failure:
            self.roll_back(kept, lane, is_broken=isinstance(failure, OperationalError))
            raise
        if is_shared:
            lane.group = Group()
            self._go_on(kept, lane, lane.group)
        else:
            self._end(lane)

    def roll_back(self, kept: Kept, lane: Lane, *, is_broken: bool) -> None:
        """End a unit of work, and leave nothing of it; what was done before it in the same transaction is committed.

        What it ends with may come of what others did. So it waits for that to be on disk, too.

        :raises Undone: When nothing of all that is left, since this cannot be taken back by itself.
        :raises OperationalError: When it did not come on disk.
        """
        if lane.group is not None and not is_broken and kept.runner.cursor.can_forget(UNIT):
            kept.runner.forget(UNIT)
            self._go_on(kept, lane, lane.group)
        else:
            self._undo(kept, lane, is_broken=is_broken)

    def _undo(self, kept: Kept, lane: Lane, failure: DBAPIError | None = None, *, is_broken: bool = False) -> None:
        """Leave nothing of the transaction.

        :raises Undone: When it is of several.
        """
        try:
            kept.runner.rollback()
        except SQLAlchemyError:
            is_broken = True  # it is closed, and with it ends the transaction
        if lane.group is None:
            self._end(lane, is_broken=is_broken)
            return
        cause: Any = failure.orig if failure else RuntimeError("another unit of work in the same transaction failed")
        undone = Undone("ROLLBACK", None, cause)
        self._end(lane, undone, is_broken=is_broken)
        raise undone from failure

    def _go_on(self, kept: Kept, lane: Lane, group: Group) -> None:
        """Leave the transaction to the next in turn, or commit it if nobody is next, and return when all is on disk."""
        lock = group.pass_on(lane.turns)
        if lock is not None:
            group.wait(lock)
            return
        try:
            kept.runner.commit()
        except DBAPIError as failure:
            if not failure.connection_invalidated:
                self._undo(kept, lane, failure)
            self._end(lane, failure, is_broken=True)  # whether it came on disk nobody knows
            raise
        except BaseException as failure:
            self._end(lane, failure, is_broken=True)
            raise
        self._end(lane)

    def _end(self, lane: Lane, failure: BaseException | None = None, *, is_broken: bool = False) -> None:
        """End a turn, and what is left of the transaction; all who wait for it are told."""
        kept, lane.kept = lane.kept, None
        group, lane.group = lane.group, None
        for other in [*lane.ahead]:
            other.answers = None
        if kept is not None:
            kept.lane = None
            keeps = self._idle if len(self._idle) < KEPT_CONNECTIONS else None
            self._stack.give_back(kept, is_broken=is_broken, to=keeps)
        if lane.has_place:
            lane.has_place = False
            self._places.put(None)
        lane.turns.give_back()
        if group is not None:
            group.end(failure)

    def close_idle(self) -> None:
        """Close what nobody uses."""
        while self._idle:
            self._idle.pop().close()
