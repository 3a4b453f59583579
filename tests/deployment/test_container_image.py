"""The Dockerfile: linted, and its steps run one after the other, below a directory instead of in a container.

A container needs a base image from a registry; what the steps do with it does not.
"""

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from tests.conftest import ROOT, clean_environment, free_port, wait_until

PLACES = re.compile(r"(?<![\w$/.])/(?=(opt|src|data)\b)")


def test_the_linter_finds_no_fault() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    found = subprocess.run([linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


class Image:
    """What the steps leave in a directory, and the settings with which a container would start."""

    def __init__(self, root: Path) -> None:
        self.root, self.workdir, self.environ = root, root, {}
        self.command: list[str] = []
        self.healthcheck: list[str] = []
        self.user = ""
        for place in ("opt", "src", "data"):
            (root / place).mkdir()

    def here(self, text: str) -> str:
        return PLACES.sub(f"{self.root}/", text)

    def run(self, name: str, value: str) -> None:
        if name in ("FROM", "EXPOSE", "VOLUME"):
            return
        getattr(self, f"step_{name.lower()}")(value)

    def step_env(self, value: str) -> None:
        for pair in value.split():
            key, _, text = pair.partition("=")
            path = os.environ["PATH"]
            self.environ[key] = self.here(text).replace("$PATH", path)

    def step_workdir(self, value: str) -> None:
        self.workdir = Path(self.here(value))
        self.workdir.mkdir(exist_ok=True)

    def step_copy(self, value: str) -> None:
        if value.startswith("--from"):  # both stages share the directory
            source, target = value.split()[1:]
            assert source == target and Path(self.here(source)).is_dir()
            return
        source, target = value.split()
        if source == ".":
            shutil.copytree(ROOT, self.here(target), ignore=ignored)
        else:
            shutil.copy(ROOT / source, self.workdir / target)

    def step_run(self, value: str) -> None:
        for command in value.split("&&"):
            if not command.split()[0].endswith("add"):  # the user is of the container
                words = re.sub(r" --(owner|group) \S+", "", self.here(command)).replace(
                    "python -m venv", f"{sys.executable} -m venv"
                )
                subprocess.run(words, shell=True, check=True, cwd=self.workdir, env={**os.environ, **self.environ})

    def step_user(self, value: str) -> None:
        self.user = value

    def step_healthcheck(self, value: str) -> None:
        self.healthcheck = json.loads(value.partition("CMD ")[2])

    def step_cmd(self, value: str) -> None:
        self.command = json.loads(value)


def ignored(directory: str, names: list[str]) -> set[str]:
    patterns = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()]
    return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}


@pytest.mark.slow
def test_its_steps_make_something_that_serves_as_another_user_than_root(tmp_path: Path) -> None:
    image = Image(tmp_path)
    for step in DockerfileParser(path=str(ROOT / "Dockerfile")).structure:
        if step["instruction"] != "COMMENT":
            image.run(step["instruction"], step["value"])
    assert int(image.user.partition(":")[0]) >= 1000
    assert not (tmp_path / "opt" / "authn-scim" / "tests").exists()
    home = tmp_path / "home"
    home.mkdir()
    environ = {**clean_environment(home), **image.environ, "PORT": str(free_port())}
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            image.command, cwd=image.workdir, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        check = partial(subprocess.run, image.healthcheck, env=environ, capture_output=True, check=False)
        wait_until(lambda: check().returncode == 0, 60)
        assert (tmp_path / "data" / "authn_scim.db").exists()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
