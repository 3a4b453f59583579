"""The whole story, against the real application."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import make_server

from simulator.commands import simulate
from simulator.own_server import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "SCIM_RATE_LIMIT": "40 per second"}


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/scim/v2/"
    server.shutdown()
    thread.join()


def test_a_limit_is_met_and_heeded(served: str, acme: Any) -> None:
    arguments = ["okta", "--base-url", served, "--token", acme.scim_token, "--people", "60", "--app", "aiw"]
    result = CliRunner().invoke(simulate, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "The server behaved." in result.output
    assert "429 rate_limited" in result.output


def test_a_revoked_token_fails_loudly(served: str, acme: Any) -> None:
    tokens = acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"]
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens/{tokens[0]['id']}/revoke")
    result = CliRunner().invoke(simulate, ["okta", "--base-url", served, "--token", acme.scim_token])
    assert result.exit_code == 1
    assert "Okta expects 200 here, and got 401." in result.stderr


def test_the_demo_runs_and_leaves_nothing_behind() -> None:
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "LANG": "C.UTF-8", "TMPDIR": directory}
        demo = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "demo", "--people", "60"],
            check=False,
            cwd=ROOT,
            env={**environment, "DATA_DIR": f"{directory}/unused"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert "Nadia Petrov joined Acme" in demo.stdout
        assert "role org:member → org:admin" in demo.stdout
        assert "every signature is valid" in demo.stdout
        assert [path.name for path in Path(directory).iterdir() if path.name != "unused"] == []
    port = re.search(r"It serves at http://127\.0\.0\.1:(\d+)", demo.stdout)
    assert port is not None
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", int(port[1]))) != 0
