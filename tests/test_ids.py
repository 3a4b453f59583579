"""Identifiers are ULIDs: of their moment, in the order in which they were made, and each another one."""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from ulid import ULID

from clock import now_ms
from ids import DIGITS, LAST_NUMBER, Maker, new_id, time_of

MOMENT = 1_790_000_000_123


def test_an_identifier_is_a_ulid_of_the_moment_in_which_it_was_made() -> None:
    before = now_ms()
    prefix, _, text = new_id("user").partition("_")
    parsed = ULID.from_str(text)
    assert (prefix, str(parsed)) == ("user", text)
    assert before <= parsed.milliseconds <= now_ms()
    assert time_of(f"user_{text}") == parsed.milliseconds


def test_identifiers_of_one_millisecond_are_in_the_order_in_which_they_were_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: MOMENT * 1_000_000)
    maker = Maker()
    made = [maker.make() for _ in range(100)]
    assert sorted(set(made)) == made
    assert {ULID.from_str(text).milliseconds for text in made} == {MOMENT}


def test_makers_that_do_not_know_each_other_make_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: MOMENT * 1_000_000)
    assert len({Maker().make()[10:] for _ in range(100)}) == 100


@pytest.mark.parametrize("moment", [0, 1023, 1024, MOMENT, 2**48 - 1])
@pytest.mark.parametrize("byte", [b"\0", b"\x1f", b"\x20", b"\xff"])
def test_any_moment_and_any_random_bytes_are_written_as_a_ulid_is(
    moment: int, byte: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: moment * 1_000_000)
    monkeypatch.setattr("os.urandom", lambda count: byte * count)
    made = Maker().make()
    assert made == str(ULID.from_str(made))
    assert made[:10] == str(ULID(moment.to_bytes(6) + bytes(10)))[:10]
    assert set(made[10:22]) == {DIGITS[byte[0] % 32]}


def test_every_digit_is_as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    for first in range(0, 256, 12):
        sent = bytes(min(number, 255) for number in range(first, first + 12)) + bytes(3)
        monkeypatch.setattr("os.urandom", lambda _, sent=sent: sent)
        counts.update(Maker().make()[10:22])
    counts["Z"] -= 22 * 12 - 256  # the last byte, more than once
    assert counts == dict.fromkeys(DIGITS, 8)


def test_while_the_clock_stands_still_no_two_are_the_same_however_many_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: MOMENT * 1_000_000)
    maker = Maker()
    first = maker.make()
    maker._number = LAST_NUMBER - 1
    last, anew, next_one = maker.make(), maker.make(), maker.make()
    assert first < last
    assert last[22:] == "ZZZZ"
    assert anew[10:22] != last[10:22]
    assert anew < next_one
    assert {ULID.from_str(text).milliseconds for text in (first, last, anew, next_one)} == {MOMENT}


def test_threads_never_make_the_same_one() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [new_id("evt") for _ in range(500)], range(8)))
    assert len({one for some in made for one in some}) == 8 * 500


def test_a_process_that_was_forked_makes_other_ones_than_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: MOMENT * 1_000_000)
    new_id("evt")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, new_id("evt").encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode()[14:] != new_id("evt")[14:]
    os.close(reader)
    os.close(writer)
