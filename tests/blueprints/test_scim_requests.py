"""Bad input gets a clear SCIM error and changes nothing; odd but honest input is understood."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.conftest import Tenant
from tests.stored import everything_stored

HOSTILE_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b'{"userName":"a","userName":"b"}',
    b'{"userName":NaN}',
    b'{"userName":"a","x":1e400}',
    b'{"userName":"a\\u0000"}',
    b'{"userName":"\\ud800"}',
    b'{"userName":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"userName":"a","x":' + b'{"y":' * 100 + b"1" + b"}" * 101,
    b'{"userName":true}',
    b'{"userName":""}',
    b'{"userName":"a","active":"banana"}',
    b'{"userName":"a","emails":"not a list"}',
    b'{"userName":"a","name":[]}',
]


@pytest.mark.parametrize("body", HOSTILE_BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_hostile_body_is_refused_as_a_scim_error_and_changes_nothing(acme: Tenant, method: str, body: bytes) -> None:
    user = acme.scim("POST", "/Users", okta.user()).json
    path = "/Users" if method == "POST" else f"/Users/{user['id']}"

    response = acme.scim(method, path, data=body, headers={"Content-Type": "application/scim+json"})

    assert response.status_code == 400
    assert response.content_type == "application/scim+json"
    assert response.json["schemas"] == [okta.ERROR]
    assert response.json["status"] == "400" and response.json["detail"]
    assert acme.scim("GET", "/Users").json["Resources"] == [user]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/Users/unknown", 404, None),
        ("GET", "/Users/a/b", 404, None),
        ("PUT", "/Users", 405, "GET, POST"),
        ("POST", "/Users/some-id", 405, "DELETE, GET, PATCH, PUT"),
        ("POST", "/ServiceProviderConfig", 405, "GET"),
        ("GET", "/Me", 501, None),
        ("GET", "/Bulk", 405, "POST"),
    ],
)
def test_a_wrong_path_or_method_is_a_scim_error(
    acme: Tenant, method: str, path: str, status: int, allow: str | None
) -> None:
    response = acme.scim(method, path, {} if method in ("POST", "PUT") else None)

    assert response.status_code == status
    assert response.json["schemas"] == [okta.ERROR]
    assert response.json["status"] == str(status) and response.json["detail"]
    assert response.headers.get("Allow") == allow


def test_a_body_that_is_not_json_by_its_media_type_is_refused(acme: Tenant) -> None:
    response = acme.scim("POST", "/Users", data=b"{}", headers={"Content-Type": "text/plain"})

    assert (response.status_code, response.json["status"]) == (415, "415")
    assert "application/json" in response.json["detail"]


def test_a_body_that_is_too_large_is_refused(acme: Tenant) -> None:
    response = acme.scim("POST", "/Users", okta.user(title="x" * 1024 * 1024))

    assert (response.status_code, response.json["status"]) == (413, "413")


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/scim+json", "application/scim+json; charset=utf-8"]
)
def test_both_media_types_are_accepted_and_scim_json_is_answered(acme: Tenant, media_type: str) -> None:
    import json

    response = acme.scim("POST", "/Users", data=json.dumps(okta.user()), headers={"Content-Type": media_type})

    assert (response.status_code, response.content_type) == (201, "application/scim+json")


@pytest.mark.parametrize("path", ["//Users", "/Users/", "///Users//", "/Users/?startIndex=1"])
def test_extra_slashes_are_tolerated(acme: Tenant, path: str) -> None:
    assert acme.scim("GET", path).status_code == 200


PAGES = {
    "": (100, 1),
    "?count=2": (2, 1),
    "?count=1000": (200, 1),
    "?count=0": (0, 1),
    "?count=-5": (0, 1),
    "?startIndex=0&count=1": (1, 1),
    "?startIndex=-3&count=1": (1, 1),
    "?startIndex=241&count=100": (10, 241),
    "?startIndex=1000": (0, 1000),
    "?aadOptscim062020&unknown=1&count=1": (1, 1),
}


def test_pages_are_complete_with_integers(acme: Tenant) -> None:
    for number in range(250):
        acme.scim("POST", "/Users", {"schemas": [okta.USER_SCHEMA], "userName": f"user{number}"})

    for query, (shown, start) in PAGES.items():
        page = acme.scim("GET", f"/Users{query}").json
        assert page["schemas"] == [okta.LIST_RESPONSE]
        described = (len(page["Resources"]), page["itemsPerPage"], page["totalResults"], page["startIndex"])
        assert described == (shown, shown, 250, start), query


def test_an_import_by_pages_meets_everybody_once(acme: Tenant) -> None:
    created = {
        acme.scim("POST", "/Users", {"schemas": [okta.USER_SCHEMA], "userName": f"user{n}"}).json["id"]
        for n in range(25)
    }

    seen = [
        user["id"]
        for start in range(1, 26, 10)
        for user in acme.scim("GET", f"/Users?startIndex={start}&count=10").json["Resources"]
    ]

    assert sorted(seen) == sorted(created)


@pytest.mark.parametrize(
    "expression",
    [
        'nope eq "x"',
        "userName",
        'userName eq "x',
        'userName zz "x"',
        'userName eq "x" and',
        'emails[type eq "work"',
        "(" * 200 + 'userName eq "x"' + ")" * 200,
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused_and_never_empty(acme: Tenant, expression: str) -> None:
    response = acme.scim("GET", "/Users", query_string={"filter": expression})

    assert (response.status_code, response.json["scimType"]) == (400, "invalidFilter")


@pytest.mark.parametrize("value", ["NADIA.PETROV@ACME.EXAMPLE", "ｎadia.petrov@acme.example"])
def test_user_names_are_found_whatever_their_case_or_width(acme: Tenant, value: str) -> None:
    acme.scim("POST", "/Users", okta.user())

    assert acme.scim("GET", "/Users", query_string={"filter": f'userName eq "{value}"'}).json["totalResults"] == 1


def test_external_ids_are_exact(acme: Tenant) -> None:
    acme.scim("POST", "/Users", okta.user(externalId="AbC"))

    assert acme.scim("GET", "/Users", query_string={"filter": 'externalId eq "AbC"'}).json["totalResults"] == 1
    assert acme.scim("GET", "/Users", query_string={"filter": 'externalId eq "abc"'}).json["totalResults"] == 0


def test_attributes_can_be_chosen(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    chosen = acme.scim("GET", f"/Users/{user_id}?attributes=userName").json
    without = acme.scim("GET", "/Users?excludedAttributes=emails,name").json["Resources"][0]

    assert chosen == {"schemas": [okta.USER_SCHEMA], "id": user_id, "userName": "nadia.petrov@acme.example"}
    assert not {"emails", "name"} & without.keys()


def test_entity_tags_save_a_read_and_guard_a_write(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    etag = acme.scim("GET", f"/Users/{user_id}").headers["ETag"]

    assert acme.scim("GET", f"/Users/{user_id}", headers={"If-None-Match": etag}).status_code == 304
    change = okta.patch({"op": "replace", "path": "title", "value": "x"})
    assert acme.scim("PATCH", f"/Users/{user_id}", change, headers={"If-Match": 'W/"99"'}).status_code == 412
    assert acme.scim("PATCH", f"/Users/{user_id}", change, headers={"If-Match": etag}).status_code == 200
    assert acme.scim("DELETE", f"/Users/{user_id}", headers={"If-Match": etag}).status_code == 412


def test_locations_come_from_the_configured_address_not_from_the_host_header(acme: Tenant) -> None:
    response = acme.scim("POST", "/Users", okta.user(), headers={"Host": "evil.example"})

    assert response.headers["Location"].startswith("https://acme.authn.test/scim/v2/Users/user_")
    assert response.headers["Location"] == response.json["meta"]["location"]


def test_passwords_are_never_stored_logged_or_echoed(
    app: Flask, acme: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    secret = okta.user()["password"]
    response = acme.scim("POST", "/Users", okta.user())
    user_id = response.json["id"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": {"password": secret}}))
    acme.scim("PUT", f"/Users/{user_id}", {**response.json, "password": secret, "title": "x"})

    assert "password" not in acme.scim("GET", f"/Users/{user_id}").text
    assert secret not in everything_stored(app)
    assert secret not in caplog.text


def test_all_that_the_idp_sent_comes_back(acme: Tenant) -> None:
    sent: dict[str, Any] = okta.user(
        schemas=[okta.USER_SCHEMA, "urn:scim:schemas:core:1.0", "urn:acme:2.0:User"],
        nickName="Nad",
        preferredLanguage="bg",
        phoneNumbers=[{"value": "+359 2 000 000", "type": "mobile"}],
        addresses=[{"type": "work", "locality": "Sofia", "primary": True}],
        roles=[{"value": "engineer", "primary": True}],
        unknownAttribute={"kept": ["as", "it", "is"]},
        **{
            okta.ENTERPRISE: {"department": "Finance", "employeeNumber": "0042", "manager": {"value": "m1"}},
            "urn:acme:2.0:User": {"badge": 7},
        },
    )

    got = acme.scim("GET", "/Users/" + acme.scim("POST", "/Users", sent).json["id"]).json

    for name in sent.keys() - {"groups", "password", "schemas"}:
        assert got[name] == sent[name], name
    assert set(sent["schemas"]) <= set(got["schemas"])


def test_a_put_keeps_the_external_id_and_the_state_that_it_leaves_out(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user(title="Engineer")).json["id"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    body = {"schemas": [okta.USER_SCHEMA], "userName": "nadia.petrov@acme.example"}
    got = acme.scim("PUT", f"/Users/{user_id}", body).json

    assert (got["externalId"], got["active"], "title" in got) == ("00unadia.petrov", False, False)


def test_a_patch_that_fails_halfway_changes_nothing(acme: Tenant) -> None:
    user = acme.scim("POST", "/Users", okta.user()).json

    response = acme.scim(
        "PATCH",
        f"/Users/{user['id']}",
        okta.patch(
            {"op": "replace", "path": "displayName", "value": "Changed"},
            {"op": "replace", "path": "active", "value": "banana"},
        ),
    )

    assert response.status_code == 400
    assert acme.scim("GET", f"/Users/{user['id']}").json == user


@pytest.mark.parametrize("member", ["id", "meta", "groups"])
def test_read_only_members_of_a_body_are_ignored(acme: Tenant, member: str) -> None:
    forged = {"id": "user_forged", "meta": {"version": "x", "resourceType": "Root"}, "groups": [{"value": "grp_x"}]}
    body = okta.user(**{member: forged[member]})

    user = acme.scim("POST", "/Users", body).json

    assert user["id"].startswith("user_") and user["id"] != "user_forged"
    assert user["meta"]["resourceType"] == "User" and "groups" not in user
    assert acme.scim("PUT", f"/Users/{user['id']}", {**body, "title": "x"}).json["id"] == user["id"]


def test_okta_may_repeat_the_id_in_a_patch_but_not_change_it(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    def replace_id(value: str) -> Any:
        return acme.scim(
            "PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": {"id": value, "title": "x"}})
        )

    assert replace_id(user_id).status_code == 200
    assert (replace_id("other").status_code, replace_id("other").json["scimType"]) == (400, "mutability")


@pytest.mark.parametrize("milliseconds", [0, 1, 125, 999])
def test_a_resource_looks_the_same_however_it_is_answered(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, milliseconds: int
) -> None:
    monkeypatch.setattr("directory.lifecycle.now_ms", lambda: 1_795_000_000_000 + milliseconds)

    created = acme.scim("POST", "/Users", okta.user()).json
    path = f"/Users/{created['id']}"

    assert acme.scim("GET", path).json == created
    assert acme.scim("GET", f"{path}?excludedAttributes=password").json == created
    assert acme.scim("GET", "/Users").json["Resources"] == [created]
    assert acme.scim("PUT", path, created).json == created


# -- What IdPs send that is not quite SCIM ---------------------------------------------


def test_a_template_may_name_an_old_schema_only(acme: Tenant) -> None:
    created = acme.scim("POST", "/Users", {"schemas": ["urn:scim:schemas:core:1.0"], "userName": "a"})

    assert created.status_code == 201
    assert created.json["schemas"] == [okta.USER_SCHEMA, "urn:scim:schemas:core:1.0"]


@pytest.mark.parametrize(
    "oddity",
    [
        {"profileUrl": ""},
        {"externalId": ""},
        {"photos": [{"value": "", "type": "photo"}]},
        {"roles": ["engineer"]},
        {"roles": "engineer"},
        {"externalId": 42},
        {"title": 7},
        {okta.ENTERPRISE: {"employeeNumber": 42, "manager": "bare-id"}},
        {"groups": "a"},
        {"groups": ["a"]},
        {"meta": "a"},
        {"id": 5},
        {"addresses": None},
        {"active": "True"},
    ],
)
def test_an_odd_template_does_not_keep_somebody_out(acme: Tenant, oddity: dict[str, Any]) -> None:
    body = {**okta.user(), **oddity}

    assert acme.scim("POST", "/Users", body).status_code == 201


def test_two_people_without_an_external_id_do_not_meet(acme: Tenant) -> None:
    for name in ("a.a", "b.b"):
        assert acme.scim("POST", "/Users", okta.user(name, externalId="")).status_code == 201


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "Replace", "path": "active", "value": "False"}], {"active": False}),
        ([{"op": "Replace", "path": 'emails[type eq "work"].value', "value": "n@x.example"}], {}),
        ([{"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+1"}], {}),
        ([{"op": "Add", "path": f"{okta.ENTERPRISE}:manager", "value": "m1"}], {}),
        ([{"op": "replace", "value": {okta.ENTERPRISE: {"department": "T", "manager": "m1"}}}], {}),
        ([{"op": "replace", "path": okta.ENTERPRISE, "value": {"department": "T", "manager": "m1"}}], {}),
        ([{"op": "replace", "value": {"name.givenName": "N", f"{okta.ENTERPRISE}:department": "T"}}], {}),
        ([{"op": "replace", "value": {"groups": [], "meta": {}, "title": "x"}}], {"title": "x"}),
        ([{"op": "add", "value": {"active": False}}], {"active": False}),
        ([{"op": "replace", "path": "title", "value": None, "name": "ignored"}], {}),
        ([], {}),
    ],
)
def test_patches_of_entra_okta_and_others_are_understood(
    acme: Tenant, operations: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    response = acme.scim("PATCH", f"/Users/{user_id}", okta.patch(*operations))

    assert response.status_code == 200, response.text
    assert {name: response.json[name] for name in expected} == expected


def test_a_managers_removal_in_entras_words_removes_the_manager(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user(**{okta.ENTERPRISE: {"manager": "m1", "department": "D"}})).json[
        "id"
    ]

    for value in ("", {"value": ""}):
        removal = {"op": "replace", "path": f"{okta.ENTERPRISE}:manager", "value": value}
        assert acme.scim("PATCH", f"/Users/{user_id}", okta.patch(removal)).status_code == 200

    assert acme.scim("GET", f"/Users/{user_id}").json[okta.ENTERPRISE] == {"department": "D"}


BADGES = "urn:acme:2.0:User"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "replace", "path": f"{BADGES}:badge", "value": 8}, {BADGES: {"badge": 8, "tags": ["a"]}}),
        ({"op": "replace", "value": {f"{BADGES}:badge": 8}}, {BADGES: {"badge": 8, "tags": ["a"]}}),
        ({"op": "replace", "value": {BADGES: {"badge": 8}}}, {BADGES: {"badge": 8, "tags": ["a"]}}),
        ({"op": "add", "path": f"{BADGES}:tags", "value": ["a", "b"]}, {BADGES: {"badge": 7, "tags": ["a", "b"]}}),
        ({"op": "remove", "path": f"{BADGES}:badge"}, {BADGES: {"tags": ["a"]}}),
        ({"op": "replace", "path": f"{BADGES}:badge", "value": None}, {BADGES: {"tags": ["a"]}}),
        ({"op": "remove", "path": BADGES}, {BADGES: None}),
        ({"op": "add", "path": "urn:new:1.0:User:x", "value": 1}, {"urn:new:1.0:User": {"x": 1}}),
        ({"op": "replace", "path": "custom.a", "value": 2}, {"custom": {"a": 2}}),
        ({"op": "replace", "path": "CUSTOM", "value": "plain"}, {"custom": "plain"}),
        ({"op": "add", "value": {"brandNew": True}}, {"brandNew": True}),
    ],
)
def test_what_no_schema_declares_is_kept_and_can_be_patched(
    acme: Tenant, operation: dict[str, Any], expected: dict[str, Any]
) -> None:
    sent = okta.user(custom={"a": 1}, **{BADGES: {"badge": 7, "tags": ["a"]}})
    user = acme.scim("POST", "/Users", sent).json

    response = acme.scim("PATCH", f"/Users/{user['id']}", okta.patch(operation))

    assert response.status_code == 200, response.text
    got = acme.scim("GET", f"/Users/{user['id']}").json
    assert {name: got.get(name) for name in expected} == expected
    assert got["meta"]["version"] != user["meta"]["version"]
    assert acme.scim("PATCH", f"/Users/{user['id']}", okta.patch(operation)).json["meta"] == got["meta"]


@pytest.mark.parametrize(
    "path", ["nowhere", "name.nowhere", f"{okta.USER_SCHEMA}:nowhere", "emails[nowhere eq 1].value"]
)
def test_a_path_that_leads_nowhere_is_refused(acme: Tenant, path: str) -> None:
    user = acme.scim("POST", "/Users", okta.user()).json

    response = acme.scim("PATCH", f"/Users/{user['id']}", okta.patch({"op": "replace", "path": path, "value": "x"}))

    assert response.status_code == 400
    assert response.json["scimType"] in ("invalidPath", "invalidFilter")
    assert acme.scim("GET", f"/Users/{user['id']}").json == user


def test_errors_do_not_show_the_works_of_a_library(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    response = acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": []}))

    assert "pydantic" not in response.text and "validation error" not in response.text


@pytest.mark.parametrize("attribute", ["userName", "externalId"])
def test_names_too_long_for_an_index_are_refused(acme: Tenant, attribute: str) -> None:
    response = acme.scim("POST", "/Users", okta.user(**{attribute: "x" * 3000}))

    assert (response.status_code, response.json["scimType"]) == (400, "invalidValue")


@pytest.mark.parametrize("query", ["startIndex=" + "9" * 30, "sortBy=userName&sortOrder=Descending", "cursor="])
def test_odd_parameters_do_no_harm(acme: Tenant, query: str) -> None:
    assert acme.scim("GET", f"/Users?{query}").status_code == 200


@pytest.mark.parametrize("text", ["\\ud800", "\\u0000", "\\uDFFF"])
def test_text_that_no_database_holds_is_refused_in_filters_and_paths(acme: Tenant, text: str) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]

    for path, expression in (("/Users", f'userName eq "{text}"'), ("/Groups", f'members eq "{text}"')):
        assert acme.scim("GET", path, query_string={"filter": expression}).status_code == 400
    for target in (f'roles[value eq "{text}"].display', f'emails[type eq "{text}"].value'):
        change = okta.patch({"op": "add", "path": target, "value": "x"})
        assert acme.scim("PATCH", f"/Users/{user_id}", change).status_code == 400


def test_entra_finds_somebody_by_an_address_of_one_type(acme: Tenant) -> None:
    acme.scim("POST", "/Users", okta.user())

    def found(expression: str) -> int:
        return int(acme.scim("GET", "/Users", query_string={"filter": expression}).json["totalResults"])

    assert found('emails[type eq "work"].value eq "Nadia.Petrov@acme.example"') == 1
    assert found('emails[type eq "home"].value eq "nadia.petrov@acme.example"') == 0


def test_a_host_name_of_any_script_stands_in_headers_and_resources_as_a_uri(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    environ["PUBLIC_URL"] = "https://例え.example"
    acme: Tenant = request.getfixturevalue("acme")
    created = acme.scim("POST", "/Users", okta.user())
    location = f"https://xn--r8jz45g.example/scim/v2/Users/{created.json['id']}"
    assert created.status_code == 201
    assert created.headers["Location"] == created.json["meta"]["location"] == location
    read = acme.scim("GET", f"/Users/{created.json['id']}")
    assert read.headers["Content-Location"] == read.json["meta"]["location"] == location
