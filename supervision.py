"""Keeps programs running: starts them in order, starts again what ends, and leaves nothing behind.

Why not a ready-made supervisor, see ``docs/decisions.md``.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
WATCHED_SIGNALS = {*STOP_SIGNALS, signal.SIGCHLD}

POLL_SECONDS = 0.2
READY_SECONDS = 30.0
STOP_SECONDS = 20.0  # longer than one webhook attempt, which a worker finishes first
SETTLED_SECONDS = 10.0  # a program that ran this long is started again without a growing pause
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(frozen=True)
class Program:
    """A command to keep running.

    The programs after it are started once ``is_ready`` holds. One that
    ``ends_last`` is ended when all the others have ended.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool] | None = None
    ends_last: bool = False


@dataclass
class _Kept:
    """A program and its process of the moment."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    first_started_at: float = 0.0
    started_at: float = 0.0
    start_again_at: float = 0.0
    pause: float = SHORTEST_PAUSE
    was_ready: bool = False


@dataclass
class Supervisor:
    """Runs programs until SIGINT, SIGTERM or SIGHUP.

    ``announce`` is called once, when every program was started and is ready;
    ``farewell`` when they are about to be ended, which takes some seconds.
    ``inherited`` are file descriptors that the programs keep open as well.
    """

    programs: Sequence[Program]
    announce: Callable[[], None] = lambda: None
    farewell: Callable[[], None] = lambda: None
    inherited: tuple[int, ...] = ()
    _kept: list[_Kept] = field(init=False)

    def __post_init__(self) -> None:
        self._kept = [_Kept(program) for program in self.programs]

    def run(self) -> None:
        """Keep the programs running; return when one of the signals came and all of them have ended."""
        # Blocked and waited for, so that no signal arrives between a look and a wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
        try:
            while not all(_is_ready(kept) for kept in self._kept):
                self._tend()
                if _stop_asked(POLL_SECONDS):
                    return
            self.announce()
            while not _stop_asked(POLL_SECONDS):
                self._tend()
        finally:
            self.farewell()
            self._end_all()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _tend(self) -> None:
        for kept in self._kept:
            if kept.process is None and time.monotonic() >= kept.start_again_at:
                self._start(kept)
            elif kept.process is not None and kept.process.poll() is not None:
                _note_end(kept, kept.process)
            if not _is_ready(kept):
                break

    def _start(self, kept: _Kept) -> None:
        kept.started_at = time.monotonic()
        kept.first_started_at = kept.first_started_at or kept.started_at
        kept.process = subprocess.Popen(  # noqa: S603
            kept.program.command,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the supervisor alone, which ends the programs in order
            pass_fds=self.inherited,
            preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 (no threads run here)
        )

    def _end_all(self) -> None:
        _end([kept for kept in self._kept if not kept.program.ends_last])
        _end([kept for kept in self._kept if kept.program.ends_last])


def _stop_asked(seconds: float) -> bool:
    """Wait until a child ends or a stop is asked for, at most so long; tell whether it was the latter."""
    received = signal.sigtimedwait(WATCHED_SIGNALS, seconds)
    return received is not None and received.si_signo in STOP_SIGNALS


def _note_end(kept: _Kept, process: subprocess.Popen[bytes]) -> None:
    """Plan the next start of a program that ended: at once, or after a pause that grows while it keeps failing."""
    _kill_group(process)
    settled = time.monotonic() - kept.started_at >= SETTLED_SECONDS
    kept.pause = SHORTEST_PAUSE if settled else min(2 * kept.pause, LONGEST_PAUSE)
    kept.start_again_at = time.monotonic() + kept.pause
    kept.process = None
    log.warning("%s ended (%s). It is started again.", kept.program.name, _ending(process.returncode))


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _is_ready(kept: _Kept) -> bool:
    """Tell whether the programs after this one may start. They get along without it, so the wait has an end."""
    if kept.process is not None and not kept.was_ready:
        waited = time.monotonic() - kept.first_started_at
        kept.was_ready = kept.program.is_ready is None or waited > READY_SECONDS or kept.program.is_ready()
    return kept.was_ready


def _end(group: Sequence[_Kept]) -> None:
    """End programs as they wish to be ended; kill those that take too long, or all at a second signal."""
    running = [kept.process for kept in group if kept.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while any(process.poll() is None for process in running) and time.monotonic() < deadline:
        if _stop_asked(POLL_SECONDS):
            break
    for process in running:
        _kill_group(process)
        process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a program: itself and the processes that it started."""
    with suppress(ProcessLookupError):  # nothing is left, which is the usual case
        os.killpg(process.pid, signal.SIGKILL)


def _end_with(parent: int) -> Callable[[], None]:
    """Return what a child does before its program starts: it asks to be ended when its parent is, however that ends."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended between the fork and the request

    return prepare
