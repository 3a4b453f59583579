"""Organizations renamed, found and deleted: what ends with one, and what of the others stays."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from database import db
from errors import Conflict
from models import DirectoryUser, EventSequence
from organizations.deletion import delete_organization
from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, open_session, open_sessions, params, refused
from tests.conftest import Tenant
from tests.events import events_of


def path(tenant: Tenant, rest: str = "") -> str:
    return f"/organizations/{tenant.organization_id}{rest}"


def provision(tenant: Tenant, who: str = "nadia.petrov", /, **more: Any) -> str:
    return str(ok(tenant.scim("POST", "/Users", okta.user(who, **more)), 201)["id"])


def delete(acme: Tenant, globex: Tenant) -> None:
    """Delete the first, by the key of the environment that was made with the second."""
    assert globex.api("DELETE", path(acme)).status_code == 204


def test_an_organization_is_renamed_and_found(app: Flask, acme: Tenant, globex: Tenant) -> None:
    renamed = ok(acme.api("PATCH", path(acme), {"name": " Acme & Söhne "}))
    assert renamed["name"] == "Acme & Söhne" and ok(acme.api("GET", path(acme))) == renamed
    assert names(acme.api("GET", "/organizations?q=S%C3%96HNE+acme"), "id") == [acme.organization_id]
    own = key_of(app, globex)
    assert names(own.api("GET", "/organizations?q=acme"), "id") == []
    assert names(own.api("GET", "/organizations"), "id") == [globex.organization_id]
    assert params(acme.api("PATCH", path(acme), {"name": ""})) == ["name"]
    assert own.api("PATCH", path(acme), {"name": "X"}).status_code == 404


def test_a_deleted_organization_is_nowhere_to_be_found(app: Flask, acme: Tenant, globex: Tenant) -> None:
    nadia = provision(acme)
    group = acme.scim("POST", "/Groups", okta.group("Team", nadia)).json["id"]
    new = {"protocol": "saml", "name": "O", "domains": ["a.example"]}
    connection = ok(acme.api("POST", path(acme, "/enterprise-connections"), new), 201)["id"]
    url = {"url": "http://127.0.0.1:9/x", "organization_id": acme.organization_id}
    endpoint = ok(acme.api("POST", "/webhook-endpoints", url), 201)["id"]
    token = names(acme.api("GET", path(acme, "/scim/tokens")), "id")[0]
    own = key_of(app, acme)
    open_session(app, acme, acme.admin_id)
    named = {"user_id": nadia, "group_id": group, "connection_id": connection, "token_id": token}
    addresses = [
        rule.rule.replace("<organization_id>", acme.organization_id)
        for rule in app.url_map.iter_rules()
        if "<organization_id>" in rule.rule and "GET" in (rule.methods or ()) and rule.rule.startswith("/v1")
    ]
    for name, value in named.items():
        addresses = [address.replace(f"<{name}>", value) for address in addresses]
    assert len(addresses) > 10
    assert {globex.api("GET", address[3:]).status_code for address in addresses if "<" not in address} == {200}

    delete(acme, globex)

    assert {globex.api("GET", address[3:]).status_code for address in addresses if "<" not in address} == {404}
    assert globex.api("GET", f"/webhook-endpoints/{endpoint}").status_code == 404
    assert globex.api("GET", f"/events?organization_id={acme.organization_id}").status_code == 404
    assert names(globex.api("GET", "/organizations"), "id") == [globex.organization_id]
    assert acme.scim("GET", "/Users").status_code == 401
    assert own.api("GET", "/organizations").status_code == 401
    assert open_sessions(app, acme) == []
    assert refused(globex.api("DELETE", path(acme)), 404) == "organization_not_found"
    body = {"protocol": "saml", "name": "G", "domains": ["a.example"]}
    ok(globex.api("POST", path(globex, "/enterprise-connections"), body), 201)  # the domain is free again


def test_who_is_in_no_other_organization_is_deleted_and_one_event_tells_of_it(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    both, only = provision(acme), provision(acme, "ada.king")
    provision(globex, externalId="g-1")

    delete(acme, globex)

    assert [ok(globex.api("GET", f"/users/{user_id}"))["active"] for user_id in (both, only)] == [True, False]
    [event] = events_of(app, acme.organization_id, "organization.deleted")
    assert (event["data"]["memberships_ended"], event["data"]["users_deleted"]) == (3, 2)
    assert event["data"]["organization"]["deleted_at"] is not None
    everybody = ok(globex.api("GET", "/events?limit=200"))["data"]
    assert [e["organization_id"] for e in everybody if e["type"] == "organization.deleted"] == [acme.organization_id]


def test_another_directory_takes_over_who_was_managed_and_learns_nothing_of_the_former_one(
    acme: Tenant, globex: Tenant
) -> None:
    mapping = {"mapping": {"title": "public_metadata.title"}}
    ok(acme.api("PUT", path(acme, "/scim/attribute-mappings"), mapping))
    both = provision(acme, title="Spy")
    provision(globex, externalId="g-1", title="Clerk")

    delete(acme, globex)

    user = ok(globex.api("GET", f"/users/{both}"))
    assert (user["managed_by_organization_id"], user["external_id"], user["public_metadata"]) == (None, None, {})
    patch = okta.patch({"op": "replace", "path": "name.givenName", "value": "Nadja"})
    ok(globex.scim("PATCH", f"/Users/{both}", patch))
    user = ok(globex.api("GET", f"/users/{both}"))
    assert user["managed_by_organization_id"] == globex.organization_id
    assert (user["external_id"], user["first_name"]) == ("g-1", "Nadja")


def test_the_other_organization_is_as_it_was(app: Flask, acme: Tenant, globex: Tenant) -> None:
    provision(globex)
    open_session(app, globex, globex.admin_id)
    before = ok(globex.api("GET", path(globex, "/memberships")))

    delete(acme, globex)

    assert ok(globex.api("GET", path(globex, "/memberships"))) == before
    assert open_sessions(app, globex) == [globex.admin_id]
    assert globex.scim("GET", "/Users").json["totalResults"] == 1


def test_an_organization_is_deleted_with_a_key_of_the_environment_only(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    assert refused(key_of(app, acme).api("DELETE", path(acme)), 403) == "secret_key_scope"
    assert key_of(app, globex).api("DELETE", path(acme)).status_code == 404
    ok(acme.api("GET", path(acme)))


def test_a_deletion_that_fails_at_its_end_has_done_nothing(app: Flask, acme: Tenant) -> None:
    provision(acme)
    before = ok(acme.api("GET", path(acme, "/memberships")))
    with app.app_context(), db.unit_of_work() as session:
        # The counter of its events is gone wrong: the last step of the deletion cannot be done.
        session.execute(update(EventSequence).where(EventSequence.stream == acme.organization_id).values(last=0))

    with app.app_context(), pytest.raises(Conflict), db.unit_of_work() as session:
        delete_organization(session, acme.organization_id)

    assert ok(acme.api("GET", path(acme, "/memberships"))) == before
    assert acme.scim("GET", "/Users").json["totalResults"] == 1
    with app.app_context(), db.reading() as session:
        query = select(DirectoryUser.deleted_at).where(DirectoryUser.organization_id == acme.organization_id)
        assert session.scalars(query).all() == [None]
