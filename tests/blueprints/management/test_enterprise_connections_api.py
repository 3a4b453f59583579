"""Enterprise connections by the management API, and the domains that belong to one of them alone."""

from typing import Any

import pytest
from flask import Flask

from tests.blueprints.management.calls import key_of, names, ok, params, refused
from tests.conftest import Tenant


def path(tenant: Tenant, connection_id: str = "") -> str:
    base = f"/organizations/{tenant.organization_id}/enterprise-connections"
    return f"{base}/{connection_id}" if connection_id else base


def make(tenant: Tenant, *domains: str, **more: Any) -> dict[str, Any]:
    body = {"protocol": "saml", "name": "Okta", "domains": list(domains), **more}
    made: dict[str, Any] = ok(tenant.api("POST", path(tenant), body), 201)
    return made


def test_a_connection_is_made_read_listed_changed_and_deleted(acme: Tenant) -> None:
    made = make(acme, "Acme.Example", "bücher.example", "acme.example.")
    assert made["id"].startswith("entcon_") and made["domains"] == ["acme.example", "xn--bcher-kva.example"]
    assert ok(acme.api("GET", path(acme, made["id"]))) == made
    assert names(acme.api("GET", path(acme)), "id") == [made["id"]]

    changed = ok(acme.api("PATCH", path(acme, made["id"]), {"enabled": False, "protocol": "oidc", "domains": []}))
    assert (changed["enabled"], changed["protocol"], changed["domains"]) == (False, "oidc", [])
    assert acme.api("DELETE", path(acme, made["id"])).status_code == 204
    assert refused(acme.api("GET", path(acme, made["id"])), 404) == "enterprise_connection_not_found"


def test_a_domain_belongs_to_one_connection_of_the_environment(acme: Tenant, globex: Tenant) -> None:
    made = make(acme, "acme.example")
    mine = make(globex, "globex.example")

    body = {"protocol": "oidc", "name": "X", "domains": ["ACME.example"]}
    assert refused(globex.api("POST", path(globex), body), 409) == "domain_taken"
    change = globex.api("PATCH", path(globex, mine["id"]), {"domains": ["globex.example", "acme.example"]})
    assert refused(change, 409) == "domain_taken" and acme.organization_id not in change.text
    assert names(globex.api("GET", path(globex)), "domains") == [["globex.example"]]

    acme.api("DELETE", path(acme, made["id"]))
    assert make(globex, "acme.example")["domains"] == ["acme.example"]


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"protocol": "ldap"}, ["protocol"]),
        ({"name": " ", "domains": ["nope", "127.0.0.1", "https://acme.example", "a b.example", ""]}, ["name"]),
        ({"domains": [f"d{number}.example" for number in range(101)]}, ["domains"]),
        ({"domains": "acme.example"}, ["domains"]),
        ({"enabled": "yes"}, ["enabled"]),
    ],
)
def test_a_bad_connection_is_refused_by_place(acme: Tenant, change: dict[str, Any], places: list[str]) -> None:
    response = acme.api("POST", path(acme), {"protocol": "saml", "name": "Okta", **change})
    bad_domains = len(change["domains"]) if places == ["name"] else 0
    assert params(response) == places + [f"domains.{position}" for position in range(bad_domains)]
    for problem in response.json["errors"]:
        assert problem["meta"]["pointer"] == "/" + problem["meta"]["param"].replace(".", "/")
    assert names(acme.api("GET", path(acme)), "id") == []


def test_a_deleted_connection_leaves_its_tokens_working_for_none(acme: Tenant) -> None:
    connection_id = make(acme)["id"]
    tokens = f"/organizations/{acme.organization_id}/scim/tokens"
    token = ok(acme.api("POST", tokens, {"name": "Okta", "enterprise_connection_id": connection_id}), 201)

    acme.api("DELETE", path(acme, connection_id))

    assert ok(acme.api("GET", f"{tokens}/{token['id']}"))["enterprise_connection_id"] is None
    acme.scim_token = token["token"]
    assert acme.scim("GET", "/Users").status_code == 200


def test_another_organization_reaches_no_connection(app: Flask, acme: Tenant, globex: Tenant) -> None:
    made = make(acme, "acme.example")
    for tenant in (globex, key_of(app, globex)):
        for method, body in (("GET", None), ("PATCH", {"name": "X"}), ("DELETE", None)):
            assert tenant.api(method, path(globex, made["id"]), body).status_code == 404
    assert key_of(app, globex).api("GET", path(acme)).status_code == 404
    assert ok(acme.api("GET", path(acme, made["id"]))) == made
