"""Who asks what others ask at the same moment is told what holds after it asked, and never what was read before."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event as Signal
from typing import Any

import pytest

from tests.conftest import wait_until
from transactions.shared_readings import SharedReadings

WAIT = 30


class Reads:
    """A value that is read slowly: each reading waits until it may end."""

    def __init__(self) -> None:
        self.value = 0
        self.begun: list[Signal] = []

    def __call__(self) -> int:
        found, may_end = self.value, Signal()
        self.begun.append(may_end)
        assert may_end.wait(WAIT)
        if found < 0:
            raise LookupError(found)
        return found


@pytest.fixture
def shared() -> SharedReadings:
    return SharedReadings()


@pytest.fixture
def reads() -> Reads:
    return Reads()


def asking(threads: ThreadPoolExecutor, shared: SharedReadings, reads: Callable[[], int], count: int) -> list[Any]:
    """Let so many ask, the first of whom finds a reading begun, and return once all of them wait."""
    asked: list[Future[int]] = [threads.submit(shared.read, "token", reads) for _ in range(count)]
    wait_until(lambda: "token" in shared._next and len(shared._next["token"].waiting) == count - 1)
    return asked


def test_those_who_come_while_it_is_read_share_the_next_reading(shared: SharedReadings, reads: Reads) -> None:
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(shared.read, "token", reads)
        wait_until(lambda: len(reads.begun) == 1)
        reads.value = 1  # such as that the token is revoked now
        late = asking(threads, shared, reads, 5)
        reads.begun[0].set()
        assert first.result(WAIT) == 0
        wait_until(lambda: len(reads.begun) == 2)
        reads.value = 2
        later = asking(threads, shared, reads, 1)
        reads.begun[1].set()
        assert [answer.result(WAIT) for answer in late] == [1] * 5, "none is told what was read before it asked"
        wait_until(lambda: len(reads.begun) == 3)
        reads.begun[2].set()
        assert later[0].result(WAIT) == 2
    assert (shared._begun, shared._next) == ({}, {})


def test_who_asks_something_else_waits_for_nobody(shared: SharedReadings, reads: Reads) -> None:
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(shared.read, "token", reads)
        wait_until(lambda: len(reads.begun) == 1)
        assert shared.read("another", lambda: "theirs") == "theirs"
        reads.begun[0].set()
        assert first.result(WAIT) == 0


def test_a_failure_is_told_to_those_who_took_part_and_to_nobody_after_them(
    shared: SharedReadings, reads: Reads
) -> None:
    with ThreadPoolExecutor(8) as threads:
        reads.value = -1
        first = threads.submit(shared.read, "token", reads)
        wait_until(lambda: len(reads.begun) == 1)
        reads.value = -2
        late = asking(threads, shared, reads, 3)
        reads.begun[0].set()
        wait_until(lambda: len(reads.begun) == 2)
        reads.value = 3
        reads.begun[1].set()
        with pytest.raises(LookupError, match="-1"):
            first.result(WAIT)
        for answer in late:
            with pytest.raises(LookupError, match="-2"):
                answer.result(WAIT)
        last = threads.submit(shared.read, "token", reads)
        wait_until(lambda: len(reads.begun) == 3)
        reads.begun[2].set()
        assert last.result(WAIT) == 3
    assert (shared._begun, shared._next) == ({}, {})
