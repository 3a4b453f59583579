"""The supervisor, with real processes: restarts, order, and nothing left behind, however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until

pytestmark = pytest.mark.slow

# A program that writes its process id under its name, and then a line when it is asked to end.
KEPT = """
import os, pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def end(*_):
    with (folder / "ended").open("a") as file:
        file.write(name + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in name else end)
draft = folder / f"{name}.{os.getpid()}"
draft.write_text(str(os.getpid()))
draft.rename(folder / f"{name}.pid")
time.sleep(600)
"""
SUPERVISED = """
import json, logging, pathlib, sys
sys.path.insert(0, {root!r})
import supervision
supervision.STOP_SECONDS = 1
folder = pathlib.Path(sys.argv[1])
def program(name, **options):
    if "ready_file" in options:
        path = folder / options.pop("ready_file")
        options["is_ready"] = path.exists
    return supervision.Program(name, (sys.executable, {kept!r}, name, str(folder)), **options)
programs = [program(**options) for options in json.loads(sys.argv[2])]
supervision.Supervisor(programs, announce=(folder / "announced").touch).run()
"""


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    kept = tmp_path / "kept.py"
    kept.write_text(KEPT)
    supervised = tmp_path / "supervised.py"
    supervised.write_text(SUPERVISED.format(root=str(ROOT), kept=str(kept)))
    started: list[subprocess.Popen[bytes]] = []

    def start(*programs: dict[str, object]) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(supervised), str(tmp_path), json.dumps(programs)]
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def pid_of(folder: Path, name: str) -> int:
    wait_until((folder / f"{name}.pid").exists)
    return int((folder / f"{name}.pid").read_text())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_program_is_started_again(supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    supervise({"name": "one"}, {"name": "two"})
    first, other = pid_of(tmp_path, "one"), pid_of(tmp_path, "two")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pid_of(tmp_path, "one") != first)
    assert pid_of(tmp_path, "two") == other


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_ends_every_program_first(
    supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, asked: signal.Signals
) -> None:
    supervisor = supervise({"name": "one"}, {"name": "two"})
    pids = [pid_of(tmp_path, "one"), pid_of(tmp_path, "two")]
    wait_until((tmp_path / "announced").exists)
    supervisor.send_signal(asked)
    assert supervisor.wait(30) == 0
    assert not any(is_running(pid) for pid in pids)
    assert sorted((tmp_path / "ended").read_text().split()) == ["one", "two"]


def test_a_program_that_will_not_end_is_killed(
    supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    supervisor = supervise({"name": "stubborn"})
    pid = pid_of(tmp_path, "stubborn")
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    assert not is_running(pid)


def test_killed_itself_it_takes_its_programs_along(
    supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    supervisor = supervise({"name": "one"}, {"name": "two"})
    pids = [pid_of(tmp_path, "one"), pid_of(tmp_path, "two")]
    supervisor.kill()
    wait_until(lambda: not any(is_running(pid) for pid in pids))


def test_programs_wait_for_the_one_that_they_need(
    supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    supervise({"name": "needed", "ready_file": "open"}, {"name": "other"})
    first = pid_of(tmp_path, "needed")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pid_of(tmp_path, "needed") != first)  # it looked again, more than once
    assert not (tmp_path / "other.pid").exists()
    assert not (tmp_path / "announced").exists()
    (tmp_path / "open").touch()
    assert is_running(pid_of(tmp_path, "other"))
    wait_until((tmp_path / "announced").exists)


def test_the_program_that_ends_last_ends_last(
    supervise: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    supervisor = supervise({"name": "base", "ends_last": True}, {"name": "top"})
    pid_of(tmp_path, "base"), pid_of(tmp_path, "top")
    supervisor.terminate()
    supervisor.wait(30)
    assert (tmp_path / "ended").read_text().split() == ["top", "base"]
