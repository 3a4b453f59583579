"""PATCH of users as each identity provider writes it (RFC 7644 §3.5.2), and what is refused."""

import json
import time
from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.conftest import Tenant
from tests.events import event_types, events_of
from tests.okta import ENTERPRISE, USER_SCHEMA
from tests.stored import everything_stored

WORK = {"value": "nadia.petrov@acme.example", "type": "work", "primary": True}
NAME = {"givenName": "Nadia", "familyName": "Petrov"}
MANAGER = f"{ENTERPRISE}:manager"
BADGES = "urn:acme:2.0:User"

Operations = list[dict[str, Any]]


def create(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    user: dict[str, Any] = tenant.scim("POST", "/Users", okta.user(**changes)).json
    return user


def patch(tenant: Tenant, user: dict[str, Any], *operations: Any) -> Any:
    return tenant.scim("PATCH", f"/Users/{user['id']}", okta.patch(*operations))


# What the IdP sends, and the attributes that are different afterwards.
UNDERSTOOD: list[tuple[str, Operations, dict[str, Any]]] = [
    (
        "op and attribute names ignore case",
        [{"op": "REPLACE", "path": "DISPLAYNAME", "value": "L"}],
        {"displayName": "L"},
    ),
    ("more keys than the protocol knows", [{"op": "Add", "path": "title", "value": "T", "name": "x"}], {"title": "T"}),
    ("no path at all", [{"op": "replace", "path": None, "value": {"title": "T"}}], {"title": "T"}),
    ("an empty path", [{"op": "replace", "path": "", "value": {"title": "T"}}], {"title": "T"}),
    ("nothing to do", [], {}),
    # Booleans
    ("Entra's False", [{"op": "Replace", "path": "active", "value": "False"}], {"active": False}),
    ("a text that reads True", [{"op": "Replace", "path": "title", "value": "True"}], {"title": "True"}),
    (
        "True in a filter",
        [{"op": "Add", "path": 'roles[primary eq "True"].value', "value": "E"}],
        {"roles": [{"value": "E", "primary": True}]},
    ),
    (
        "true in a filter",
        [{"op": "Replace", "path": "emails[primary eq true].value", "value": "p@x.example"}],
        {"emails": [{**WORK, "value": "p@x.example"}]},
    ),
    (
        "True in an entry",
        [{"op": "add", "path": "emails", "value": [{"value": "h@x.example", "primary": "True"}]}],
        {"emails": [{**WORK, "primary": False}, {"value": "h@x.example", "primary": True}]},
    ),
    # Without a path
    ("Okta", [{"op": "replace", "value": {"active": False}}], {"active": False}),
    ("SailPoint", [{"op": "add", "value": {"active": False}}], {"active": False}),
    (
        "dotted and URN keys",
        [
            {
                "op": "replace",
                "value": {
                    "displayName": "L",
                    "name.givenName": "Li",
                    "active": False,
                    f"{ENTERPRISE}:department": "Treasury",
                },
            }
        ],
        {
            "displayName": "L",
            "name": {**NAME, "givenName": "Li"},
            "active": False,
            ENTERPRISE: {"department": "Treasury"},
        },
    ),
    (
        "dotted keys ignore case",
        [{"op": "replace", "value": {"NAME.givenname": "Li"}}],
        {"name": {**NAME, "givenName": "Li"}},
    ),
    (
        "a key with the core URN",
        [{"op": "replace", "value": {f"{USER_SCHEMA}:name.givenName": "Li"}}],
        {"name": {**NAME, "givenName": "Li"}},
    ),
    (
        "a dot after the URN",
        [{"op": "replace", "path": f"{ENTERPRISE}.department", "value": "D"}],
        {ENTERPRISE: {"department": "D"}},
    ),
    (
        "a key with a filter",
        [{"op": "replace", "value": {'emails[type eq "work"].value': "w@x.example", "title": "T"}}],
        {"emails": [{**WORK, "value": "w@x.example"}], "title": "T"},
    ),
    (
        "a key with a filter that finds nothing",
        [{"op": "replace", "value": {'emails[type eq "home"].value': "h@x.example"}}],
        {"emails": [WORK, {"type": "home", "value": "h@x.example"}]},
    ),
    (
        "an extension as an object",
        [{"op": "replace", "value": {ENTERPRISE: {"department": "D", "manager": "m1"}}}],
        {ENTERPRISE: {"department": "D", "manager": {"value": "m1"}}},
    ),
    # Entries that a filter describes
    (
        "an entry is changed",
        [{"op": "Replace", "path": 'emails[type eq "work"].value', "value": "w@x.example"}],
        {"emails": [{**WORK, "value": "w@x.example"}]},
    ),
    (
        "an entry is made by Replace",
        [{"op": "Replace", "path": 'emails[type eq "home"].value', "value": "h@x.example"}],
        {"emails": [WORK, {"type": "home", "value": "h@x.example"}]},
    ),
    (
        "an entry is made by Add",
        [{"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+1"}],
        {"phoneNumbers": [{"type": "mobile", "value": "+1"}]},
    ),
    (
        "an address is made part by part",
        [
            {"op": "Add", "path": 'addresses[type eq "work"].locality', "value": "Berlin"},
            {"op": "Add", "path": 'addresses[type eq "work"].country', "value": "DE"},
        ],
        {"addresses": [{"type": "work", "locality": "Berlin", "country": "DE"}]},
    ),
    (
        "a role is made, changed and named",
        [
            {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "E1"},
            {"op": "Replace", "path": 'roles[primary eq "True"].value', "value": "E2"},
            {"op": "Add", "path": 'roles[primary eq "True"].display', "value": "Engineer"},
        ],
        {"roles": [{"primary": True, "value": "E2", "display": "Engineer"}]},
    ),
    (
        "roles as bare texts",
        [{"op": "add", "path": "roles", "value": ["a", "b"]}],
        {"roles": [{"value": "a"}, {"value": "b"}]},
    ),
    (
        "a new primary",
        [{"op": "add", "path": "emails", "value": {"value": "h@x.example", "primary": True}}],
        {"emails": [{**WORK, "primary": False}, {"value": "h@x.example", "primary": True}]},
    ),
    # Complex values
    (
        "replace merges",
        [{"op": "replace", "path": "name", "value": {"givenName": "Li"}}],
        {"name": {**NAME, "givenName": "Li"}},
    ),
    (
        "add merges",
        [{"op": "add", "path": "name", "value": {"givenName": "Li"}}],
        {"name": {**NAME, "givenName": "Li"}},
    ),
    # Removals
    ("null removes", [{"op": "replace", "path": "name.givenName", "value": None}], {"name": {"familyName": "Petrov"}}),
    ("null removes without a path", [{"op": "replace", "value": {"displayName": None}}], {"displayName": None}),
    ("null removes an entry", [{"op": "replace", "path": 'emails[type eq "work"]', "value": None}], {"emails": None}),
    ("null of what is not there", [{"op": "replace", "path": 'emails[type eq "home"].value', "value": None}], {}),
    ("an entry goes with its value", [{"op": "Remove", "path": 'emails[type eq "work"].value'}], {"emails": None}),
    ("nobody is removed", [{"op": "Remove", "path": 'emails[type eq "home"]'}], {}),
    (
        "entries by value",
        [
            {"op": "add", "path": "emails", "value": [{"value": "h@x.example", "type": "home"}]},
            {"op": "Remove", "path": "emails", "value": [{"$ref": None, "value": "h@x.example"}]},
        ],
        {},
    ),
    (
        "entries by bare values",
        [{"op": "Remove", "path": "emails", "value": "nadia.petrov@acme.example"}],
        {"emails": None},
    ),
    ("an empty list of values", [{"op": "Remove", "path": "emails", "value": []}], {}),
    (
        "the value of what has only one",
        [{"op": "Remove", "path": "displayName", "value": "whatever"}],
        {"displayName": None},
    ),
    ("an empty reference", [{"op": "replace", "path": "externalId", "value": ""}], {"externalId": None}),
    # The manager
    *[
        (
            f"manager {value!r} at {path.rpartition(':')[2]}",
            [{"op": "Add", "path": path, "value": value}],
            {ENTERPRISE: {"manager": {"value": "m1"}}},
        )
        for path in (MANAGER, "manager", f"{MANAGER}.value")
        for value in ("m1", {"value": "m1"}, [{"$ref": None, "value": "m1"}], {"value": "m1", "displayName": "Boss"})
    ],
    (
        "manager with a reference",
        [{"op": "Add", "path": MANAGER, "value": [{"$ref": "../Users/m1", "value": "m1"}]}],
        {ENTERPRISE: {"manager": {"value": "m1", "$ref": "../Users/m1"}}},
    ),
    (
        "manager without a path",
        [{"op": "replace", "value": {"manager": "m1"}}],
        {ENTERPRISE: {"manager": {"value": "m1"}}},
    ),
    # Undeclared
    ("an unknown extension", [{"op": "Add", "path": f"{BADGES}:badge", "value": 7}], {BADGES: {"badge": 7}}),
    ("an unknown attribute", [{"op": "replace", "value": {"favorite": "blue"}}], {"favorite": "blue"}),
    # What only the server writes
    (
        "read-only members without a path",
        [
            {
                "op": "replace",
                "value": {
                    "meta": {"version": "x"},
                    "meta.created": "x",
                    "groups": [{"value": "grp_x"}],
                    f"{USER_SCHEMA}:meta": {},
                    "title": "T",
                },
            }
        ],
        {"title": "T"},
    ),
    ("a password", [{"op": "replace", "path": "password", "value": "a secret word"}], {}),
    ("a password without a path", [{"op": "replace", "value": {"password": "a secret word"}}], {}),
]


@pytest.mark.parametrize(("operations", "expected"), [case[1:] for case in UNDERSTOOD], ids=[c[0] for c in UNDERSTOOD])
def test_a_patch_is_understood(app: Flask, acme: Tenant, operations: Operations, expected: dict[str, Any]) -> None:
    user = create(acme)
    before, events = acme.scim("GET", f"/Users/{user['id']}").json, event_types(app, acme.organization_id)

    response = patch(acme, user, *operations)

    assert response.status_code == 200, response.text
    after = acme.scim("GET", f"/Users/{user['id']}").json
    assert response.json == after
    names = {*before, *after} - {"meta", "schemas"}
    assert {n: after.get(n) for n in names if after.get(n) != before.get(n)} == expected
    if not expected:
        assert after == before
        assert event_types(app, acme.organization_id) == events
    assert "a secret word" not in everything_stored(app)


@pytest.mark.parametrize("value", ["", None, {"value": ""}, {"value": None}, [{"value": ""}]])
@pytest.mark.parametrize("path", [MANAGER, "manager", f"{MANAGER}.value", None])
def test_a_manager_set_to_nothing_is_removed(acme: Tenant, path: str | None, value: Any) -> None:
    user = create(acme, **{ENTERPRISE: {"manager": {"value": "m1"}, "department": "D"}})

    operation = {"op": "replace", "path": path, "value": value if path else {MANAGER: value}}

    assert patch(acme, user, operation).json[ENTERPRISE] == {"department": "D"}


@pytest.mark.parametrize("operation", [{"path": MANAGER}, {"path": "manager"}, {"path": MANAGER, "value": "m1"}])
def test_a_manager_is_removed(acme: Tenant, operation: dict[str, Any]) -> None:
    user = create(acme, **{ENTERPRISE: {"manager": {"value": "m1"}, "department": "D"}})

    assert patch(acme, user, {"op": "Remove", **operation}).json[ENTERPRISE] == {"department": "D"}


def test_some_values_are_removed_from_a_list_that_no_schema_declares(acme: Tenant) -> None:
    user = create(acme, **{BADGES: {"tags": ["a", "b", {"value": "c"}]}})

    got = patch(acme, user, {"op": "remove", "path": f"{BADGES}:tags", "value": ["a", {"value": "c"}]}).json

    assert got[BADGES] == {"tags": ["b"]}


def test_okta_may_repeat_the_id_under_any_of_its_names(acme: Tenant) -> None:
    user = create(acme)

    for name in ("id", "ID", f"{USER_SCHEMA}:id"):
        assert patch(acme, user, {"op": "replace", "value": {name: user["id"]}}).json == user
        refused = patch(acme, user, {"op": "replace", "value": {name: "user_other"}})
        assert (refused.status_code, refused.json["scimType"]) == (400, "mutability")


# What is sent, the scimType, and words that the detail must have.
REFUSED: list[tuple[Operations | list[Any], str, str]] = [
    ([{"op": "replace", "path": "name.givenName", "value": 5}], "invalidValue", "name.givenName must be a text."),
    ([{"op": "replace", "value": {"name.givenName": []}}], "invalidValue", "name.givenName must be a text."),
    ([{"op": "replace", "value": {"name": {"givenName": []}}}], "invalidValue", "name.givenName must be a text."),
    (
        [
            {"op": "add", "path": "title", "value": "x"},
            {"op": "replace", "path": "phoneNumbers", "value": [{"type": 5}]},
        ],
        "invalidValue",
        "phoneNumbers[0].type must be a text",
    ),
    (
        [{"op": "replace", "path": f"{ENTERPRISE}:costCenter", "value": {}}],
        "invalidValue",
        f"{ENTERPRISE}:costCenter must",
    ),
    ([{"op": "replace", "path": "active", "value": "banana"}], "invalidValue", "active must be true or false."),
    ([{"op": "replace", "path": "name", "value": "x"}], "invalidValue", "name must be an object."),
    ([{"op": "add", "path": "title"}], "invalidValue", "Operations[0] needs a value"),
    ([{"op": "replace", "path": "title"}], "invalidValue", "Operations[0] needs a value"),
    ([{"op": "add", "path": "title", "value": None}], "invalidValue", "Operations[0] needs a value"),
    ([{"op": "replace", "value": "x"}], "invalidValue", "has no path"),
    ([{"op": "move", "path": "title", "value": "x"}], "invalidValue", "add, replace or remove"),
    ([{"path": "title", "value": "x"}], "invalidSyntax", "add, replace or remove"),
    (["x"], "invalidSyntax", "op, path and value"),
    ([{"op": "remove"}], "noTarget", "needs a path"),
    ([{"op": "replace", "path": 'emails[type ne "work"].value', "value": "x"}], "noTarget", "emails"),
    ([{"op": "replace", "path": "emails[type eq", "value": "x"}], "invalidPath", "cannot be read"),
    ([{"op": "replace", "path": 5, "value": "x"}], "invalidPath", "no text"),
    ([{"op": "replace", "path": "nowhere", "value": "x"}], "invalidPath", "nowhere"),
    ([{"op": "replace", "path": "user_name", "value": "x"}], "invalidPath", "user_name"),
    ([{"op": "replace", "path": "name.given_name", "value": "x"}], "invalidPath", "given_name"),
    ([{"op": "replace", "path": "__class__", "value": "x"}], "invalidPath", "cannot be read"),
    ([{"op": "replace", "path": "name.__init__", "value": "x"}], "invalidPath", "cannot be read"),
    ([{"op": "remove", "path": "userName"}], "mutability", "userName"),
    ([{"op": "replace", "path": "userName", "value": None}], "mutability", "userName"),
    ([{"op": "replace", "path": "userName", "value": " "}], "invalidValue", "userName"),
    *[
        ([{"op": op, "path": path, "value": "x"}], "mutability", "Leave the operation out")
        for op in ("add", "replace", "remove")
        for path in ("id", "meta", "meta.version", "groups", 'groups[value eq "x"]')
    ],
    ([{"op": "add", "path": "title", "value": "x"}] * 1001, "invalidValue", "1000"),
]


@pytest.mark.parametrize(("operations", "scim_type", "words"), REFUSED)
def test_a_patch_is_refused_with_what_to_do_and_changes_nothing(
    app: Flask, acme: Tenant, operations: list[Any], scim_type: str, words: str
) -> None:
    user = create(acme)
    events = event_types(app, acme.organization_id)

    response = patch(acme, user, {"op": "replace", "path": "displayName", "value": "Changed"}, *operations)
    alone = patch(acme, user, *operations)

    assert (response.status_code, alone.status_code, alone.json["scimType"]) == (400, 400, scim_type), alone.text
    assert words in alone.json["detail"]
    assert not any(works in alone.text for works in ("pydantic", "given_name must", "PatchOp", "instance of"))
    assert acme.scim("GET", f"/Users/{user['id']}").json == user
    assert event_types(app, acme.organization_id) == events


@pytest.mark.parametrize("body", [[], {}, {"Operations": {}}, {"Operations": None}, "x", None, 5])
def test_a_body_that_is_no_patch_is_refused(acme: Tenant, body: Any) -> None:
    user = create(acme)

    response = acme.scim("PATCH", f"/Users/{user['id']}", data=json.dumps(body), content_type="application/json")

    assert (response.status_code, response.json["scimType"]) == (400, "invalidSyntax")


@pytest.mark.parametrize(
    "value",
    [
        {"__proto__": {"polluted": "x"}},
        {"__proto__.polluted": "x"},
        {"__class__": "x", "__dict__.x": "x"},
        {"name.__class__": "x"},
        {"name": {"__class__": "x"}},
        {f"{BADGES}:__proto__.polluted": "x"},
        {BADGES: {"__proto__": {"polluted": "x"}, "list": [{"__proto__": "x"}]}},
        {"user_name": "evil", "external_id": "evil"},
    ],
)
def test_names_of_the_works_stay_without_effect(app: Flask, acme: Tenant, value: dict[str, Any]) -> None:
    user = create(acme)

    response = patch(acme, user, {"op": "replace", "value": value})

    assert response.status_code == 200, response.text
    got = acme.scim("GET", f"/Users/{user['id']}").json
    assert {name: got[name] for name in ("userName", "externalId", "name")} == {
        name: user[name] for name in ("userName", "externalId", "name")
    }
    assert "__" not in str(got) and "polluted" not in everything_stored(app, without="directory_activities")


@pytest.mark.parametrize(
    "path",
    [
        "emails[" + "(" * 16_000,
        "emails[" + "not (" * 3_000,
        "[" * 16_000,
        "emails[" + " or ".join(['type eq "x"'] * 5_000) + "].value",
        "members[" + " or ".join(['value eq "x"'] * 5_000) + "]",
        "urn:x:y:" + "a." * 8_000 + "b",
        "urn:x:y:" + "a." * 1_000 + "b",
        'emails[type eq "' + "a" * 300_000 + '"].value',
    ],
    ids=range(8),
)
def test_a_path_that_only_costs_time_is_refused_at_once(acme: Tenant, path: str) -> None:
    user = create(acme)
    group = acme.scim("POST", "/Groups", okta.group("Finance")).json
    began = time.process_time()

    for target in (f"/Users/{user['id']}", f"/Groups/{group['id']}"):
        for operation in ({"op": "replace", "path": path, "value": "x"}, {"op": "replace", "value": {path: "x"}}):
            assert acme.scim("PATCH", target, okta.patch(operation)).status_code == 400

    many = [
        {"op": "replace", "path": f'emails[{"(" * 10}type eq "{n:050}"{")" * 10}].value', "value": "x"}
        for n in range(900)
    ]
    assert patch(acme, user, *many).status_code == 400
    assert time.process_time() - began < 3


def test_microsofts_validator_sends_several_operations_of_different_verbs(acme: Tenant) -> None:
    user = create(acme, title="T", nickName="N")

    got = patch(
        acme,
        user,
        {"op": "remove", "path": "nickName"},
        {"op": "add", "path": "preferredLanguage", "value": "zu-ZA"},
        {"op": "replace", "path": "title", "value": "W"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "New.Case@x.example"},
    ).json

    assert (got.get("nickName"), got["preferredLanguage"], got["title"]) == (None, "zu-ZA", "W")
    assert got["emails"][0]["value"] == "New.Case@x.example"


@pytest.mark.parametrize("path", ["/Users", "/Groups"])
@pytest.mark.parametrize("key", ["displayName.x", "externalId.x", "schemas.x", "EXTERNALID.x", "display_name.x"])
def test_a_part_that_an_attribute_does_not_have_never_takes_its_place(acme: Tenant, path: str, key: str) -> None:
    """Else what is stored would be no resource any more, and every later change would fail."""
    body = okta.user() if path == "/Users" else {**okta.group(), "externalId": "g1"}
    address = f"{path}/{acme.scim('POST', path, body).json['id']}"
    before = acme.scim("GET", address).json

    assert acme.scim("PATCH", address, okta.patch({"op": "add", "value": {key: "y"}})).status_code == 400

    assert acme.scim("GET", address).json == before
    rename = okta.patch({"op": "replace", "path": "displayName", "value": "Another"})
    assert acme.scim("PATCH", address, rename).status_code == 200


@pytest.mark.parametrize("key", ["title.x", "name.bogus", "userName.x", "active.x", "emails.x", "profileUrl.x"])
def test_a_part_that_an_attribute_of_a_user_does_not_have_is_refused(acme: Tenant, key: str) -> None:
    address = f"/Users/{acme.scim('POST', '/Users', okta.user(title='Engineer')).json['id']}"
    before = acme.scim("GET", address).json

    response = acme.scim("PATCH", address, okta.patch({"op": "replace", "value": {key: "y", "nickName": "N"}}))

    assert (response.status_code, response.json["scimType"]) == (400, "invalidPath")
    assert acme.scim("GET", address).json == before


def test_schemas_without_that_of_the_resource_are_refused(acme: Tenant) -> None:
    address = f"/Users/{acme.scim('POST', '/Users', okta.user()).json['id']}"

    response = acme.scim("PATCH", address, okta.patch({"op": "replace", "path": "schemas", "value": ["urn:a:b:c"]}))

    assert response.status_code == 400
    assert okta.USER_SCHEMA in response.json["detail"]


def test_what_is_changed_and_changed_back_in_one_request_is_no_change(app: Flask, acme: Tenant) -> None:
    body = {name: value for name, value in okta.user().items() if name != "active"}
    body["urn:acme:2.0:User"] = {"badge": 7, "floor": 2}
    created = acme.scim("POST", "/Users", body).json
    there, back = {"op": "add", "path": "title", "value": "x"}, {"op": "remove", "path": "title"}

    patched = acme.scim("PATCH", f"/Users/{created['id']}", okta.patch(there, back)).json
    reordered = acme.scim(
        "PUT", f"/Users/{created['id']}", {**body, "urn:acme:2.0:User": {"floor": 2, "badge": 7}}
    ).json

    assert patched["meta"] == reordered["meta"] == created["meta"]
    assert [event["type"] for event in events_of(app, acme.organization_id)] == ["scimUser.provisioned"]


ANY_LABEL = {
    "emails": [{"type": "Business", "value": "n@acme.example"}, {"type": "WORK", "value": "w@acme.example"}],
    "phoneNumbers": [{"type": "Mobile", "value": "1"}, {"type": "Fax Machine", "value": "2"}],
    "ims": [{"type": "Slack", "value": "n"}],
    "photos": [{"type": "Thumbnail", "value": "https://acme.example/n.png"}],
    "addresses": [{"type": "Billing", "country": "DE"}, {"type": "Home", "country": "FR"}],
}


@pytest.mark.parametrize("name", ANY_LABEL)
def test_any_type_of_an_entry_comes_back_as_it_was_sent(acme: Tenant, name: str) -> None:
    user_id = acme.scim("POST", "/Users", {**okta.user(), name: []}).json["id"]

    answer = acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "add", "path": name, "value": ANY_LABEL[name]}))

    def sent(entries: list[dict[str, Any]]) -> list[tuple[str, Any]]:
        return [(entry["type"], entry.get("value", entry.get("country"))) for entry in entries]

    assert sent(answer.json[name]) == sent(ANY_LABEL[name])
    assert sent(acme.scim("GET", f"/Users/{user_id}").json[name]) == sent(ANY_LABEL[name])


def test_an_entry_is_found_by_its_type_whatever_its_case(acme: Tenant) -> None:
    user_id = acme.scim("POST", "/Users", okta.user(phoneNumbers=[{"type": "Mobile", "value": "1"}])).json["id"]
    path = 'phoneNumbers[type eq "mobile"].value'

    answer = acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": path, "value": "2"}))

    assert answer.json["phoneNumbers"] == [{"type": "Mobile", "value": "2"}]


def test_the_schema_suggests_types(acme: Tenant) -> None:
    attributes = acme.scim("GET", f"/Schemas/{okta.USER_SCHEMA}").json["attributes"]
    phones = next(attribute for attribute in attributes if attribute["name"] == "phoneNumbers")["subAttributes"]
    label = next(attribute for attribute in phones if attribute["name"] == "type")

    assert label["type"] == "string"
    assert label["canonicalValues"] == ["work", "home", "mobile", "fax", "pager", "other"]
