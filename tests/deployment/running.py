"""A server in a terminal of its own, and all that runs in it."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

STOP_SECONDS = 60


@dataclass
class Running:
    """A started server, with what it printed."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    def printed(self, label: str) -> str:
        found = re.search(rf"^ *{label} +(\S+)$", self.output.read_text(), re.MULTILINE)
        assert found, self.output.read_text()
        return found[1]

    def is_healthy(self) -> bool:
        return httpx.get(f"{self.url}/healthz").status_code == 200

    def ctrl_c(self) -> None:
        """The terminal's interrupt, which goes to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(STOP_SECONDS)

    def processes(self) -> dict[int, str]:
        """The command lines of all that runs in this terminal, by process id."""
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (directory / "stat").read_text().rpartition(")")[2].split()[:4]
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self.process.pid and state != "Z":
                found[int(directory.name)] = command
        return found

    def find(self, *words: str) -> set[int]:
        return {pid for pid, command in self.processes().items() if all(word in command for word in words)}

    def kill_all(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


PROGRAMS = {
    "redis": ("redis-server",),
    "web server": ("gunicorn",),
    "worker": ("flask", "worker"),
    "sweep": ("flask", "sweep"),
}
