"""The manners of the protocol: media types, methods and status codes, on paths that exist and on others."""

import gzip
import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder

from database import db
from tests import okta
from tests.conftest import Tenant, looking_on

SCIM = {"Content-Type": "application/scim+json"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
ALLOWED = {
    "/": "GET",
    "/Users": "GET, POST",
    "/Groups/": "GET, POST",
    "/Users/nobody": "DELETE, GET, PATCH, PUT",
    "/.search": "POST",
    "/Users/.search": "POST",
    "/Bulk": "POST",
    "/ServiceProviderConfig": "GET",
    "/ResourceTypes": "GET",
    "/ResourceTypes/User": "GET",
    f"/Schemas/{okta.USER_SCHEMA}": "GET",
}


def is_scim_error(response: Any, status: int) -> bool:
    """Tell whether an answer is the SCIM error of a status, in the shape of RFC 7644 §3.12."""
    body = json.loads(response.text)
    return bool(
        response.status_code == status
        and response.content_type == "application/scim+json"
        and body["schemas"] == [okta.ERROR]
        and body["status"] == str(status)
        and body["detail"]
    )


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items())
def test_a_method_that_a_path_does_not_have_is_405_with_those_that_it_has(
    acme: Tenant, path: str, allowed: str
) -> None:
    for method in METHODS:
        response = acme.scim(method, path, data=b"{}", headers=SCIM)

        if method == "OPTIONS":
            assert (response.status_code, response.headers["Allow"]) == (204, allowed)
        elif ("GET" if method == "HEAD" else method) in allowed.split(", "):
            assert response.status_code not in (405, 500, 501)
        else:
            assert response.status_code == 405 and response.headers["Allow"] == allowed
            assert method == "HEAD" or is_scim_error(response, 405)


@pytest.mark.parametrize("path", ["/nowhere", "/Nowhere/x", "/Users/a/b", "/Me/x", "/Bulk/x", "/Schemas/a/b"])
def test_a_path_that_leads_nowhere_is_404_for_every_method(acme: Tenant, path: str) -> None:
    for method in METHODS:
        response = acme.scim(method, path, data=b"{}", headers=SCIM)
        assert response.status_code == 404
        assert method == "HEAD" or is_scim_error(response, 404)


def test_me_is_not_implemented_whatever_the_method(acme: Tenant) -> None:
    for method in METHODS:
        response = acme.scim(method, "/Me", data=b"{}", headers=SCIM)
        assert response.status_code == 501
        assert method == "HEAD" or is_scim_error(response, 501)


@pytest.mark.parametrize("path", ["", "/", "/Users", "/nowhere", "/Me", "/Bulk"])
def test_without_a_token_nothing_is_told_about_paths_and_methods(acme: Tenant, path: str) -> None:
    for method in METHODS:
        response = acme.client.open(f"/scim/v2{path}", method=method, headers={"Authorization": "Bearer scim_wrong"})
        assert response.status_code == 401
        assert method == "HEAD" or is_scim_error(response, 401)


@pytest.mark.parametrize("name", ["access_token", "token", "bearer", "authorization", "Authorization"])
def test_a_token_in_the_address_is_never_accepted_nor_repeated(acme: Tenant, name: str) -> None:
    response = acme.client.get("/scim/v2/Users", query_string={name: acme.scim_token})

    assert is_scim_error(response, 401)
    assert acme.scim_token not in response.text


def test_head_answers_as_get_without_the_body(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    for path in (f"/Users/{user_id}", "/Users", "/ServiceProviderConfig"):
        get, head = acme.scim("GET", path), acme.scim("HEAD", path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers.get("ETag") == get.headers.get("ETag")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("accept", ["application/json", "application/scim+json, */*;q=0.1", "text/html", "", "?"])
def test_answers_are_scim_json_whatever_is_asked_for(acme: Tenant, accept: str) -> None:
    for path, status in (("/Users", 200), ("/nowhere", 404)):
        response = acme.scim("GET", path, headers={"Accept": accept})
        assert (response.status_code, response.content_type) == (status, "application/scim+json")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ({"Content-Type": "application/scim+xml"}, b"<a/>", 415),
        ({"Content-Type": "application/json, text/plain"}, b"{}", 415),
        ({**SCIM, "Content-Encoding": "gzip"}, gzip.compress(json.dumps(okta.user()).encode()), 415),
        ({**SCIM, "Content-Encoding": "identity"}, json.dumps(okta.user()).encode(), 201),
        ({}, json.dumps(okta.user()).encode(), 201),
        ({"Content-Type": 'application/json; charset="utf-8"'}, json.dumps(okta.user()).encode(), 201),
        # RFC 8259 §11: the parameter has no meaning, and the body is UTF-8.
        ({"Content-Type": "application/json; charset=latin1"}, json.dumps(okta.user()).encode(), 201),
        (SCIM, json.dumps(okta.user()).encode("utf-8-sig"), 201),
        (SCIM, json.dumps(okta.user()).encode("utf-16"), 400),
        (SCIM, json.dumps(okta.user()).encode("utf-32-le"), 400),
        (SCIM, json.dumps(okta.user(title="é"), ensure_ascii=False).encode("latin-1"), 400),
        (SCIM, json.dumps(okta.user(x=1)).replace(": 1", ": 1" + "0" * 5000).encode(), 400),
        (SCIM, b'{"userName": "a", "name": {"givenName": "a", "givenName": "b"}}', 400),
        (SCIM, b'{"userName": "a", "x": -Infinity}', 400),
    ],
)
@pytest.mark.parametrize("path", ["/Users", "/Bulk"])
def test_bodies_are_json_in_utf_8_and_nothing_else(
    acme: Tenant, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = acme.scim("POST", path, data=body, headers=headers)

    if path == "/Bulk" and status == 201:  # it is read, and is no Bulk request
        status = 400
    assert response.status_code == status, response.text
    assert status < 400 or is_scim_error(response, status)
    assert acme.scim("GET", "/Users").json["totalResults"] == (1 if status == 201 else 0)


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("too_many", "status"), [(0, 201), (1, 413)])
def test_a_body_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not(
    app: Flask, acme: Tenant, is_chunked: bool, too_many: int, status: int
) -> None:
    body = json.dumps(okta.user()).encode().ljust(1024 * 1024 + too_many)
    headers = {**SCIM, "Authorization": f"Bearer {acme.scim_token}"}
    environ = EnvironBuilder(path="/scim/v2/Users", method="POST", data=body, headers=headers).get_environ()
    if is_chunked:  # as a server hands over a body without a length
        del environ["CONTENT_LENGTH"]
        environ["wsgi.input_terminated"] = True

    response = acme.client.open(environ)

    assert response.status_code == status
    assert status == 201 or is_scim_error(response, 413)


def test_a_defect_of_ours_is_a_scim_error_that_tells_nothing_of_the_works(app: Flask, acme: Tenant) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the secret works")

    with app.app_context():
        engine = db.engine
    with looking_on(engine, before_cursor_execute=fail):
        response = acme.scim("GET", "/Users")

    assert is_scim_error(response, 500)
    assert "secret works" not in response.text
    assert response.headers["X-Request-Id"] in response.json["detail"]


def test_unknown_parameters_are_ignored(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users?foo=bar&x", okta.user()).json["id"]

    assert acme.scim("GET", f"/Users/{user_id}?aadOptscim062020&x[]=%00ff").status_code in (200, 400)
    assert acme.scim("PATCH", f"/Users/{user_id}?x=y", okta.set_active(False)).status_code == 200
    assert acme.scim("DELETE", f"/Users/{user_id}?force=true").status_code == 204
