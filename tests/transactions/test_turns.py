"""On SQLite many threads of several processes write at once; each gets its turn, and nothing is ever locked."""

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError

import database  # noqa: F401  (which has SQLite set up, and take turns)
from transactions.turns import ThreadTurns, Turns, turns_of

WRITERS, WRITES = 8, 25


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def never_waiting(path: str) -> Engine:
    """Return an engine whose connections fail at once where SQLite itself would have them wait."""
    engine = create_engine(f"sqlite:///{path}", pool_size=WRITERS)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 0"))
    return engine


def write_much(path: str, start: Any, results: Any) -> None:
    """Write with eight threads, each its number of short transactions, and report how long each of them took."""
    engine = never_waiting(path)

    def write(_: int) -> list[float]:
        taken = []
        for _ in range(WRITES):
            began = time.monotonic()
            with engine.begin() as connection:
                connection.execute(text("UPDATE counter SET value = value + 1"))
            taken.append(time.monotonic() - began)
        return taken

    start.wait()
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            results.put([seconds for taken in pool.map(write, range(WRITERS)) for seconds in taken])
    except Exception as error:
        results.put(repr(error))


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "turns.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.commit()
    return path


@pytest.mark.slow
def test_sixteen_writers_in_two_processes_all_get_their_turn(path: str) -> None:
    processes = multiprocessing.get_context("spawn")
    start, results = processes.Event(), processes.Queue()
    writers = [processes.Process(target=write_much, args=(path, start, results)) for _ in range(2)]
    for writer in writers:
        writer.start()
    start.set()
    outcomes = [results.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join()
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == []
    assert [len(outcome) for outcome in outcomes] == [WRITERS * WRITES] * 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT value FROM counter").fetchone() == (2 * WRITERS * WRITES,)


def take_and_stay(path: str, taken: Any) -> None:
    assert Turns(path).take(60)
    taken.set()
    time.sleep(600)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_its_turn(path: str) -> None:
    processes = multiprocessing.get_context("spawn")
    taken = processes.Event()
    writer = processes.Process(target=take_and_stay, args=(path, taken), daemon=True)
    writer.start()
    assert taken.wait(60)
    mine = Turns(path)
    waiting = threading.Thread(target=mine.take, args=(60,))
    waiting.start()
    assert waiting.is_alive()
    writer.kill()
    waiting.join(60)
    assert not waiting.is_alive()
    mine.give_back()


def test_turns_come_in_the_order_in_which_they_were_asked_for(path: str) -> None:
    turns, order = Turns(path), []

    def write(number: int) -> None:
        assert turns.take(60)
        order.append(number)
        turns.give_back()

    assert turns.take(60)
    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda number=number: len(turns._waiting) == number)
    turns.give_back()
    for thread in threads:
        thread.join()
    assert order == list(range(10))


def test_whoever_waits_too_long_is_told_and_keeps_nobody_waiting(path: str) -> None:
    turns = Turns(path)
    assert turns.take(60)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(turns.take, 0.01).result() is False
    turns.give_back()
    assert turns.take(0)


def test_whoever_is_interrupted_while_waiting_is_not_waited_for() -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError

    turns = ThreadTurns()
    assert turns.take(60)
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError):
            turns.take(60, is_brief=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert not turns.is_brief_next()
    turns.give_back()
    assert turns.take(0)


def test_a_writer_that_fails_gives_its_turn_back(path: str) -> None:
    engine = never_waiting(path)
    with pytest.raises(DatabaseError), engine.begin() as connection:
        connection.execute(text("UPDATE nothing SET value = 1"))
    with ThreadPoolExecutor(1) as pool, engine.connect() as connection:
        connection.execute(text("UPDATE counter SET value = 7"))
        waiting = pool.submit(lambda: engine.connect().execute(text("SELECT value FROM counter")).scalar())
        wait_until(lambda: len(turns_of(path)._waiting) == 1)
        connection.commit()
        connection.close()
        assert waiting.result(60) == 7


def test_whoever_may_write_the_database_may_take_turns_even_where_root_came_first(path: str) -> None:
    """The command line is often used as root, beside a server that is not."""
    Path(path).chmod(0o660)
    if os.geteuid() == 0:
        os.chown(path, 10_001, 10_002)
    turns = Turns(path)
    assert turns.take(60)
    turns.give_back()
    turns.close()

    wanted = Path(path).stat()
    for suffix in ("next", "turn"):
        found = Path(f"{path}-{suffix}").stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (wanted.st_mode, wanted.st_uid, wanted.st_gid)


def test_a_forked_process_has_turns_of_its_own(path: str) -> None:
    turns = turns_of(path)
    assert turns.take(60)
    child = os.fork()
    if child == 0:
        os._exit(0 if turns_of(path) is not turns and not turns_of(path)._is_taken else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(turns.take, 0.01).result() is False
    turns.give_back()
