"""A stored mapping is compiled once, never stale, never another organization's, and never stops a directory."""

from typing import Any

from flask import Flask
from sqlalchemy import update

from database import db
from directory import mapping as engine
from directory.mappings import load_mapping
from models import AttributeMapping
from tests import okta
from tests.conftest import Tenant


def put(tenant: Tenant, mapping: dict[str, Any]) -> Any:
    return tenant.api("PUT", f"/organizations/{tenant.organization_id}/scim/attribute-mappings", {"mapping": mapping})


def first_name(tenant: Tenant, name: str, **changes: Any) -> Any:
    body = {**okta.user(name), "nickName": "Nick", "title": "Title", **changes}
    user_id = tenant.scim("POST", "/Users", body).json["id"]
    data = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships?limit=200").json["data"]
    return next(m["user"]["first_name"] for m in data if m["user"]["id"] == user_id)


def test_a_mapping_is_compiled_once_for_many_requests(acme: Tenant) -> None:
    put(acme, {"nickName": "{{ value | append: ' once' }}.first_name"})
    first_name(acme, "the.first")
    before = engine._compiled.cache_info()

    names = [first_name(acme, f"person{number}.x") for number in range(5)]

    after = engine._compiled.cache_info()
    assert names == ["Nick once"] * 5
    assert after.misses == before.misses
    assert after.hits >= before.hits + 5


def test_a_new_mapping_counts_from_the_next_request_on_and_an_old_one_comes_back(acme: Tenant) -> None:
    assert first_name(acme, "a.a") == "A"
    for number, (path, expected) in enumerate([("nickName", "Nick"), ("title", "Title"), ("nickName", "Nick")]):
        put(acme, {path: "first_name"})
        assert first_name(acme, f"person{number}.x") == expected
    put(acme, {})
    assert first_name(acme, "b.b") == "B"


def test_another_organization_keeps_its_own(acme: Tenant, globex: Tenant) -> None:
    put(acme, {"nickName": "first_name"})
    put(globex, {"title": "first_name"})

    for number in range(2):
        assert first_name(acme, f"a{number}.x") == "Nick"
        assert first_name(globex, f"g{number}.x") == "Title"


def test_a_mapping_that_was_not_committed_leaves_nothing_behind(app: Flask, acme: Tenant) -> None:
    put(acme, {"nickName": "first_name"})
    with app.app_context():
        try:
            with db.unit_of_work() as session:
                session.execute(update(AttributeMapping).values(mapping={"title": "first_name"}, version=2))
                load_mapping(session, acme.organization_id)
                raise RuntimeError("broken off")
        except RuntimeError:
            pass

    assert first_name(acme, "a.x") == "Nick"


def test_the_order_of_the_entries_survives_the_database(app: Flask, acme: Tenant) -> None:
    mapping = {"title": "first_name", "nickName": ["first_name", "username"], "a": "last_name"}
    put(acme, mapping)

    with app.app_context(), db.reading() as session:
        stored = session.get_one(AttributeMapping, acme.organization_id).mapping
    assert list(stored) == list(mapping)
    assert first_name(acme, "a.x") == "Title"


def test_an_entry_that_a_newer_version_refuses_does_not_stop_the_directory(app: Flask, acme: Tenant) -> None:
    put(acme, {"title": "first_name"})
    stored = {"nickName": "first_name", "title": "gone_destination", "name.firstName": "last_name", "x": 7}
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(AttributeMapping).values(mapping=stored))

    assert first_name(acme, "a.x") == "Nick"


def test_a_mapping_that_is_refused_saves_nothing(acme: Tenant) -> None:
    put(acme, {"nickName": "first_name"})
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    before = acme.api("GET", path).json

    response = put(
        acme, {"title": "first_name", "name.firstName": "organisation_role", "x": "{{ value | downcse }}.username"}
    )

    assert response.status_code == 422
    assert [(error["code"], error["meta"].get("suggestion")) for error in response.json["errors"]] == [
        ("invalid_mapping", "name.givenName"),
        ("invalid_mapping", "organization_role"),
        ("invalid_mapping", "downcase"),
    ]
    assert acme.api("GET", path).json == before
