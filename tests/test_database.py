"""The unit of work: all or nothing, on both databases; and SQLite as it is really set up."""

import multiprocessing
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread
from threading import Event as Signal

import psutil
import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError
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
def test_a_reading_transaction_refuses_to_write_and_the_next_one_reads(inside: Flask) -> None:
    with pytest.raises(OperationalError, match="readonly"), db.reading() as session:
        add_organization(session)
        session.flush()
    assert count_organizations() == 0


@SQLITE
def test_a_reading_transaction_within_another_sees_the_same_moment_and_does_not_end_it(inside: Flask) -> None:
    with db.reading() as session:
        assert count_organizations() == 0
        with db.unit_of_work() as writing:
            add_organization(writing)
        assert count_organizations() == 0
        assert session.scalar(select(func.count()).select_from(Organization)) == 0
    assert count_organizations() == 1


@BOTH
def test_nothing_that_one_transaction_loaded_or_noted_is_there_in_the_next(inside: Flask) -> None:
    with db.unit_of_work() as session:
        add_organization(session)
    with db.reading() as session:
        session.info["noted"] = True
        loaded = session.scalars(select(Organization)).one()
        session.expunge_all()
    with db.unit_of_work() as session:
        session.execute(update(Organization).values(name="Globex"))
    with db.reading() as session:
        assert "noted" not in session.info
        assert (loaded.name, session.scalars(select(Organization)).one().name) == ("Acme", "Globex")


@BOTH
@pytest.mark.parametrize(("brief_for", "other"), [(None, "org_acme"), ("org_acme", None), ("org_acme", "org_globex")])
def test_a_session_is_used_again_with_nothing_in_it_and_never_one_of_a_unit_of_work_that_failed_or_goes_on(
    inside: Flask, brief_for: str | None, other: str | None
) -> None:
    with db.unit_of_work(brief_for=brief_for) as first:
        add_organization(first, "Acme")
        first.info["noted"] = True
    with db.unit_of_work(brief_for=brief_for) as second:
        assert second is first
        assert not (second.info or second.identity_map or second.in_transaction())
        with db.unit_of_work(brief_for=brief_for) as another:
            assert another is not second
        with db.unit_of_work(brief_for=other) as another:
            assert another is not second
    with pytest.raises(ZeroDivisionError), db.unit_of_work(brief_for=brief_for) as failing:
        add_organization(failing, "Globex")
        raise ZeroDivisionError
    for _ in range(3):
        with db.unit_of_work(brief_for=brief_for) as session, db.unit_of_work(brief_for=brief_for) as within:
            assert failing not in (session, within)
    assert count_organizations() == 1


@BOTH
def test_what_a_unit_of_work_noted_does_not_wait_for_a_collection_to_be_freed(inside: Flask) -> None:
    for is_failing in (False, True):
        with suppress(ZeroDivisionError), db.unit_of_work() as session:
            add_organization(session)
            noted = {session}
            session.info["noted"] = noted
            if is_failing:
                raise ZeroDivisionError
        left = weakref.ref(noted)
        del session, noted
        assert left() is None


@SQLITE
def test_a_result_that_is_read_in_part_keeps_no_snapshot(inside: Flask, database_url: str) -> None:
    with db.unit_of_work() as session:
        for number in range(50):
            add_organization(session, str(number))
    with pytest.raises(RuntimeError), db.reading() as session:
        for _ in session.execute(select(Organization.id).execution_options(yield_per=1)):
            raise RuntimeError
    with db.unit_of_work() as session:
        add_organization(session)
    with sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None) as other:
        busy, left, moved = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, left, moved) == (0, 0, 0), "a snapshot would keep the log from being emptied"


def connections(path: str) -> int:
    return sum(file.path == path for file in psutil.Process().open_files())


@SQLITE
def test_a_thread_that_ends_closes_what_it_read_with(inside: Flask, database_url: str) -> None:
    path = database_url.removeprefix("sqlite:///")
    counted: list[int] = []

    def read() -> None:
        with inside.app_context():
            count_organizations()
            counted.append(connections(path))

    count_organizations()
    before = connections(path)
    for _ in range(3):
        thread = Thread(target=read)
        thread.start()
        thread.join(30)
    assert counted == [before + 1] * 3, "the next thread is given the file that SQLite closed for the former one"


@SQLITE
def test_more_threads_may_read_than_the_pool_has_connections(inside: Flask) -> None:
    together, seen = Barrier(40, timeout=30), []

    def read() -> None:
        with inside.app_context(), db.reading() as session:
            together.wait()
            seen.append(session.scalar(select(func.count()).select_from(Organization)))

    threads = [Thread(target=read) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [0] * 40


@SQLITE
def test_a_forked_process_reads_and_writes_with_connections_of_its_own(inside: Flask) -> None:
    assert count_organizations() == 0

    def read_and_write() -> None:
        assert count_organizations() == 0
        db.engine.dispose(close=False)  # as SQLAlchemy asks of those who fork
        with db.unit_of_work() as session:
            add_organization(session)
        assert count_organizations() == 1

    child = multiprocessing.get_context("fork").Process(target=read_and_write)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert count_organizations() == 1
    with db.unit_of_work() as session:
        add_organization(session)
    assert count_organizations() == 2


@SQLITE
def test_a_database_that_could_not_be_read_is_read_again_when_it_is_there(inside: Flask) -> None:
    count_organizations()
    with pytest.raises(OperationalError), db.reading() as session:
        session.execute(text("SELECT * FROM nothing"))
    assert count_organizations() == 0
    db.engine.dispose()
    assert count_organizations() == 0


@SQLITE
def test_a_missing_reference_is_refused(inside: Flask) -> None:
    with pytest.raises(Conflict), db.unit_of_work() as session:
        session.add(User(id=new_id("user"), managed_by_organization_id="org_none"))
    with db.reading() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
