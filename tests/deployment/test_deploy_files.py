"""The files in deploy/: what systemd, the proxies and the settings say of them."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from blueprints.scim import GROUP_BODY_BYTES
from tests.conftest import ROOT, SECRET_KEY, clean_environment, wait_until
from tests.docs.test_settings_docs import DOCUMENTED

UNITS = sorted((ROOT / "deploy" / "systemd").glob("authn-scim-*.*"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix != ".env"], ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    for other in UNITS:
        text = other.read_text().replace("/opt/authn-scim/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / other.name).write_text(text)
    name = unit.name.replace("@.", "@1.")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / name], capture_output=True, text=True, check=False
    )
    complaints = [line for line in checked.stderr.splitlines() if "authn-scim" in line]
    assert complaints == []


@pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed")
def test_caddy_finds_no_fault_in_its_example(tmp_path: Path) -> None:
    subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", ROOT / "deploy" / "proxies" / "Caddyfile"],
        check=True,
        capture_output=True,
        env=clean_environment(tmp_path),
    )


@pytest.mark.parametrize(
    ("file", "limit"), [("nginx.conf", r"client_max_body_size (\d+)m;"), ("Caddyfile", r"max_size (\d+)MiB")]
)
def test_a_proxy_lets_the_largest_body_pass_that_the_server_takes(file: str, limit: str) -> None:
    [mebibytes] = re.findall(limit, (ROOT / "deploy" / "proxies" / file).read_text())
    assert int(mebibytes) * 1024 * 1024 > GROUP_BODY_BYTES


def test_no_proxy_keeps_a_link_in_its_log() -> None:
    nginx = (ROOT / "deploy" / "proxies" / "nginx.conf").read_text()
    logs = re.findall(r"access_log (.+);", nginx)
    assert len(logs) == nginx.count("server {") and all(log.endswith(" if=$is_no_link") for log in logs)
    [pattern] = re.findall(r"~(\S+) 0;", nginx)
    assert all(re.match(pattern, path) for path in ("/setup/setup_1", "/sign-in/signin_1", "//setup/setup_1"))
    assert not re.match(pattern, "/organization/members")
    caddy = (ROOT / "deploy" / "proxies" / "Caddyfile").read_text()
    assert not re.search(r"^\s*log\b", caddy, re.MULTILINE), "without the directive Caddy writes no access log"


def test_every_setting_of_the_examples_is_one() -> None:
    example = (ROOT / "deploy" / "systemd" / "authn-scim.env").read_text()
    named = set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE))
    assert len(named) > 5
    assert named <= set(DOCUMENTED)


@pytest.mark.slow
def test_no_request_fails_while_the_web_server_restarts_behind_its_socket(
    tmp_path: Path, redis_url: str, fresh_sqlite_url: str
) -> None:
    """As systemd does it: the port is held by a socket that outlives the server."""
    environ = {
        **clean_environment(tmp_path),
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": fresh_sqlite_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "WEB_CONCURRENCY": "2",
    }
    gunicorn = Path(sys.executable).parent / "gunicorn"
    command = f'LISTEN_FDS=1 LISTEN_PID=$$ exec {gunicorn} --config deploy/gunicorn.conf.py "app:create_app()" 3<&0'

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/healthz"

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=environ, stdin=held, start_new_session=True)

        statuses: list[int] = []
        failures: list[Exception] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    statuses.append(httpx.get(url, timeout=30, headers={"Connection": "close"}).status_code)
                except httpx.HTTPError as error:
                    failures.append(error)

        def served_more() -> None:
            so_far = len(statuses)
            wait_until(lambda: len(statuses) > so_far + 50, 60)

        server = start()
        callers = [threading.Thread(target=ask) for _ in range(4)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(2):
                served_more()
                server.send_signal(signal.SIGTERM)
                server.wait(60)
                server = start()
            served_more()
        finally:
            over.set()
            for caller in callers:
                caller.join()
            server.send_signal(signal.SIGTERM)
            server.wait(60)

    assert failures == []
    assert set(statuses) == {200}
