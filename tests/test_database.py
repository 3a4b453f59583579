"""The unit of work: all or nothing, on both databases; and SQLite as it is really set up."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Signal
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import create_app
from config import Settings
from database import db
from errors import Conflict
from ids import new_id
from models import Organization, User

BOTH = pytest.mark.parametrize("database_url", ["fresh_sqlite_url", "fresh_postgres_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def inside(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Inside the application, on the database that the test names."""
    app = create_app(Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def add_organization(session: Session, name: str = "Acme") -> None:
    session.add(Organization(id=new_id("org"), name=name))


def count_organizations() -> int:
    with db.reading() as session:
        return session.scalar(select(func.count()).select_from(Organization)) or 0


@BOTH
def test_what_a_unit_of_work_did_is_there_afterwards(inside: Flask) -> None:
    with db.unit_of_work() as session:
        add_organization(session)
    assert count_organizations() == 1


@BOTH
def test_a_unit_of_work_that_fails_leaves_nothing(inside: Flask) -> None:
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        add_organization(session)
        session.flush()
        raise RuntimeError
    assert count_organizations() == 0


@BOTH
def test_a_violated_constraint_is_told_by_its_name_and_undoes_everything(inside: Flask) -> None:
    with db.unit_of_work() as session:
        session.add(User(id=new_id("user"), email_key="ada@acme.test"))
    with pytest.raises(Conflict) as refused, db.unit_of_work() as session:
        add_organization(session)
        session.flush()
        session.add(User(id=new_id("user"), email_key="ada@acme.test"))
    assert refused.value.constraint == "uq_users_email_key"
    assert count_organizations() == 0


@BOTH
def test_the_session_is_usable_after_a_conflict(inside: Flask) -> None:
    same = new_id("org")
    with db.unit_of_work() as session:
        session.add(Organization(id=same, name="Acme"))
    with pytest.raises(Conflict), db.unit_of_work() as session:
        session.execute(
            text("INSERT INTO organizations (id, name, created_at, updated_at) VALUES (:id, 'x', 0, 0)"), {"id": same}
        )
    with db.unit_of_work() as session:
        add_organization(session, "Globex")
    assert count_organizations() == 2


@BOTH
def test_reading_keeps_nothing(inside: Flask) -> None:
    with db.reading() as session:
        session.scalar(select(func.count()).select_from(Organization))
    with db.unit_of_work() as session:
        add_organization(session)
    assert count_organizations() == 1


@BOTH
def test_after_commit_is_called_once_it_is_committed_and_only_then(
    inside: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(db, "after_commit", lambda session: seen.append(count_organizations()))
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        add_organization(session)
        raise RuntimeError
    assert seen == []
    with db.unit_of_work() as session:
        add_organization(session)
    assert seen == [1]


@BOTH
def test_a_reader_sees_the_state_before_an_open_write_and_does_not_wait_for_it(inside: Flask) -> None:
    written, read = Signal(), Signal()

    def write() -> None:
        with inside.app_context(), db.unit_of_work() as session:
            add_organization(session)
            session.flush()
            written.set()
            read.wait(30)

    writer = Thread(target=write)
    writer.start()
    assert written.wait(30)
    assert count_organizations() == 0
    read.set()
    writer.join(30)
    assert count_organizations() == 1


SQLITE = pytest.mark.parametrize("database_url", ["fresh_sqlite_url"], indirect=True)


@SQLITE
@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 20_000)]
)
def test_sqlite_is_durable_concurrent_and_keeps_references(inside: Flask, pragma: str, value: object) -> None:
    with db.reading() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == value


@SQLITE
def test_a_unit_of_work_holds_the_write_lock_of_sqlite_from_its_start(inside: Flask, database_url: str) -> None:
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with db.unit_of_work() as session:
        session.scalar(select(func.count()).select_from(Organization))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


@SQLITE
def test_reading_takes_no_lock_of_sqlite(inside: Flask, database_url: str) -> None:
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    with db.reading() as session:
        session.scalar(select(func.count()).select_from(Organization))
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('org_1', 'Acme', 0, 0)")
        other.execute("COMMIT")
    other.close()
    assert count_organizations() == 1


@SQLITE
def test_writing_while_only_reading_was_announced_still_reaches_no_half_state(inside: Flask) -> None:
    """A write inside ``reading`` is rolled back: only a unit of work commits."""
    with db.reading() as session:
        add_organization(session)
        session.flush()
    assert count_organizations() == 0


@SQLITE
def test_a_missing_reference_is_refused(inside: Flask) -> None:
    with pytest.raises(Conflict), db.unit_of_work() as session:
        session.add(User(id=new_id("user"), managed_by_organization_id="org_none"))
    with db.reading() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
