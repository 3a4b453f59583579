"""The sequences of the Postman collections beside Microsoft's SCIM reference code, step by step.

Sub-attributes are capitalized there, filters come without quotes, a member has a displayName of its own, an operation
has a name, and PATCH is expected to answer 204; we answer 200 with the resource, which is as good (RFC 7644 §3.5.2).
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scim.conversations.impatience import ENTERPRISE, GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import INACTIVE, MEMBER, IdentityProvider, Step

POSTMAN = IdentityProvider("Postman", {"Content-Type": "application/json", "User-Agent": "PostmanRuntime/7.39"}, "+")


def user(name: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "userName": name,
        "active": True,
        "displayName": "BobIsAmazing",
        "schemas": [ENTERPRISE, USER],
        "externalId": f"guid-of-{name}",
        "name": {"formatted": "Ryan Leenay", "familyName": "Leenay", "givenName": "Ryan"},
        "emails": [
            {"Primary": True, "type": "work", "value": f"{name}@bob.example"},
            {"Primary": False, "type": "home", "value": f"{name}@home.example"},
        ],
        **changes,
    }


def garbage(name: str, /, **changes: Any) -> dict[str, Any]:
    """What older clients sent: meta of their own, nulls inside, and two addresses of one type."""
    return {
        "userName": name,
        "active": True,
        "addresses": [
            {"country": "Bermuda", "formatted": "9132 Jennifer Way\nSouth Nancy", "type": "work", "primary": False},
            {"country": None, "formatted": "18522 Lisa Unions", "locality": None, "type": "other", "primary": False},
        ],
        "displayName": "Kimberly Baker",
        "emails": [
            {"type": "work", "primary": True, "value": f"{name}@example.example"},
            {"type": "work", "primary": False, "value": f"{name}@example.org.example"},
        ],
        "meta": {"created": "2019-09-18T18:15:26.5788954+00:00", "resourceType": "User"},
        "name": {"formatted": "Daniel Mcgee", "familyName": "Employee", "givenName": "Darl", "honorificPrefix": None},
        "phoneNumbers": [{"type": "fax", "primary": False, "value": "312-320-0500"}],
        "preferredLanguage": "xh",
        "roles": [],
        "title": "Site engineer",
        "externalId": f"22fbc523-{name}",
        "schemas": [USER],
        **changes,
    }


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def created(who: str, body: dict[str, Any], /, **hears: Any) -> Step:
    return Step(f"Post {who}", "POST /Users", body, status=201, hears=hears, remembers=who, people={who: MEMBER},
                events=[f"scimUser.provisioned {who}"])  # fmt: skip


def deleted(who: str, *, told: bool = True) -> Step:
    return Step(f"Delete {who}", f"DELETE /Users/{{{who}}}", status=204, people={who: None},
                events=[f"scimUser.deprovisioned {who}"] if told else [])  # fmt: skip


ENDPOINTS = [
    Step("Get empty users", "GET /Users", finds=[]),
    Step("Get empty groups", "GET /Groups", finds=[]),
    Step("Get resource types", "GET /ResourceTypes", hears={"Resources": [{"endpoint": "/Users"}, {}]}),
    Step(
        "Get the service provider's configuration", "GET /ServiceProviderConfig", hears={"patch": {"supported": True}}
    ),
    Step("Get schemas", "GET /Schemas"),
]

USERS = [
    created("one", user("UserName123"), emails=[{"primary": True}, {"primary": False}]),
    created("two", user("UserName222", **{ENTERPRISE: {"Department": "bob", "Manager": {"Value": "SuzzyQ"}}}),
            **{ENTERPRISE: {"department": "bob", "manager": {"value": "SuzzyQ"}}}),
    Step("Get user 1", "GET /Users/{one}", hears={"id": "{one}"}),
    Step("Get user 2", "GET /Users/{two}", hears={"id": "{two}"}),
    Step("Get chosen attributes", "GET /Users?attributes=userName,emails", finds=["one", "two"],
         hears={"Resources": [{"userName": "UserName123"}, {"userName": "UserName222"}]}),
    Step("Get User Filters", 'GET /Users?filter=DisplayName eq "BobIsAmazing"', finds=["one", "two"]),
    Step("… part of a name", 'GET /Users?filter=DisplayName co "isama"', finds=["one", "two"]),
    Step("… the beginning of a name", 'GET /Users?filter=userName sw "USERNAME1"', finds=["one"]),
    Step("… changed since", 'GET /Users?filter=meta.lastModified gt "2019-09-18T18:15:26.5788954+00:00"',
         finds=["one", "two"]),
    Step("… and of nobody", 'GET /Users?filter=DisplayName eq "Nobody"', finds=[]),
    Step("Patch user 1", "PATCH /Users/{one}", patch({"op": "replace", "path": "userName", "value": "ryan3"}),
         hears={"userName": "ryan3"}, events=["scimUser.updated one"]),
    Step("Check it", "GET /Users/{one}", hears={"id": "{one}", "userName": "ryan3"}),
    Step("Replace user 2", "PUT /Users/{two}",
         user("UserNameReplace2", id="{two}", name={"formatted": "NewName", "familyName": "Leenay"}),
         hears={"userName": "UserNameReplace2"}, events=["scimUser.updated two"]),
    Step("Check it: what was not sent is gone", "GET /Users/{two}", hears={"name": {"formatted": "NewName"}},
         lacks=[ENTERPRISE]),
    deleted("one"),
    deleted("two"),
]  # fmt: skip

GROUPS = [
    Step("Create an empty group", "POST /Groups",
         {"externalId": "g1", "schemas": [GROUP], "displayName": "Group1DisplayName", "members": []}, status=201,
         remembers="group1", groups={"Group1DisplayName": set()}, events=["scimGroup.created group1"]),
    created("three", user("UserName333")),
    created("four", user("UserName444")),
    Step("Create a group with a member", "POST /Groups",
         {"schemas": [GROUP], "externalId": "g2", "displayName": "GroupDisplayName2",
          "members": [{"value": "{three}", "display": "VP"}]}, status=201, remembers="group2",
         hears={"members": [{"value": "{three}"}]}, groups={"GroupDisplayName2": {"three"}},
         events=["scimGroup.created group2"]),
    Step("Get groups", "GET /Groups", finds=["group1", "group2"]),
    Step("Replace a group", "PUT /Groups/{group1}",
         {"schemas": [GROUP], "id": "{group1}", "displayName": "putName",
          "members": [{"value": "{three}", "display": "VP"}, {"value": "{four}", "display": "SenorVP"}]},
         groups={"Group1DisplayName": None, "putName": {"three", "four"}}, events=["scimGroup.updated group1"]),
    Step("Validate it", "GET /Groups/{group1}", hears={"id": "{group1}", "displayName": "putName"}),
    Step("Add a member, by an operation that has a name", "PATCH /Groups/{group2}",
         patch({"name": "addMember", "op": "add", "path": "members",
                "value": [{"displayName": "new User", "value": "{four}"}]}),
         groups={"GroupDisplayName2": {"three", "four"}}, events=["scimGroup.updated group2"]),
    Step("Remove that member", "PATCH /Groups/{group2}",
         patch({"op": "remove", "path": 'members[value eq "{four}"]'}),
         groups={"GroupDisplayName2": {"three"}}, events=["scimGroup.updated group2"]),
    Step("Remove all members, by a remove that has no value", "PATCH /Groups/{group2}",
         patch({"op": "remove", "path": "members"}),
         groups={"GroupDisplayName2": set()}, events=["scimGroup.updated group2"]),
    Step("Get it without members", "GET /Groups/{group2}?excludedAttributes=members", lacks=["members"]),
    Step("Replace it without members, by another name", "PUT /Groups/{group2}",
         {"id": "{group2}", "displayName": "Tiffany Ortiz", "externalId": "6c6b54c2", "schemas": [GROUP]},
         hears={"displayName": "Tiffany Ortiz"}, groups={"GroupDisplayName2": None, "Tiffany Ortiz": set()},
         events=["scimGroup.updated group2"]),
    Step("Delete user 3: it leaves its group", "DELETE /Users/{three}", status=204, people={"three": None},
         groups={"putName": {"four"}}, events=["scimUser.deprovisioned three", "scimGroup.updated group1"]),
    Step("Delete the group", "DELETE /Groups/{group1}", status=204, groups={"putName": None},
         events=["scimGroup.deleted group1"]),
    deleted("four"),
    Step("Delete the other group", "DELETE /Groups/{group2}", status=204, groups={"Tiffany Ortiz": None},
         events=["scimGroup.deleted group2"]),
]  # fmt: skip

OMALLEY = garbage("OMalley", name={"familyName": "OMalley", "givenName": "Darl"})
GARBAGE = [
    created("omalley", OMALLEY, userName="OMalley", active=True),
    created("emp1", garbage("emp1", active="True"), active=True),
    Step("Get all users", "GET /Users", finds=["omalley", "emp1"], hears={"totalResults": 2}),
    created("emp3", garbage("emp3")),
    Step("Post without a user name", "POST /Users", {k: v for k, v in garbage("x").items() if k != "userName"},
         status=400),
    Step("Post emp3, who is there", "POST /Users", garbage("emp3"), status=409),
    Step("Post emp3 once more", "POST /Users", garbage("emp3"), status=409),
    Step("Put without a user name", "PUT /Users/{omalley}",
         {"userame": "OMalley", **{k: v for k, v in OMALLEY.items() if k != "userName"}}, status=400),
    Step("Put with a misspelled attribute: it is kept, and the right one is gone", "PUT /Users/{omalley}",
         {"adreses": [], **{k: v for k, v in OMALLEY.items() if k != "addresses"}, "active": False},
         hears={"active": False}, lacks=["addresses"], people={"omalley": INACTIVE},
         events=["scimUser.deprovisioned omalley"]),
    created("enterprise", garbage("enterprise", schemas=[USER, ENTERPRISE], **{ENTERPRISE: {"Department": "some"}}),
            **{ENTERPRISE: {"department": "some"}}),
    Step("Patch a new user name", "PATCH /Users/{omalley}",
         patch({"op": "Replace", "path": "userName", "value": "newusername"}), hears={"userName": "newusername"},
         events=["scimUser.updated omalley"]),
    Step("Patch active with a boolean", "PATCH /Users/{omalley}",
         patch({"op": "Replace", "path": "active", "value": False}), hears={"active": False}),
    Step("Get it", "GET /Users/{omalley}", hears={"userName": "newusername", "active": False}),
    Step("Paginate", "GET /Users?startIndex=1&count=2", hears={"totalResults": 4, "itemsPerPage": 2}),
    Step("Get chosen attributes", "GET /Users?attributes=userName,emails", hears={"totalResults": 4}),
    deleted("omalley", told=False),
    deleted("emp1"),
    deleted("emp3"),
    deleted("enterprise"),
    Step("Users are cleared", "GET /Users?attributes=userName", finds=[]),
]  # fmt: skip

INBOUND = [
    Step("Test Connection", "GET /Users?count=1", finds=[]),
    created("boss", user("bossb", userType="Employee", title="Executive")),
    created("contractor", user("contractorc", userType="Contractor", **{ENTERPRISE: {"manager": {"value": "{boss}"}}}),
            **{ENTERPRISE: {"manager": {"value": "{boss}"}}}),
    Step("An employee who is inactive", "POST /Users", user("inactivei", active=False), status=201,
         hears={"active": False}, remembers="inactive", people={"inactive": INACTIVE}),
    Step("On demand", 'GET /Users?filter=id eq "{contractor}"', finds=["contractor"]),
]  # fmt: skip


@pytest.mark.parametrize(
    "steps",
    [ENDPOINTS, USERS, GROUPS, GARBAGE, INBOUND],
    ids=["endpoints", "users", "groups", "garbage", "inbound"],
)
def test_the_sequences_of_microsofts_reference(play: Callable[..., Any], steps: list[Step]) -> None:
    play(POSTMAN, steps)


@pytest.mark.parametrize(
    "body", [b'{"acve": tre, "userName": "junk"}', b'{"id": "x", "Operations": [{"op": "add", "path": "members"']
)
def test_junk_is_refused(acme: Any, body: bytes) -> None:
    assert acme.scim("POST", "/Users", data=body, headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.parametrize("expression", ["userName eq OMalley", "externalId eq 22fbc523-OMalley"])
def test_a_value_without_quotes_is_understood_or_refused_and_never_finds_nobody(acme: Any, expression: str) -> None:
    acme.scim("POST", "/Users", OMALLEY)
    response = acme.scim("GET", "/Users", query_string={"filter": expression})

    refused = response.status_code == 400 and response.json["scimType"] == "invalidFilter"
    assert refused or (response.status_code, response.json["totalResults"]) == (200, 1)
