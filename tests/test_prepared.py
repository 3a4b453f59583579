"""Prepared statements: the driver runs what SQLAlchemy would have run, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from app import create_app
from clock import now_ms
from config import Settings
from database import db
from errors import Conflict
from models import Role, User
from prepared import Prepared, PreparedList
from tests.conftest import looking_on

ADDED = Prepared(insert(User))
BY_ID = Prepared(
    select(User.id, User.first_name, User.public_metadata, User.active, User.deleted_at, User.created_at).where(
        User.id == bindparam("user")
    )
)
RENAMED = Prepared(
    update(User)
    .where(User.id == bindparam("user"))
    .values(first_name=bindparam("name"), last_name="Constant")
    .returning(User.last_name, User.public_metadata)
)
SOME = PreparedList(
    lambda ids: select(User.id).where(User.id.in_(ids), User.active == bindparam("active")).order_by(User.id)
)
METADATA = {"größe": [1, None, {"a": "“b”"}]}


@pytest.fixture(params=["fresh_sqlite_url", "fresh_postgres_url"])
def inside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """Inside the application, on each kind of database."""
    url = str(request.getfixturevalue(request.param))
    app = create_app(Settings.from_environment({"DATABASE_URL": url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def row_of(user_id: str) -> Any:
    with db.reading() as session:
        return BY_ID.row(session, {"user": user_id})


@pytest.mark.parametrize("length", [1, 2, 10, 11, 500])
def test_a_list_of_any_length_up_to_500_finds_each_of_its_values_once(inside: Flask, length: int) -> None:
    ids = sorted(f"user_{number}" for number in range(length))
    with db.unit_of_work() as session:
        ADDED.run_all(session, [{"id": id_} for id_ in [*ids, "user_other"]])
        assert SOME.rows(session, {"active": True}, ids) == [(id_,) for id_ in ids]
        assert SOME.rows(session, {"active": False}, ids) == []


def test_values_come_back_as_the_models_have_them_and_what_is_not_given_gets_its_default(inside: Flask) -> None:
    before = now_ms()
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1", "first_name": "Ada", "public_metadata": METADATA})
    *values, created_at = row_of("user_1")
    assert values == ["user_1", "Ada", METADATA, True, None]
    assert before <= created_at <= now_ms()
    with db.reading() as session:
        user = session.get_one(User, "user_1")
        assert (user.public_metadata, user.directory_metadata_paths, user.active) == (METADATA, [], True)


def test_nothing_found_is_none(inside: Flask) -> None:
    assert row_of("user_nobody") is None


def test_the_columns_of_an_insert_are_those_of_its_values(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1"})
        ADDED.run(session, {"first_name": "Grace", "id": "user_2", "active": False})
        ADDED.run_all(session, [{"id": f"user_{n}", "public_metadata": {"n": n}} for n in (3, 4)])
        ADDED.run_all(session, [])
    assert [row_of(f"user_{n}")[1:4] for n in (1, 2, 3, 4)] == [
        (None, {}, True),
        ("Grace", {}, False),
        (None, {"n": 3}, True),
        (None, {"n": 4}, True),
    ]


def test_a_change_can_return_rows_and_holds_its_own_constants(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1", "public_metadata": METADATA})
        assert RENAMED.rows(session, {"user": "user_1", "name": "Ada"}) == [("Constant", METADATA)]
    assert row_of("user_1")[1] == "Ada"


def test_it_belongs_to_the_transaction_of_the_session(inside: Flask) -> None:
    with pytest.raises(RuntimeError), db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1"})
        assert session.get(User, "user_1") is not None
        with pytest.raises(RuntimeError), session.begin_nested():
            ADDED.run(session, {"id": "user_2"})
            raise RuntimeError
        assert BY_ID.row(session, {"user": "user_2"}) is None
        raise RuntimeError
    assert row_of("user_1") is None


def test_a_violated_constraint_is_told_as_that_of_any_other_statement(inside: Flask) -> None:
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1", "email_key": "ada@acme.test"})
    with pytest.raises(Conflict) as refused, db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_2", "email_key": "ada@acme.test"})
    assert refused.value.constraint == "uq_users_email_key"
    with db.unit_of_work() as session:
        with pytest.raises(IntegrityError) as error, session.begin_nested():
            ADDED.run_all(session, [{"id": "user_3", "email_key": "ada@acme.test"}])
        ADDED.run(session, {"id": "user_4"})
    assert "[SQL: INSERT INTO users" in str(error.value)  # and no values
    assert row_of("user_4") is not None


def test_a_reading_transaction_cannot_write_by_it(inside: Flask) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's readers are kept from writing by review alone")
    with pytest.raises(OperationalError), db.reading() as session:
        ADDED.run(session, {"id": "user_1"})


def test_a_statement_that_fails_says_so_as_sqlalchemy_does(inside: Flask) -> None:
    with pytest.raises((OperationalError, ProgrammingError)), db.unit_of_work() as session:
        cascade = " CASCADE" if db.engine.dialect.name == "postgresql" else ""
        session.connection().exec_driver_sql(f"DROP TABLE users{cascade}")
        BY_ID.row(session, {"user": "user_1"})


def test_listeners_see_each_statement_before_and_after(inside: Flask) -> None:
    seen: list[tuple[str, str]] = []

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(("before", statement.split(maxsplit=1)[0]))

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(("after", statement.split(maxsplit=1)[0]))

    looking = looking_on(db.engine, before_cursor_execute=before, after_cursor_execute=after)
    with looking, db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1"})
        BY_ID.row(session, {"user": "user_1"})
    ours = [each for each in seen if each[1] in ("INSERT", "SELECT")]
    assert ours == [("before", "INSERT"), ("after", "INSERT"), ("before", "SELECT"), ("after", "SELECT")]


def test_a_connection_that_is_lost_is_not_used_again(inside: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    with pytest.raises(OperationalError) as lost, db.unit_of_work() as session:
        own = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with db.engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({own})")
        BY_ID.row(session, {"user": "user_1"})
    assert lost.value.connection_invalidated
    with db.unit_of_work() as session:
        ADDED.run(session, {"id": "user_1"})
    assert row_of("user_1") is not None


def test_lists_of_unknown_length_are_refused(inside: Flask) -> None:
    several = Prepared(select(Role.id).where(Role.key.in_(bindparam("keys", expanding=True))))
    with pytest.raises(ValueError, match="anew"), db.reading() as session:
        several.rows(session, {"keys": ["a"]})
