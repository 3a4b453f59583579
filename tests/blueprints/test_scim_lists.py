"""Lists over HTTP: order, pages by cursor, chosen attributes, searches by POST; and what they refuse."""

import json
import time
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import Context, ResponseParameters, ScimPolicy

from clock import now_ms
from scim.provider import make_provider
from tests import okta
from tests.conftest import Tenant, looking_on, wait_until

PROVIDER = make_provider()
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
BADGES = "urn:acme:2.0:User"


def add(tenant: Tenant, name: str, **changes: Any) -> str:
    response = tenant.scim("POST", "/Users", {"schemas": [okta.USER_SCHEMA], "userName": name, **changes})
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def next_millisecond() -> None:
    """Wait for it: an id holds the millisecond it was made in, and within one, ids have no order."""
    now = now_ms()
    wait_until(lambda: now_ms() > now)


def listed(tenant: Tenant, path: str = "/Users", **query: Any) -> Any:
    response = tenant.scim("GET", path, query_string=query)
    assert response.status_code == 200, response.text
    return response.json


def refused(tenant: Tenant, path: str = "/Users", **query: Any) -> tuple[int, Any]:
    response = tenant.scim("GET", path, query_string=query)
    assert response.json["schemas"] == [okta.ERROR] and response.json["detail"]
    return response.status_code, response.json.get("scimType")


def names(page: Any) -> list[str]:
    return [user.get("userName") or user["displayName"] for user in page["Resources"]]


# -- Filters ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "active gt true",
        'active eq "banana"',
        'active co "tr"',
        'foo eq "x"',
        "foo pr",
        'name eq "x"',
        'name[familyName eq "x"]',
        'emails[nowhere eq "x"]',
        'urn:ietf:params:scim:schemas:core:2.0:Nothing:userName eq "x"',
        f'{okta.ENTERPRISE}:nowhere eq "x"',
        'meta.created gt "yesterday"',
        'meta.created co "20"',
        'password eq "secret"',
        "password pr",
        "userName co true",
        'displayName eq "x" and members.value eq "y"',
        'groups.$ref eq "x"',
        'x509Certificates co "QUJD"',
        'x509Certificates eq "?"',
        " or ".join(["title pr"] * 101),
        "not (" * 21 + "title pr" + ")" * 21,
        'title eq "' + "x" * 4096 + '"',
    ],
)
def test_a_filter_that_does_not_fit_is_refused_without_repeating_it(acme: Tenant, expression: str) -> None:
    response = acme.scim("GET", "/Users", query_string={"filter": expression})

    assert (response.status_code, response.json["scimType"]) == (400, "invalidFilter")
    for word in ("banana", "yesterday", "secret", "nowhere", "foo", "xxxx"):
        assert word not in response.json["detail"]


def test_the_largest_filter_that_is_allowed_is_answered(acme: Tenant) -> None:
    add(acme, "ann", title="x")
    deep = 'emails[not (type eq "work") and value pr] or ' + "not (" * 20 + 'title eq "x"' + ")" * 20
    wide = " or ".join(['title eq "y"'] * 98 + ['title eq "x"'])

    assert listed(acme, filter=wide)["totalResults"] == 1
    assert listed(acme, filter=deep)["totalResults"] == 1


def test_entra_writes_truth_values_as_texts(acme: Tenant) -> None:
    add(acme, "ann")
    add(acme, "bob", active=False)

    assert names(listed(acme, filter='active eq "True"')) == ["ann"]
    assert names(listed(acme, filter='active eq "False"')) == ["bob"]


def test_what_is_written_is_found_by_what_it_is_now(acme: Tenant) -> None:
    user_id = add(acme, "ann", title="Old", **{BADGES: {"badge": "X"}})
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "New"}))
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": f"{BADGES}:badge", "value": "Y"}))

    assert names(listed(acme, filter='title eq "NEW"')) == ["ann"]
    assert names(listed(acme, filter=f'{BADGES}:badge eq "y"')) == ["ann"]
    assert names(listed(acme, filter='title eq "old"')) == []
    assert names(listed(acme, filter=f'{BADGES}:badge eq "x"')) == []


def test_groups_are_found_by_their_members(acme: Tenant) -> None:
    ann = add(acme, "ann", displayName="Ann É")
    bob = add(acme, "bob")
    acme.scim("POST", "/Groups", okta.group("Both", ann, bob))
    acme.scim("POST", "/Groups", okta.group("One", ann))
    acme.scim("POST", "/Groups", okta.group("None"))

    def found(expression: str) -> list[str]:
        return names(listed(acme, "/Groups", filter=expression, sortBy="displayName"))

    assert found(f'members.value eq "{bob}"') == found(f'members[value eq "{bob}"]') == ["Both"]
    assert found('members.display co "ann e\u0301"') == ["Both", "One"]
    assert found("not (members pr)") == ["None"]
    assert found('members.type eq "user" and displayName sw "o"') == ["One"]


# -- Order ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort_by", "ascending"),
    [
        ("userName", ["a", "B", "c"]),
        ("title", ["B", "a", "c"]),
        ("emails", ["c", "a", "B"]),
        ("emails.type", ["a", "c", "B"]),
        ("active", ["B", "c", "a"]),
        ("meta.created", ["B", "c", "a"]),
        (f"{okta.ENTERPRISE}:employeeNumber", ["c", "a", "B"]),
        ("id", ["B", "c", "a"]),
    ],
)
def test_lists_are_sorted_by_any_attribute_with_the_people_without_it_last(
    acme: Tenant, sort_by: str, ascending: list[str]
) -> None:
    add(acme, "B", title="a", active=False)
    next_millisecond()
    emails = [{"value": "m", "type": "x"}, {"value": "A", "type": "work", "primary": True}]
    add(acme, "c", emails=emails, **{okta.ENTERPRISE: {"employeeNumber": "1"}})
    next_millisecond()
    add(acme, "a", title="B", emails=[{"value": "b", "type": "home"}], **{okta.ENTERPRISE: {"employeeNumber": "2"}})

    assert names(listed(acme, sortBy=sort_by)) == ascending
    assert names(listed(acme, sortBy=sort_by, sortOrder="descending")) == ascending[::-1]
    for order in ("ascending", "descending"):
        whole = names(listed(acme, sortBy=sort_by, sortOrder=order))
        assert [name for page in walk(acme, sortBy=sort_by, sortOrder=order, count=1) for name in names(page)] == whole


@pytest.mark.parametrize(
    "sort_by", ["nowhere", "name", "password", "groups.$ref", "emails[type eq 1]", "x509Certificates"]
)
def test_an_order_that_makes_no_sense_is_refused(acme: Tenant, sort_by: str) -> None:
    assert refused(acme, sortBy=sort_by) == (400, "invalidPath")


def test_an_unknown_direction_is_refused(acme: Tenant) -> None:
    assert refused(acme, sortBy="userName", sortOrder="sideways") == (400, "invalidValue")


# -- Cursors ------------------------------------------------------------------------------


def walk(tenant: Tenant, path: str = "/Users", **query: Any) -> list[Any]:
    pages = [listed(tenant, path, cursor="", **query)]
    while "nextCursor" in pages[-1]:
        pages.append(listed(tenant, path, cursor=pages[-1]["nextCursor"], **query))
    return pages


def test_cursors_lead_through_a_filtered_and_sorted_list_and_back(acme: Tenant) -> None:
    for number in range(9):
        add(acme, f"user{number}", title="even" if number % 2 == 0 else "odd")
    query = {"filter": 'title eq "even"', "sortBy": "userName", "sortOrder": "descending", "count": 2}

    pages = walk(acme, **query)

    assert [names(page) for page in pages] == [["user8", "user6"], ["user4", "user2"], ["user0"]]
    assert all("totalResults" not in page and "startIndex" not in page for page in pages)
    assert "previousCursor" not in pages[0]
    back = listed(acme, cursor=pages[2]["previousCursor"], **query)
    assert names(back) == names(pages[1])
    assert listed(acme, cursor="", **{**query, "count": 0})["totalResults"] == 5


def test_a_cursor_serves_only_the_query_and_the_organization_it_was_given_for(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        for number in range(3):
            add(tenant, f"{tenant.organization_id}-{number}")
    cursor = listed(acme, cursor="", count=1)["nextCursor"]

    assert refused(globex, cursor=cursor, count=1) == (400, "invalidCursor")
    assert refused(acme, cursor=cursor, count=1, filter="title pr") == (400, "invalidCursor")
    assert refused(acme, cursor=cursor, count=1, sortBy="userName") == (400, "invalidCursor")
    assert refused(acme, "/Groups", cursor=cursor, count=1) == (400, "invalidCursor")
    assert refused(acme, cursor=cursor, count=2) == (400, "invalidCount")
    assert refused(acme, cursor=cursor[:-2] + "AA", count=1) == (400, "invalidCursor")
    assert refused(acme, cursor="nonsense", count=1) == (400, "invalidCursor")
    assert refused(acme, cursor="", startIndex=1) == (400, "invalidValue")
    assert len(listed(acme, cursor=cursor, count=1)["Resources"]) == 1


def test_a_cursor_expires_after_a_day(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        add(acme, f"user{number}")
    cursor = listed(acme, cursor="", count=1)["nextCursor"]

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 24 * 60 * 60 + 5)

    assert refused(acme, cursor=cursor, count=1) == (400, "expiredCursor")


def test_what_is_announced_is_so(acme: Tenant) -> None:
    config = acme.scim("GET", "/ServiceProviderConfig").json

    assert config["sort"]["supported"] and config["filter"]["supported"]
    assert config["pagination"]["cursor"] and config["pagination"]["index"]
    assert config["pagination"]["defaultPaginationMethod"] == "index"


# -- Several types, and searches by POST ------------------------------------------------------


def test_people_and_groups_are_one_collection_at_the_root(acme: Tenant) -> None:
    ann = add(acme, "ann", displayName="m")
    add(acme, "bob", displayName="z")
    for name in ("a", "n"):
        acme.scim("POST", "/Groups", okta.group(name, ann))

    shown = [
        entry["displayName"] for page in walk(acme, "/", sortBy="displayName", count=1) for entry in page["Resources"]
    ]

    assert shown == ["a", "m", "n", "z"]
    assert listed(acme, "/", filter="userName pr")["totalResults"] == 2
    assert listed(acme, "/", startIndex=2, count=2, sortBy="displayName")["totalResults"] == 4
    assert refused(acme, "/", filter="nowhere pr") == (400, "invalidFilter")
    assert [entry["id"] for entry in listed(acme, "/", filter='meta.resourceType eq "User"')["Resources"]][:1] == [ann]


@pytest.mark.parametrize("path", ["", "/Users", "/Groups"])
def test_a_search_by_post_answers_what_the_search_by_get_answers(
    acme: Tenant, globex: Tenant, app: Flask, path: str
) -> None:
    ann = add(acme, "ann", displayName="x")
    add(acme, "bob", displayName="y")
    acme.scim("POST", "/Groups", okta.group("x", ann))
    search = {"filter": 'displayName eq "x"', "attributes": "displayName", "sortBy": "displayName", "count": 5}

    body = {"schemas": [SEARCH], **search, "attributes": ["displayName"]}
    by_post = acme.scim("POST", f"{path}/.search", body)

    assert by_post.status_code == 200, by_post.text
    assert by_post.json == listed(acme, path or "/", **search)
    assert by_post.json["totalResults"] == (2 if not path else 1)
    assert globex.scim("POST", f"{path}/.search", body).json["totalResults"] == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b'{"filter":3}', b'{"cursor":[]}', b'{"count":"x"}', b'{"sortBy":{}}']
)
def test_a_search_by_post_that_is_no_search_is_refused(acme: Tenant, body: bytes) -> None:
    response = acme.scim("POST", "/Users/.search", data=body, headers={"Content-Type": "application/scim+json"})

    assert (response.status_code, response.json["schemas"]) == (400, [okta.ERROR])


# -- Chosen attributes --------------------------------------------------------------------------

# What changes nothing is answered as a read is.
SAME_TITLE = okta.patch({"op": "replace", "path": "title", "value": "T"})
NO_TITLE = okta.patch({"op": "remove", "path": "title"})


@pytest.mark.parametrize(
    "query",
    [
        {"attributes": "userName"},
        {"attributes": "USERNAME,name.familyName"},
        {"attributes": "emails.value,meta.created"},
        {"attributes": f"{okta.USER_SCHEMA}:emails.type"},
        {"attributes": f"{okta.ENTERPRISE}:department"},
        {"attributes": f"{okta.ENTERPRISE}:manager.value"},
        {"attributes": okta.ENTERPRISE},
        {"attributes": "groups.display"},
        {"attributes": "password,nowhere"},
        {"excludedAttributes": "emails,name"},
        {"excludedAttributes": "id,schemas,userName"},
        {"excludedAttributes": "emails.type,meta.location,groups.$ref"},
        {"excludedAttributes": f"{okta.ENTERPRISE}:department,{okta.USER_SCHEMA}:title"},
        {"excludedAttributes": okta.ENTERPRISE},
        {"excludedAttributes": "name.familyName,name.givenName"},
    ],
)
def test_chosen_attributes_are_those_that_the_models_would_answer(acme: Tenant, query: dict[str, str]) -> None:
    enterprise = {"department": "D", "manager": {"value": "m1"}}
    user_id = acme.scim("POST", "/Users", okta.user(title="T", **{okta.ENTERPRISE: enterprise})).json["id"]
    acme.scim("POST", "/Groups", okta.group("G", user_id))
    whole = acme.scim("GET", f"/Users/{user_id}").json
    model: Any = PROVIDER.model_for(next(type_ for type_ in PROVIDER.resource_types if type_.name == "User"))
    parameters = ResponseParameters.__class_getitem__(model).model_validate(query)
    expected = model.model_validate(whole, scim_policy=ScimPolicy()).model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters
    )

    assert acme.scim("GET", f"/Users/{user_id}", query_string=query).json == expected
    assert listed(acme, **query)["Resources"] == [expected]
    assert acme.scim("PATCH", f"/Users/{user_id}", SAME_TITLE, query_string=query).json == expected


def test_what_no_schema_declares_is_chosen_by_name_too(acme: Tenant) -> None:
    user_id = add(acme, "ann", custom={"a": 1, "b": 2}, **{BADGES: {"badge": 7, "colour": "red"}})

    def shown(**query: str) -> set[str]:
        read = acme.scim("GET", f"/Users/{user_id}", query_string=query).json
        assert acme.scim("PATCH", f"/Users/{user_id}", NO_TITLE, query_string=query).json == read
        return set(read) - {"schemas", "id"}

    assert shown(attributes="userName") == {"userName"}
    assert shown(attributes="custom.a") == {"custom"}
    assert acme.scim("GET", f"/Users/{user_id}", query_string={"attributes": f"{BADGES}:badge"}).json[BADGES] == {
        "badge": 7
    }
    assert shown(excludedAttributes=f"{BADGES},custom,meta") == {"userName", "active"}


def test_members_and_groups_are_not_loaded_where_they_are_not_shown(acme: Tenant, app: Flask) -> None:
    from database import db

    ann = add(acme, "ann")
    group_id = acme.scim("POST", "/Groups", okta.group("G", ann)).json["id"]
    statements: list[str] = []
    with app.app_context():
        engine = db.engine

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with looking_on(engine, before_cursor_execute=note):
        acme.scim("GET", f"/Groups/{group_id}?excludedAttributes=members")
        acme.scim("GET", "/Groups?excludedAttributes=members")
        acme.scim("GET", f"/Users/{ann}?attributes=userName")
        acme.scim("GET", "/Users?attributes=userName")
        assert statements and not any("directory_group_members" in statement for statement in statements)
        acme.scim("GET", f"/Groups/{group_id}?attributes=members.value")
    assert any("directory_group_members" in statement for statement in statements)


# -- Twins and hostility ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"filter": "userName pr"},
        {"filter": 'not (userName eq "nobody")'},
        {"filter": 'emails[type eq "work"].value eq "nadia.petrov@acme.example"'},
        {"filter": 'emails co "@"'},
        {"filter": 'groups.display eq "Board"'},
        {"filter": "groups pr"},
        {"filter": "active eq true"},
        {"filter": 'displayName eq "nadia petrov" or displayName pr'},
        {"sortBy": "groups.display"},
        {"sortBy": "emails", "cursor": ""},
        {"cursor": ""},
    ],
)
def test_no_filter_and_no_order_shows_another_organizations_people(
    acme: Tenant, globex: Tenant, query: dict[str, str]
) -> None:
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("POST", "/Groups", okta.group("Board", user_id))
    other = add(globex, "somebody", displayName="A")
    globex.scim("POST", "/Groups", okta.group("Board", other))

    assert [user["id"] for user in listed(acme, **query)["Resources"]] == [user_id]
    assert user_id not in globex.scim("GET", "/Users", query_string=query).text
    assert user_id not in globex.scim("GET", "/", query_string=query).text


VOCABULARY = r"""userName emails [ ] ( ) not and or eq co pr "x" " \ null 1e999 true -1 . : urn:x:y
$ref meta.created "2024-13-01" % ' ; -- 😀"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\x00", "\ud800", "9" * 400])
PARAMETERS = ["filter", "sortBy", "sortOrder", "cursor", "attributes", "excludedAttributes", "count", "startIndex"]
NOISE = st.one_of(
    st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join), st.lists(WORDS, max_size=8).map("".join)
)


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(PARAMETERS), noise=NOISE)
def test_noise_in_a_parameter_is_never_our_failure(acme: Tenant, name: str, noise: str) -> None:
    for path in ("/Users", "/Groups", "/"):
        value = noise.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        assert acme.scim("GET", path, query_string={name: value}).status_code in (200, 400)
    body = json.dumps({"schemas": [SEARCH], name: noise})
    headers = {"Content-Type": "application/json"}
    assert acme.scim("POST", "/Users/.search", data=body, headers=headers).status_code in (200, 400)
