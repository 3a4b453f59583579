"""Rows that are written by prebuilt statements: only what differs, and whatever was not known before."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from directory.rows import add_row, plain_row, write_row
from ids import new_id
from models import User
from tests.conftest import looking_on


@pytest.fixture
def ada(app: Flask) -> str:
    user_id = new_id("user")
    with app.app_context(), db.unit_of_work() as session:
        given: dict[str, Any] = {"first_name": "Ada", "last_name": "Lovelace", "public_metadata": {"team": "Analysis"}}
        add_row(session, User, id=user_id, active=True, created_at=1, updated_at=1, **given)
    return user_id


def written(app: Flask, user_id: str, known: dict[str, Any], **values: Any) -> list[str]:
    """Write values into the row of which so much is known, and return the statements that changed it."""
    seen: list[str] = []
    with app.app_context(), looking_on(db.engine, before_cursor_execute=lambda *told: seen.append(told[2])):
        with db.unit_of_work() as session:
            row = plain_row(User, {"id": user_id, **known})
            write_row(session, row, **values)
        assert {name: row.__dict__[name] for name in values} == values
    return [statement for statement in seen if statement.startswith("UPDATE")]


def stored(app: Flask, user_id: str) -> tuple[Any, ...]:
    with app.app_context(), db.reading() as session:
        columns = select(User.first_name, User.last_name, User.public_metadata).where(User.id == user_id)
        return tuple(session.execute(columns).one())


def test_what_differs_is_written_and_what_does_not_is_no_part_of_the_statement(app: Flask, ada: str) -> None:
    known = {"first_name": "Ada", "last_name": "Lovelace"}
    [statement] = written(app, ada, known, first_name="Augusta", last_name="Lovelace")
    assert "first_name" in statement
    assert "last_name" not in statement
    assert stored(app, ada) == ("Augusta", "Lovelace", {"team": "Analysis"})


def test_where_nothing_differs_nothing_is_sent(app: Flask, ada: str) -> None:
    known = {"first_name": "Ada", "public_metadata": {"team": "Analysis"}}
    assert not written(app, ada, known, first_name="Ada", public_metadata={"team": "Analysis"})


def test_a_column_that_was_not_read_is_written_also_when_it_is_emptied(app: Flask, ada: str) -> None:
    assert written(app, ada, {"last_name": None}, first_name=None, last_name=None)
    assert stored(app, ada) == (None, "Lovelace", {"team": "Analysis"})
