"""What README.md promises, on a copy of the project with nothing installed: two commands, and a person appears."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, clean_environment, free_port, wait_until
from tests.deployment.running import PROGRAMS, STOP_SECONDS, Running

pytestmark = pytest.mark.slow

INSTALL_SECONDS = 420
START_SECONDS = 120


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files and nothing else, as in a fresh clone."""
    copy = tmp_path_factory.mktemp("clone") / "authn-scim"
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@contextmanager
def make_run(project: Path, data_dir: Path, **environ: str) -> Iterator[Running]:
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    port = free_port()
    settings = {**clean_environment(home), "PORT": str(port), "DATA_DIR": str(data_dir), **environ}
    output = project.parent / f"output-{port}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=project,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(process, f"http://127.0.0.1:{port}", output)
    try:
        if not (project / ".venv" / ".installed").exists():
            wait_until((project / ".venv" / ".installed").exists, INSTALL_SECONDS)
        wait_until(lambda: "Sign-in link" in output.read_text(), START_SECONDS)
        wait_until(running.is_healthy)
        yield running
    finally:
        running.kill_all()


def readme_curl(running: Running) -> None:
    """Run the curl of README.md as it stands there, against this server."""
    found = re.search(r"^curl .*?(?=^```)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    command = found[0].replace("http://127.0.0.1:8000", running.url)
    environ = {"PATH": os.environ["PATH"], "SCIM_TOKEN": running.printed("SCIM token")}
    answer = subprocess.run(["bash", "-c", command], env=environ, check=True, capture_output=True, text=True).stdout
    assert '"userName"' in answer, answer


def sign_in(running: Running) -> httpx.Client:
    """A browser, as far as HTTP goes, signed in by the printed link."""
    browser = httpx.Client(base_url=running.url, follow_redirects=True)
    page = browser.get(running.printed("Sign-in link"))
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token, page.text
    assert browser.post(page.url, data={"csrf_token": token[1]}).status_code == 200
    return browser


def test_two_commands_make_a_person_appear_and_leave_nothing_running(project: Path, tmp_path: Path) -> None:
    before = files(project)
    with make_run(project, tmp_path / "data") as running:
        readme_curl(running)
        members = sign_in(running).get("/organization/members")
        assert members.status_code == 200
        assert "Lovelace" in members.text
        running.ctrl_c()
        assert running.processes() == {}
        token = running.printed("SCIM token")
    assert files(project) == before, "nothing is written outside of the data directory"

    with make_run(project, tmp_path / "data") as running:
        again = running.output.read_text()
        assert "Installing" not in again
        assert "Secret key" not in again
        found = httpx.get(f"{running.url}/scim/v2/Users", headers={"Authorization": f"Bearer {token}"}).json()
        assert [user["name"]["familyName"] for user in found["Resources"]] == ["Lovelace"]
        running.process.terminate()
        running.process.wait(STOP_SECONDS)
        wait_until(lambda: running.processes() == {}, STOP_SECONDS)


def files(project: Path) -> set[Path]:
    """What the project holds, without what was installed and compiled."""
    return {
        path
        for path in project.rglob("*")
        if path.is_file() and ".venv" not in path.parts and "__pycache__" not in path.parts
    }


def test_whatever_is_killed_comes_back(project: Path, tmp_path: Path) -> None:
    with make_run(project, tmp_path / "data", WORKER_CONCURRENCY="1", WEB_CONCURRENCY="1") as running:
        for name, words in PROGRAMS.items():
            before = running.find(*words)
            assert before, f"{name} does not run"
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_until(comes_back(running, words, before), START_SECONDS)
        wait_until(running.is_healthy, START_SECONDS)
        token = {"Authorization": f"Bearer {running.printed('SCIM token')}"}
        assert httpx.get(f"{running.url}/scim/v2/Users", headers=token).status_code == 200


def comes_back(running: Running, words: tuple[str, ...], before: set[int]) -> Callable[[], bool]:
    return lambda: bool(running.find(*words) - before)


def test_a_second_server_starts_nothing_and_after_the_first_was_killed_nothing_is_left_and_it_starts_again(
    project: Path, tmp_path: Path
) -> None:
    with make_run(project, tmp_path / "data") as running:
        refuse_second(project, tmp_path, running)
        [supervisor] = running.find("flask", "serve")
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: running.processes() == {}, STOP_SECONDS)
    with make_run(project, tmp_path / "data") as running:
        assert running.is_healthy()


def refuse_second(project: Path, tmp_path: Path, running: Running) -> None:
    """See that another server on the same data says so, and disturbs nothing."""
    before = running.processes()
    settings = {**clean_environment(tmp_path), "PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data")}
    second = subprocess.run(["make", "run"], cwd=project, env=settings, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert f"A server already runs on the data directory {tmp_path / 'data'}." in second.stderr
    assert "Traceback" not in second.stderr
    assert running.processes() == before
    assert running.is_healthy()
