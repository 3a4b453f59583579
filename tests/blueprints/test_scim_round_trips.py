"""On PostgreSQL a request asks the server few times, however many statements that takes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text

from database import db
from models import DirectoryGroupMember, DirectoryUser
from tests import okta
from tests.conftest import Tenant, looking_on, wait_until
from transactions.server_cursor import ServerCursor


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each round trip ended with, of every connection that is opened from now on."""
    made: list[str] = []
    send, execute = ServerCursor._send, ServerCursor.execute

    def send_and_tell(cursor: ServerCursor) -> None:
        made.append(cursor._waiting[-1][0].split(maxsplit=1)[0])
        send(cursor)

    def execute_and_tell(cursor: ServerCursor, sql: str, values: Sequence[Any] = ()) -> None:
        if not cursor._waiting:
            made.append(sql.split(maxsplit=1)[0])
        execute(cursor, sql, values)

    monkeypatch.setattr(ServerCursor, "_send", send_and_tell)
    monkeypatch.setattr(ServerCursor, "execute", execute_and_tell)
    return made


@pytest.fixture
def database_url(fresh_postgres_url: str, trips: list[str]) -> str:
    assert not trips
    return fresh_postgres_url


def add(tenant: Tenant, name: str) -> str:
    answer = tenant.scim("POST", "/Users", okta.user(name))
    assert answer.status_code == 201
    return str(answer.json["id"])


def set_active(tenant: Tenant, user_id: str, *, active: bool) -> dict[str, Any]:
    answer = tenant.scim("PATCH", f"/Users/{user_id}", okta.set_active(active))
    assert (answer.status_code, answer.json["active"]) == (200, active)
    answered: dict[str, Any] = answer.json
    return answered


def test_a_change_takes_four_with_the_one_for_the_token_a_creation_five_and_a_read_two(
    trips: list[str], acme: Tenant
) -> None:
    ada = add(acme, "ada.lovelace")
    for active in (False, True):  # from now on the server knows the statements
        set_active(acme, ada, active=active)
    trips.clear()
    add(acme, "grace.hopper")
    assert trips == ["SELECT", "SELECT", "SELECT", "SELECT", "COMMIT"]
    for active in (False, True):
        trips.clear()
        set_active(acme, ada, active=active)
        assert trips == ["SELECT", "SELECT", "SELECT", "COMMIT"]
    for path in (f"/Users/{ada}", '/Users?filter=externalId eq "nobody"'):
        acme.scim("GET", path)
        trips.clear()
        assert acme.scim("GET", path).status_code == 200
        assert trips == ["SELECT", "SELECT"]


@pytest.mark.parametrize("name", ["userName", "externalId"])
def test_what_is_taken_is_found_out_before_anything_is_written(
    app: Flask, acme: Tenant, globex: Tenant, name: str
) -> None:
    """Else all whose writes are committed together would have to write again, one by one."""
    ada, other = okta.user("ada.lovelace"), add(acme, "grace.hopper")
    assert acme.scim("POST", "/Users", ada).status_code == 201
    same = {**okta.user("ada.byron"), name: ada[name]}
    run: list[str] = []
    with app.app_context(), looking_on(db.engine, before_cursor_execute=lambda _one, _two, sql, *_: run.append(sql)):
        for method, path, body in (
            ("POST", "/Users", same),
            ("PUT", f"/Users/{other}", same),
            ("PATCH", f"/Users/{other}", okta.patch({"op": "replace", "value": {name: ada[name]}})),
        ):
            refused = acme.scim(method, path, body)
            assert (refused.status_code, refused.json["scimType"]) == (409, "uniqueness")
            assert name in refused.json["detail"]
    written = {sql.split()[2] for sql in run if sql.startswith("INSERT")} | {
        sql.split()[1] for sql in run if sql.startswith("UPDATE")
    }
    assert written == {"directory_activities"}
    assert globex.scim("POST", "/Users", same).status_code == 201


def test_the_groups_in_an_answer_are_those_of_after_the_person_was_held(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    """They are asked for at once with what holds the person, which may wait for somebody who changes them."""
    ada, other = add(acme, "ada.lovelace"), add(globex, "ada.lovelace")
    group = acme.scim("POST", "/Groups", okta.group("Engineers")).json["id"]
    joined = {"organization_id": acme.organization_id, "group_id": group, "user_id": ada, "joined_at": 1}
    held = select(DirectoryUser.user_id).where(DirectoryUser.user_id == ada).with_for_update(read=True)
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with app.app_context(), db.engine.connect() as somebody, ThreadPoolExecutor(1) as threads:
        somebody.execute(held)
        answer = threads.submit(set_active, acme, ada, active=False)
        wait_until(lambda: somebody.scalar(waits) == 1)
        somebody.execute(insert(DirectoryGroupMember).values(**joined))
        somebody.commit()
        groups = [each["value"] for each in answer.result()["groups"]]
    assert groups == [group]
    assert "groups" not in set_active(globex, other, active=False)
