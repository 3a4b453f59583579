"""Units of work that wait for each other, step by step."""

from collections.abc import Callable, Sequence
from threading import Event as Signal
from threading import Thread

from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from database import db
from ids import new_id
from models import Organization
from prepared import Prepared
from tests.conftest import wait_until
from transactions.ahead import ask_ahead
from transactions.together import Undone
from transactions.turns import ThreadTurns, turns_of

WAIT = 30
# Whose units of work they are.
ACME, GLOBEX = "org_acme", "org_globex"
ADDED = text("INSERT INTO organizations (id, name, created_at, updated_at) VALUES (:id, :name, 0, 0)")
PREPARED = Prepared(insert(Organization))


def waiting() -> int:
    """Return how many wait for their turn."""
    if db.engine.dialect.name == "sqlite":
        turns: ThreadTurns = turns_of(db.engine.url.database or "")
    else:
        turns = db._connections()._lanes._lanes[ACME].turns  # type: ignore[attr-defined]
    return len(turns._waiting)


class Unit(Thread):
    """A thread with one unit of work, which goes on when it is told to, and says what became of it.

    :param name: Of the organization that it adds; None for none.
    :param is_prepared: Whether it works with a statement of whose result nobody asks, and without the ORM.

    :param about: What it is about, if it says so before it begins; it asks nothing ahead.

    What was undone on behalf of others it does again, alone, as a request does.
    """

    def __init__(
        self,
        app: Flask,
        name: str | None,
        *,
        brief_for: str | None = ACME,
        then: Callable[[Session], object] = lambda _: None,
        is_prepared: bool = False,
        about: str | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.app, self.organization, self.brief_for, self.then = app, name, brief_for, then
        self.is_prepared, self.about = is_prepared, about
        self.has_begun, self.may_end, self.has_ended = Signal(), Signal(), Signal()
        self.error: BaseException | None = None
        self.was_undone = False

    def run(self) -> None:
        try:
            try:
                self.work(self.brief_for)
            except Undone:
                self.was_undone = True
                self.work(None)
        except BaseException as error:
            self.error = error
        self.has_ended.set()

    def work(self, brief_for: str | None) -> None:
        with self.app.app_context(), db.unit_of_work(brief_for=brief_for) as session:
            if self.about:
                ask_ahead(session, self.about, list)
            if self.is_prepared and self.organization:
                add_prepared(session, new_id("org"), self.organization)
            elif self.organization:
                session.execute(ADDED, {"id": new_id("org"), "name": self.organization})
            else:
                session.start()  # type: ignore[attr-defined]
            self.has_begun.set()
            assert self.may_end.wait(WAIT)
            self.then(session)

    def begun(self) -> "Unit":
        self.start()
        assert self.has_begun.wait(WAIT)
        return self

    def ended(self) -> "Unit":
        self.may_end.set()
        assert self.has_ended.wait(WAIT)
        return self


def queued(*units: Thread) -> None:
    """Start units of work one after the other, each of which has to wait for its turn."""
    for unit in units:
        before = waiting()
        unit.start()
        wait_until(lambda before=before: waiting() == before + 1)


def follow_each_other(units: Sequence[Unit]) -> None:
    """Have each but the first wait for its turn while that is at work, and let all go on then."""
    units[0].begun()
    queued(*units[1:])
    for unit in units:
        unit.may_end.set()


def names() -> set[str]:
    with db.reading() as session:
        return set(session.scalars(select(Organization.name)))


def add_prepared(session: Session, id_: str, name: str) -> None:
    PREPARED.run(session, {"id": id_, "name": name, "created_at": 0, "updated_at": 0})


def fail(_: Session) -> None:
    raise RuntimeError("a defect")
