"""Windows that processes share let in as many as they should, whoever asks, and whatever becomes of who asked."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse

from blueprints import windows
from blueprints.limits import PlacesInRedis, places_of
from blueprints.windows import Alone, MachineStorage, PlacesHere, SharedWindows


class Clock:
    """A clock that stands until it is told to go on, in seconds since the machine was started."""

    def __init__(self) -> None:
        self.now = 0.5

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(windows, "time", clock)
        yield clock


def test_as_many_as_the_limit_says_are_let_in_and_one_more_when_the_first_was_long_enough_ago(clock: Clock) -> None:
    shared = SharedWindows(3, 10)
    assert [shared.take("acme") for _ in range(2)] == [True, True]
    clock.now += 4
    assert [shared.take("acme") for _ in range(2)] == [True, False]
    clock.now += 6
    assert [shared.take("acme") for _ in range(3)] == [True, True, False]


def test_each_key_has_a_window_of_its_own(clock: Clock) -> None:
    shared = SharedWindows(1, 10)
    assert [shared.take(key) for key in ("acme", "globex", "acme", "globex")] == [True, True, False, False]


def test_a_request_of_several_has_a_place_when_all_of_them_have_and_else_takes_none(clock: Clock) -> None:
    shared = SharedWindows(5, 10)
    assert [shared.take("acme", cost) for cost in (6, 4, 2, 1, 1)] == [False, True, False, True, False]


def test_how_many_count_and_since_when_can_be_looked_at(clock: Clock) -> None:
    shared = SharedWindows(3, 10)
    assert shared.look("acme") == (clock.time(), 0)
    began = clock.time()
    shared.take("acme", 2)
    clock.now += 5
    shared.take("acme")
    assert shared.look("acme") == (began, 3)
    clock.now += 6
    assert shared.look("acme") == (pytest.approx(began + 5), 1)


asked = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=40
)


@given(asked=asked, amount=st.integers(1, 6))
def test_it_lets_in_whom_a_list_of_all_moments_would(
    clock: Clock, asked: list[tuple[str, int, float]], amount: int
) -> None:
    shared = SharedWindows(amount, 2)
    moments: dict[str, list[float]] = {"a": [], "b": []}
    for key, cost, pause in asked:
        clock.now += pause
        counting = [moment for moment in moments[key] if moment > clock.now - 2]
        has_place = len(counting) + cost <= amount
        assert shared.look(key)[1] == len(counting)
        assert shared.take(key, cost) == has_place
        moments[key] = counting + [clock.now] * cost * has_place


def test_who_has_not_come_for_longest_gives_its_window_to_who_comes_new(clock: Clock) -> None:
    shared = SharedWindows(1, 1_000)
    names = [f"key {number}" for number in range(20_000)]
    for name in names:
        clock.now += 0.01
        assert shared.take(name)
    assert not shared.take(names[-1])
    assert shared.take(names[0])


def test_processes_count_together() -> None:
    shared = SharedWindows(1_000, 60)
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            os._exit(sum(shared.take("acme") for _ in range(400)) // 4)
        children.append(child)
    let_in = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children) * 4
    assert abs(let_in - 1_000) <= 12, "each of them tells a quarter of its own, rounded down"
    assert shared.look("acme")[1] == 1_000
    assert not shared.take("acme")


def test_a_process_that_is_killed_while_it_counts_keeps_nobody_from_counting() -> None:
    shared = SharedWindows(10, 60)
    child = os.fork()
    if not child:
        with Alone():
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert shared.take("acme")


@pytest.mark.parametrize(("limit", "kind"), [("100 per second", PlacesHere), ("1000000 per day", PlacesInRedis)])
def test_a_limit_of_more_than_memory_holds_is_counted_in_redis(limit: str, kind: type) -> None:
    storage = MachineStorage("machine+redis://nowhere.example")
    assert isinstance(places_of(storage, parse(limit), "scim"), kind)
