"""A group of 50,000: who joins or leaves is written, and nobody else is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from psycopg import RawCursor
from sqlalchemy import ColumnElement, String, cast, func, insert, literal, select, text

from database import db
from models import Base, DirectoryGroupMember, DirectoryUser, User
from tests import okta
from tests.conftest import Tenant, looking_on
from tests.events import event_types, events_of

SIZE = 50_000


def person(number: int) -> str:
    return f"user_{number:026d}"


def put_in(app: Flask, tenant: Tenant, size: int) -> list[str]:
    """Put people into the directory, all at once."""
    numbers = select(literal(0).label("number")).cte(recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number + 1 < size))
    digits = cast(numbers.c.number, String)
    user_id = literal("user_").concat(func.substr(literal("0" * 26).concat(digits), func.length(digits) + 1))
    before, after = json.dumps(
        {"schemas": [okta.USER_SCHEMA], "active": True, "userName": "…"}, ensure_ascii=False
    ).split("…")
    rows: dict[type[Base], dict[str, Any]] = {
        User: {"id": user_id, "active": True, "managed_by_organization_id": tenant.organization_id},
        DirectoryUser: {
            **{"organization_id": tenant.organization_id, "active": True, "sent_groups": [], "document_key": {}},
            **dict.fromkeys(("user_id", "user_name", "user_name_key"), user_id),
            "document": literal(before).concat(user_id).concat(after),
        },
    }
    with app.app_context(), db.unit_of_work() as session:
        for model, values in rows.items():
            columns = model.__table__.columns
            made = [v if isinstance(v, ColumnElement) else literal(v, columns[k].type) for k, v in values.items()]
            session.connection().execute(insert(model).from_select(list(values), select(*made)))
        session.execute(text("ANALYZE"))  # as PostgreSQL does by itself within a minute of so many rows
    return [person(number) for number in range(size)]


@pytest.fixture
def crowd(app: Flask, acme: Tenant) -> list[str]:
    """50,000 people in the directory."""
    return put_in(app, acme, SIZE)


def make_group(app: Flask, tenant: Tenant, name: str, people: list[str]) -> str:
    group_id = str(tenant.scim("POST", "/Groups", okta.group(name)).json["id"])
    rows = [{"organization_id": tenant.organization_id, "group_id": group_id, "user_id": p} for p in people]
    with app.app_context(), db.unit_of_work() as session:
        session.connection().execute(insert(DirectoryGroupMember), rows)
    return group_id


@contextmanager
def statements(app: Flask) -> Iterator[list[tuple[str, int]]]:
    """The statements of a block, each with the number of rows that it finds, counted by asking once more.

    Once a minute a request writes that its token was used, whatever it asks for: that is no part of its cost.
    """
    seen: list[tuple[str, int]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        found = 0
        if statement.startswith("SELECT"):
            again = RawCursor(cursor.connection) if "$1" in statement else cursor.connection.cursor()
            again.execute(statement, parameters)
            found = len(again.fetchall())
        if not statement.startswith("UPDATE scim_tokens SET last_used_at"):
            seen.append((statement, found))

    with app.app_context():
        engine = db.engine
    with looking_on(engine, after_cursor_execute=note):
        yield seen


def member_ids(app: Flask, group_id: str) -> set[str]:
    with app.app_context(), db.reading() as session:
        return set(session.scalars(select(DirectoryGroupMember.user_id).filter_by(group_id=group_id)))


NEW, OLD = person(SIZE - 1), person(0)
ADD = {"op": "add", "path": "members", "value": [{"value": NEW}]}
REMOVE = {"op": "remove", "path": f'members[value eq "{OLD}"]'}
ENTRA_REMOVE = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": OLD}]}
MIXED = [{"op": "replace", "value": {"externalId": "g1"}}, REMOVE, ADD]


def test_a_member_more_or_less_costs_the_same_in_a_group_of_ten_and_of_fifty_thousand(
    app: Flask, acme: Tenant, crowd: list[str]
) -> None:
    for operations in ([ADD], [REMOVE], [ENTRA_REMOVE], MIXED):
        costs = []
        for size in (10, SIZE - 1):
            group_id = make_group(app, acme, f"{size} people", crowd[:size])
            with statements(app) as seen:
                response = acme.scim("PATCH", f"/Groups/{group_id}", okta.patch(*operations))
            assert response.status_code == 200, response.text
            assert ("members" in response.json) == (size == 10)
            assert max(found for _, found in seen) <= 201
            assert not any("count(" in statement for statement, _ in seen)
            costs.append(len(seen))
            joined = {NEW} if ADD in operations else set()
            left = set() if operations == [ADD] else {OLD}
            assert member_ids(app, group_id) == ({*crowd[:size]} | joined) - left
            members = events_of(app, acme.organization_id, "scimGroup")[-1]["data"]["members"]
            assert members == {"added": sorted(joined), "removed": sorted(left)}
            with statements(app) as seen:
                assert acme.scim("DELETE", f"/Groups/{group_id}").status_code == 204
        assert costs[0] == costs[1]


def test_a_large_group_is_renamed_and_read_without_its_members(app: Flask, acme: Tenant, crowd: list[str]) -> None:
    group_id = make_group(app, acme, "Everybody", crowd)

    with statements(app) as seen:
        rename = okta.patch({"op": "replace", "value": {"id": group_id, "displayName": "All"}})
        assert acme.scim("PATCH", f"/Groups/{group_id}", rename).json["displayName"] == "All"
        assert acme.scim("GET", f"/Groups/{group_id}?excludedAttributes=members").json["displayName"] == "All"
        found = acme.scim("GET", '/Groups?filter=displayName eq "all"&excludedAttributes=members').json
        assert "members" not in found["Resources"][0]

    assert max(found for _, found in seen) <= 201


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_the_full_list_of_fifty_thousand_changes_those_who_differ(
    app: Flask, acme: Tenant, crowd: list[str], method: str
) -> None:
    group_id = make_group(app, acme, "Everybody", crowd[:-2])
    wanted = [{"value": p, "display": f"{p}@acme.example"} for p in crowd[2:]]
    push_now = okta.patch({"op": "replace", "path": "members", "value": wanted})
    body = {**okta.group("Everybody"), "members": wanted} if method == "PUT" else push_now

    with statements(app) as seen:
        response = acme.scim(method, f"/Groups/{group_id}", body)

    assert response.status_code == 200 and "members" not in response.json
    assert max(found for _, found in seen) <= 500
    assert member_ids(app, group_id) == set(crowd[2:])
    data = events_of(app, acme.organization_id, "scimGroup")[-1]["data"]
    assert data["members"] == {"added": crowd[-2:], "removed": crowd[:2]}
    events = event_types(app, acme.organization_id)
    assert acme.scim(method, f"/Groups/{group_id}", body).json["meta"] == response.json["meta"]
    assert event_types(app, acme.organization_id) == events


def test_a_group_of_fifty_thousand_is_created_at_once(app: Flask, acme: Tenant, crowd: list[str]) -> None:
    response = acme.scim("POST", "/Groups", okta.group("Everybody", *crowd))

    assert response.status_code == 201 and "members" not in response.json
    assert member_ids(app, response.json["id"]) == set(crowd)


def test_a_body_larger_than_any_group_is_refused(acme: Tenant) -> None:
    body = okta.group("x" * 9_000_000)

    assert acme.scim("POST", "/Groups", body).status_code == 413
    assert acme.scim("POST", "/Users", okta.user(title="x" * 2_000_000)).status_code == 413


def test_the_limit_of_members_in_an_answer_is_exact(app: Flask, acme: Tenant) -> None:
    people = put_in(app, acme, 201)
    group_id = make_group(app, acme, "Two hundred", people[:200])
    change = okta.patch({"op": "replace", "value": {"externalId": "g1"}})

    assert len(acme.scim("PATCH", f"/Groups/{group_id}", change).json["members"]) == 200
    more = okta.patch({"op": "add", "path": "members", "value": [{"value": people[200]}]})
    assert "members" not in acme.scim("PATCH", f"/Groups/{group_id}", more).json
    assert len(acme.scim("GET", f"/Groups/{group_id}").json["members"]) == 201
