"""SCIM: requests per second of one web process on one processor, beside other servers that do the same work.

The product runs as in production: gunicorn with its settings, SQLite with every commit on disk, the rate limit counted
in memory as ``flask serve`` has it, events and the activity log written. Beside it stand scim2-server with its
storage in memory and a bare Flask route, both under the same gunicorn; the same route under the threads that gunicorn
comes with; and a loop that inserts into SQLite and commits. All take turns, round by round, and each is warmed
first; every answer is checked.
"""

import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from bench import polis
from bench.load import Round, Work, load
from bench.measuring import Measurement, on_processor
from bench.people import add_group, add_people
from bench.sandbox import sandbox
from bench.scim_works import MAKERS, OPERATIONS, Directory, works
from bench.web import PRODUCT, Server, web
from database import db
from organizations.organizations import bootstrap

SECONDS = 1.5
WARM_SECONDS = 0.5
# Beyond what one process answers, so that the limit is counted and never reached.
RATE_LIMIT = "10000 per second"
OURS, PEER, LOOP = "authn-scim", "scim2-server in memory", "SQLite insert and commit"
BARE, BARE_THREADS = "bare Flask route", "bare Flask route under gunicorn's own threads"
# A linear search over so many people takes the other server seconds.
LARGEST_FOR_PEER = 10_000
# So many people are added over HTTP, a few hundred a second; and of each page this one reads everybody.
POLIS, POLIS_WITH_EVENTS, LARGEST_FOR_POLIS = "Ory Polis", "Ory Polis with events in its queue", 1000


@dataclass
class Runs:
    """The rounds of one work on one server, and the processor milliseconds of each request."""

    rounds: list[Round] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


Step = Callable[[float], tuple[Round, float]]


def measure(*, size: int, repeat: int, seconds: float = SECONDS) -> list[Measurement]:
    """Return requests per second of each work; ``size`` is the number of people."""
    rows: list[Measurement] = []
    with ExitStack() as stack:
        steps = {OURS: stack.enter_context(_product(size)), BARE: stack.enter_context(_bare())}
        steps[BARE_THREADS] = stack.enter_context(_bare(GUNICORN_CMD_ARGS="--worker-class gthread"))
        if size <= LARGEST_FOR_PEER:
            steps[PEER] = stack.enter_context(_peer(size))
        for work in MAKERS:
            taking_part = {name: of_server[work] for name, of_server in steps.items() if work in of_server}
            if work == "create":
                taking_part[LOOP] = stack.enter_context(_insert_loop())
            rows += _rows(work, _rounds(taking_part, repeat, seconds))
    return rows


def measure_on_postgresql(*, size: int, repeat: int, seconds: float = SECONDS) -> list[Measurement]:
    """Return requests per second of each work on PostgreSQL, which runs on the same processor.

    Beside it Ory Polis does on a PostgreSQL of its own what it can of that, where Node is installed; and another one
    that keeps its events.
    """
    rows: list[Measurement] = []
    with ExitStack() as stack:
        steps = {OURS: stack.enter_context(_product(size, postgresql=True))}
        if polis.is_there() and size <= LARGEST_FOR_POLIS:
            steps[POLIS] = stack.enter_context(_polis(size, keeps_events=False))
            steps[POLIS_WITH_EVENTS] = stack.enter_context(_polis(size, keeps_events=True))
        for work in MAKERS:
            taking_part = {name: of_server[work] for name, of_server in steps.items() if work in of_server}
            rows += _rows(work, _rounds(taking_part, repeat, seconds))
    return rows


def _rounds(steps: dict[str, Step], repeat: int, seconds: float) -> dict[str, Runs]:
    """Let all take turns, after a short round that does not count."""
    for name, step in steps.items():
        step(polis.WARM_SECONDS if name in (POLIS, POLIS_WITH_EVENTS) else min(seconds, WARM_SECONDS))
    runs = {name: Runs() for name in steps}
    for _ in range(repeat):
        for name, step in steps.items():
            done, cpu_seconds = step(seconds)
            runs[name].rounds.append(done)
            runs[name].cpu.append(cpu_seconds / done.requests * 1000)
    return runs


def _rows(work: str, runs: dict[str, Runs]) -> list[Measurement]:
    """Return our row, with its ratio to each of the others in their order, and theirs."""
    measured = {name: _row(f"{work}, {name}", work, of_server) for name, of_server in runs.items()}
    ours = measured.pop(OURS)
    rows = list(measured.values())
    return [_row(ours.name, work, runs[OURS], beside=tuple(rows)), *rows]


def _row(name: str, work: str, runs: Runs, beside: tuple[Measurement, ...] = ()) -> Measurement:
    each = OPERATIONS if work.startswith("Bulk") else 1
    return Measurement(
        name,
        "/s",
        [done.per_second * each for done in runs.rounds],
        beside=beside,
        p50=[done.percentile(0.5) for done in runs.rounds],
        p99=[done.percentile(0.99) for done in runs.rounds],
        cpu=[cpu / each for cpu in runs.cpu],
    )


# -- The servers ------------------------------------------------------------------


def _steps(stack: ExitStack, server: Server, asked: dict[str, Work]) -> dict[str, Step]:
    run = stack.enter_context(load(server.port, asked))

    def step_of(work: str) -> Step:
        def step(seconds: float) -> tuple[Round, float]:
            before = server.cpu_seconds()
            done = run(work, seconds)
            return done, server.cpu_seconds() - before

        return step

    return {work: step_of(work) for work in asked}


@contextmanager
def _product(size: int, *, postgresql: bool = False) -> Iterator[dict[str, Step]]:
    with ExitStack() as stack:
        installation = stack.enter_context(sandbox(processor=0, postgresql=postgresql, SCIM_RATE_LIMIT=RATE_LIMIT))
        with db.unit_of_work() as session:
            made = bootstrap(session, "Acme")
        ids, names = add_people(installation, made.scim_token, size)
        directory = Directory("/scim/v2", made.scim_token, ids, names, size)
        directory = replace(directory, group_id=add_group(installation, made.scim_token, directory.members()))
        db.engine.dispose()
        server = stack.enter_context(web(PRODUCT, installation.environ, beside=installation.beside))
        yield _steps(stack, server, works(directory))


@contextmanager
def _bare(**environ: str) -> Iterator[dict[str, Step]]:
    with ExitStack() as stack:
        server = stack.enter_context(web("bench.applications:bare()", environ))
        directory = Directory("/scim/v2", "none", [str(number) for number in range(100)], ["nobody"], 100)
        yield _steps(stack, server, {"read by id": works(directory)["read by id"]})


@contextmanager
def _peer(size: int) -> Iterator[dict[str, Step]]:
    with ExitStack() as stack:
        server = stack.enter_context(web("bench.applications:in_memory()", {"PEOPLE": str(size)}))
        names = [f"p{number}" for number in range(size)]
        directory = Directory("/v2", "none", [str(number + 1) for number in range(size)], names, size, patched=204)
        yield _steps(stack, server, works(directory))


@contextmanager
def _polis(size: int, *, keeps_events: bool) -> Iterator[dict[str, Step]]:
    with ExitStack() as stack:
        server, asked = stack.enter_context(polis.polis(size, keeps_events=keeps_events))
        yield _steps(stack, server, asked)


@contextmanager
def _insert_loop() -> Iterator[Step]:
    """Insert rows of a person's size and commit each, in a process that does nothing else."""
    processes = multiprocessing.get_context("spawn")
    ours, its = processes.Pipe()
    process = processes.Process(target=_insert, args=(its,), daemon=True)
    with on_processor(0):
        process.start()
    its.close()  # so that a process that ends early is noticed

    def step(seconds: float) -> tuple[Round, float]:
        ours.send(seconds)
        result: tuple[Round, float] = ours.recv()
        return result

    try:
        yield step
    finally:
        process.kill()
        process.join()


def _insert(control: Connection) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        connection = sqlite3.connect(Path(directory) / "loop.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, external_id TEXT, document TEXT)")
        connection.execute("CREATE UNIQUE INDEX by_name ON people (name)")
        connection.execute("CREATE UNIQUE INDEX by_external_id ON people (external_id)")
        number = 0
        while True:
            seconds = control.recv()
            latencies, began, cpu_began = [], time.perf_counter(), time.process_time()
            while time.perf_counter() - began < seconds:
                number += 1
                sent_at = time.perf_counter()
                connection.execute("BEGIN IMMEDIATE")
                row = (f"user_{number:026}", f"p{number}@acme.example", f"00u{number}", "x" * 500)
                connection.execute("INSERT INTO people VALUES (?, ?, ?, ?)", row)
                connection.execute("COMMIT")
                latencies.append(time.perf_counter() - sent_at)
            done = Round(len(latencies), time.perf_counter() - began, sorted(latencies))
            control.send((done, time.process_time() - cpu_began))
