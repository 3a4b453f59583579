"""Okta, as both kinds of its apps speak.

Apps of the App Integration Wizard (AIW) fetch a resource and PUT it back. Apps of the Okta Integration Network (OIN)
PATCH without a path. Neither ever deletes a user, reads ServiceProviderConfig, searches by POST or sends Bulk.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import ENTERPRISE, GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

OKTA = IdentityProvider(
    "Okta",
    {
        "User-Agent": "Okta SCIM Client 1.0.0",
        "Accept": "application/scim+json",
        "Accept-Charset": "utf-8",
        "Content-Type": "application/scim+json; charset=utf-8",
    },
)

NADIA = {
    "schemas": [USER],
    "userName": "nadia.petrov@acme.example",
    "name": {"givenName": "Nadia", "familyName": "Petrov"},
    "emails": [{"primary": True, "value": "nadia.petrov@acme.example", "type": "work"}],
    "displayName": "Nadia Petrov",
    "locale": "en-US",
    "externalId": "00uEXAMPLE1",
    "groups": [],
    "password": "kM3-random-even-when-passwords-are-not-synchronized",
    "active": True,
}
LI = {
    **NADIA,
    "userName": "li.wei@acme.example",
    "name": {"givenName": "Li", "familyName": "Wei"},
    "emails": [{"primary": True, "value": "li.wei@acme.example", "type": "work"}],
    "displayName": "Li Wei",
    "externalId": "00uEXAMPLE2",
}


def shown(person: dict[str, Any], /, **changes: Any) -> dict[str, Any]:
    """What must come back of a person: all but what is never shown, and what the server decides."""
    return {name: value for name, value in {**person, **changes}.items() if name not in ("groups", "password")}


def fetched(person: dict[str, Any], who: str, /, **changes: Any) -> dict[str, Any]:
    """What Okta PUTs: the resource it has fetched, id, meta and all, with its changes."""
    meta = {
        "resourceType": "User",
        "created": "2026-01-02T03:04:05Z",
        "lastModified": "2026-01-02T03:04:05Z",
        "version": 'W/"1"',
        "location": f"https://acme.authn.test/scim/v2/Users/{{{who}}}",
    }
    return {**shown(person), "id": f"{{{who}}}", "meta": meta, "groups": [], **changes}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def whole_group(name: str, *members: str) -> dict[str, Any]:
    people = [{"value": f"{{{member}}}", "display": f"{member}@acme.example"} for member in members]
    return {"schemas": [GROUP], "id": "{admins}", "displayName": name, "members": people}


def member(name: str) -> dict[str, str]:
    return {"value": f"{{{name}}}", "display": f"{name}@acme.example"}


TEST_CONNECTION = [
    Step("Test API Credentials: users", "GET /Users?startIndex=1&count=2", finds=[]),
    Step("Test API Credentials: groups", "GET /Groups?startIndex=1&count=100", finds=[]),
    Step(
        "A pasted token that nobody issued",
        "GET /Users?startIndex=1&count=2",
        headers={"Authorization": "Bearer scim_0000"},
        status=401,
    ),
]

ASSIGN_NADIA_AND_LI = [
    Step(
        "Look the user name up, the only filter that Okta knows being eq",
        'GET /Users?filter=userName eq "nadia.petrov@acme.example"&startIndex=1&count=100',
        finds=[],
    ),
    Step(
        "Nobody has it, so create",
        "POST /Users",
        NADIA,
        status=201,
        hears=shown(NADIA),
        lacks=["password"],
        remembers="nadia",
        people={"nadia": MEMBER},
        events=["scimUser.provisioned nadia"],
    ),
    Step("Once more, by a retry that did not see the answer", "POST /Users", NADIA, status=409),
    Step(
        "A second person",
        "POST /Users",
        LI,
        201,
        remembers="li",
        people={"li": MEMBER},
        events=["scimUser.provisioned li"],
    ),
]

LOOK_NADIA_UP = Step(
    "A later look-up links what it finds, whatever the case it is written in",
    'GET /Users?filter=userName eq "Nadia.Petrov@ACME.example"&startIndex=1&count=100',
    finds=["nadia"],
)


RENAMED = {"name": {"givenName": "Nadia", "familyName": "Ivanova"}, "displayName": "Nadia Ivanova"}
TITLE = {ENTERPRISE: {"department": "Finance"}, "title": "Engineer"}
WIZARD = [
    *TEST_CONNECTION,
    *ASSIGN_NADIA_AND_LI,
    LOOK_NADIA_UP,
    Step("Fetch before a PUT", "GET /Users/{nadia}", hears=shown(NADIA)),
    Step(
        "PUT it back with a new name, and with id, meta and empty groups as they were fetched",
        "PUT /Users/{nadia}",
        fetched(NADIA, "nadia", **RENAMED),
        hears=shown(NADIA, **RENAMED),
        events=["scimUser.updated nadia"],
    ),
    Step(
        "The same PUT again changes nothing, and tells the product nothing",
        "PUT /Users/{nadia}",
        fetched(NADIA, "nadia", **RENAMED),
        hears=RENAMED,
    ),
    Step(
        "Mapped attributes, of the enterprise extension too",
        "PUT /Users/{nadia}",
        fetched(NADIA, "nadia", **RENAMED, **TITLE, schemas=[USER, ENTERPRISE]),
        hears=TITLE,
        events=["scimUser.updated nadia"],
    ),
    Step("What was stored comes back, or Okta would erase it", "GET /Users/{nadia}", hears={**RENAMED, **TITLE}),
    Step(
        "A PUT without externalId does not cut the link to Okta's user",
        "PUT /Users/{nadia}",
        {k: v for k, v in fetched(NADIA, "nadia", **RENAMED, **TITLE).items() if k != "externalId"},
        hears={"externalId": "00uEXAMPLE1"},
    ),
    Step(
        "Unassigned: active false, by PUT",
        "PUT /Users/{nadia}",
        fetched(NADIA, "nadia", **RENAMED, **TITLE, active=False),
        hears={"active": False},
        people={"nadia": INACTIVE},
        events=["scimUser.deprovisioned nadia"],
    ),
    Step("She stays readable", "GET /Users/{nadia}", hears={"active": False}),
    Step(
        "Assigned again",
        "PUT /Users/{nadia}",
        fetched(NADIA, "nadia", **RENAMED, **TITLE, active=True),
        hears={"active": True},
        people={"nadia": MEMBER},
        events=["scimUser.provisioned nadia"],
    ),
    Step(
        "Push Groups: look the name up",
        'GET /Groups?filter=displayName eq "Admins"&startIndex=1&count=100',
        finds=[],
    ),
    Step(
        "Create it empty",
        "POST /Groups",
        {"schemas": [GROUP], "displayName": "Admins", "members": []},
        status=201,
        hears={"displayName": "Admins"},
        remembers="admins",
        groups={"Admins": set()},
        events=["scimGroup.created admins"],
    ),
    Step(
        "PUT the whole group with its members",
        "PUT /Groups/{admins}",
        whole_group("Admins", "nadia", "li"),
        hears={"id": "{admins}", "displayName": "Admins"},
        people={"nadia": ADMIN, "li": ADMIN},
        groups={"Admins": {"nadia", "li"}},
        events=["scimUser.updated nadia", "scimUser.updated li", "scimGroup.updated admins"],
    ),
    Step(
        "Somebody leaves: the whole group again",
        "PUT /Groups/{admins}",
        whole_group("Admins", "li"),
        people={"nadia": MEMBER},
        groups={"Admins": {"li"}},
        events=["scimUser.updated nadia", "scimGroup.updated admins"],
    ),
    Step(
        "Renamed: another PUT, and the role goes with the name",
        "PUT /Groups/{admins}",
        whole_group("Operators", "li"),
        hears={"displayName": "Operators"},
        people={"li": MEMBER},
        groups={"Admins": None, "Operators": {"li"}},
        events=["scimUser.updated li", "scimGroup.updated admins"],
    ),
    Step(
        "Unlinked, and deleted in the app",
        "DELETE /Groups/{admins}",
        status=204,
        groups={"Operators": None},
        events=["scimGroup.deleted admins"],
    ),
    Step("It is gone", "GET /Groups/{admins}", status=404),
]


def test_an_app_of_the_wizard_speaks_by_put(play: Callable[..., Any]) -> None:
    play(OKTA, WIZARD)


NETWORK = [
    *TEST_CONNECTION,
    *ASSIGN_NADIA_AND_LI,
    LOOK_NADIA_UP,
    Step(
        "The profile, by PUT as the wizard's apps, or by a PATCH that has no path",
        "PATCH /Users/{nadia}",
        patch({"op": "replace", "value": {"name": {"familyName": "Ivanova"}, "displayName": "Nadia Ivanova"}}),
        hears={"displayName": "Nadia Ivanova", "name": {"familyName": "Ivanova"}},
        events=["scimUser.updated nadia"],
    ),
    Step(
        "A password that is synchronized is taken and forgotten",
        "PATCH /Users/{nadia}",
        patch({"op": "replace", "value": {"password": "new-and-secret-9"}}),
        lacks=["password"],
    ),
    Step(
        "Deactivated",
        "PATCH /Users/{nadia}",
        patch({"op": "replace", "value": {"active": False}}),
        hears={"active": False},
        people={"nadia": INACTIVE},
        events=["scimUser.deprovisioned nadia"],
    ),
    Step(
        "The look-up still finds her, so that Okta links and does not create",
        'GET /Users?filter=userName eq "nadia.petrov@acme.example"&startIndex=1&count=100',
        finds=["nadia"],
    ),
    Step(
        "Reactivated; the answer must show it, or Okta reschedules the job for ever",
        "PATCH /Users/{nadia}",
        patch({"op": "replace", "value": {"active": True}}),
        hears={"active": True},
        people={"nadia": MEMBER},
        events=["scimUser.provisioned nadia"],
    ),
    Step(
        "Push Groups: look the name up",
        'GET /Groups?filter=displayName eq "Platform Team"&startIndex=1&count=100',
        finds=[],
    ),
    Step(
        "Create it empty",
        "POST /Groups",
        {"schemas": [GROUP], "displayName": "Platform Team", "members": []},
        status=201,
        remembers="team",
        groups={"Platform Team": set()},
        events=["scimGroup.created team"],
    ),
    Step(
        "Somebody joins; Okta repeats the id in the value without a path",
        "PATCH /Groups/{team}",
        patch(
            {"op": "replace", "value": {"id": "{team}", "displayName": "Platform Team"}},
            {"op": "add", "path": "members", "value": [member("nadia")]},
        ),
        groups={"Platform Team": {"nadia"}},
        events=["scimGroup.updated team"],
    ),
    Step(
        "One leaves and one joins, in one request",
        "PATCH /Groups/{team}",
        patch(
            {"op": "replace", "value": {"id": "{team}", "displayName": "Platform Team"}},
            {"op": "remove", "path": 'members[value eq "{nadia}"]'},
            {"op": "add", "path": "members", "value": [member("li")]},
        ),
        groups={"Platform Team": {"li"}},
        events=["scimGroup.updated team"],
    ),
    Step(
        "Another id than the group's own is refused, and nothing of the request is done",
        "PATCH /Groups/{team}",
        patch(
            {"op": "add", "path": "members", "value": [member("nadia")]},
            {"op": "replace", "value": {"id": "grp_other", "displayName": "Platform Team"}},
        ),
        status=400,
        hears={"scimType": "mutability"},
    ),
    Step(
        "“Push now”: the full list, replacing what there is",
        "PATCH /Groups/{team}",
        patch({"op": "replace", "path": "members", "value": [member("nadia"), member("li")]}),
        groups={"Platform Team": {"nadia", "li"}},
        events=["scimGroup.updated team"],
    ),
    Step(
        "“Push now” once more changes nothing",
        "PATCH /Groups/{team}",
        patch({"op": "replace", "path": "members", "value": [member("li"), member("nadia")]}),
    ),
    Step(
        "Renamed to the name that the mapping makes admins of",
        "PATCH /Groups/{team}",
        patch({"op": "replace", "value": {"id": "{team}", "displayName": "Admins"}}),
        people={"nadia": ADMIN, "li": ADMIN},
        groups={"Platform Team": None, "Admins": {"nadia", "li"}},
        events=["scimUser.updated nadia", "scimUser.updated li", "scimGroup.updated team"],
    ),
    Step(
        "A person who is deactivated stays in the group",
        "PATCH /Users/{li}",
        patch({"op": "replace", "value": {"active": False}}),
        people={"li": INACTIVE},
        events=["scimUser.deprovisioned li"],
    ),
    Step(
        "… and comes back with the role of it",
        "PATCH /Users/{li}",
        patch({"op": "replace", "value": {"active": True}}),
        people={"li": ADMIN},
        events=["scimUser.provisioned li"],
    ),
    Step(
        "Unlinked, and deleted in the app",
        "DELETE /Groups/{team}",
        status=204,
        people={"nadia": MEMBER, "li": MEMBER},
        groups={"Admins": None},
        events=["scimUser.updated nadia", "scimUser.updated li", "scimGroup.deleted team"],
    ),
]


def test_an_app_of_the_network_speaks_by_patch(play: Callable[..., Any]) -> None:
    play(OKTA, NETWORK)


CLEANED_UP = [
    *ASSIGN_NADIA_AND_LI[:2],
    Step(
        "Somebody cleans up by another client",
        "DELETE /Users/{nadia}",
        status=204,
        people={"nadia": None},
        events=["scimUser.deprovisioned nadia"],
    ),
    Step("Okta reads what it once created", "GET /Users/{nadia}", status=404),
    Step(
        "Okta looks her up and finds nobody",
        'GET /Users?filter=userName eq "nadia.petrov@acme.example"&startIndex=1&count=100',
        finds=[],
    ),
    Step(
        "… and creates her: the same externalId, the same user",
        "POST /Users",
        NADIA,
        status=201,
        hears={"id": "{nadia}"},
        people={"nadia": MEMBER},
        events=["scimUser.provisioned nadia"],
    ),
]


def test_a_person_deleted_by_hand_and_assigned_again_is_the_same_person(play: Callable[..., Any]) -> None:
    """Deactivated, gone, reassigned: Okta may come with a new POST, and must never meet an endless 409."""
    play(OKTA, CLEANED_UP)


def test_an_import_reads_pages_of_a_hundred(play: Callable[..., Any], acme: Any) -> None:
    for number in range(101):
        acme.scim("POST", "/Users", {"schemas": [USER], "userName": f"user{number}@acme.example", "active": False})
    first = acme.scim("GET", "/Users?startIndex=1&count=100").json
    second = acme.scim("GET", "/Users?startIndex=101&count=100").json

    assert (first["totalResults"], first["itemsPerPage"], second["startIndex"]) == (101, 100, 101)
    assert len({user["id"] for user in first["Resources"] + second["Resources"]}) == 101
