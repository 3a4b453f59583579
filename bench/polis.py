"""Ory Polis beside the product: the engine that it syncs directories with, in a Node process of its own on PostgreSQL.

It takes part where Node is installed (20 or later); npm fetches it the first time. It keeps people and answers SCIM,
and counts no limit and writes no log here. There is no Bulk, and for a page it reads everybody. What happened it gives
to a function, which keeps nothing here; or puts it into a queue of its own in the database, as the product does.
"""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.load import Work
from bench.measuring import VoidRun, on_processor
from bench.sandbox import run_postgresql
from bench.scim_works import Directory, person, works
from bench.web import Server

HERE = Path(__file__).resolve().parent / "polis"
TAKES_PART = ("look-up by userName", "read by id", "page of 100", "PATCH active", "create")
# What it also has events of.
WRITES = ("PATCH active", "create")
# Node compiles what it does often: it is at its full speed only then.
WARM_SECONDS = 8.0


def is_there() -> bool:
    """Tell whether this machine can run it."""
    return bool(shutil.which("node") and shutil.which("npm"))


@contextmanager
def polis(size: int, *, keeps_events: bool) -> Iterator[tuple[Server, dict[str, Work]]]:
    """Run it with so many people on a fresh PostgreSQL, all on one processor, and yield what is asked of it.

    :param keeps_events: Whether it has its events in its queue; then only writes are asked of it.
    """
    if not (HERE / "node_modules").is_dir():
        subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"], cwd=HERE, check=True
        )
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        url, database = stack.enter_context(run_postgresql(Path(directory) / "pg", 0))
        environ = {**os.environ, "DATABASE_URL": _as_node_has_it(url), "NODE_ENV": "production"}
        environ["KEEPS_EVENTS"] = str(int(keeps_events))
        with on_processor(0):
            process = subprocess.Popen(["node", "server.js"], cwd=HERE, env=environ, stdout=subprocess.PIPE, text=True)
        stack.callback(process.wait)
        stack.callback(process.kill)
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            raise VoidRun("Polis did not start")
        told = json.loads(first_line)
        names = [f"p{number}" for number in range(size)]
        ids = [_created(told["port"], told["token"], name) for name in names]
        asked = works(Directory("", told["token"], ids, names, size))
        judged = {"read by id": is_as_sent, "PATCH active": is_as_sent, "create": is_as_sent}
        yield (
            Server(told["port"], process, (database,)),
            {
                name: replace(asked[name], judge=judged.get(name, asked[name].judge))
                for name in (WRITES if keeps_events else TAKES_PART)
            },
        )


def is_as_sent(answer: Any) -> str | None:
    """Judge a person, who is answered as sent, with an id and without ``meta``."""
    return None if answer["id"] and answer["emails"][0]["value"] == answer["userName"] else "parts are missing"


def _as_node_has_it(url: str) -> str:
    socket = parse_qs(urlsplit(url).query)["host"][0]
    return f"postgres://postgres@localhost/postgres?host={socket}"


def _created(port: int, token: str, name: str) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/Users", json.dumps(person(name)).encode(), {"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        id_: str = json.load(answer)["id"]
    return id_
