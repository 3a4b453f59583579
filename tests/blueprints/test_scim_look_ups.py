"""Look-ups by a unique name, and pages of everybody: read off the query, they say what any other search says."""

import itertools
from typing import Any

import pytest

from scim.lookups import LookUp, PlainPage, plain_list_of
from tests import okta
from tests.conftest import Tenant

NAMES = [
    "ada@acme.test",
    "GRACE@Acme.Test",
    "straße@acme.test",
    "Ｆull@acme.test",
    "o'neil; --@acme.test",
    "100%_@acme.test",
]


@pytest.fixture
def people(acme: Tenant, globex: Tenant) -> list[str]:
    """People of one directory, some of them in groups, inactive or deleted; and others of the same names elsewhere."""
    ids = []
    for number, name in enumerate(NAMES):
        emails = [{"value": f"n{number}@acme.test", "primary": True}]
        body = okta.user(userName=name, externalId=f"ext-{number}", displayName="Somebody", emails=emails)
        ids.append(acme.scim("POST", "/Users", body).json["id"])
        other = {**body, "emails": [{"value": f"n{number}@globex.test", "primary": True}]}
        assert globex.scim("POST", "/Users", other).status_code == 201
    gone = acme.scim("POST", "/Users", okta.user(userName="gone@acme.test", externalId="ext-gone")).json["id"]
    assert acme.scim("DELETE", f"/Users/{gone}").status_code == 204
    assert acme.scim("PATCH", f"/Users/{ids[1]}", okta.set_active(False)).status_code == 200
    for tenant, members in ((acme, ids[:3]), (acme, ids[2:4]), (globex, [])):
        name = f"Größe {len(members)}"
        assert tenant.scim("POST", "/Groups", okta.group(name, *members)).status_code == 201
    return ids


def asked_both_ways(tenant: Tenant, resource: str, query: dict[str, Any]) -> tuple[Any, Any]:
    """Return what a query is answered, and what the same search by POST is."""
    by_get = tenant.scim("GET", f"/{resource}", query_string=query)
    body = {**query, "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    by_post = tenant.scim("POST", f"/{resource}/.search", body)
    return (by_get.status_code, by_get.json), (by_post.status_code, by_post.json)


@pytest.mark.parametrize("tenant_name", ["acme", "globex"])
def test_a_look_up_finds_what_the_same_search_finds(
    request: pytest.FixtureRequest, people: list[str], tenant_name: str
) -> None:
    tenant: Tenant = request.getfixturevalue(tenant_name)
    groups = [group["id"] for group in tenant.scim("GET", "/Groups").json["Resources"]]
    values = [*NAMES, *(name.upper() for name in NAMES), "gone@acme.test", "ext-1", "EXT-1", "ext-gone", people[0]]
    values += [people[0].upper(), "nobody", "Größe 3", "GRÖSSE 3", "%", " ada@acme.test", *groups]
    found = 0
    for resource, attribute, value in itertools.product(
        ("Users", "Groups"), ("userName", "USERNAME", "externalId", "id", "displayName"), values
    ):
        query = {"filter": f'{attribute} eq "{value}"', "startIndex": 1, "count": 100}
        ours, other = asked_both_ways(tenant, resource, query)
        assert ours == other, query
        found += ours[0] == 200 and ours[1]["totalResults"]
    assert found > 20


def test_pages_of_everybody_are_those_of_the_same_search(acme: Tenant, people: list[str]) -> None:
    for resource, start, count in itertools.product(("Users", "Groups"), (0, 1, 2, 5, 6, 7, 99), (1, 2, 6, 200, 201)):
        ours, other = asked_both_ways(acme, resource, {"startIndex": start, "count": count})
        assert ours == other
        assert ours[1]["totalResults"] == (len(people) if resource == "Users" else 2)
    seen = [
        user["id"]
        for start in (1, 3, 5)
        for user in acme.scim("GET", f"/Users?startIndex={start}&count=2").json["Resources"]
    ]
    assert seen == sorted(people)


def test_a_page_shows_the_groups_of_each_person_and_no_others(acme: Tenant, people: list[str]) -> None:
    page = acme.scim("GET", "/Users?startIndex=2&count=4").json["Resources"]
    names = {user["id"]: [group["display"] for group in user.get("groups", [])] for user in page}
    groups: dict[str, list[str]] = {id_: [] for id_ in people}
    groups |= {people[0]: ["Größe 3"], people[1]: ["Größe 3"], people[3]: ["Größe 2"]}
    groups[people[2]] = ["Größe 3", "Größe 2"]
    assert names == {id_: groups[id_] for id_ in sorted(people)[1:5]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, PlainPage("User", 1, 100)),
        ({"count": "500", "aadOptscim062020": ""}, PlainPage("User", 1, 200)),
        ({"filter": 'userName eq "Ada"'}, LookUp(("User", "username"), "ada")),
        ({"filter": ' externalId  EQ "Ada" ', "count": "1"}, LookUp(("User", "externalid"), "Ada")),
        ({"filter": 'userName eq "a\\"b"'}, None),
        ({"filter": 'userName eq ""'}, None),
        ({"filter": "userName eq ada"}, None),
        ({"filter": 'displayName eq "Ada"'}, None),
        ({"filter": 'userName eq "a" and active eq true'}, None),
        ({"filter": 'userName eq "a"', "startIndex": "2"}, None),
        ({"filter": 'userName eq "a"', "count": "0"}, None),
        ({"filter": 'userName eq "a"', "attributes": "id"}, None),
        ({"startIndex": "1", "cursor": ""}, None),
        ({"count": "-1"}, None),
        ({"count": "٣"}, None),
        ({"startIndex": "9999999999"}, None),
        ({"sortBy": "userName"}, None),
    ],
)
def test_only_what_is_that_plain_is_read_off_the_query(query: dict[str, str], found: object) -> None:
    assert plain_list_of("User", query) == found
