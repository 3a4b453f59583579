"""A mapping can be tried: what a preview says is what applying does, and trying writes nothing."""

from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database import db
from directory import mapping_preview
from models import User
from organizations.secret_keys import make_secret_key
from tests import okta
from tests.conftest import Tenant
from tests.directory.applying import (
    BY_GROUPS,
    add,
    path,
    people,
    preview,
    push,
    put_and_apply,
    set_role,
    whole_preview,
)
from tests.events import events_of
from tests.stored import everything_stored

LOUD = {"name.givenName": "{{ value | upcase }}"}

# -- The same as applying -------------------------------------------------------------

NAMES = st.sampled_from(["ada.lovelace", "grace.hopper", "mary.jackson", "katherine.johnson", "dorothy.vaughan"])
ADDRESSES = st.sampled_from([None, "one@acme.example", "two@acme.example", "ada.lovelace@acme.example"])
RESOURCES = st.fixed_dictionaries(
    {
        "nickName": ADDRESSES,
        "title": st.sampled_from([None, "Engineer", "x" * 5000]),
        "userType": st.sampled_from([None, "org:admin", "org:nothing", "true", "false"]),
        "active": st.booleans(),
    }
)
VALUES = {
    "nickName": ["email_address", "{{ value | upcase }}.email_address", "public_metadata.nick"],
    "title": ["public_metadata.title", "public_metadata.job.title", "{{ value | upcase }}.first_name"],
    "userType": ["organization_role", "active", "public_metadata.type"],
    "name.givenName": ["{{ value | upcase }}.first_name", "last_name"],
    "groups[*].value": ["organization_role", "public_metadata.groups"],
    "userName": ["username", "email_address"],
}
MAPPINGS = st.lists(
    st.sampled_from([(key, value) for key, values in VALUES.items() for value in values]),
    max_size=4,
    unique_by=lambda entry: entry[0],
).map(dict)
MAKERS = st.sampled_from(["own", "linked", "by hand"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.dictionaries(NAMES, st.tuples(RESOURCES, MAKERS, st.booleans()), min_size=1, max_size=5),
    first=MAPPINGS,
    second=MAPPINGS,
)
def test_what_a_preview_says_is_what_applying_does(
    app: Flask, make_tenant: Any, who: dict[str, Any], first: dict[str, str], second: dict[str, str]
) -> None:
    app_tenant, other = make_tenant("Own"), make_tenant("Other")
    make_people(app, app_tenant, other, who)
    if first:
        put_and_apply(app, app_tenant, first)
    before, already = people(app, app_tenant), len(events_of(app, app_tenant.organization_id))
    elsewhere = people(app, other)
    said = whole_preview(app_tenant, second)
    applied = None
    if list(second.items()) != list(first.items()):
        applied = put_and_apply(app, app_tenant, second)

    expected = {user_id: after(person, said.get(user_id)) for user_id, person in before.items()}
    assert people(app, app_tenant) == expected
    new_events = events_of(app, app_tenant.organization_id)[already:]
    changes = {event["data"]["user"]["id"]: event["data"].get("changes") for event in new_events}
    assert len(changes) == len(new_events)
    assert changes == {
        user_id: None if "active" in one["changes"] else one["changes"]
        for user_id, one in said.items()
        if one["changes"]
    }
    if applied:
        assert applied["changed"] == len(changes)
        assert applied["warned"] == sum(1 for one in said.values() if one["warnings"])
    # What the other organization sees of its own people is its own.
    shared = {user_id for user_id in elsewhere if people(app, other)[user_id] != elsewhere[user_id]}
    assert shared == set()
    assert not whole_preview_changes(app_tenant, second)
    forget(app, app_tenant, other, [*before, *elsewhere])


def make_people(app: Flask, tenant: Tenant, other: Tenant, who: dict[str, Any]) -> None:
    ids = []
    for number, (name, (resource, maker, pushed)) in enumerate(who.items()):
        given = {key: value for key, value in resource.items() if value is not None}
        login = f"{name}{number}"
        if maker == "linked":
            add(other, login)
        user_id = add(tenant, login, **given)
        if maker == "by hand" and given["active"]:
            set_role(app, tenant, user_id, "org:admin")
        ids += [user_id] if pushed else []
    push(tenant, "org:admin", *ids)


def after(person: dict[str, Any], said: dict[str, Any] | None) -> dict[str, Any]:
    """What a person is after the changes that a preview tells."""
    changes = said["changes"] if said else {}
    assert all(person[name] == change["from"] for name, change in changes.items())
    return {**person, **{name: change["to"] for name, change in changes.items()}}


def whole_preview_changes(tenant: Tenant, mapping: dict[str, str]) -> list[Any]:
    return [one["changes"] for one in whole_preview(tenant, mapping).values() if one["changes"]]


def forget(app: Flask, tenant: Tenant, other: Tenant, user_ids: list[str]) -> None:
    """Free the addresses for the next example: they are unique in the environment."""

    with app.app_context(), db.unit_of_work() as session:
        for user_id in user_ids:
            session.get_one(User, user_id).email_key = None


# -- Nothing is written ---------------------------------------------------------------


def test_trying_writes_nothing(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace", title="Countess")
    push(acme, "org:admin", ada)
    put_and_apply(app, acme, {"title": "public_metadata.title"})
    before = everything_stored(app)
    draft = {**LOUD, **BY_GROUPS, "title": "active"}
    assert preview(acme, draft)["meta"]["changed"] == 1
    assert preview(acme, draft, user_id=ada)["meta"]["changed"] == 1
    assert preview(acme, draft, resource=okta.user(), groups=["org:admin"])["meta"]["changed"] == 1
    assert everything_stored(app) == before


def test_a_preview_asks_for_no_lock_of_writers(app: Flask, acme: Tenant) -> None:

    add(acme, "ada.lovelace")
    with app.app_context(), db.unit_of_work():  # on SQLite this holds the one lock that writers have
        assert preview(acme, LOUD)["meta"]["changed"] == 1


# -- What it says ----------------------------------------------------------------------


def test_a_preview_counts_those_who_would_lose_their_membership(acme: Tenant) -> None:
    stays, goes = add(acme, "stays.x", title="true"), add(acme, "goes.x", title="false")
    add(acme, "gone.x", title="false", active=False)
    draft = {"title": "active"}
    assert preview(acme, draft)["meta"]["deactivated"] == 1
    assert [preview(acme, draft, user_id=one)["meta"]["deactivated"] for one in (stays, goes)] == [0, 1]
    assert preview(acme, {})["meta"]["deactivated"] == 0


def test_a_preview_tells_who_changes_how_and_out_of_how_many(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace")
    add(acme, "x.y", name={"givenName": "GRACE"})
    push(acme, "org:admin", ada)
    found = preview(acme, {**LOUD, "groups[0].value": "organization_role"}, "?limit=200")
    changing = [one for one in found["data"] if one["changes"]]
    assert changing == [
        {
            "object": "scim_attribute_mapping_effect",
            "user_id": ada,
            "user_name": "ada.lovelace@acme.example",
            "changes": {
                "first_name": {"from": "Ada", "to": "ADA"},
                "role": {"from": "org:member", "to": "org:admin"},
            },
            "warnings": [],
        }
    ]
    assert found["meta"] == {
        "next_cursor": None,
        "total": 2,
        "examined": 2,
        "changed": 1,
        "warned": 1,
        "deactivated": 0,
    }
    (warned,) = [one for one in found["data"] if one["warnings"]]
    assert "gave no role" in warned["warnings"][0]


def test_the_counts_add_up_over_the_pages(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        add(acme, f"ada{number}.lovelace", **({"name": {"givenName": "ADA"}} if number % 2 else {}))
    monkeypatch.setattr(mapping_preview, "BATCH", 2)
    monkeypatch.setattr(mapping_preview, "LOOKED_AT", 3)
    seen, counts, query = [], [], "?limit=2"
    while query:
        found = preview(acme, LOUD, query)
        seen += [one["user_name"] for one in found["data"]]
        counts.append((found["meta"]["examined"], found["meta"]["changed"], found["meta"]["total"]))
        cursor = found["meta"]["next_cursor"]
        query = f"?limit=2&cursor={cursor}" if cursor else ""
    assert seen == [f"ada{number}.lovelace@acme.example" for number in (0, 2, 4, 6)]
    assert len(counts) > 2 and counts == sorted(counts) and counts[-1] == (7, 4, 7)


def test_one_person_is_tried_by_the_resource_last_received(acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace", title="Countess")
    add(acme, "grace.hopper", title="Admiral")
    (one,) = preview(acme, {"title": "public_metadata.title"}, user_id=ada)["data"]
    assert one["user_id"] == ada
    assert one["changes"] == {"public_metadata": {"from": {}, "to": {"title": "Countess"}}}


def test_a_resource_is_tried_without_being_anybodys(acme: Tenant) -> None:
    mapping = {**LOUD, "groups[*].value": "organization_role", "title": "{{ value | upcase }}.public_metadata.title"}
    (one,) = preview(acme, mapping, resource=okta.user(title="Poet"), groups=["org:admin", "Everyone"])["data"]
    assert one["user_id"] is None
    assert {name: change["to"] for name, change in one["changes"].items()} == {
        "first_name": "NADIA",
        "last_name": "Petrov",
        "external_id": "00unadia.petrov",
        "email_address": "nadia.petrov@acme.example",
        "active": True,
        "public_metadata": {"title": "POET"},
        "role": "org:admin",
    }
    assert all(change["from"] is None for change in one["changes"].values())
    assert one["warnings"] == ["The attribute mapping gave no role of this environment: 'Everyone'."]


# -- What is refused ------------------------------------------------------------------


def test_a_draft_is_refused_as_it_would_be_when_saved(acme: Tenant) -> None:
    body = {"mapping": {"groups[0].value": "{{ value | lowercase }}.organisation_role", "title": 5}}
    tried = acme.api("POST", f"{path(acme)}/preview", body)
    saved = acme.api("PUT", path(acme), body)
    assert tried.status_code == saved.status_code == 422
    assert tried.json["errors"] == saved.json["errors"] and len(tried.json["errors"]) == 2


@pytest.mark.parametrize(
    ("body", "query", "param"),
    [
        ({}, "", "mapping"),
        ({"mapping": []}, "", "mapping"),
        ({"mapping": {}, "user_id": "user_x", "resource": {}}, "", "resource"),
        ({"mapping": {}, "groups": ["x"]}, "", "groups"),
        ({"mapping": {}, "resource": {}, "groups": [5]}, "", "groups.0"),
        ({"mapping": {}, "resource": []}, "", "resource"),
        ({"mapping": {}, "users": []}, "", "users"),
        ({"mapping": {}}, "?limit=0", "limit"),
        ({"mapping": {}}, "?cursor=x", "cursor"),
        ({"mapping": {}}, "?cursor=dXNlcl8x", "cursor"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(acme: Tenant, body: dict[str, Any], query: str, param: str) -> None:
    answer = acme.api("POST", f"{path(acme)}/preview{query}", body)
    assert answer.status_code == 422, answer.json
    assert answer.json["errors"][0]["meta"]["param"] == param


def test_a_resource_of_any_shape_is_no_failure(acme: Tenant) -> None:
    for resource in ({}, {"userName": 5}, {"groups": "x"}, {"emails": {"value": []}, "name": "x"}, {"active": "maybe"}):
        assert len(preview(acme, {**LOUD, **BY_GROUPS}, resource=resource)["data"]) == 1


def test_nobody_else_may_try_a_mapping_here(acme: Tenant, globex: Tenant, app: Flask) -> None:
    ada = add(acme, "ada.lovelace")
    key = organization_key(app, globex)
    for method, where in (("POST", f"{path(acme)}/preview"), ("PUT", path(acme)), ("GET", path(acme))):
        headers = {"Authorization": f"Bearer {key}"}
        foreign = acme.client.open(f"/v1{where}", method=method, json={"mapping": LOUD}, headers=headers)
        assert foreign.status_code == 404
        assert acme.client.open(f"/v1{where}", method=method, json={"mapping": LOUD}).status_code == 401
    assert globex.api("POST", f"{path(globex)}/preview", {"mapping": LOUD, "user_id": ada}).status_code == 404
    assert preview(globex, LOUD)["data"] == []


def organization_key(app: Flask, tenant: Tenant) -> str:
    """A secret key that opens one organization only."""

    with app.app_context(), db.unit_of_work() as session:
        return make_secret_key(session, "Globex only", organization_id=tenant.organization_id)[1]
