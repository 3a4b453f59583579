"""Whatever is sent, on every method and path, is answered by SCIM, and never by an error of the server's own."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import okta
from tests.bulk import bulk, change, post, set_title
from tests.conftest import Tenant

# One application for all examples: what the accepted ones leave behind makes the later ones stranger still.
PROFILE = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**64), 10**99, 1e308, -0.0, 1e-320]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "\0", "\ud800", "bulkId:a", "*", "é\u0301", "\u202e", "W/", "x" * 600, "$ref", "-1", "∞"]
    ),
)
WORDS = """id meta schemas userName USERNAME externalId active emails name members value type primary displayName op
    path groups Operations method data bulkId version failOnErrors $ref manager password filter count urn:x:y"""
NAMES = st.sampled_from([*WORDS.split(), okta.ENTERPRISE, okta.USER_SCHEMA])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAMES, st.text()), inner, max_size=4)
    ),
    max_leaves=8,
)
ATTRIBUTE_PATHS = [
    "active", "name.givenName", 'emails[type eq "work"].value', "emails[primary eq true]", "members", "schemas", "id",
    'members[value eq "x"]', f"{okta.ENTERPRISE}:manager", f"{okta.ENTERPRISE}:manager.value", "roles", "x:y",
]  # fmt: skip


def paths(user_id: str, group_id: str) -> st.SearchStrategy[str]:
    places = [
        "", "/", "/Users", "/Groups", f"/Users/{user_id}", f"/Groups/{group_id}", "/Bulk", "/.search", "/Me",
        "/Users/x", "/Users/.search", "/Groups/.search", "/ServiceProviderConfig", "/ResourceTypes/User", "/Schemas/x",
    ]  # fmt: skip
    return st.one_of(
        st.sampled_from(places), st.text(max_size=30).map(lambda text: "/Users/" + quote(text, errors="replace"))
    )


def bodies(user_id: str, group_id: str) -> list[Any]:
    add = {"op": "add", "path": "members", "value": [{"value": user_id, "display": "N"}]}
    return [
        okta.user("no.body", **{okta.ENTERPRISE: {"department": "D", "manager": {"value": user_id}}}),
        okta.group("Some", user_id),
        okta.patch(*({"op": "replace", "path": path, "value": "x"} for path in ATTRIBUTE_PATHS[:6])),
        okta.patch(*({"op": "add", "path": path, "value": {"value": "x"}} for path in ATTRIBUTE_PATHS[6:])),
        okta.patch(add, {"op": "remove", "path": f'members[value eq "{user_id}"]'}, {"op": "replace", "value": {}}),
        bulk(post("a", okta.user("a.a")), set_title(user_id), change(f"/Groups/{group_id}", add), failOnErrors=2),
        {
            "schemas": [okta.LIST_RESPONSE],
            "filter": 'userName eq "x"',
            "count": 1,
            "startIndex": 1,
            "attributes": ["id"],
        },
    ]


def places_in(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else []
    return [at, *(place for key, item in items for place in places_in(item, (*at, key)))]


def put_at(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[place[0]] = put_at(copy[place[0]], place[1:], value)
    return copy


@st.composite
def mutations(draw: st.DrawFn, valid: list[Any]) -> Any:
    """A valid body in which up to three values are something else."""
    body = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places_in(body)))
        body = put_at(body, place, draw(st.one_of(TREES, st.sampled_from(ATTRIBUTE_PATHS))))
    return body


def check(response: Any) -> None:
    """Check that an answer is SCIM's, and no failure of the server."""
    assert response.status_code < 500 or response.status_code == 501, response.text
    if response.status_code >= 400:
        assert response.content_type == "application/scim+json"
        body = json.loads(response.text)
        assert body["schemas"] == [okta.ERROR] and body["detail"]
        assert body["status"] == str(response.status_code)
    elif response.is_json and "Operations" in response.json:
        assert all(int(result["status"]) not in (500, 503) for result in response.json["Operations"])


@pytest.fixture
def ids(acme: Tenant) -> tuple[str, str]:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    return user_id, acme.scim("POST", "/Groups", okta.group("Team", user_id)).json["id"]


def send(tenant: Tenant, method: str, path: str, body: bytes, **headers: str) -> None:
    check(tenant.scim(method, path, data=body, headers={"Content-Type": "application/scim+json", **headers}))


def test_any_bytes_to_any_place_are_answered_by_scim(acme: Tenant, ids: tuple[str, str]) -> None:
    @settings(PROFILE, max_examples=100)
    @given(
        METHODS,
        paths(*ids),
        st.binary(max_size=60),
    )
    def answer(method: str, path: str, body: bytes) -> None:
        send(acme, method, path, body)

    answer()


def test_any_json_to_any_place_is_answered_by_scim(acme: Tenant, ids: tuple[str, str]) -> None:
    @settings(PROFILE, max_examples=200)
    @given(METHODS, paths(*ids), TREES)
    def answer(method: str, path: str, body: Any) -> None:
        send(acme, method, path, json.dumps(body).encode())

    answer()


def test_valid_bodies_with_something_else_in_them_are_answered_by_scim(acme: Tenant, ids: tuple[str, str]) -> None:
    user_id, group_id = ids
    places = [("POST", "/Users"), ("POST", "/Groups"), ("PUT", f"/Users/{user_id}"), ("PUT", f"/Groups/{group_id}")]
    places += [
        ("PATCH", f"/Users/{user_id}"),
        ("PATCH", f"/Groups/{group_id}"),
        ("POST", "/Bulk"),
        ("POST", "/.search"),
    ]
    places += [("POST", "/Users/.search")]

    @settings(PROFILE, max_examples=400)
    @given(st.sampled_from(places), mutations(bodies(user_id, group_id)))
    def answer(place: tuple[str, str], body: Any) -> None:
        send(acme, *place, json.dumps(body).encode())

    answer()
    check(acme.scim("GET", "/Users?count=200"))


def test_any_query_and_headers_are_answered_by_scim(acme: Tenant, ids: tuple[str, str]) -> None:
    user_id, group_id = ids
    names = st.sampled_from(["filter", "count", "startIndex", "sortBy", "attributes", "excludedAttributes", "cursor"])
    values = st.one_of(st.text(max_size=30), st.sampled_from([*ATTRIBUTE_PATHS, "-1", "9" * 400, 'id eq "x"']))
    tags = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)

    @settings(PROFILE, max_examples=100)
    @given(
        st.sampled_from(["/Users", "/Groups", "/", f"/Users/{user_id}", f"/Groups/{group_id}", "/Schemas"]),
        st.dictionaries(names, values, max_size=3),
        tags,
    )
    def answer(path: str, query: dict[str, str], tag: str) -> None:
        pairs = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query.items())
        headers = {"If-Match": tag, "Accept": tag, "User-Agent": tag}
        check(acme.scim("GET", f"{path}?{pairs}", headers={"If-None-Match": tag, "Accept": tag}))
        send(acme, "PATCH", f"{path}?{pairs}", json.dumps(okta.patch()).encode(), **headers)

    answer()
