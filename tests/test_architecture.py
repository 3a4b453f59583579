"""The rooms of docs/architecture.md, kept: who may import whom, who may commit, and how long things may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the top down; a module imports its own room and lower ones.
ROOMS = ["app", "cli", "jobs", "blueprints", "scim", "directory", "organizations", "webhooks", "database", "models"]
GROUND = {
    "batches",
    "clock",
    "errors",
    "folding",
    "ids",
    "json_text",
    "metrics",
    "prepared",
    "transactions",
    "written",
}  # may be imported by all of them, and import only each other
APART = {
    "beforehand": set(),
    "config": set(),
    "supervision": set(),
    "serving": {"supervision"},
    "web_worker": set(),
    "simulator": set(),
}
MAY_KNOW_FLASK = {"app", "cli", "jobs", "blueprints", "database"}
SHARED_BY_BLUEPRINTS = {"application", "arrivals", "auth", "bodies", "errors", "limits", "scim_activity", "windows"}

OURS = {*ROOMS, *GROUND, *APART}
FILES = sorted(path for room in OURS for path in (*ROOT.glob(f"{room}.py"), *(ROOT / room).rglob("*.py")))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say from where"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def allowed(room: str) -> set[str]:
    if room in GROUND:
        return GROUND
    if room in APART:
        return {room, *APART[room]}
    below = {*ROOMS[ROOMS.index(room) :], *GROUND}
    return below | {"app": {"beforehand", "config"}, "cli": {"serving", "supervision", "simulator"}}.get(room, set())


@each_file
def test_imports_go_down_only(path: Path) -> None:
    ours = {name.partition(".")[0] for name in imports(path)} & OURS
    assert ours <= allowed(room_of(path))


@each_file
def test_below_the_blueprints_nothing_knows_flask(path: Path) -> None:
    if room_of(path) not in MAY_KNOW_FLASK:
        assert not [name for name in imports(path) if name.partition(".")[0].split("_")[0] in {"flask", "werkzeug"}]


@each_file
def test_blueprints_never_import_each_other(path: Path) -> None:
    if room_of(path) == "blueprints":
        own = path.relative_to(ROOT).parts[1].removesuffix(".py")
        faces = {name.split(".")[1] for name in imports(path) if name.startswith("blueprints.")}
        assert faces <= {own, *SHARED_BY_BLUEPRINTS}


@each_file
def test_only_the_unit_of_work_commits(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    commits = [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "commit"]
    if path.name == "database.py":
        assert len(commits) == 1
    elif room_of(path) != "transactions" and path.name != "prepared.py":  # which do it
        assert not commits


@each_file
def test_files_and_functions_stay_readable_at_one_sitting(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= (850 if path.name == "models.py" else 450)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert not [f"{node.name}: {node.lineno}" for node in functions if node.end_lineno - node.lineno >= 50]


def test_every_module_has_a_room() -> None:
    """A new file or folder at the top has to be placed above."""
    outside = {"tests", "migrations", "bench", "deploy", "instance"}
    top = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in (*ROOT.glob("*.py"), *ROOT.glob("*/*.py"))}
    assert {name for name in top if not name.startswith(".")} - outside <= OURS
