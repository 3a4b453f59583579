"""PATCH against a plain reference: the same document, the same members, and nothing at all when it is refused."""

import json
from copy import deepcopy
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import okta
from tests.conftest import Tenant
from tests.events import events_of
from tests.okta import ENTERPRISE

BADGES = "urn:acme:2.0:User"
DETERMINISTIC = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Document = dict[str, Any]
Operation = dict[str, Any]

# -- The reference: RFC 7644 §3.5.2 over plain dictionaries -----------------------------


def route(path: str) -> list[str]:
    """The keys that lead to a plain path."""
    for schema in (ENTERPRISE, BADGES):
        if path.startswith(schema):
            return [schema, *path[len(schema) + 1 :].split(".")]
    return path.split(".")


def put(document: Document, keys: list[str], value: Any) -> None:
    if len(keys) > 1:
        put(document.setdefault(keys[0], {}), keys[1:], value)
        if not document[keys[0]]:
            del document[keys[0]]
    elif value is None:
        document.pop(keys[0], None)
    else:
        document[keys[0]] = value


def put_emails(document: Document, emails: list[Document]) -> None:
    put(document, ["emails"], emails or None)


def apply(document: Document, operation: Operation) -> None:
    """Apply one operation, without any of the product's code."""
    op, path, value = operation["op"].lower(), operation.get("path"), operation.get("value")
    if path is None:
        for name, item in value.items():
            apply(document, {"op": op, "path": name, "value": item})
    elif path.startswith("emails"):
        apply_to_emails(document, op, path, value)
    else:
        put(document, route(path), None if op == "remove" else value)


def apply_to_emails(document: Document, op: str, path: str, value: Any) -> None:
    emails = document.get("emails", [])
    if path.startswith("emails["):
        kind = path.split('"')[1]
        found = [email for email in emails if email["type"] == kind]
        if op == "remove" or value is None:
            put_emails(document, [email for email in emails if email not in found])
        elif found:
            for email in found:
                email["value"] = value
        else:
            put_emails(document, [*emails, {"type": kind, "value": value}])
    elif op == "remove":
        gone = {entry["value"] for entry in value}
        put_emails(document, [email for email in emails if email["value"] not in gone])
    elif op == "add":
        new = [entry for entry in value if entry not in emails]
        if any(entry.get("primary") for entry in new):
            emails = [{**email, "primary": False} if email.get("primary") else email for email in emails]
        put_emails(document, [*emails, *new])
    else:
        put_emails(document, deepcopy(value))


# -- What is sent -------------------------------------------------------------------------

VALUES = st.sampled_from(["a", "B", "True", "Ünï", "x y", "0"])
PLAIN = st.sampled_from(
    [
        "title",
        "nickName",
        "displayName",
        "name.givenName",
        "name.familyName",
        "name.formatted",
        f"{ENTERPRISE}:department",
        f"{ENTERPRISE}:costCenter",
        f"{BADGES}:badge",
        f"{BADGES}:deep.er",
    ]
)
WRITES = st.sampled_from(["add", "replace", "Add", "Replace"])
ADDRESSES = st.sampled_from(["a@x.example", "B@x.example", "c@x.example"])
TYPES = st.sampled_from(["work", "home"])
ENTRIES = st.builds(
    lambda kind, value, primary: {"type": kind, "value": value, **({"primary": True} if primary else {})},
    TYPES,
    ADDRESSES,
    st.booleans(),
)


def one_primary(entries: list[Document]) -> list[Document]:
    """Some entries, each once, of which the first may be primary."""
    plain = [{name: item for name, item in entry.items() if name != "primary"} for entry in entries[1:]]
    unique: list[Document] = []
    for entry in [*entries[:1], *plain]:
        if all(entry["value"] != other["value"] or entry["type"] != other["type"] for other in unique):
            unique.append(entry)
    return unique


EMAILS = st.lists(ENTRIES, max_size=3).map(one_primary)
OPERATIONS = st.one_of(
    st.builds(lambda op, path, value: {"op": op, "path": path, "value": value}, WRITES, PLAIN, VALUES),
    st.builds(lambda path: {"op": "remove", "path": path}, PLAIN),
    st.builds(lambda path: {"op": "replace", "path": path, "value": None}, PLAIN),
    st.builds(lambda op, value: {"op": op, "value": value}, WRITES, st.dictionaries(PLAIN, VALUES, min_size=1)),
    st.builds(
        lambda op, kind, value: {"op": op, "path": f'emails[type eq "{kind}"].value', "value": value},
        WRITES,
        TYPES,
        ADDRESSES,
    ),
    st.builds(lambda kind: {"op": "Remove", "path": f'emails[type eq "{kind}"]'}, TYPES),
    st.builds(lambda emails: {"op": "replace", "path": "emails", "value": emails}, EMAILS),
    st.builds(lambda emails: {"op": "add", "path": "emails", "value": emails}, EMAILS.filter(bool)),
    st.builds(
        lambda value: {"op": "Remove", "path": "emails", "value": [{"$ref": None, "value": value}]},
        ADDRESSES,
    ),
)
BROKEN = st.sampled_from(
    [
        {"op": "replace", "path": "active", "value": "banana"},
        {"op": "replace", "path": "nowhere", "value": "x"},
        {"op": "replace", "path": "id", "value": "x"},
        {"op": "remove", "path": "userName"},
        {"op": "add", "path": "members", "value": [{"value": 5}]},
        {"op": "remove"},
        {"op": "replace", "path": f"{ENTERPRISE}:department", "value": {}},
        "no operation",
    ]
)


def base() -> Document:
    return okta.user(title="Engineer", **{ENTERPRISE: {"department": "D"}})


def shown(document: Document) -> Document:
    """What is compared: without what only the server writes, and whatever the order of addresses."""
    own = {n: v for n, v in document.items() if n not in ("id", "meta", "schemas", "groups", "password")}
    return {**own, "emails": sorted(own.get("emails", []), key=lambda email: sorted(email.items()))}


@pytest.fixture
def user_id(acme: Tenant) -> str:
    return str(acme.scim("POST", "/Users", base()).json["id"])


@given(requests=st.lists(st.lists(OPERATIONS, min_size=1, max_size=5), min_size=1, max_size=3))
@DETERMINISTIC
def test_any_patches_give_the_document_of_the_reference(
    acme: Tenant, user_id: str, requests: list[list[Operation]]
) -> None:
    path = f"/Users/{user_id}"
    before = acme.scim("PUT", path, base()).json
    expected = shown(before)

    for operations in requests:
        for operation in operations:
            apply(expected, operation)
        response = acme.scim("PATCH", path, okta.patch(*operations))
        assert response.status_code == 200, response.text
        got = acme.scim("GET", path).json
        assert response.json == got
        assert shown(got) == shown(expected), operations
        is_same = shown(got) == shown(before) and got["schemas"] == before["schemas"]
        if got["meta"]["version"] == before["meta"]["version"]:
            assert is_same and got["meta"] == before["meta"]
        before = got


@given(operations=st.lists(OPERATIONS, max_size=3), broken=BROKEN, rest=st.lists(OPERATIONS, max_size=2))
@DETERMINISTIC
def test_a_patch_that_is_refused_changed_nothing(
    app: Flask, acme: Tenant, user_id: str, operations: list[Operation], broken: Any, rest: list[Operation]
) -> None:
    def state() -> Any:
        return acme.scim("GET", f"/Users/{user_id}").json, len(events_of(app, acme.organization_id, ""))

    before = state()

    response = acme.scim("PATCH", f"/Users/{user_id}", okta.patch(*operations, broken, *rest))

    assert response.status_code == 400
    assert response.json["detail"] and response.json["status"] == "400"
    assert state() == before


# -- Members ---------------------------------------------------------------------------------

PEOPLE = st.integers(0, 5)
SOME = st.lists(PEOPLE, max_size=4)


def entries(people: list[str], numbers: list[int]) -> list[Document]:
    return [{"value": people[number]} for number in numbers]


MEMBER_OPERATIONS = st.one_of(
    st.tuples(st.just("add"), SOME),
    st.tuples(st.just("remove values"), SOME),
    st.tuples(st.just("remove one"), PEOPLE.map(lambda number: [number])),
    st.tuples(st.just("replace"), SOME),
    st.tuples(st.just("replace without a path"), SOME),
    st.tuples(st.just("clear"), st.just([])),
)


def member_operation(people: list[str], kind: str, numbers: list[int]) -> Operation:
    values = entries(people, numbers)
    return {
        "add": {"op": "add", "path": "members", "value": values},
        "remove values": {"op": "Remove", "path": "members", "value": values},
        "remove one": {"op": "remove", "path": f'members[value eq "{people[(numbers or [0])[0]]}"]'},
        "replace": {"op": "replace", "path": "members", "value": values},
        "replace without a path": {"op": "replace", "value": {"displayName": "Finance", "members": values}},
        "clear": {"op": "remove", "path": "members"},
    }[kind]


def expect(members: set[int], kind: str, numbers: list[int]) -> set[int]:
    if kind == "add":
        return members | set(numbers)
    return members - set(numbers) if kind.startswith("remove") else set(numbers)


@pytest.fixture
def people(acme: Tenant) -> list[str]:
    return [acme.scim("POST", "/Users", okta.user(f"person.n{number}")).json["id"] for number in range(6)]


@pytest.fixture
def group_id(acme: Tenant) -> str:
    return str(acme.scim("POST", "/Groups", okta.group("Finance")).json["id"])


@given(requests=st.lists(st.lists(MEMBER_OPERATIONS, min_size=1, max_size=4), min_size=1, max_size=3))
@DETERMINISTIC
def test_any_patches_give_the_members_of_a_set(
    app: Flask, acme: Tenant, people: list[str], group_id: str, requests: list[list[tuple[str, list[int]]]]
) -> None:
    path = f"/Groups/{group_id}"

    def members_of(group: Document) -> set[int]:
        return {people.index(member["value"]) for member in group.get("members", [])}

    before = acme.scim("GET", path).json
    for operations in requests:
        expected = members_of(before)
        for kind, numbers in operations:
            expected = expect(expected, kind, numbers)
        seen = len(events_of(app, acme.organization_id))
        body = okta.patch(*(member_operation(people, kind, numbers) for kind, numbers in operations))
        response = acme.scim("PATCH", path, body)
        assert response.status_code == 200, response.text
        assert members_of(response.json) == expected
        events = events_of(app, acme.organization_id)[seen:]
        if expected == members_of(before):
            assert response.json == before and events == []
        else:
            (moves,) = [event["data"]["members"] for event in events]
            assert {people.index(person) for person in moves["added"]} == expected - members_of(before)
            assert {people.index(person) for person in moves["removed"]} == members_of(before) - expected
        before = acme.scim("GET", path).json
        assert before == response.json


# -- Anything at all ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.one_of(
    PLAIN,
    st.text(max_size=12),
    st.sampled_from(
        ["members", "emails", "emails.value", "name", ENTERPRISE, BADGES, "schemas", "addresses[", 'a[b eq "c"].d', "."]
    ),
)
ANYTHING = st.one_of(
    JSON,
    st.builds(
        lambda operations: {"Operations": operations},
        st.lists(
            st.fixed_dictionaries(
                {"op": st.sampled_from(["add", "replace", "remove"]) | JSON},
                optional={"path": PATHS | JSON, "value": JSON | st.dictionaries(PATHS, JSON, max_size=3)},
            )
            | JSON,
            max_size=3,
        ),
    ),
)


@given(body=ANYTHING, kind=st.sampled_from(["Users", "Groups"]))
@settings(DETERMINISTIC, max_examples=250)
def test_no_body_breaks_the_server(acme: Tenant, user_id: str, group_id: str, body: Any, kind: str) -> None:
    path = f"/{kind}/{user_id if kind == 'Users' else group_id}"
    before = acme.scim("GET", path).json

    response = acme.scim("PATCH", path, data=json.dumps(body), content_type="application/scim+json")

    assert response.status_code in (200, 400, 409), response.text
    after = acme.scim("GET", path)
    assert after.status_code == 200
    if response.status_code == 200:
        assert after.json == response.json
    else:
        assert response.json["detail"] and after.json == before
