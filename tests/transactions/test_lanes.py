"""On PostgreSQL brief units of work of one organization share a transaction, with nobody else and to nobody's harm."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, bindparam, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from app import create_app
from blueprints.errors import is_passing
from config import Settings
from database import Savepoint, db
from directory.directories import Directory
from directory.mapping import compile_stored_mapping
from directory.mappings import Rules, load_rules
from errors import Conflict
from models import AttributeMapping, Event, Organization
from prepared import Prepared, Runner
from tests.conftest import looking_on, wait_until
from tests.units_of_work import ACME, ADDED, GLOBEX, WAIT, Unit, add_prepared, fail, follow_each_other, names, queued
from transactions import lanes
from transactions.ahead import Ahead
from webhooks.events import ask_subscriptions, next_in, record_event

RENAMED = Prepared(update(Organization).where(Organization.id == bindparam("of")).values(name=bindparam("name")))
ORGANIZATION = Prepared(select(Organization.name).where(Organization.id == bindparam("of")))
SHOWN = text("SHOW lock_timeout")
LOCKED = text("SELECT id FROM organizations WHERE id = :id FOR UPDATE")
WAITS = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.fixture
def inside(fresh_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """Inside the application, in which somebody may wait for as long as a test takes."""
    monkeypatch.setattr(lanes, "TURN_SECONDS", WAIT)
    app = create_app(Settings.from_environment({"DATABASE_URL": fresh_postgres_url, "DATA_DIR": str(tmp_path)}))
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.fixture
def somebody(inside: Flask) -> Iterator[Connection]:
    """Somebody else's transaction."""
    with db.engine.connect() as connection:
        yield connection


def add(*ids: str) -> None:
    with db.unit_of_work() as session:
        for id_ in ids:
            session.execute(ADDED, {"id": id_, "name": id_})


def refused_at_the_end(session: Session) -> None:
    """Add what is there already, as is heard only with the next answer of the server."""
    add_prepared(session, "taken", "twice")


def fails_before_it_is_refused(session: Session) -> None:
    refused_at_the_end(session)
    raise Conflict("for the test", constraint=None)


def of_all() -> Any:
    return db._connections()._lanes  # type: ignore[attr-defined]


def test_organizations_do_not_wait_for_each_other(inside: Flask, commits: list[object]) -> None:
    acme, globex = Unit(inside, "Acme"), Unit(inside, "Globex", brief_for=GLOBEX)
    acme.begun()
    globex.begun()
    assert globex.ended().error is None
    assert names() == {"Globex"}
    assert acme.ended().error is None
    assert len(commits) == 2


@pytest.mark.parametrize("then", [refused_at_the_end, fails_before_it_is_refused])
@pytest.mark.parametrize("is_prepared", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_is_refused_at_the_end_of_one_takes_nothing_of_the_others_away(
    inside: Flask, failing: int, is_prepared: bool, then: Callable[[Session], None]
) -> None:
    add("taken")
    thens = [then if number == failing else (lambda _: None) for number in range(3)]
    units = [Unit(inside, str(number), then=each, is_prepared=is_prepared) for number, each in enumerate(thens)]
    follow_each_other(units)
    assert [type(unit.ended().error) for unit in units] == [
        Conflict if number == failing else type(None) for number in range(3)
    ]
    assert names() == {"taken", *"012"} - {str(failing)}


def test_who_follows_gives_way_to_somebody_who_waits_for_what_those_before_have_locked(
    inside: Flask, somebody: Connection
) -> None:
    """Else neither could go on, until the server breaks one of them off a second later."""
    add("first", "second")
    with db.reading() as session:
        patience = session.scalar(SHOWN)

    def rename(id_: str) -> Any:
        def run(session: Session) -> None:
            RENAMED.run(session, {"of": id_, "name": f"renamed {id_}"})

        return run

    units = [Unit(inside, name, then=rename(name)) for name in ("first", "second")]
    units[0].begun()
    queued(units[1])
    somebody.execute(LOCKED, {"id": "second"})
    units[0].may_end.set()
    assert units[1].has_begun.wait(WAIT)
    waits = Thread(target=somebody.execute, args=(LOCKED, {"id": "first"}))
    waits.start()
    with db.engine.connect() as looking:
        wait_until(lambda: looking.scalar(WAITS) == 1)
    units[1].may_end.set()
    waits.join(WAIT)
    somebody.rollback()
    assert [(unit.ended().error, unit.was_undone) for unit in units] == [(None, True)] * 2
    assert names() == {"first", "second", "renamed first", "renamed second"}
    with db.reading() as session:
        assert session.scalar(SHOWN) == patience != "100ms", "which holds for that transaction only"


def end(own: int) -> None:
    """End a connection at the server, and return when it is gone."""
    with db.engine.connect() as other:
        assert other.scalar(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": own})


def test_a_connection_that_ends_under_one_hurts_nobody_else(inside: Flask) -> None:
    def lose(session: Session) -> None:
        end(session.scalar(text("SELECT pg_backend_pid()")) or 0)

    units = [Unit(inside, "first"), Unit(inside, "second", then=lose), Unit(inside, "third")]
    follow_each_other(units)
    lost = units[1].ended().error
    assert isinstance(lost, OperationalError) and is_passing(lost)
    assert [units[number].ended().error for number in (0, 2)] == [None] * 2
    assert names() == {"first", "third"}


def test_one_that_ends_while_it_commits_is_told_to_all_as_nobody_knows_whether_it_did(inside: Flask) -> None:
    """So it is not for us to do it again."""

    def lose(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        end(driver.info.backend_pid)

    units = [Unit(inside, str(number)) for number in range(3)]
    with looking_on(db.engine, commit=lose):
        follow_each_other(units)
        lost = [unit.ended().error for unit in units]
    assert all(isinstance(error, OperationalError) and is_passing(error) for error in lost)
    assert [unit.was_undone for unit in units] == [False] * 3
    assert names() == set()


@pytest.mark.parametrize("then", [lambda _: None, fail])
@pytest.mark.parametrize("by_sqlalchemy", [True, False])
@pytest.mark.parametrize("place", [0, 1])
def test_a_transaction_that_is_over_before_its_end_is_not_taken_for_committed(
    inside: Flask, place: int, by_sqlalchemy: bool, then: Callable[[Session], None]
) -> None:
    def lose(session: Session) -> None:
        runner = Runner.of(session)
        runner.run_text("SELECT 1")
        if by_sqlalchemy:
            transaction = runner.connection.get_transaction()
            assert transaction is not None
            transaction.rollback()
        else:
            runner.driver.rollback()
        then(session)

    units = [Unit(inside, "0", is_prepared=True), Unit(inside, "1", is_prepared=True)]
    units[place] = Unit(inside, str(place), then=lose, is_prepared=True)
    follow_each_other(units)
    ended = {unit.organization for unit in units if unit.ended().error is None}
    assert units[place].organization not in ended
    assert names() == ended, "who was told that it was done"
    assert Unit(inside, "next").begun().ended().error is None


def goes_on_after_a_refusal(session: Session) -> None:
    with suppress(IntegrityError):
        refused_at_the_end(session)
        Runner.of(session).send_waiting()


def refused_after_the_flush(session: Session) -> None:
    session.add(Organization(id="org_own", name="own"))
    event.listen(session, "after_flush", lambda session, _: refused_at_the_end(session), once=True)


@pytest.mark.parametrize("then", [goes_on_after_a_refusal, refused_after_the_flush])
@pytest.mark.parametrize("place", [0, 1])
def test_a_savepoint_that_sqlalchemy_could_not_end_hurts_nobody_after_it(
    inside: Flask, then: Callable[[Session], None], place: int
) -> None:
    add("taken")
    units = [Unit(inside, str(number), then=then if number == place else lambda _: None) for number in range(4)]
    follow_each_other(units)
    assert [unit.ended().error is None for unit in units] == [number != place for number in range(4)]
    assert Unit(inside, "later").begun().ended().error is None
    assert names() == {"taken", "later", *"0123"} - {str(place)}


def numbered(*more: Callable[[Session], None]) -> Callable[[Session], None]:
    def run(session: Session) -> None:
        record_event(session, "scimGroup.deleted", ACME, {})
        for each in more:
            each(session)

    return run


@pytest.mark.parametrize("is_prepared", [True, False])
def test_the_numbers_of_their_events_have_no_gap_whoever_fails(inside: Flask, is_prepared: bool) -> None:
    """Those who follow know the number of those before them, and do not ask for it."""
    add(ACME, "taken")
    thens = [numbered(), numbered(), numbered(refused_at_the_end), numbered(), numbered(fail), numbered(), numbered()]
    units = [Unit(inside, str(number), then=then, is_prepared=is_prepared) for number, then in enumerate(thens)]
    follow_each_other(units)
    assert [unit.ended().error is None for unit in units] == [True, True, False, True, False, True, True]
    assert numbers_given() == [1, 2, 3, 4, 5]


def numbers_given() -> list[int]:
    """Return the numbers of all events, of which the next has the number that follows."""
    with db.unit_of_work() as session:
        numbers = session.scalars(select(Event.sequence).where(Event.stream == ACME).order_by(Event.sequence)).all()
        assert next_in(session, ACME, 1) == numbers[-1] + 1
    return list(numbers)


@pytest.fixture
def statements(inside: Flask) -> Iterator[list[str]]:
    """Each statement, as it is run."""
    seen: list[str] = []
    with looking_on(db.engine, before_cursor_execute=lambda _connection, _cursor, sql, *_: seen.append(sql)):
        yield seen


def test_the_number_that_they_reach_is_written_once_and_not_that_of_one_that_failed(
    inside: Flask, statements: list[str]
) -> None:
    def numbered_and_left_out(session: Session) -> None:
        ask_subscriptions(session, ACME)
        record_event(session, "scimGroup.deleted", ACME, {})
        fail(session)

    add(ACME)
    thens = [numbered(), numbered(), numbered_and_left_out, numbered(), numbered_and_left_out]
    units = [Unit(inside, None, then=then) for then in thens]
    units[0].begun()
    queued(*units[1:])
    statements.clear()
    for unit in units:
        unit.may_end.set()
    assert [unit.ended().error is None for unit in units] == [True, True, False, True, False]
    assert [unit.was_undone for unit in units] == [False] * 5
    assert [sql.split()[0] for sql in statements if "event_sequences" in sql] == ["INSERT", "UPDATE"]
    assert numbers_given() == [1, 2, 3]


def test_the_rules_of_their_directory_are_asked_for_once_unless_who_asked_failed(
    inside: Flask, statements: list[str]
) -> None:
    asked: list[Rules] = []

    def by_rules(session: Session) -> None:
        asked.append(load_rules(session, Directory(ACME)))

    def by_rules_and_fail(session: Session) -> None:
        by_rules(session)
        fail(session)

    add(ACME)
    override = {"first_name": "{{ user.title }}"}
    with db.unit_of_work() as session:
        session.add(AttributeMapping(organization_id=ACME, mapping=override))
    thens = [lambda _: None, by_rules_and_fail, by_rules, by_rules]
    units = [Unit(inside, None, then=then) for then in thens]
    units[0].begun()
    queued(*units[1:])
    statements.clear()
    for unit in units:
        unit.may_end.set()
    assert [unit.ended().error is None for unit in units] == [True, False, True, True]
    assert len([sql for sql in statements if "FROM organizations" in sql]) == 2
    assert len(asked) == 3
    assert all(rules.mapping is compile_stored_mapping(override) for rules in asked)


@pytest.mark.parametrize("then", [lambda _: None, fail])
@pytest.mark.parametrize("about", ["another", "this", None])
def test_what_somebody_will_ask_who_waits_is_asked_unless_that_may_change_and_for_that_transaction_only(
    inside: Flask, about: str | None, then: Callable[[Session], None]
) -> None:
    add(ACME)
    waits = Ahead("this", lambda: [(ORGANIZATION, {"of": ACME})])
    seen: list[Any] = []

    def look_and_go_on(session: Session) -> None:
        Runner.of(session).send_waiting()
        seen.extend((values, result.ntuples) for values, [result] in (waits.answers or {}).values())
        then(session)

    units = [Unit(inside, "0"), Unit(inside, "1", then=look_and_go_on, about=about)]
    units[0].begun()
    queued(units[1])
    of_all()._lanes[ACME].ahead.append(waits)
    for unit in units:
        unit.may_end.set()
    for unit in units:
        unit.ended()
    assert seen[:1] == ([({"of": ACME}, 1)] if about == "another" else [])
    assert waits.answers is None, "it is over"


@pytest.mark.parametrize("begin", [db.reading, db.unit_of_work])
def test_the_rules_are_asked_for_anew_once_a_transaction_is_over(
    inside: Flask, somebody: Connection, begin: Callable[[], AbstractContextManager[Session]]
) -> None:
    """Also by a reading, which is in no transaction."""
    add(ACME)
    overrides: list[dict[str, Any]] = [{}, {"first_name": "{{ user.title }}"}]
    for override in overrides:
        if override:
            somebody.execute(insert(AttributeMapping).values(organization_id=ACME, mapping=override))
            somebody.commit()
        with begin() as session:
            assert load_rules(session, Directory(ACME)).mapping is compile_stored_mapping(override)


@pytest.mark.parametrize("takes_another", [True, False])
@pytest.mark.parametrize("savepoint", [Savepoint, Session.begin_nested])
def test_a_number_that_was_taken_back_is_given_again(
    inside: Flask, savepoint: Callable[[Session], AbstractContextManager[Any]], takes_another: bool
) -> None:
    with db.unit_of_work() as session:
        assert next_in(session, ACME, 1) == 1
        assert next_in(session, ACME, 1) == 2
        with suppress(ZeroDivisionError), savepoint(session):
            assert next_in(session, ACME, 1) == 3
            raise ZeroDivisionError
        if takes_another:
            assert next_in(session, ACME, 1) == 3
    with db.unit_of_work() as session:
        assert next_in(session, ACME, 0) == (3 if takes_another else 2)


def test_nobody_waits_long_for_one_that_is_slow(inside: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Unit(inside, "slow").begun()
    monkeypatch.setattr(lanes, "TURN_SECONDS", 0.01)
    assert Unit(inside, "late").begun().ended().error is None
    assert names() == {"late"}
    assert slow.ended().error is None
    assert names() == {"slow", "late"}


def test_a_few_organizations_are_at_work_at_once_and_none_waits_long_for_those_that_are_slow(inside: Flask) -> None:
    at_once = lanes.AT_ONCE
    slow = [Unit(inside, str(number), brief_for=f"org_{number}").begun() for number in range(at_once)]
    assert of_all()._places.qsize() == 0
    assert Unit(inside, "late", brief_for="org_late").begun().ended().error is None
    assert names() == {"late"}
    for unit in slow:
        assert unit.ended().error is None
    assert of_all()._places.qsize() == at_once


def test_nothing_is_kept_of_an_organization_whose_units_of_work_are_over(inside: Flask) -> None:
    for brief_for in (ACME, GLOBEX):
        for then in (lambda _: None, refused_at_the_end, refused_at_the_end):
            Unit(inside, "taken", brief_for=brief_for, then=then).begun().ended().join(WAIT)
    assert dict(of_all()._lanes) == {}
    assert len(of_all()._idle) <= lanes.KEPT_CONNECTIONS
    assert of_all()._places.qsize() == lanes.AT_ONCE
