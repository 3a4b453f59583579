"""The activity log by the management API, narrowed to what a support engineer looks for."""

import pytest
from flask import Flask

from clock import now_ms
from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, params
from tests.conftest import Tenant


def path(tenant: Tenant, query: str = "") -> str:
    return f"/organizations/{tenant.organization_id}/scim/activity?{query}"


def seen(tenant: Tenant, query: str) -> list[str]:
    return names(tenant.api("GET", path(tenant, query)), "method")


def test_requests_are_found_by_what_became_of_them_who_and_when(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("POST", "/Users", okta.user())
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    first = names(acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens"), "id")[0]
    token = ok(acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Second"}), 201)
    acme.scim_token = token["token"]
    acme.scim("DELETE", f"/Users/{user_id}")

    assert seen(acme, "") == ["DELETE", "PATCH", "POST", "POST"]
    assert seen(acme, "status=refused") == ["POST"] and seen(acme, "status=failed") == []
    assert seen(acme, "status=succeeded&method=POST") == ["POST"]
    assert seen(acme, f"resource_id={user_id}") == ["DELETE", "PATCH", "POST"]
    assert seen(acme, f"token_id={token['id']}") == ["DELETE"]
    assert seen(acme, f"token_id={first}&limit=1") == ["PATCH"]
    assert seen(acme, f"since={now_ms() + 1000}") == [] == seen(acme, "until=1000")
    assert len(seen(acme, f"since=1000&until={now_ms() + 1000}")) == 4
    assert seen(acme, "resource_id=%25") == []


def test_another_organization_finds_nothing_of_it(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("DELETE", f"/Users/{user_id}")
    assert seen(globex, f"resource_id={user_id}") == []
    assert key_of(app, globex).api("GET", path(acme, "status=refused")).status_code == 404


@pytest.mark.parametrize("query", ["status=409", "method=BREW", "since=-1", "until=9999999999999999999", "token=x"])
def test_a_bad_filter_is_refused_by_name(acme: Tenant, query: str) -> None:
    assert params(acme.api("GET", path(acme, query))) == [query.partition("=")[0]]


def test_a_moment_beyond_all_ids_finds_nothing_and_breaks_nothing(acme: Tenant) -> None:
    assert seen(acme, f"since={2**53 - 1}") == []
