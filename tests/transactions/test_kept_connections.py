"""Transactions over connections that are kept: each stands for itself, whatever became of the one before."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread
from threading import Event as Signal

import pytest
from flask import Flask
from sqlalchemy import bindparam, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from app import create_app
from blueprints.errors import is_passing
from config import Settings
from database import db
from errors import Conflict
from ids import new_id
from models import Organization
from prepared import Prepared
from tests.conftest import looking_on
from transactions import stack

BOTH = pytest.mark.parametrize("database_url", ["fresh_sqlite_url", "fresh_postgres_url"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["fresh_sqlite_url"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database_url", ["fresh_postgres_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def inside(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Inside the application, on the database that the test names."""
    app = create_app(Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.engine.dispose()


def add(session: Session, name: str) -> None:
    session.add(Organization(id=new_id("org"), name=name))


def names() -> set[str]:
    with db.reading() as session:
        return set(session.scalars(select(Organization.name)))


@BOTH
def test_what_is_rolled_back_halfway_is_gone_and_what_follows_is_a_transaction_of_its_own(inside: Flask) -> None:
    with db.unit_of_work() as session:
        add(session, "gone")
        session.flush()
        session.rollback()
        add(session, "kept")
    assert names() == {"kept"}
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        session.rollback()
        add(session, "gone too")
        session.flush()
        raise RuntimeError
    assert names() == {"kept"}


@BOTH
def test_a_savepoint_may_be_the_first_thing_in_a_unit_of_work(inside: Flask) -> None:
    with db.unit_of_work() as session:
        with pytest.raises(RuntimeError), session.begin_nested():
            add(session, "gone")
            session.flush()
            raise RuntimeError
        with session.begin_nested():
            add(session, "kept")
    assert names() == {"kept"}
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        with session.begin_nested():
            add(session, "gone with the rest")
        raise RuntimeError
    assert names() == {"kept"}


@BOTH
def test_a_flush_that_fails_leaves_nothing_to_the_next_unit_of_work(inside: Flask) -> None:
    with db.unit_of_work() as session:
        session.add(Organization(id="org_1", name="kept"))
    for _ in range(3):
        with pytest.raises(Conflict), db.unit_of_work() as session:
            add(session, "gone")
            session.add(Organization(id="org_1", name="refused"))
    with pytest.raises(PendingRollbackError), db.unit_of_work() as session:  # which heard nothing of it
        add(session, "gone")
        session.flush()
        with pytest.raises(IntegrityError):
            session.add(Organization(id="org_1", name="refused"))
            session.flush()
    with db.unit_of_work() as session:
        add(session, "added")
    assert names() == {"kept", "added"}


@BOTH
def test_a_unit_of_work_whose_commit_fails_leaves_nothing(inside: Flask) -> None:
    def fail(_: object) -> None:
        raise OperationalError("COMMIT", None, Exception("the disk is gone"))

    with looking_on(db.engine, commit=fail), pytest.raises(OperationalError), db.unit_of_work() as session:
        add(session, "gone")
    with db.unit_of_work() as session:
        add(session, "kept")
    assert names() == {"kept"}


@SQLITE
def test_nobody_waits_for_a_unit_of_work_that_asked_nothing_yet(inside: Flask) -> None:
    done: list[str] = []

    def write() -> None:
        with inside.app_context(), db.unit_of_work() as session:
            add(session, "first")
        done.append("first")

    with db.unit_of_work() as session:
        add(session, "second")
        thread = Thread(target=write)
        thread.start()
        thread.join(30)
        assert done == ["first"]
    assert names() == {"first", "second"}


@SQLITE
def test_all_threads_write_with_one_connection(inside: Flask) -> None:
    opened: list[object] = []
    with looking_on(db.engine, connect=lambda connection, _: opened.append(connection)):
        write_once(inside, "first")
        opened.clear()
        threads = [Thread(target=write_once, args=(inside, str(number))) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert opened == []
    assert names() == {"first", *(str(number) for number in range(8))}


def write_once(app: Flask, name: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        add(session, name)


@POSTGRESQL
def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(inside: Flask, database_url: str) -> None:
    write_once(inside, "before")
    assert names() == {"before"}
    other = create_engine(database_url, isolation_level="AUTOCOMMIT")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    with other.connect() as connection:
        # It returns when they are gone, and what they had said of that has come.
        assert connection.scalar(text(f"SELECT count(pg_terminate_backend(pid, 30000)) {others}")) > 0
    other.dispose()
    assert names() == {"before"}
    write_once(inside, "after")
    assert names() == {"before", "after"}


@POSTGRESQL
def test_a_prepared_statement_stays_prepared_on_the_server_whatever_is_rolled_back(inside: Flask) -> None:
    by_name = Prepared(select(Organization.id).where(Organization.name == bindparam("name")))
    with db.reading() as session:
        assert by_name.rows(session, {"name": "x"}) == []
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        with pytest.raises(RuntimeError), session.begin_nested():
            add(session, "gone")
            session.flush()
            raise RuntimeError
        assert by_name.rows(session, {"name": "gone"}) == []
        raise RuntimeError
    with db.reading() as session:
        assert by_name.rows(session, {"name": "gone"}) == []
        prepared = session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert [statement for statement in prepared if "FROM organizations" in statement] == [
        "SELECT organizations.id \nFROM organizations \nWHERE organizations.name = $1::VARCHAR"
    ]


@POSTGRESQL
def test_a_reading_leaves_no_transaction_open(inside: Flask) -> None:
    with db.reading() as session:
        session.scalar(select(func.count()).select_from(Organization))
        state = "SELECT state FROM pg_stat_activity WHERE pid = :pid"
        own = session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            assert other.scalar(text(state), {"pid": own}) == "idle"


@POSTGRESQL
def test_a_reading_asks_as_few_questions_after_one_of_the_orm_as_before(inside: Flask) -> None:
    counted = Prepared(select(func.count()).select_from(Organization))
    with db.unit_of_work() as session:
        add(session, "Acme")
    for _ in range(2):
        with db.reading() as session:
            assert counted.rows(session, {}) == [(1,)]
            assert session.get_transaction() is None
        with db.reading() as session:
            assert session.scalars(select(Organization)).one().name == "Acme"
            assert counted.rows(session, {}) == [(1,)]


@BOTH
def test_a_reading_after_one_that_failed_has_nothing_of_it(inside: Flask) -> None:
    with db.unit_of_work() as session:
        add(session, "Acme")
    for failure in (ZeroDivisionError(), OperationalError("a statement", None, Exception())):
        with suppress(ZeroDivisionError, OperationalError), db.reading() as session:
            session.info["noted"] = True
            session.scalars(select(Organization)).one().name = "Globex"
            raise failure
        with db.reading() as session:
            assert "noted" not in session.info
            assert not (session.identity_map or session.dirty)
            assert session.scalars(select(Organization.name)).one() == "Acme"


@POSTGRESQL
def test_who_finds_all_connections_taken_waits_and_is_told_when_it_takes_too_long(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "CONNECTIONS_AT_MOST", 2)
    app = create_app(Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}))
    both_read, enough = Barrier(3, timeout=30), Signal()

    def read() -> None:
        with app.app_context(), db.reading():
            both_read.wait()
            enough.wait(30)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    both_read.wait()
    with app.app_context():
        with monkeypatch.context() as impatient:
            impatient.setattr(stack, "WAIT_SECONDS", 0.05)
            with pytest.raises(OperationalError, match="all connections") as refused, db.reading():
                pytest.fail("there are only two")
            assert is_passing(refused.value)
        waiting = Thread(target=write_once, args=(app, "waited"))
        waiting.start()
        enough.set()
        for thread in (*readers, waiting):
            thread.join(30)
        assert names() == {"waited"}
        db.engine.dispose()
