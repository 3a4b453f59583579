"""Who may call the management API: walked from the route table, so that a new route without protection fails here."""

import re
from typing import Any

import pytest
from flask import Flask

from database import db
from models import SecretKey
from organizations.secret_keys import make_secret_key
from tests.conftest import Tenant


def routes(app: Flask) -> list[tuple[str, str]]:
    """Every method and address under /v1, with ids that nothing has."""
    return [
        (method, re.sub(r"<[^>]+>", "unknown", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def key_of(app: Flask, organization_id: str | None) -> str:
    with app.app_context(), db.unit_of_work() as session:
        return make_secret_key(session, "test", organization_id=organization_id)[1]


def assert_refusal(response: Any, status: int) -> None:
    assert response.status_code == status, response.text
    body = response.json
    assert body["trace_id"] == response.headers["X-Request-Id"]
    for error in body["errors"]:
        assert error.keys() == {"code", "message", "long_message", "meta"} and error["code"] and error["message"]


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer sk_UNKNOWN", "Basic x", "sk"])
def test_every_route_refuses_whoever_has_no_valid_key(app: Flask, acme: Tenant, authorization: str | None) -> None:
    assert len(routes(app)) > 15
    for method, path in routes(app):
        headers = {} if authorization is None else {"Authorization": authorization}
        assert_refusal(acme.client.open(path, method=method, headers=headers), 401)


def test_a_scim_token_is_no_secret_key_and_a_secret_key_no_scim_token(acme: Tenant) -> None:
    assert (
        acme.client.get("/v1/organizations", headers={"Authorization": f"Bearer {acme.scim_token}"}).status_code == 401
    )
    assert acme.client.get("/scim/v2/Users", headers={"Authorization": f"Bearer {acme.secret_key}"}).status_code == 401


def test_every_route_refuses_a_revoked_key(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.query(SecretKey).update({"revoked_at": 1})

    for method, path in routes(app):
        headers = {"Authorization": f"Bearer {acme.secret_key}"}
        assert_refusal(acme.client.open(path, method=method, headers=headers), 401)


def test_a_key_of_one_organization_finds_nothing_of_another(app: Flask, acme: Tenant, globex: Tenant) -> None:
    headers = {"Authorization": f"Bearer {key_of(app, globex.organization_id)}"}
    checked = 0
    for method, path in routes(app):
        if path.startswith("/v1/organizations/unknown"):
            url = path.replace("unknown", acme.organization_id, 1)
            assert_refusal(acme.client.open(url, method=method, headers=headers), 404)
            checked += 1

    assert checked >= 9
    listed = acme.client.get("/v1/organizations", headers=headers).json["data"]
    assert [organization["id"] for organization in listed] == [globex.organization_id]
    assert_refusal(acme.client.post("/v1/organizations", json={"name": "New"}, headers=headers), 403)


def test_a_key_of_one_organization_serves_that_organization(app: Flask, globex: Tenant) -> None:
    globex.secret_key = key_of(app, globex.organization_id)

    assert globex.api("GET", f"/organizations/{globex.organization_id}/scim/tokens").status_code == 200


def test_a_token_of_another_organization_cannot_be_read_or_revoked_under_ones_own(acme: Tenant, globex: Tenant) -> None:
    (token,) = acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"]
    path = f"/organizations/{globex.organization_id}/scim/tokens/{token['id']}"

    assert_refusal(globex.api("GET", path), 404)
    assert_refusal(globex.api("POST", f"{path}/revoke"), 404)
    assert acme.scim("GET", "/Users").status_code == 200


def test_unknown_paths_and_methods_are_json_errors(acme: Tenant) -> None:
    assert_refusal(acme.api("GET", "/nowhere"), 404)
    wrong = acme.api("DELETE", f"/organizations/{acme.organization_id}/scim/tokens")
    assert_refusal(wrong, 405)
    assert "POST" in wrong.headers["Allow"]
