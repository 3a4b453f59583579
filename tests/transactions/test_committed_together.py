"""Brief units of work that wait for each other are committed together: all of them, or each for itself.

On SQLite those of all, on PostgreSQL those of one organization.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import create_app
from config import Settings
from database import db
from errors import Conflict
from models import Organization
from prepared import Runner
from tests.conftest import looking_on
from tests.units_of_work import ADDED, WAIT, Unit, fail, follow_each_other, names, queued
from transactions import lanes

BOTH = pytest.mark.parametrize("database_url", ["fresh_sqlite_url", "fresh_postgres_url"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["fresh_sqlite_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def inside(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """Inside the application, on the database that the test names."""
    monkeypatch.setattr(lanes, "TURN_SECONDS", WAIT)
    app = create_app(Settings.from_environment({"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.engine.dispose()


@BOTH
def test_those_who_wait_are_committed_with_the_first_and_nobody_is_answered_before(
    inside: Flask, commits: list[object]
) -> None:
    first, second, third = (Unit(inside, name) for name in ("first", "second", "third"))
    first.begun()
    queued(second, third)
    first.may_end.set()
    assert second.has_begun.wait(WAIT)
    second.may_end.set()
    assert third.has_begun.wait(WAIT)
    assert not first.has_ended.is_set() and not second.has_ended.is_set()
    assert (commits, names()) == ([], set()), "nobody sees what may still come to nothing"
    for unit in (third, second, first):
        assert unit.ended().error is None
    assert len(commits) == 1
    assert names() == {"first", "second", "third"}


@BOTH
def test_who_is_alone_is_committed_alone(inside: Flask, commits: list[object]) -> None:
    for name in ("first", "second"):
        assert Unit(inside, name).begun().ended().error is None
    assert len(commits) == 2


@BOTH
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_who_fails_takes_nothing_of_the_others_away(inside: Flask, commits: list[object], failing: int) -> None:
    units = [Unit(inside, str(number), then=fail if number == failing else lambda _: None) for number in range(3)]
    follow_each_other(units)
    assert [type(unit.ended().error) for unit in units] == [
        RuntimeError if number == failing else type(None) for number in range(3)
    ]
    is_done_anew = failing > 0 and db.engine.dialect.name == "postgresql"  # it had changed something already
    assert [unit.was_undone for unit in units] == [is_done_anew and number <= failing for number in range(3)]
    assert len(commits) == (2 if is_done_anew else 1)
    assert names() == {str(number) for number in range(3)} - {str(failing)}


@BOTH
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_who_fails_before_anything_was_changed_is_left_out(inside: Flask, commits: list[object], failing: int) -> None:
    def fail_after_reading(session: Session) -> None:
        Runner.of(session).run_text("SELECT 1")
        fail(session)

    units = [Unit(inside, str(number), is_prepared=True) for number in range(3)]
    units[failing] = Unit(inside, None, then=fail_after_reading)
    follow_each_other(units)
    assert [type(unit.ended().error) for unit in units] == [
        RuntimeError if number == failing else type(None) for number in range(3)
    ]
    assert [unit.was_undone for unit in units] == [False] * 3
    assert len(commits) == 1
    assert names() == {str(number) for number in range(3)} - {str(failing)}


@BOTH
def test_a_refused_change_of_the_orm_takes_nothing_of_the_others_away(inside: Flask) -> None:

    def add_twice(session: Session) -> None:
        session.add(Organization(id="org_1", name="refused"))
        session.flush()
        session.execute(ADDED, {"id": "org_1", "name": "refused"})

    units = [Unit(inside, "first"), Unit(inside, None, then=add_twice), Unit(inside, "last")]
    follow_each_other(units)
    assert [type(unit.ended().error) for unit in units] == [type(None), Conflict, type(None)]
    assert names() == {"first", "last"}


@BOTH
def test_a_commit_that_fails_is_told_to_all_and_leaves_nothing(inside: Flask) -> None:
    def refuse(_: object) -> None:
        raise OperationalError("COMMIT", None, Exception("disk I/O error"), connection_invalidated=True)

    thens = [fail if number == 1 else (lambda _: None) for number in range(4)]
    units = [Unit(inside, str(number), then=then, is_prepared=True) for number, then in enumerate(thens)]
    with looking_on(db.engine, commit=refuse):
        follow_each_other(units)
        assert [type(unit.ended().error) for unit in units] == [OperationalError] * 4, (
            "a refusal may come of the others"
        )
    assert names() == set()
    assert Unit(inside, "next").begun().ended().error is None
    assert names() == {"next"}


@SQLITE
def test_a_transaction_that_is_lost_under_one_is_lost_for_all(inside: Flask) -> None:
    def lose(_: object) -> None:
        db._connections()._writer.driver.rollback()  # type: ignore[attr-defined]  # as SQLite does on a full disk

    first, second = Unit(inside, "first"), Unit(inside, "second", then=lose)
    first.begun()
    queued(second)
    for unit in (first, second):
        unit.may_end.set()
    assert [type(unit.ended().error) for unit in (first, second)] == [OperationalError] * 2
    assert names() == set()
    assert Unit(inside, "next").begun().ended().error is None
    assert names() == {"next"}


@SQLITE
def test_nobody_waits_for_what_is_not_brief(inside: Flask, commits: list[object]) -> None:
    brief, long = Unit(inside, "brief"), Unit(inside, "long", brief_for=None)
    brief.begun()
    queued(long)
    assert brief.ended().error is None
    assert names() == {"brief"}
    assert long.has_begun.wait(WAIT)
    late = Unit(inside, "late")
    queued(late)
    assert long.ended().error is None
    assert late.ended().error is None
    assert len(commits) == 3
