"""Brief units of work that wait for each other on SQLite are committed together: all of them, or each for itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Signal
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from app import create_app
from config import Settings
from database import db
from errors import Conflict
from ids import new_id
from models import Organization
from tests.conftest import looking_on, wait_until
from transactions.turns import Turns, turns_of

WAIT = 30
ADDED = text("INSERT INTO organizations (id, name, created_at, updated_at) VALUES (:id, :name, 0, 0)")


@pytest.fixture
def inside(fresh_sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Inside the application, on a file."""
    app = create_app(Settings.from_environment({"DATABASE_URL": fresh_sqlite_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.fixture
def turns(inside: Flask) -> Turns:
    return turns_of(db.engine.url.database or "")


@pytest.fixture
def commits(inside: Flask) -> Iterator[list[object]]:
    """Each commit, as it happens."""
    seen: list[object] = []
    with looking_on(db.engine, commit=seen.append):
        yield seen


class Unit(Thread):
    """A thread with one unit of work, which goes on when it is told to, and says what became of it."""

    def __init__(
        self, app: Flask, name: str, *, is_brief: bool = True, then: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(daemon=True)
        self.app, self.organization, self.is_brief, self.then = app, name, is_brief, then
        self.has_begun, self.may_end, self.has_ended = Signal(), Signal(), Signal()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.app.app_context(), db.unit_of_work(is_brief=self.is_brief) as session:
                session.execute(ADDED, {"id": new_id("org"), "name": self.organization})
                self.has_begun.set()
                assert self.may_end.wait(WAIT)
                self.then()
        except BaseException as error:
            self.error = error
        self.has_ended.set()

    def begun(self) -> "Unit":
        self.start()
        assert self.has_begun.wait(WAIT)
        return self

    def ended(self) -> "Unit":
        self.may_end.set()
        assert self.has_ended.wait(WAIT)
        return self


def queued(turns: Turns, *units: Unit) -> None:
    """Start units of work one after the other, each of which has to wait for its turn."""
    for unit in units:
        waiting = len(turns._waiting)
        unit.start()
        wait_until(lambda waiting=waiting: len(turns._waiting) == waiting + 1)


def names() -> set[str]:
    with db.reading() as session:
        return set(session.scalars(select(Organization.name)))


def fail() -> None:
    raise RuntimeError("a defect")


def test_those_who_wait_are_committed_with_the_first_and_nobody_is_answered_before(
    inside: Flask, turns: Turns, commits: list[object]
) -> None:
    first, second, third = (Unit(inside, name) for name in ("first", "second", "third"))
    first.begun()
    queued(turns, second, third)
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


def test_who_is_alone_is_committed_alone(inside: Flask, commits: list[object]) -> None:
    for name in ("first", "second"):
        assert Unit(inside, name).begun().ended().error is None
    assert len(commits) == 2


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_who_fails_takes_nothing_of_the_others_away(
    inside: Flask, turns: Turns, commits: list[object], failing: int
) -> None:
    units = [Unit(inside, str(number), then=fail if number == failing else lambda: None) for number in range(3)]
    units[0].begun()
    queued(turns, *units[1:])
    for unit in units:
        unit.may_end.set()
    assert [type(unit.ended().error) for unit in units] == [
        RuntimeError if number == failing else type(None) for number in range(3)
    ]
    assert len(commits) == 1
    assert names() == {str(number) for number in range(3)} - {str(failing)}


def test_a_refused_change_of_the_orm_takes_nothing_of_the_others_away(inside: Flask, turns: Turns) -> None:
    refused = Signal()

    def add_twice() -> None:
        try:
            with inside.app_context(), db.unit_of_work(is_brief=True) as session:
                session.add(Organization(id="org_1", name="refused"))
                session.flush()
                session.execute(ADDED, {"id": "org_1", "name": "refused"})
        except Conflict:
            refused.set()

    first, last = Unit(inside, "first"), Unit(inside, "last")
    first.begun()
    second = Thread(target=add_twice, daemon=True)
    second.start()
    wait_until(lambda: len(turns._waiting) == 1)
    queued(turns, last)
    for unit in (first, last):
        unit.may_end.set()
    assert refused.wait(WAIT)
    assert (first.ended().error, last.ended().error) == (None, None)
    assert names() == {"first", "last"}


def test_a_commit_that_fails_is_told_to_all_and_leaves_nothing(inside: Flask, turns: Turns) -> None:
    def refuse(_: object) -> None:
        raise OperationalError("COMMIT", None, Exception("disk I/O error"))

    units = [Unit(inside, str(number), then=fail if number == 1 else lambda: None) for number in range(4)]
    with looking_on(db.engine, commit=refuse):
        units[0].begun()
        queued(turns, *units[1:])
        for unit in units:
            unit.may_end.set()
        assert [type(unit.ended().error) for unit in units] == [OperationalError] * 4, (
            "a refusal may come of the others"
        )
    assert names() == set()
    assert Unit(inside, "next").begun().ended().error is None
    assert names() == {"next"}


def test_a_transaction_that_is_lost_under_one_is_lost_for_all(inside: Flask, turns: Turns) -> None:
    def lose() -> None:
        db._connections()._writer.driver.rollback()  # type: ignore[attr-defined]  # as SQLite does on a full disk

    first, second = Unit(inside, "first"), Unit(inside, "second", then=lose)
    first.begun()
    queued(turns, second)
    for unit in (first, second):
        unit.may_end.set()
    assert [type(unit.ended().error) for unit in (first, second)] == [OperationalError] * 2
    assert names() == set()
    assert Unit(inside, "next").begun().ended().error is None
    assert names() == {"next"}


def test_nobody_waits_for_what_is_not_brief(inside: Flask, turns: Turns, commits: list[object]) -> None:
    brief, long = Unit(inside, "brief"), Unit(inside, "long", is_brief=False)
    brief.begun()
    queued(turns, long)
    assert brief.ended().error is None
    assert names() == {"brief"}
    assert long.has_begun.wait(WAIT)
    late = Unit(inside, "late")
    queued(turns, late)
    assert long.ended().error is None
    assert late.ended().error is None
    assert len(commits) == 3
