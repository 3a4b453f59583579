"""A server of one's own for the length of a story: with its own data, and gone without a trace afterwards."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import urllib3

from simulator.exchange import JsonObject, Misbehaviour

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
STOP_SECONDS = 40
HOST = "127.0.0.1"

# Only these pass on: a setting of the caller's, such as DATABASE_URL, must not lead the story to real data.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class OwnServer:
    """``flask serve`` on a free port with an empty temporary data directory, as a context manager.

    :raises Misbehaviour: When it does not start, or does not stop.
    """

    def __init__(self) -> None:
        self.port = _free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._directory = Path(tempfile.mkdtemp(prefix="authn-scim-"))
        self._log = self._directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "OwnServer":
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command("serve"),
                    cwd=ROOT,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is ours to pass on, once the story has put its things away
                )
            self._wait_until_healthy(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def bootstrap(self, organization: str) -> JsonObject:
        """Make an organization, and return its ids, secrets and links as ``flask bootstrap`` prints them.

        :raises Misbehaviour: When the command fails.
        """
        finished = subprocess.run(  # noqa: S603
            self._command("bootstrap", "--organization", organization, "--json"),
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise Misbehaviour(f"The organization could not be made:\n{finished.stdout}{finished.stderr}")
        made = json.loads(finished.stdout)
        assert isinstance(made, dict)
        return made

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", "app", *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "DATA_DIR": str(self._directory / "data"),
            "HOST": HOST,
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "WEBHOOK_ALLOW_HTTP": "1",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        }

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Misbehaviour(f"The server stopped while it started:\n{self._log_tail()}")
            if _answers(f"{self.url}/healthz"):
                return
            time.sleep(0.1)
        raise Misbehaviour(f"The server did not serve within {START_SECONDS} s:\n{self._log_tail()}")

    def _stop(self) -> None:
        """Stop the server as an operator would, and take its data away."""
        try:
            if self._process is not None:
                self._terminate(self._process)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _terminate(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            complaint = f"The server did not stop within {STOP_SECONDS} s of SIGTERM:\n{self._log_tail()}"
            raise Misbehaviour(complaint) from None

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
