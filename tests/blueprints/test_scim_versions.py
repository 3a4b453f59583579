"""Entity tags: what a version is called, and what a request may ask of it (RFC 7644 §3.14, RFC 9110 §13)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests import okta
from tests.conftest import Tenant

BODIES: dict[str, Callable[..., dict[str, Any]]] = {
    "/Users": lambda title="a": okta.user(title=title),
    "/Groups": lambda name="a": okta.group(name),
}
PATHS = pytest.mark.parametrize("path", ["/Users", "/Groups"])


def rename(path: str, value: str) -> dict[str, Any]:
    return okta.patch({"op": "replace", "path": "title" if path == "/Users" else "displayName", "value": value})


def create(tenant: Tenant, path: str) -> str:
    return f"{path}/{tenant.scim('POST', path, BODIES[path]()).json['id']}"


@PATHS
def test_every_answer_names_the_version_in_its_header_and_in_meta(acme: Tenant, path: str) -> None:
    created = acme.scim("POST", path, BODIES[path]())
    at = f"{path}/{created.json['id']}"
    same = acme.scim("PUT", at, BODIES[path]())
    put = acme.scim("PUT", at, BODIES[path]("b"))
    patched = acme.scim("PATCH", at, rename(path, "c"))
    nothing = acme.scim("PATCH", at, rename(path, "c"))
    got = acme.scim("GET", at)
    listed = acme.scim("GET", path).json["Resources"][0]

    answers = [created, same, put, patched, nothing, got]
    assert [a.status_code for a in answers] == [201, 200, 200, 200, 200, 200]
    assert [a.headers["ETag"] for a in answers] == [f'W/"{n}"' for n in (1, 1, 2, 3, 3, 3)]
    assert [a.json["meta"]["version"] for a in answers] == [a.headers["ETag"] for a in answers]
    assert listed["meta"] == got.json["meta"]


@PATHS
@pytest.mark.parametrize(
    ("header", "is_match"),
    [
        ('W/"1"', True),
        ('"1"', True),
        ("1", True),
        ("*", True),
        ('"0", W/"1", "7"', True),
        ('W/"1",W/"2"', True),
        (' W/"1" ', True),
        ('W/"2"', False),
        ('"11"', False),
        ('"0", "2"', False),
        ('""', False),
        ('"', False),
        ("W/", False),
        (",,,", False),
        ('"*"', False),
        ("\xe9\xff", False),
        ('"a" "b"', False),
        ("9" * 5000, False),
    ],
)
def test_conditions_hold_for_every_method(acme: Tenant, path: str, header: str, is_match: bool) -> None:
    at = create(acme, path)
    before = acme.scim("GET", at).json

    def status(method: str, name: str) -> int:
        body = {"PUT": BODIES[path]("z"), "PATCH": rename(path, "z")}.get(method)
        response = acme.scim(method, at, body, headers={name: header})
        if response.status_code == 412:
            assert response.json["schemas"] == [okta.ERROR]
            assert response.json["status"] == "412" and response.json["detail"]
        return int(response.status_code)

    refusing, passing = ("If-None-Match", "If-Match") if is_match else ("If-Match", "If-None-Match")
    assert status("GET", "If-None-Match") == (304 if is_match else 200)
    assert status("GET", "If-Match") == (200 if is_match else 412)
    assert [status(method, refusing) for method in ("PUT", "PATCH", "DELETE")] == [412, 412, 412]
    assert acme.scim("GET", at).json == before
    assert status("PATCH", passing) == 200
    assert acme.scim("DELETE", at, headers={"If-Match": 'W/"2"'}).status_code == 204
    assert acme.scim("PATCH", at, rename(path, "z"), headers={"If-Match": "*"}).status_code == 404


@PATHS
def test_304_has_the_version_and_no_body(acme: Tenant, path: str) -> None:
    at = create(acme, path)

    response = acme.scim("GET", at, headers={"If-None-Match": 'W/"1"'})

    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", 'W/"1"')
    projected = acme.scim("GET", f"{at}?attributes=id", headers={"If-None-Match": 'W/"1"'})
    assert (projected.status_code, projected.headers["ETag"]) == (304, 'W/"1"')


@PATHS
def test_a_condition_on_a_version_of_another_organization_is_not_found(acme: Tenant, globex: Tenant, path: str) -> None:
    at = create(acme, path)

    for condition in ({"If-Match": 'W/"1"'}, {"If-None-Match": 'W/"1"'}, {"If-Match": "*"}):
        statuses = Counter(
            globex.scim(method, at, body, headers=condition).status_code
            for method, body in (
                ("GET", None), ("PUT", BODIES[path]()), ("PATCH", rename(path, "z")), ("DELETE", None),
            )
        )  # fmt: skip
        assert statuses == {404: 4}
