"""Web processes: what a second one on a second processor adds, how soon one answers, and how much memory it takes.

The load comes from one of the same processors, so that two processes have less than two to themselves.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.load import Round, load
from bench.measuring import Measurement
from bench.people import add_people
from bench.sandbox import sandbox
from bench.scim import RATE_LIMIT, SECONDS
from bench.scim_works import Directory, works
from bench.web import PRODUCT, Server, web
from database import db
from organizations.organizations import bootstrap

Step = Callable[[str, float], Round]
WORKS = ("read by id", "look-up by userName", "create")


def measure(*, size: int, repeat: int, seconds: float = SECONDS) -> list[Measurement]:
    """Return requests per second with one process and with two, beside each other; the start, and the memory.

    The processor time of a request tells what the rate cannot where the load takes of the same processors: whether
    two processes stand in each other's way.
    """
    runs: dict[tuple[str, int], list[tuple[Round, float]]] = {}
    memory: dict[int, list[float]] = {1: [], 2: []}
    starts: list[float] = []
    for _ in range(repeat):
        for processes in (1, 2):
            with _served(size, processes) as (server, step, started):
                starts.append(started)
                for work in WORKS:
                    step(work, seconds / 3)
                    before = server.cpu_seconds()
                    done = step(work, seconds)
                    cpu = (server.cpu_seconds() - before) / done.requests * 1000
                    runs.setdefault((work, processes), []).append((done, cpu))
                memory[processes].append(server.memory())
    rows: list[Measurement] = []
    for work in WORKS:
        one = _row(f"{work}, one process", runs[work, 1])
        rows += [one, _row(f"{work}, two processes", runs[work, 2], beside=(one,))]
    largest = [Measurement(f"memory of the larger of {number}", "MiB", memory[number]) for number in (1, 2)]
    return [*rows, Measurement("from the start until it answers", "ms", starts), *largest]


def _row(name: str, runs: list[tuple[Round, float]], beside: tuple[Measurement, ...] = ()) -> Measurement:
    return Measurement(
        name,
        "/s",
        [done.per_second for done, _ in runs],
        beside=beside,
        p50=[done.percentile(0.5) for done, _ in runs],
        p99=[done.percentile(0.99) for done, _ in runs],
        cpu=[cpu for _, cpu in runs],
    )


@contextmanager
def _served(size: int, processes: int) -> Iterator[tuple[Server, Step, float]]:
    with ExitStack() as stack:
        installation = stack.enter_context(sandbox(processor=0, SCIM_RATE_LIMIT=RATE_LIMIT))
        with db.unit_of_work() as session:
            made = bootstrap(session, "Acme")
        ids, names = add_people(installation, made.scim_token, size)
        db.engine.dispose()
        began = time.perf_counter()
        places = {} if processes == 1 else {"on_one": ExitStack}
        server = stack.enter_context(web(PRODUCT, installation.environ, processes=processes, **places))
        started = (time.perf_counter() - began) * 1000
        directory = Directory("/scim/v2", made.scim_token, ids, names, size)
        asked = {name: work for name, work in works(directory).items() if name in WORKS}
        yield server, stack.enter_context(load(server.port, asked)), started
