"""Microsoft Entra ID, in both of its dialects, which arrive at the same address.

Without the flag ``aadOptscim062020`` in the tenant URL each attribute is an operation of its own, ``op`` is
capitalized, booleans are texts and a member leaves by a value. With the flag PATCH is close to the RFC. On-demand
provisioning ignores the flag, so one tenant sends both. Entra may send no User-Agent. It looks up before everything,
writes only what differs, and deletes for good thirty days after it has deactivated.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import ENTERPRISE, GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

ENTRA = IdentityProvider(
    "Entra",
    {"Accept": "application/scim+json", "Content-Type": "application/scim+json; charset=utf-8"},
    space="+",
)
ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
MANAGER = f"{ENTERPRISE}:manager"

LI = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "li.wei",
    "userName": "li.wei@acme.example",
    "active": True,
    "displayName": "Li Wei",
    "emails": [{"primary": True, "type": "work", "value": "li.wei@acme.example"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "Li Wei", "familyName": "Wei", "givenName": "Li"},
    "roles": [],
    ENTERPRISE: {"department": "Finance"},
}
ANA = {
    **LI,
    "externalId": "ana.silva",
    "userName": "Ana.Silva@acme.example",
    "active": "True",
    "displayName": "Ana Silva",
    "emails": [{"primary": True, "type": "work", "value": "Ana.Silva@acme.example"}],
    "name": {"formatted": "Ana Silva", "familyName": "Silva", "givenName": "Ana"},
    "addresses": None,
    ENTERPRISE: {"department": "Finance", "manager": "{li}"},
}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


TEST_CONNECTION = [
    Step(
        "Test Connection: somebody who cannot exist. A 404 would mean “not SCIM compliant”",
        'GET /Users?filter=userName eq "AzureAD_Test-5f0c9a52-6b1e-4a8e-9c50-0d7b6f1f2a33"',
        finds=[],
    ),
    Step(
        "With the flag in the tenant URL it shows up on every request",
        'GET /Users?aadOptscim062020&filter=userName eq "AzureAD_Test-0b8a2d0e-94f4-4d8b-8d60-7c1b5a3c9e11"',
        finds=[],
    ),
]

PROVISION = [
    Step("Look up by the matching attribute", 'GET /Users?filter=userName eq "li.wei@acme.example"', finds=[]),
    Step("… which may be another one", 'GET /Users?filter=externalId eq "li.wei"', finds=[]),
    Step("… or an address", 'GET /Users?filter=emails[type eq "work"].value eq "li.wei@acme.example"', finds=[]),
    Step(
        "Create",
        "POST /Users",
        LI,
        status=201,
        hears={**{k: v for k, v in LI.items() if k not in ("meta", "roles")}, "active": True},
        remembers="li",
        people={"li": MEMBER},
        events=["scimUser.provisioned li"],
    ),
    Step(
        "Create with a boolean as a text, a null, and the manager as a bare id",
        "POST /Users",
        ANA,
        status=201,
        hears={"active": True, "userName": "Ana.Silva@acme.example", ENTERPRISE: {"manager": {"value": "{li}"}}},
        lacks=["addresses"],
        remembers="ana",
        people={"ana": MEMBER},
        events=["scimUser.provisioned ana"],
    ),
    Step("A retry of a creation whose answer was lost", "POST /Users", LI, status=409),
    Step("userName ignores case", 'GET /Users?filter=userName eq "ana.silva@ACME.example"', finds=["ana"]),
    Step("externalId does not", 'GET /Users?filter=externalId eq "Ana.Silva"', finds=[]),
    Step("By an address of one type",
         'GET /Users?filter=emails[type eq "work"].value eq "ana.silva@acme.example"', finds=["ana"]),
    Step("A filter on what no schema knows is refused and never empty: empty would make Entra create twice",
         'GET /Users?filter=mailNickname eq "li"', status=400, hears={"scimType": "invalidFilter"}),
]  # fmt: skip

# Each dialect says the same things, so that what follows from them must be the same.
UPDATE_BY_DEFAULT = [
    {"op": "Replace", "path": "displayName", "value": "Li W. Wei"},
    {"op": "Replace", "path": "name.givenName", "value": "Li W."},
    {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "lw@acme.example"},
    {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+86 10 0000"},
    {"op": "Add", "path": MANAGER, "value": "{ana}"},
    {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Treasury", "name": "ignored"},
]
UPDATE_BY_FLAG = [
    {
        "op": "replace",
        "value": {"displayName": "Li W. Wei", "name.givenName": "Li W.", f"{ENTERPRISE}:department": "Treasury"},
    },
    {"op": "replace", "path": 'emails[type eq "work"].value', "value": "lw@acme.example"},
    {"op": "add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+86 10 0000"},
    {"op": "add", "path": MANAGER, "value": {"value": "{ana}"}},
]
UPDATED = {
    "displayName": "Li W. Wei",
    "name": {"givenName": "Li W.", "familyName": "Wei"},
    "emails": [{"type": "work", "primary": True, "value": "lw@acme.example"}],
    "phoneNumbers": [{"type": "mobile", "value": "+86 10 0000"}],
    ENTERPRISE: {"department": "Treasury", "manager": {"value": "{ana}"}},
}


def life(
    update: list[dict[str, Any]], off: dict[str, Any], on: dict[str, Any], no_manager: dict[str, Any]
) -> list[Step]:
    """A person's life in the words of one dialect."""
    return [
        Step(
            "Changed attributes, in one transaction; an element that a filter names is made where it is missing",
            "PATCH /Users/{li}",
            patch(*update),
            hears=UPDATED,
            events=["scimUser.updated li"],
        ),
        Step("Nothing has changed since: the same again is no change", "PATCH /Users/{li}", patch(*update),
             hears=UPDATED),
        Step("The manager is asked for by id", 'GET /Users?filter=id eq "{li}"&attributes=id', finds=["li"]),
        Step("… and by the manager of both", 'GET /Users?filter=id eq "{ana}" and manager eq "{li}"&attributes=id',
             finds=["ana"]),
        Step("… who is nobody else", 'GET /Users?filter=id eq "{ana}" and manager eq "{ana}"&attributes=id', finds=[]),
        Step("The manager is taken away", "PATCH /Users/{li}", patch(no_manager),
             hears={ENTERPRISE: {"department": "Treasury", "manager": None}}, events=["scimUser.updated li"]),
        Step("Unassigned or soft-deleted", "PATCH /Users/{li}", patch(off), hears={"active": False},
             people={"li": INACTIVE}, events=["scimUser.deprovisioned li"]),
        Step("A soft-deleted person stays readable", "GET /Users/{li}", hears={"active": False}),
        Step("… and can be found", 'GET /Users?filter=userName eq "li.wei@acme.example"', finds=["li"]),
        Step("Restored: the same id", "PATCH /Users/{li}", patch(on), hears={"id": "{li}", "active": True},
             people={"li": MEMBER}, events=["scimUser.provisioned li"]),
        Step("Soft-deleted again", "PATCH /Users/{li}", patch(off), people={"li": INACTIVE},
             events=["scimUser.deprovisioned li"]),
        Step("Thirty days later, for good", "DELETE /Users/{li}", status=204, people={"li": None}),
        Step("Gone", "GET /Users/{li}", status=404),
        Step("Deleted twice", "DELETE /Users/{li}", status=404),
        Step("Found by nothing", 'GET /Users?filter=externalId eq "li.wei"', finds=[]),
    ]  # fmt: skip


DEFAULT_LIFE = life(
    UPDATE_BY_DEFAULT,
    off={"op": "Replace", "path": "active", "value": "False"},
    on={"op": "Replace", "path": "active", "value": "True"},
    no_manager={"op": "Replace", "path": MANAGER, "value": ""},
)
FLAG_LIFE = life(
    UPDATE_BY_FLAG,
    off={"op": "replace", "value": {"active": False}},
    on={"op": "replace", "value": {"active": True}},
    no_manager={"op": "remove", "path": MANAGER},
)


def group_life(join: Callable[..., dict[str, Any]], leave: Callable[..., list[dict[str, Any]]]) -> list[Step]:
    """A group's life in the words of one dialect. Entra never reads the members of a group."""
    finance = {"schemas": [GROUP, ADSCIM_GROUP], "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
               "displayName": "Finance", "meta": {"resourceType": "Group"}}  # fmt: skip
    return [
        Step("Look the group up, without its members",
             'GET /Groups?excludedAttributes=members&filter=displayName eq "Finance"', finds=[]),
        Step("Create it, under a schema that only Microsoft knows", "POST /Groups", finance, status=201,
             hears={"displayName": "Finance", "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"},
             remembers="finance", groups={"Finance": set()}, events=["scimGroup.created finance"]),
        Step("Its name is taken", "POST /Groups", finance, status=409),
        Step("One member", "PATCH /Groups/{finance}", patch(join("{li}")),
             groups={"Finance": {"li"}}, events=["scimGroup.updated finance"]),
        Step("The same member again", "PATCH /Groups/{finance}", patch(join("{li}"))),
        Step("Several members in one operation", "PATCH /Groups/{finance}", patch(join("{li}", "{ana}")),
             groups={"Finance": {"li", "ana"}}, events=["scimGroup.updated finance"]),
        Step("Read without members", "GET /Groups/{finance}?excludedAttributes=members", lacks=["members"]),
        Step("Is she in it?", 'GET /Groups?filter=id eq "{finance}" and members eq "{ana}"', finds=["finance"]),
        Step("One leaves; the others must not", "PATCH /Groups/{finance}", patch(*leave("{li}")),
             groups={"Finance": {"ana"}}, events=["scimGroup.updated finance"]),
        Step("Is he still in it?", 'GET /Groups?filter=id eq "{finance}" and members eq "{li}"', finds=[]),
        Step("Leaving twice is no error", "PATCH /Groups/{finance}", patch(*leave("{li}"))),
        Step("A new name, and the role that follows from it", "PATCH /Groups/{finance}",
             patch({"op": "Replace", "path": "displayName", "value": "Admins"}),
             people={"ana": ADMIN}, groups={"Finance": None, "Admins": {"ana"}},
             events=["scimUser.updated ana", "scimGroup.updated finance"]),
        Step("Disabled", "PATCH /Users/{ana}", patch({"op": "Replace", "path": "active", "value": "False"}),
             people={"ana": INACTIVE}, events=["scimUser.deprovisioned ana"]),
        Step("Restored: Entra does not send her memberships again, so they must be there still",
             "PATCH /Users/{ana}", patch({"op": "Replace", "path": "active", "value": "True"}),
             people={"ana": ADMIN}, events=["scimUser.provisioned ana"]),
        Step("Several operations in one request", "PATCH /Groups/{finance}", patch(join("{li}"), *leave("{ana}")),
             people={"li": ADMIN, "ana": MEMBER}, groups={"Admins": {"li"}},
             events=["scimUser.updated li", "scimUser.updated ana", "scimGroup.updated finance"]),
        Step("The group is deleted", "DELETE /Groups/{finance}", status=204, people={"li": MEMBER},
             groups={"Admins": None}, events=["scimUser.updated li", "scimGroup.deleted finance"]),
        Step("Gone", "GET /Groups/{finance}?excludedAttributes=members", status=404),
    ]  # fmt: skip


DEFAULT_GROUP = group_life(
    lambda *ids: {"op": "Add", "path": "members", "value": [{"$ref": None, "value": member} for member in ids]},
    lambda *ids: [{"op": "Remove", "path": "members", "value": [{"$ref": None, "value": member} for member in ids]}],
)
FLAG_GROUP = group_life(
    lambda *ids: {"op": "add", "path": "members", "value": [{"value": member} for member in ids]},
    lambda *ids: [{"op": "remove", "path": f'members[value eq "{member}"]'} for member in ids],
)


def test_entra_tests_its_connection_by_looking_nobody_up(play: Callable[..., Any]) -> None:
    play(ENTRA, TEST_CONNECTION)


def test_a_persons_life_in_the_default_dialect(play: Callable[..., Any]) -> None:
    play(ENTRA, [*PROVISION, *DEFAULT_LIFE])


def test_a_persons_life_with_the_flag(play: Callable[..., Any]) -> None:
    play(ENTRA, [*PROVISION, *FLAG_LIFE])


def test_a_groups_life_in_the_default_dialect(play: Callable[..., Any]) -> None:
    play(ENTRA, [*PROVISION, *DEFAULT_GROUP])


def test_a_groups_life_with_the_flag(play: Callable[..., Any]) -> None:
    play(ENTRA, [*PROVISION, *FLAG_GROUP])


ODDITIES = [
    Step("The manager as an object", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": MANAGER, "value": {"value": "other"}}),
         hears={ENTERPRISE: {"manager": {"value": "other"}}}, events=["scimUser.updated ana"]),
    Step("The manager as a list of one reference", "PATCH /Users/{ana}",
         patch({"op": "Add", "path": MANAGER, "value": [{"$ref": f"../Users/{'x'}", "value": "{li}"}]}),
         hears={ENTERPRISE: {"manager": {"value": "{li}"}}}, events=["scimUser.updated ana"]),
    Step("The manager's value by its own path", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": f"{MANAGER}.value", "value": "third"}),
         hears={ENTERPRISE: {"manager": {"value": "third"}}}, events=["scimUser.updated ana"]),
    Step("No manager: an object with an empty value", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": MANAGER, "value": {"value": ""}}),
         hears={ENTERPRISE: {"manager": None}}, events=["scimUser.updated ana"]),
    Step("A text that only looks like a boolean stays a text", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": "title", "value": "True"}),
         hears={"title": "True"}, events=["scimUser.updated ana"]),
    Step("Attribute names in any case", "PATCH /Users/{ana}",
         patch({"op": "REPLACE", "path": "DisplayName", "value": "Ana S."}),
         hears={"displayName": "Ana S."}, events=["scimUser.updated ana"]),
    Step("null takes a value away", "PATCH /Users/{ana}", patch({"op": "replace", "value": {"title": None}}),
         lacks=["title"], events=["scimUser.updated ana"]),
    Step("A role by a filter on a boolean written as a text", "PATCH /Users/{ana}",
         patch({"op": "Add", "path": 'roles[primary eq "True"].value', "value": "engineer"}),
         hears={"roles": [{"value": "engineer", "primary": True}]}, events=["scimUser.updated ana"]),
    Step("The primary address", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": "emails[primary eq true].value", "value": "ana@acme.example"}),
         hears={"emails": [{"type": "work", "primary": True, "value": "ana@acme.example"}]},
         events=["scimUser.updated ana"]),
    Step("A second address", "PATCH /Users/{ana}",
         patch({"op": "Add", "path": "emails", "value": [{"type": "home", "value": "ana@home.example"}]}),
         events=["scimUser.updated ana"]),
    Step("Removed by value: only what matches", "PATCH /Users/{ana}",
         patch({"op": "Remove", "path": "emails", "value": [{"value": "ana@home.example"}]}),
         hears={"emails": [{"type": "work", "value": "ana@acme.example"}]}, events=["scimUser.updated ana"]),
    Step("No operations at all", "PATCH /Users/{ana}", patch()),
    Step("One bad operation undoes the good ones", "PATCH /Users/{ana}",
         patch({"op": "Replace", "path": "displayName", "value": "Half"},
               {"op": "Replace", "path": "active", "value": "perhaps"}), status=400),
    Step("… so she is as before", "GET /Users/{ana}", hears={"displayName": "Ana S.", "active": True}),
    Step("A person who was created inactive is nobody's member", "POST /Users",
         {**LI, "externalId": "new", "userName": "new@acme.example", "active": "False",
          "emails": [{"primary": True, "type": "work", "value": "new@acme.example"}]},
         status=201, hears={"active": False}, remembers="new", people={"new": INACTIVE}),
]  # fmt: skip


def test_what_is_odd_about_entra_is_understood(play: Callable[..., Any]) -> None:
    play(ENTRA, [*PROVISION, *ODDITIES])
