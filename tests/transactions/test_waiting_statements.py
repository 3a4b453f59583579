"""On PostgreSQL, statements that wait for the next one: none is lost, none is run that was rolled back."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from select import POLLIN
from select import poll as select_poll
from socket import socketpair
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, create_engine, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from app import create_app
from blueprints.errors import is_deadlock, is_passing
from config import Settings
from database import Savepoint, db
from errors import Conflict
from models import Organization, User
from prepared import Prepared, Runner
from tests import okta
from tests.conftest import Tenant
from transactions import server_cursor

ADDED = Prepared(insert(User))
NAMED = Prepared(select(User.first_name).where(User.id == bindparam("user")))
RENAMED = Prepared(update(User).where(User.id == bindparam("user")).values(first_name=bindparam("name")))


@pytest.fixture
def database_url(fresh_postgres_url: str) -> str:
    return fresh_postgres_url


@pytest.fixture
def inside(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Inside the application, with somebody in it; each statement was prepared on the connection that is kept."""
    app = create_app(Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        with db.unit_of_work() as session:
            ADDED.run(session, {"id": "first"})
            RENAMED.run(session, {"user": "first", "name": "Ada"})
            NAMED.rows(session, {"user": "first"})
            with Savepoint(session):
                pass
        with pytest.raises(RuntimeError), db.unit_of_work() as session, Savepoint(session):
            raise RuntimeError
        yield app
        db.session.remove()
        db.engine.dispose()


def users() -> set[str]:
    with db.reading() as session:
        return set(session.scalars(select(User.id)))


def waiting(session: Session) -> list[str]:
    return [sql.split(maxsplit=1)[0] for sql, *_ in Runner.of(session).cursor._waiting]


def end(app: Flask, own: int) -> None:
    """End a connection at the server, and return when it is gone."""
    other = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        assert connection.scalar(text(f"SELECT pg_terminate_backend({own}, 30000)"))
    other.dispose()


def test_a_statement_waits_for_the_next_one_whose_rows_are_asked_for(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
        RENAMED.run(session, {"user": "second", "name": "Grace"})
        assert waiting(session) == ["BEGIN", "INSERT", "UPDATE"]
        assert NAMED.rows(session, {"user": "second"}) == [("Grace",)]
        assert waiting(session) == []
        RENAMED.run_all(session, [{"user": each, "name": "both"} for each in ("first", "second")])
        assert waiting(session) == ["UPDATE", "UPDATE"]
    with db.reading() as session:
        assert set(session.scalars(select(User.first_name))) == {"both"}


def test_what_is_asked_for_ahead_comes_with_the_next_answer_as_it_was_when_it_was_asked_for(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
        first, second = (NAMED.ask(session, {"user": each}) for each in ("first", "second"))
        RENAMED.run(session, {"user": "first", "name": "Grace"})
        assert waiting(session) == ["BEGIN", "INSERT", "SELECT", "SELECT", "UPDATE"]
        assert second.rows() == [(None,)]
        assert waiting(session) == []
        RENAMED.run(session, {"user": "second", "name": "Grace"})
        assert first.rows() == [("Ada",)]
        assert waiting(session) == ["UPDATE"]
        assert (first.rows(), second.rows()) == 2 * ([("Grace",)],)


def test_what_is_asked_for_and_never_used_is_run_and_what_it_meets_is_told(inside: Flask) -> None:
    with pytest.raises(Conflict), db.unit_of_work() as session:
        ADDED.run(session, {"id": "first"})
        NAMED.ask(session, {"user": "first"}).rows()
    with db.unit_of_work() as session:
        NAMED.ask(session, {"user": "first"})
        RENAMED.run(session, {"user": "first", "name": "Grace"})
    with db.reading() as session:
        assert NAMED.ask(session, {"user": "first"}).rows() == [("Grace",)]


def test_what_was_asked_for_in_a_savepoint_that_is_undone_is_asked_for_again(inside: Flask) -> None:
    with db.unit_of_work() as session:
        NAMED.rows(session, {"user": "first"})
        with suppress(RuntimeError), Savepoint(session):
            asked = NAMED.ask(session, {"user": "first"})
            raise RuntimeError
        assert asked.rows() == [("Ada",)]


def test_what_sqlalchemy_asks_sees_what_waited(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
        assert session.get_one(User, "second").first_name is None
        RENAMED.run(session, {"user": "second", "name": "Grace"})
        session.add(Organization(id="org_1", name="Acme"))
        session.flush()
        RENAMED.run(session, {"user": "first", "name": "Grace"})
        assert session.connection().exec_driver_sql("SELECT min(first_name) FROM users").scalar() == "Grace"


def test_a_statement_that_the_server_does_not_know_so_far_goes_behind_those_that_wait(inside: Flask) -> None:
    forgotten = Prepared(update(User).where(User.id == bindparam("user")).values(last_name=bindparam("name")))
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
        forgotten.run(session, {"user": "second", "name": "Hopper"})
        RENAMED.run(session, {"user": "second", "name": "Grace"})
    with db.reading() as session:
        user = session.get_one(User, "second")
        assert (user.first_name, user.last_name) == ("Grace", "Hopper")


def test_no_more_than_some_wait(inside: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_cursor, "WAITING_AT_MOST", 4)
    with db.unit_of_work() as session:
        ADDED.run_all(session, [{"id": f"user_{number}"} for number in range(11)])
        assert len(waiting(session)) < 4
    assert len(users()) == 12


def test_more_than_the_server_takes_at_once_comes_in_one_piece(inside: Flask) -> None:
    long = "x" * 100_000
    with db.unit_of_work() as session:
        ADDED.run_all(session, [{"id": f"user_{number}", "public_metadata": {"of": long}} for number in range(200)])
        assert len(waiting(session)) == 201
    with db.reading() as session:
        found = select(User.public_metadata).where(User.id != "first")
        assert [each == {"of": long} for each in session.scalars(found)] == [True] * 200


class Answered:
    """Stands for libpq, which sends the rest and reads the whole answer while it is asked for what has come so far."""

    def __init__(self, socket: int) -> None:
        self.socket, self.is_done = socket, False

    def flush(self) -> int:
        return 0 if self.is_done else 1

    def consume_input(self) -> None:
        self.is_done = True

    def is_busy(self) -> int:
        return not self.is_done


def test_an_answer_that_was_read_while_the_rest_was_sent_is_not_waited_for() -> None:
    ours, theirs = socketpair()
    with ours, theirs:
        cursor: Any = object.__new__(server_cursor.ServerCursor)
        cursor._libpq, cursor._answers = Answered(ours.fileno()), select_poll()
        cursor._answers.register(ours, POLLIN)
        waiting = Thread(target=cursor._wait, daemon=True)
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_violates_a_constraint_is_told_by_its_name_and_nothing_is_left(inside: Flask, asks: bool) -> None:
    with pytest.raises(Conflict) as refused, db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
        ADDED.run(session, {"id": "first"})
        RENAMED.run(session, {"user": "first", "name": "Grace"})
        if asks:
            NAMED.rows(session, {"user": "first"})
    assert refused.value.constraint == "pk_users"
    assert "INSERT INTO users" in str(refused.value.__cause__)
    assert users() == {"first"}
    with db.unit_of_work() as session:
        assert NAMED.rows(session, {"user": "first"}) == [("Ada",)]
        ADDED.run(session, {"id": "second"})
    assert users() == {"first", "second"}


def test_one_that_is_refused_is_no_less_refused_where_its_failure_was_overheard(inside: Flask) -> None:
    with pytest.raises(OperationalError, match="rolled back"), db.unit_of_work() as session:
        ADDED.run(session, {"id": "first"})
        with pytest.raises(IntegrityError):
            NAMED.rows(session, {"user": "first"})
    assert users() == {"first"}


def test_what_waits_when_a_unit_of_work_fails_is_never_run(inside: Flask) -> None:
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        ADDED.run(session, {"id": "gone"})
        raise RuntimeError
    with db.unit_of_work() as session:
        NAMED.rows(session, {"user": "first"})
        ADDED.run(session, {"id": "gone too"})
        session.rollback()
        ADDED.run(session, {"id": "kept"})
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        with session.begin_nested():
            ADDED.run(session, {"id": "gone as well"})
        raise RuntimeError
    assert users() == {"first", "kept"}


def test_a_unit_of_work_that_asks_nothing_of_the_server_says_nothing_to_it(inside: Flask) -> None:
    with db.unit_of_work() as session:
        session.start()  # type: ignore[attr-defined]
        own = Runner.of(session).driver
    assert own.info.transaction_status.name == "IDLE"
    assert users() == {"first"}


def fail_by_constraint(session: Session) -> None:
    ADDED.run(session, {"id": "first"})


def fail_by_constraint_and_ask(session: Session) -> None:
    ADDED.run(session, {"id": "first"})
    NAMED.rows(session, {"user": "first"})


def fail_before_it_is_sent(session: Session) -> None:
    ADDED.run(session, {"id": "first"})
    raise RuntimeError


def fail_after_it_was_sent(session: Session) -> None:
    NAMED.rows(session, {"user": "first"})
    ADDED.run(session, {"id": "first"})
    raise RuntimeError


@pytest.mark.parametrize(
    "fail", [fail_by_constraint, fail_by_constraint_and_ask, fail_before_it_is_sent, fail_after_it_was_sent]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_fails_in_a_savepoint_fails_there_and_takes_nothing_else_away(
    inside: Flask, fail: Any, is_first: bool
) -> None:
    with db.unit_of_work() as session:
        if not is_first:
            ADDED.run(session, {"id": "before"})
        for _ in range(2):
            with pytest.raises((IntegrityError, RuntimeError)), Savepoint(session):
                ADDED.run(session, {"id": "gone"})
                fail(session)
            with Savepoint(session):
                ADDED.run(session, {"id": f"kept {len(waiting(session))}"})
                RENAMED.run(session, {"user": "first", "name": "Grace"})
            session.connection().exec_driver_sql("DELETE FROM users WHERE id LIKE 'kept%%'")
        ADDED.run(session, {"id": "after"})
    assert users() == {"first", "after"} | (set() if is_first else {"before"})


def test_what_waits_in_a_savepoint_of_the_orm_goes_with_it(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "before"})
        with pytest.raises(RuntimeError), session.begin_nested():
            ADDED.run(session, {"id": "first"})
            raise RuntimeError
        ADDED.run(session, {"id": "after"})
    assert users() == {"first", "before", "after"}


@pytest.mark.parametrize("asks", [True, False])
def test_a_connection_that_ends_while_statements_wait_fails_the_unit_of_work_and_is_not_used_again(
    inside: Flask, asks: bool
) -> None:
    with pytest.raises(OperationalError) as lost, db.unit_of_work() as session:
        own = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        ADDED.run(session, {"id": "gone"})
        end(inside, own)
        if asks:
            NAMED.rows(session, {"user": "first"})
    assert lost.value.connection_invalidated and is_passing(lost.value)
    assert users() == {"first"}
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "kept"})
    assert users() == {"first", "kept"}


def test_one_of_two_that_wait_for_each_other_is_told_of_the_deadlock(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "second"})
    both, failures = Barrier(2, timeout=30), list[Any]()

    def write(*order: str) -> None:
        try:
            with inside.app_context(), db.unit_of_work() as session:
                RENAMED.run(session, {"user": order[0], "name": order[0]})
                NAMED.rows(session, {"user": order[0]})
                both.wait()
                RENAMED.run(session, {"user": order[1], "name": order[0]})
        except OperationalError as failure:
            failures.append(failure)

    writers = [Thread(target=write, args=order) for order in (("first", "second"), ("second", "first"))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [is_deadlock(failure) for failure in failures] == [True]
    with db.reading() as session:
        assert len(set(session.scalars(select(User.first_name)))) == 1


def test_a_value_that_is_taken_is_refused_as_such_where_nothing_is_asked_after_it(acme: Tenant) -> None:
    one = okta.user("one.one")
    assert acme.scim("POST", "/Users", one).status_code == 201
    for same in ("userName", "externalId"):
        body = {**okta.user("two.two"), same: one[same], "active": False}
        refused = acme.scim("POST", "/Users", body)
        assert (refused.status_code, refused.json["scimType"]) == (409, "uniqueness")
        assert same in refused.json["detail"]
    assert acme.scim("GET", "/Users").json["totalResults"] == 1
