"""A write that breaks off at any of its statements changes nothing; one that is tried again is done once."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, OperationalError

from database import db
from models import Base
from tests import okta
from tests.bulk import bulk, change, post, set_title
from tests.conftest import Tenant, looking_on

# Who asked, and whether it was refused, is written down whatever becomes of the request.
BESIDE = ("directory_activities", "scim_tokens")
BY_TITLE = {"title": "public_metadata.title", "groups[*].value": "organization_role"}
MOST = 200
EVENT_TYPES = re.compile(r'"type":"(\w+\.\w+)"')
WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"fresh_{request.param}_url")
    return url


def stored(app: Flask) -> dict[str, list[str]]:
    with app.app_context(), db.reading() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table))))
            for table in Base.metadata.sorted_tables
            if table.name not in BESIDE
        }


Failure = Callable[[Connection], None]


def break_down(connection: Connection) -> None:
    """Lose the connection on PostgreSQL; on SQLite the disk fails."""
    if connection.dialect.name == "sqlite":
        raise OperationalError("a statement", None, Exception("disk I/O error"))
    connection.connection.dbapi_connection.pgconn.finish()  # type: ignore[union-attr]


def violate(_connection: Connection) -> None:
    """Meet what somebody else wrote at the same moment, which the next try would find."""
    raise IntegrityError("a statement", None, Exception("a constraint"))


def is_writing(connection: Connection) -> bool:
    """Tell whether a connection is in a transaction that writes, and there at all."""
    if connection.invalidated:
        return False
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return bool(driver.in_transaction and not driver.execute("PRAGMA query_only").fetchone()[0])
    return bool(driver.info.transaction_status == TransactionStatus.INTRANS)


class Faults:
    """Lets the statement of a number fail, once, or the commit; ``events`` are what the last try would tell.

    Where it never ``commits``, nothing stays of the request, and it can be made again with another fault.
    """

    def __init__(self, number: int, failure: Failure, *, at: tuple[str, ...] = ("",), commits: bool = True) -> None:
        self.left, self.failure, self.at, self.commits = number, failure, at, commits
        self.events: list[str] = []

    def statement(self, connection: Connection, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        if sql.startswith("INSERT INTO events "):
            self.events += EVENT_TYPES.findall(repr(parameters))
        self.step(connection, sql)

    def commit(self, connection: Connection) -> None:
        self.step(connection, "COMMIT")
        if not self.commits:
            self.at = ()  # what follows is only the note that the request failed
            raise OperationalError("a commit", None, Exception("disk I/O error"))

    def step(self, connection: Connection, sql: str) -> None:
        if not is_writing(connection) or not sql.startswith(self.at):
            return
        self.left -= 1
        if self.left == 0:
            self.events.clear()
            self.failure(connection)


@contextmanager
def failing(app: Flask, faults: Faults) -> Iterator[None]:
    with app.app_context():
        engine = db.engine
    with looking_on(engine, before_cursor_execute=faults.statement, commit=faults.commit):
        yield


Request = tuple[str, str, Any]


def requests_of(acme: Tenant, globex: Tenant) -> dict[str, Request]:
    """Writes of each kind, about people who are in both organizations and in a group that gives a role."""
    mapping = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    assert acme.api("PUT", mapping, {"mapping": BY_TITLE}).status_code == 200
    ids = []
    for number in range(5):
        body = okta.user(f"person.n{number}")
        assert globex.scim("POST", "/Users", body).status_code == 201
        ids.append(acme.scim("POST", "/Users", body).json["id"])
    left = acme.scim("POST", "/Users", okta.user("left.long")).json["id"]
    assert acme.scim("DELETE", f"/Users/{left}").status_code == 204
    team = acme.scim("POST", "/Groups", okta.group("org:admin", *ids)).json["id"]
    one, two, three, four, _ = ids
    return {
        "create": ("POST", "/Users", okta.user("nadia.petrov", title="x")),
        "come back": ("POST", "/Users", okta.user("left.long", title="x")),
        "deactivate": ("PATCH", f"/Users/{two}", okta.set_active(False)),
        "delete": ("DELETE", f"/Users/{three}", None),
        "take out": ("PATCH", f"/Groups/{team}", okta.patch({"op": "remove", "path": f'members[value eq "{one}"]'})),
        "bulk": (
            "POST",
            "/Bulk",
            bulk(
                post("a", okta.user("a.a", title="org:admin")),
                post("b", okta.user("a.a")),
                set_title(four, "y"),
                change(f"/Users/{four}", {"op": "replace", "path": "active", "value": False}),
                post("g", okta.group("Bulk", "bulkId:a"), "/Groups"),
                {"method": "DELETE", "path": f"/Users/{two}"},
            ),
        ),
    }


def test_a_write_that_breaks_off_anywhere_changes_nothing(app: Flask, acme: Tenant, globex: Tenant) -> None:
    for name, (method, path, body) in requests_of(acme, globex).items():
        acme.scim("GET", "/Users?count=1")  # so that the use of the token is noted
        before = stored(app)
        for number in range(1, MOST):
            faults = Faults(number, break_down)
            with failing(app, faults):
                answer = acme.scim(method, path, body)
            if faults.left > 0:
                break
            assert answer.status_code == 503, (name, number, answer.text)
            assert stored(app) == before, (name, number)
        assert answer.status_code < 300, (name, answer.text)


def test_a_write_that_is_tried_again_tells_of_itself_once(app: Flask, acme: Tenant, globex: Tenant) -> None:
    requests = requests_of(acme, globex)
    for name in ("come back", "delete", "bulk"):
        method, path, body = requests[name]
        plain = Faults(MOST, violate, commits=False)
        with failing(app, plain):
            assert acme.scim(method, path, body).status_code == 503
        assert plain.events
        for number in range(1, MOST):
            faults = Faults(number, violate, at=WRITES, commits=False)
            with failing(app, faults):
                assert acme.scim(method, path, body).status_code == 503
            if faults.left > 0:
                break
            assert faults.events == plain.events, (name, number)
