"""The migrations make exactly the tables of ``models.py``, on SQLite and on PostgreSQL, and can be taken back."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Column, Connection, create_engine, func, inspect, select, table, text

import jobs
from app import create_app
from config import Settings
from database import db
from ids import new_id
from models import Base, EnterpriseConnection
from organizations.organizations import bootstrap
from organizations.sign_in import make_sign_in_link, sign_in
from tests import okta
from tests.conftest import ROOT, SECRET_KEY, Tenant, database_in, psycopg_url
from tests.directory.applying import put

BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


@pytest.fixture
def empty_urls(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[list[str]]:
    """Two empty databases of one kind."""
    if kind == "sqlite":
        yield [f"sqlite:///{tmp_path / 'one.db'}", f"sqlite:///{tmp_path / 'two.db'}"]
        return
    server = request.getfixturevalue("postgres_url")
    names = [f"migrations_{secrets.token_hex(6)}" for _ in range(2)]
    engine = create_engine(psycopg_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    yield [database_in(server, name) for name in names]
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def empty_app(empty_urls: list[str], tmp_path: Path) -> Iterator[Flask]:
    """The application on a database without tables."""
    environ = {
        "DATABASE_URL": empty_urls[0],
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": SECRET_KEY,
        "WEBHOOK_ALLOW_HTTP": "1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    app = create_app(Settings.from_environment(environ))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@BOTH
def test_a_migrated_database_differs_in_nothing_from_the_models(empty_app: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@BOTH
def test_constraints_and_indexes_have_the_definitions_of_the_models(empty_app: Flask, empty_urls: list[str]) -> None:
    upgrade()
    from_models = create_engine(empty_urls[1])
    Base.metadata.create_all(from_models)
    with db.engine.connect() as migrated, from_models.connect() as created:
        assert definitions(migrated) == definitions(created)
    from_models.dispose()


@BOTH
def test_every_migration_can_be_taken_back_and_applied_again(empty_app: Flask) -> None:
    upgrade()
    downgrade(revision="base")
    assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
    upgrade()
    assert set(Base.metadata.tables) < set(inspect(db.engine).get_table_names())


@BOTH
def test_migrations_go_down_and_up_with_data_in_every_table(empty_app: Flask) -> None:
    """Step by step; what is in a table that both revisions have is still there afterwards."""
    upgrade()
    live(empty_app)
    rows = counts()
    assert not [name for name, count in rows.items() if count == 0], "every table has something to lose"
    steps = [script.revision for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()]
    for _ in steps:
        before = counts()
        downgrade(revision="-1")
        assert counts().items() <= before.items()
    assert counts() == {}
    upgrade()
    assert live(empty_app), "and it can be used"


@BOTH
def test_upgrading_twice_changes_nothing(empty_app: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        before = definitions(connection)
    upgrade()
    with db.engine.connect() as connection:
        assert definitions(connection) == before


@pytest.mark.parametrize("kind", ["sqlite"])
def test_foreign_keys_are_enforced_again_after_a_migration(empty_app: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def counts() -> dict[str, int]:
    """How many rows each table has."""
    with db.engine.connect() as connection:
        tables = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in tables}


def live(app: Flask) -> bool:
    """Use the application so that every table gets a row."""
    with db.unit_of_work() as session:
        made = bootstrap(session, "Acme")
    acme = Tenant(
        app.test_client(), made.organization_id, made.user_id, made.secret_key, made.scim_token, made.sign_in_token
    )
    with db.unit_of_work() as session:
        _, token = make_sign_in_link(session, made.organization_id, made.user_id)
        sign_in(session, token)
        session.add(EnterpriseConnection(id=new_id("entcon"), organization_id=made.organization_id, protocol="saml",
                                         name="Okta", domains=[]))  # fmt: skip
    hook = {"url": "http://127.0.0.1:1/", "enabled_event_types": ["*"]}
    assert acme.api("POST", "/webhook-endpoints", hook).status_code == 201
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    assert acme.scim("POST", "/Groups", okta.group("Platform Team", user_id)).status_code == 201
    put(acme, {"title": "public_metadata.title"})
    fill_what_is_empty()
    for endpoint_id in [item["id"] for item in acme.api("GET", "/webhook-endpoints").json["data"]]:
        jobs.drain(endpoint_id)
    return bool(acme.scim("GET", f"/Users/{user_id}").status_code == 200)


def fill_what_is_empty() -> None:
    """Give each table that the steps above leave empty a row, with references to rows that there are."""
    rows = counts()
    with db.engine.begin() as connection:
        for empty in [found for found in Base.metadata.sorted_tables if not rows[found.name]]:
            row = {column.name: value_for(connection, column) for column in empty.columns if not column.nullable}
            connection.execute(empty.insert().values(row))


def value_for(connection: Connection, column: Column[Any]) -> Any:
    for reference in column.foreign_keys:
        return connection.scalar(select(reference.column).limit(1))
    kind = column.type.python_type
    return [] if kind is object else kind()  # of JSON


def definitions(connection: Connection) -> set[Any]:
    """What the database itself says of its tables, constraints and indexes, without the order of columns and lines."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        found = {(name, frozenset(part.strip(", \t") for part in sql.splitlines())) for name, sql in rows}
    else:
        indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"))
        constraints = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        rules = connection.execute(text(f"{constraints} WHERE connamespace = 'public'::regnamespace"))
        found = {tuple(row) for row in (*indexes, *rules)}
    return {row for row in found if not row[0].startswith("alembic_version")}
