"""The files in deploy/: what systemd, the proxies and the settings say of them."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import create_app
from blueprints.scim import GROUP_BODY_BYTES
from config import Settings
from database import db
from models import DirectoryUser
from organizations.organizations import bootstrap
from tests.conftest import ROOT, SECRET_KEY, clean_environment
from tests.deployment.creating import Creating
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
        "SCIM_RATE_LIMIT": "100000 per second",
        "WEB_CONCURRENCY": "2",
    }
    app = create_app(Settings.from_environment(environ))
    with app.app_context(), db.unit_of_work() as session:
        token = bootstrap(session, "Acme").scim_token
    gunicorn = Path(sys.executable).parent / "gunicorn"
    command = f'LISTEN_FDS=1 LISTEN_PID=$$ exec {gunicorn} --config deploy/gunicorn.conf.py "app:create_app()" 3<&0'

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as held:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=environ, stdin=held, start_new_session=True)

        def stop(server: subprocess.Popen[bytes]) -> None:
            server.send_signal(signal.SIGTERM)
            server.wait(60)

        idp = Creating([f"http://127.0.0.1:{held.getsockname()[1]}"], [token])
        server = start()
        try:
            with idp.at_work():
                for _ in range(2):
                    idp.has_done_more()
                    stop(server)
                    server = start()
                idp.has_done_more()
        finally:
            stop(server)

    assert idp.failures == []
    assert set(idp.statuses) == {201}
    with app.app_context(), db.reading() as session:
        assert session.scalar(select(func.count()).select_from(DirectoryUser)) == len(idp.statuses)
