"""docs/deploy.md, step by step as far as a machine without systemd as its first process lets it.

The commands are those of the page and of the units, with other paths and without the user of their own.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import okta
from tests.conftest import ROOT, SECRET_KEY, clean_environment, free_port, wait_until

PAGE = (ROOT / "docs" / "deploy.md").read_text()
UNIT = (ROOT / "deploy" / "systemd" / "authn-scim-web.service").read_text()
METRICS_TOKEN = "a token for metrics only"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed"),
    pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed"),
]


class Machine:
    """A directory that stands for the paths of the page, with the command ``authn-scim`` and the web server."""

    def __init__(self, root: Path, redis_url: str) -> None:
        self.root = root
        self.log = root / "web.log"
        self.environ = clean_environment(root) | {"PATH": f"{root}/bin:{os.environ['PATH']}"}
        for directory in ("bin", "data", "backups", "run"):
            (root / directory).mkdir()
        self.replaced = {
            ".venv/bin/pip install --requirement requirements.txt": ":",
            "<version>": "v1.2.3",
            "runuser --user authn-scim --preserve-environment -- ": "",
            "--owner authn-scim --group authn-scim ": "",
            "/opt/authn-scim/.venv/bin": str(Path(sys.executable).parent),
            ".venv/bin": str(Path(sys.executable).parent),
            "/opt/authn-scim": str(ROOT),
            "/etc/authn-scim.env": str(root / "authn-scim.env"),
            "/var/lib/authn-scim": str(root / "data"),
            "/var/backups": str(root / "backups"),
            "/run/authn-scim": str(root / "run"),
        }
        settings = (ROOT / "deploy" / "systemd" / "authn-scim.env").read_text()
        settings = settings.replace("SECRET_KEY=\n", f"SECRET_KEY={SECRET_KEY}\n").replace(
            "REDIS_URL=redis://127.0.0.1:6379/0", f"REDIS_URL={redis_url}"
        )
        # Values that a shell would take for something else.
        settings += f"SCIM_RATE_LIMIT=5000 per second\nMETRICS_TOKEN={METRICS_TOKEN}\n"
        (root / "authn-scim.env").write_text(self.here(settings))
        command = root / "bin" / "authn-scim"
        command.write_text(self.here((ROOT / "deploy" / "systemd" / "authn-scim").read_text()))
        command.chmod(0o755)
        for name in ("systemctl", "git"):  # what they are told is kept, and nothing done
            (root / "bin" / name).write_text(f'#!/bin/sh\necho "$@" >> {root}/{name}.log\n')
            (root / "bin" / name).chmod(0o755)

    def here(self, text: str) -> str:
        """Return a text of the page with the paths of this test."""
        # In one pass: what was put in may hold such a path itself.
        paths = "|".join(re.escape(path) for path in sorted(self.replaced, key=len, reverse=True))
        return re.sub(paths, lambda found: self.replaced[found[0]], text)

    def run(self, commands: str) -> str:
        """Run commands of the page, and return what they print."""
        return subprocess.run(
            ["sh", "-ec", self.here(commands)], env=self.environ, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Start the web server as its unit does, when the first connection comes to its socket."""
        port = free_port()
        (start,) = re.findall(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)
        own = [pair for line in re.findall(r"^Environment=(.+)$", UNIT, re.MULTILINE) for pair in shlex.split(line)]
        lines = [
            line for line in (self.root / "authn-scim.env").read_text().splitlines() if re.match(r"[A-Z_]+=", line)
        ]
        environ = dict(line.split("=", 1) for line in [*(self.here(line) for line in own), *lines])
        passed = [f"--setenv={name}={value}" for name, value in environ.items()]
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [
                    "systemd-socket-activate",
                    f"--listen=127.0.0.1:{port}",
                    *passed,
                    "sh",
                    "-c",
                    f"exec {self.here(start)}",
                ],
                cwd=ROOT,
                env=self.environ,
                stderr=log,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: httpx.get(f"{url}/readyz", timeout=20).status_code == 200)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def commands_with(words: str) -> str:
    """Return the block of commands of the page that holds these words."""
    (block,) = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if words in block]
    return str(block)


def users(url: str, made: dict[str, Any]) -> set[str]:
    answer = httpx.get(f"{url}/scim/v2/Users", headers={"Authorization": f"Bearer {made['scim_token']}"})
    return {user["userName"] for user in answer.json()["Resources"]}


def create(url: str, made: dict[str, Any], name: str) -> None:
    headers = {"Authorization": f"Bearer {made['scim_token']}"}
    assert httpx.post(f"{url}/scim/v2/Users", headers=headers, json=okta.user(name), timeout=20).status_code == 201


def sequence(url: str, made: dict[str, Any]) -> int:
    """Return the number of the last event."""
    answer = httpx.get(f"{url}/v1/events?limit=200", headers={"Authorization": f"Bearer {made['secret_key']}"})
    return int(answer.json()["data"][-1]["sequence"])


def test_the_page_works_from_the_first_start_to_a_restored_backup(tmp_path: Path, redis_url: str) -> None:
    machine = Machine(tmp_path, redis_url)
    machine.run("authn-scim db upgrade")
    made = json.loads(machine.run('authn-scim bootstrap --organization "Acme" --admin-email admin@acme.example --json'))

    with machine.serving() as url:
        create(url, made, "kept")
        machine.run(commands_with("/var/backups/authn-scim.db'\")"))
        create(url, made, "later")
        seen = sequence(url, made)
        check_metrics(url)
        check_log(machine, url, made["scim_token"])
        machine.run(commands_with("git checkout"))
        assert {"kept", "later"} == {name.partition("@")[0] for name in users(url, made)}
    backups = list((tmp_path / "backups").iterdir())
    assert [oct(backup.stat().st_mode & 0o777) for backup in backups] == ["0o600"] * 2
    assert "checkout v1.2.3" in (tmp_path / "git.log").read_text()

    machine.run(commands_with("after-restore\n"))
    restarted, stopped, started = (tmp_path / "systemctl.log").read_text().splitlines()
    assert restarted == "restart authn-scim-web authn-scim-worker@1 authn-scim-sweep"
    assert "authn-scim-web.socket" in stopped and "authn-scim-web.socket" in started

    with machine.serving() as url:
        assert users(url, made) == {okta.user("kept")["userName"]}
        create(url, made, "new")
        assert sequence(url, made) > seen


def check_metrics(url: str) -> None:
    """The processes of the web server count together."""
    for _ in range(20):
        httpx.get(f"{url}/v1/events")
    text = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).text
    counted = re.search(r'authn_scim_requests_total\{audience="api".*status="401"\} (\S+)', text)
    assert counted and float(counted[1]) == 20


def check_log(machine: Machine, url: str, token: str) -> None:
    """Every line of the log is JSON, and what gunicorn could not read is not quoted."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {token}\r\n\r\n".encode())
        assert b"400 Bad Request" in connection.recv(1000)
    wait_until(lambda: "Invalid request" in machine.log.read_text())
    lines = [line for line in machine.log.read_text().splitlines() if line.startswith("{")]
    assert all(json.loads(line)["level"] for line in lines)
    assert token not in machine.log.read_text()
