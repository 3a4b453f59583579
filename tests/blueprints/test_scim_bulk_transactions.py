"""Bulk on both databases: one commit of all that succeeded, nothing of what failed, and nobody gets stuck."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from database import db
from tests import okta
from tests.bulk import BASE, change, create, post, send, set_title, statuses
from tests.conftest import Tenant, looking_on
from tests.events import events_of


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"fresh_{request.param}_url")
    return url


def test_an_operation_that_fails_changes_nothing_and_the_others_stay(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id, theirs = create(acme), create(globex, "their.own")
    before = acme.scim("GET", f"/Users/{user_id}").json
    sequence = len(events_of(app, acme.organization_id, ""))

    results = send(
        acme,
        post("a", okta.user("a.a")),
        post("b", okta.user("a.a", externalId="other")),
        set_title(user_id, version='W/"99"'),
        set_title("user_00000000000000000000000000"),
        set_title(theirs),
        {"method": "DELETE", "path": f"/Users/{theirs}"},
        change(f"/Users/{user_id}", {"op": "replace", "path": "title", "value": "y"}, {"op": "add", "path": "nope"}),
        {"method": "PUT", "path": f"/Users/{user_id}", "data": okta.user("a.a", externalId="other")},
        post("g", okta.group(""), "/Groups"),
        post("c", okta.user("c.c")),
    )

    assert statuses(results) == [201, 409, 412, 404, 404, 404, 400, 409, 400, 201]
    assert results[1]["response"]["scimType"] == "uniqueness" and "location" not in results[1]
    assert results[2]["location"] == f"{BASE}/Users/{user_id}"
    assert acme.scim("GET", f"/Users/{user_id}").json == before
    assert globex.scim("GET", f"/Users/{theirs}").json["id"] == theirs
    events = events_of(app, acme.organization_id, "")[sequence:]
    assert [event["type"] for event in events] == ["scimUser.provisioned"] * 2
    assert [event["data"]["user"]["first_name"] for event in events] == ["A", "C"]
    assert events[1]["sequence"] == events[0]["sequence"] + 1


def test_a_defect_in_one_operation_is_its_own_failure(app: Flask, acme: Tenant) -> None:
    def break_for_one(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("INSERT INTO directory_user_emails") and "bad.x@acme.example" in str(parameters):
            raise RuntimeError("a defect")

    with app.app_context():
        engine = db.engine
    with looking_on(engine, before_cursor_execute=break_for_one):
        results = send(acme, *[post(name, okta.user(f"{name}.x")) for name in ("one", "bad", "two")])

    assert statuses(results) == [201, 500, 201]
    assert "defect" not in results[1]["response"]["detail"]
    assert {u["name"]["givenName"] for u in acme.scim("GET", "/Users").json["Resources"]} == {"One", "Two"}
    types = [event["type"] for event in events_of(app, acme.organization_id)]
    assert types == ["scimUser.provisioned"] * 2


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def own(tenant: Tenant) -> Tenant:
    return replace(tenant, client=tenant.client.application.test_client())


def sequences(app: Flask, tenant: Tenant) -> list[int]:
    return [event["sequence"] for event in events_of(app, tenant.organization_id, "")]


def sending(tenant: Tenant, *operations: Any) -> Callable[[], list[int]]:
    mine = own(tenant)
    return lambda: statuses(send(mine, *operations))


def test_bulk_requests_over_the_same_people_in_opposite_orders_are_both_done(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    people = [create(acme, f"person.n{number}") for number in range(12)]
    assert [create(globex, f"person.n{number}") for number in range(12)] == people
    group = acme.scim("POST", "/Groups", okta.group("Team", *people)).json["id"]

    for round_ in range(4):
        calls = [
            sending(tenant, *[set_title(person, f"{round_} {order}") for person in people[::order]])
            for tenant in (acme, globex)
            for order in (1, -1)
        ]
        put = {"method": "PUT", "path": f"/Groups/{group}", "data": okta.group("Team", *people[: 6 + round_])}
        calls.append(sending(acme, put))
        assert {status for result in at_once(calls) for status in result} == {200}

    for tenant in (acme, globex):
        got = sequences(app, tenant)
        assert got == [1, *range(3, len(got) + 2)]  # the second is the first token's, which is left out of the list


def test_bulk_requests_that_create_the_same_people_in_opposite_orders_create_each_once(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    operations = [post(f"u{number}", okta.user(f"u.n{number}")) for number in range(10)]

    one, other, theirs = at_once(
        [sending(acme, *operations), sending(acme, *operations[::-1]), sending(globex, *operations[::-1])]
    )

    assert sorted(one + other) == [201] * 10 + [409] * 10
    assert theirs == [201] * 10
    assert acme.scim("GET", "/Users").json["totalResults"] == 10
    for tenant in (acme, globex):
        got = sequences(app, tenant)
        assert got == [1, *range(3, len(got) + 2)]
