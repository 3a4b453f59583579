"""Requests at the same moment, on both databases: each is answered, none is lost, and nobody gets stuck."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, text

from database import db
from tests import okta
from tests.bulk import bulk, change, set_title
from tests.conftest import Tenant, wait_until
from tests.events import events_of

ROLE_BY_GROUP = '{{ value | downcase | replace: "admins", "org:admin" | default: "org:member" }}.organization_role'


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"fresh_{request.param}_url")
    return url


def at_once(calls: list[Callable[[], Any]]) -> list[int]:
    """Make all calls from threads of their own; return the statuses."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result().status_code for future in [pool.submit(call) for call in calls]]


def own(tenant: Tenant) -> Tenant:
    """The same organization with a client of its own, as a thread needs it."""
    return replace(tenant, client=tenant.client.application.test_client())


def call(tenant: Tenant, method: str, path: str, body: Any = None) -> Callable[[], Any]:
    mine = own(tenant)
    return lambda: mine.scim(method, path, body)


def create(tenant: Tenant, name: str = "nadia.petrov") -> str:
    return str(tenant.scim("POST", "/Users", okta.user(name)).json["id"])


def test_one_of_many_who_create_the_same_person_wins(acme: Tenant) -> None:
    statuses = at_once([call(acme, "POST", "/Users", okta.user()) for _ in range(6)])

    assert Counter(statuses) == {201: 1, 409: 5}
    assert acme.scim("GET", "/Users").json["totalResults"] == 1


def test_two_organizations_that_meet_the_same_person_share_the_person(acme: Tenant, globex: Tenant) -> None:
    for number in range(12):
        body = okta.user(f"person.n{number}")
        assert at_once([call(t, "POST", "/Users", body) for t in (acme, globex)]) == [201, 201]

    def ids(tenant: Tenant) -> set[str]:
        return {user["id"] for user in tenant.scim("GET", "/Users").json["Resources"]}

    assert ids(acme) == ids(globex)


def test_members_added_by_many_requests_are_all_there(app: Flask, acme: Tenant) -> None:
    people = [create(acme, f"person.n{number}") for number in range(12)]
    group = acme.scim("POST", "/Groups", okta.group("Everybody")).json["id"]
    adds = [okta.patch({"op": "add", "path": "members", "value": [{"value": person}]}) for person in people]

    statuses = at_once([call(acme, "PATCH", f"/Groups/{group}", add) for add in adds])

    assert set(statuses) == {200}
    assert {m["value"] for m in acme.scim("GET", f"/Groups/{group}").json["members"]} == set(people)


def test_members_who_join_and_leave_at_once_are_all_heeded(app: Flask, acme: Tenant) -> None:
    people = [create(acme, f"person.n{number}") for number in range(12)]
    group = acme.scim("POST", "/Groups", okta.group("Everybody", *people[:6])).json["id"]
    changes = [okta.patch({"op": "remove", "path": f'members[value eq "{person}"]'}) for person in people[:6]]
    changes += [okta.patch({"op": "add", "path": "members", "value": [{"value": person}]}) for person in people[6:]]
    changes += [okta.patch({"op": "replace", "value": {"displayName": "Renamed"}})]

    statuses = at_once([call(acme, "PATCH", f"/Groups/{group}", change) for change in changes])

    assert set(statuses) == {200}
    got = acme.scim("GET", f"/Groups/{group}").json
    assert {m["value"] for m in got["members"]} == set(people[6:]) and got["displayName"] == "Renamed"
    assert got["meta"]["version"] == f'W/"{1 + len(changes)}"'
    moves = [event["data"]["members"] for event in events_of(app, acme.organization_id, "scimGroup.updated")]
    assert sorted(person for move in moves for person in move["removed"]) == sorted(people[:6])
    assert sorted(person for move in moves for person in move["added"]) == sorted(people[6:])


def test_nobody_who_is_deleted_meanwhile_stays_in_a_group(acme: Tenant) -> None:
    group = acme.scim("POST", "/Groups", okta.group("Everybody")).json["id"]
    for number in range(6):
        person = create(acme, f"person.n{number}")
        add = okta.patch({"op": "add", "path": "members", "value": [{"value": person}]})

        calls = [call(acme, "PATCH", f"/Groups/{group}", add), call(acme, "DELETE", f"/Users/{person}")]

        assert at_once(calls) == [200, 204]
        assert "members" not in acme.scim("GET", f"/Groups/{group}").json


def test_changes_of_different_attributes_are_all_kept(acme: Tenant) -> None:
    user_id = create(acme)
    attributes = ["title", "nickName", "userType", "locale", "timezone", "preferredLanguage"]
    changes = [okta.patch({"op": "replace", "path": name, "value": f"x-{name}"}) for name in attributes]

    statuses = at_once([call(acme, "PATCH", f"/Users/{user_id}", change) for change in changes])

    assert set(statuses) == {200}
    got = acme.scim("GET", f"/Users/{user_id}").json
    assert {name: got[name] for name in attributes} == {name: f"x-{name}" for name in attributes}


def test_of_writers_who_expect_the_same_version_one_wins(acme: Tenant) -> None:
    user_id = create(acme)
    etag = acme.scim("GET", f"/Users/{user_id}").headers["ETag"]

    def write(tenant: Tenant, number: int) -> Callable[[], Any]:
        change = okta.patch({"op": "replace", "path": "title", "value": f"writer {number}"})
        return lambda: tenant.scim("PATCH", f"/Users/{user_id}", change, headers={"If-Match": etag})

    assert Counter(at_once([write(own(acme), number) for number in range(5)])) == {200: 1, 412: 4}


def test_of_writers_of_every_method_one_wins_each_version(acme: Tenant) -> None:
    people = [create(acme, f"person.n{number}") for number in range(3)]
    group_id = acme.scim("POST", "/Groups", okta.group("Team")).json["id"]
    add = okta.patch({"op": "add", "path": "members", "value": [{"value": people[0]}]})
    rename = okta.patch({"op": "replace", "path": "displayName", "value": "Renamed"})
    writes = [
        ("PATCH", f"/Groups/{group_id}", add),
        ("PATCH", f"/Groups/{group_id}", rename),
        ("PUT", f"/Groups/{group_id}", okta.group("Put", *people)),
        ("PUT", f"/Users/{people[1]}", okta.user("person.n1", title="put")),
        ("PATCH", f"/Users/{people[1]}", okta.set_active(False)),
        ("DELETE", f"/Users/{people[1]}", None),
    ]

    def write(tenant: Tenant, method: str, path: str, body: Any) -> Callable[[], Any]:
        return lambda: tenant.scim(method, path, body, headers={"If-Match": 'W/"1"'})

    statuses = at_once([write(own(acme), *arguments) for arguments in writes])

    for of_one in (statuses[:3], statuses[3:]):
        assert sum(status in (200, 204) for status in of_one) == 1
        # Who comes after the deletion finds nothing; everybody else finds another version.
        assert all(status in (200, 204, 404, 412) for status in of_one)
    assert acme.scim("GET", f"/Groups/{group_id}").headers["ETag"] in ('W/"2"', 'W/"3"')


def test_groups_and_people_changed_together_never_block_each_other(app: Flask, acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        path = f"/organizations/{tenant.organization_id}/scim/attribute-mappings"
        assert tenant.api("PUT", path, {"mapping": {"groups[0].value": ROLE_BY_GROUP}}).status_code == 200
    people = [create(acme, f"person.n{number}") for number in range(6)]
    for number in range(6):
        create(globex, f"person.n{number}")
    groups = {t.organization_id: t.scim("POST", "/Groups", okta.group("Admins")).json["id"] for t in (acme, globex)}

    calls = []
    for round_ in range(6):
        members = people if round_ % 2 else people[::-1][:3]
        for tenant in (acme, globex):
            calls.append(
                call(tenant, "PUT", f"/Groups/{groups[tenant.organization_id]}", okta.group("Admins", *members))
            )
        title = okta.patch({"op": "replace", "path": "title", "value": f"round {round_}"})
        calls += [call(acme, "PATCH", f"/Users/{person}", title) for person in people[:2]]
    statuses = at_once(calls)

    assert set(statuses) == {200}
    for tenant in (acme, globex):
        sequences = [event["sequence"] for event in events_of(app, tenant.organization_id, "")]
        # The first two are the admin's membership and the first token, which is left out of the list.
        assert sequences == [1, *range(3, len(sequences) + 2)]


def test_whoever_two_organizations_delete_at_once_is_gone(acme: Tenant, globex: Tenant) -> None:
    for number in range(5):
        user_id = create(acme, f"person.n{number}")
        assert create(globex, f"person.n{number}") == user_id

        assert at_once([call(t, "DELETE", f"/Users/{user_id}") for t in (acme, globex)]) == [204, 204]

        path = f"/organizations/{acme.organization_id}/memberships?include=deleted&limit=200"
        (user,) = [m["user"] for m in acme.api("GET", path).json["data"] if m["user"]["id"] == user_id]
        assert user["active"] is False and user["deleted_at"] is not None


def test_a_role_is_gone_whatever_is_written_while_the_group_is_left(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    acme.api("PUT", path, {"mapping": {"groups[0].value": ROLE_BY_GROUP}})
    user_id = create(acme)
    group = acme.scim("POST", "/Groups", okta.group("Admins", user_id)).json["id"]
    leave = okta.patch({"op": "remove", "path": f'members[value eq "{user_id}"]'})
    join = okta.patch({"op": "add", "path": "members", "value": [{"value": user_id}]})

    for round_ in range(5):
        acme.scim("PATCH", f"/Groups/{group}", join)
        title = okta.patch({"op": "replace", "path": "title", "value": f"round {round_}"})
        calls = [call(acme, "PATCH", f"/Users/{user_id}", title), call(acme, "PATCH", f"/Groups/{group}", leave)]
        assert at_once(calls) == [200, 200]
        memberships = acme.api("GET", f"/organizations/{acme.organization_id}/memberships").json["data"]
        assert next(m["role"] for m in memberships if m["user"]["id"] == user_id) == "org:member"


GROUPS, ROWS, PEOPLE = "directory_groups", "directory_users", "users"


@pytest.mark.parametrize("kind", ["create", "bulk", "delete"])
def test_whoever_waits_for_a_row_holds_none_that_comes_after_it(app: Flask, acme: Tenant, kind: str) -> None:
    """Groups come first, then the directory's users, then the people; else two writes would wait for each other."""
    user_id = create(acme)
    group_id = acme.scim("POST", "/Groups", okta.group("Team", user_id)).json["id"]
    rename = {"op": "replace", "value": {"displayName": "Squad"}}
    operations = (set_title(user_id), change(f"/Groups/{group_id}", rename))
    first, ids = (ROWS, (user_id, user_id)) if kind == "create" else (GROUPS, (group_id, user_id))
    requests: dict[str, tuple[str, str, Any]] = {
        "create": ("POST", "/Users", okta.user()),
        "bulk": ("POST", "/Bulk", bulk(*operations)),
        "delete": ("DELETE", f"/Users/{user_id}", None),
    }
    with app.app_context(), ThreadPoolExecutor(1) as pool:
        if db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        with db.engine.begin() as held, db.engine.connect() as watching:
            hold_rows(held, first, "id" if first == GROUPS else "user_id", ids[0])
            answer = pool.submit(call(acme, *requests[kind]))
            wait_until(lambda: watching.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
            held.execute(text("SET LOCAL lock_timeout = 500"))
            if first == GROUPS:
                hold_rows(held, ROWS, "user_id", ids[1])
            hold_rows(held, PEOPLE, "id", ids[1])
        assert answer.result().status_code == {"create": 409, "bulk": 200, "delete": 204}[kind]


def hold_rows(connection: Connection, table: str, column: str, value: str) -> None:
    query = f"SELECT 1 FROM {table} WHERE {column} = :value FOR NO KEY UPDATE"
    assert connection.execute(text(query), {"value": value}).scalar() == 1
