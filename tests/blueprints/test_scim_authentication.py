"""Who may speak SCIM, and what everybody else is told."""

import pytest
from flask import Flask

from clock import now_ms
from database import db
from models import ScimToken
from tests import okta
from tests.conftest import Tenant

DISCOVERY = [
    "/ServiceProviderConfig",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/Schemas",
    f"/Schemas/{okta.USER_SCHEMA}",
]


@pytest.mark.parametrize(
    "header",
    [None, "Bearer ", "Bearer", "Bearer null", "Basic dXNlcjpwYXNz", "non-token", "Bearer scim_UNKNOWN", "Bearer \x80"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Users"), ("POST", "/Users"), ("GET", "/nowhere"), ("DELETE", "/Groups/x")]
)
def test_without_a_known_token_nothing_is_answered(acme: Tenant, header: str | None, method: str, path: str) -> None:
    headers = {} if header is None else {"Authorization": header}

    response = acme.client.open(
        f"/scim/v2{path}", method=method, headers=headers, json={} if method == "POST" else None
    )

    assert response.status_code == 401
    assert response.content_type == "application/scim+json"
    assert response.json["schemas"] == [okta.ERROR]
    assert response.json["status"] == "401"
    assert response.json["detail"]
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "scim_UNKNOWN" not in response.text


def test_the_scheme_is_compared_without_case(acme: Tenant) -> None:
    response = acme.client.get("/scim/v2/Users", headers={"Authorization": f"bEARER {acme.scim_token}"})

    assert response.status_code == 200


def test_a_revoked_token_ends_at_once(acme: Tenant) -> None:
    (token,) = acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"]

    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens/{token['id']}/revoke")

    response = acme.scim("GET", "/Users")
    assert response.status_code == 401
    assert "revoked" in response.json["detail"]


def test_an_expired_token_says_so(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.query(ScimToken).filter_by(organization_id=acme.organization_id).update({"expires_at": now_ms() - 1})

    response = acme.scim("GET", "/Users")

    assert response.status_code == 401
    assert "expired" in response.json["detail"]


@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_is_public_but_a_wrong_token_is_refused_there_too(acme: Tenant, path: str) -> None:
    assert acme.client.get(f"/scim/v2{path}").status_code == 200
    assert acme.scim("GET", path).status_code == 200
    assert acme.client.get(f"/scim/v2{path}", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_the_last_use_of_a_token_is_kept(acme: Tenant) -> None:
    before = now_ms()

    acme.scim("GET", "/Users")

    (token,) = acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"]
    assert token["last_used_at"] >= before


def test_failed_authentication_is_limited_per_address(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ["FAILED_AUTH_RATE_LIMIT"] = "3 per minute"
    acme: Tenant = request.getfixturevalue("acme")

    def attempt() -> int:
        return int(acme.client.get("/scim/v2/Users", headers={"Authorization": "Bearer guess"}).status_code)

    assert [attempt() for _ in range(5)] == [401, 401, 401, 429, 429]
    assert acme.scim("GET", "/Users").status_code == 200


def test_behind_a_proxy_the_callers_are_told_apart(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    environ.update(FAILED_AUTH_RATE_LIMIT="1 per minute", TRUSTED_PROXIES="1")
    acme: Tenant = request.getfixturevalue("acme")

    def attempt(forwarded_for: str) -> int:
        headers = {"Authorization": "Bearer guess", "X-Forwarded-For": forwarded_for}
        return int(acme.client.get("/scim/v2/Users", headers=headers).status_code)

    assert [attempt("203.0.113.1"), attempt("203.0.113.2"), attempt("203.0.113.1")] == [401, 401, 429]
    assert attempt("203.0.113.9, 203.0.113.1") == 429, "what the caller wrote itself is not believed"


def test_without_a_proxy_nobody_names_an_address_of_their_own(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    environ["FAILED_AUTH_RATE_LIMIT"] = "1 per minute"
    acme: Tenant = request.getfixturevalue("acme")

    def attempt(forwarded_for: str) -> int:
        headers = {"Authorization": "Bearer guess", "X-Forwarded-For": forwarded_for}
        return int(acme.client.get("/scim/v2/Users", headers=headers).status_code)

    assert [attempt("203.0.113.1"), attempt("203.0.113.2")] == [401, 429]
