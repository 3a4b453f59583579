"""JumpCloud, which tries a new connection out on an invented person and an invented group.

On activation it creates both, changes them and deletes them again. It adds members who are in already, and takes them
out by a list of values, as Entra does. It knows no extension schemas. PATCH or PUT depends on the configuration.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

JUMPCLOUD = IdentityProvider(
    "JumpCloud", {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}, space="+"
)


def person(given: str, family: str, external_id: str, **changes: Any) -> dict[str, Any]:
    address = f"{given}.{family}@acme.example".lower()
    return {
        "schemas": [USER],
        "userName": address,
        "externalId": external_id,
        "name": {"givenName": given, "familyName": family},
        "displayName": f"{given} {family}",
        "emails": [{"value": address, "type": "work", "primary": True}],
        "active": True,
        **changes,
    }


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


TEST_USER = person("Test", "User", "5f1b2c3d4e5f6a7b8c9d0e1f")
PRIYA = person("Priya", "Sharma", "60a1b2c3d4e5f60718293a4b")
OMAR = person("Omar", "Qasim", "60a1b2c3d4e5f60718293a4c")

ACTIVATION = [
    Step("Is the test user there already?", 'GET /Users?filter=userName eq "test.user@acme.example"', finds=[]),
    Step("Create the test user", "POST /Users", TEST_USER, status=201, hears={"active": True}, remembers="test",
         people={"test": MEMBER}, events=["scimUser.provisioned test"]),
    Step("Change it", "PATCH /Users/{test}", patch({"op": "replace", "value": {"name": {"familyName": "Changed"}}}),
         hears={"name": {"givenName": "Test", "familyName": "Changed"}}, events=["scimUser.updated test"]),
    Step("Create the test group", "POST /Groups", {"schemas": [GROUP], "displayName": "JumpCloud Test", "members": []},
         status=201, remembers="testgroup", groups={"JumpCloud Test": set()}, events=["scimGroup.created testgroup"]),
    Step("Put the test user in", "PATCH /Groups/{testgroup}",
         patch({"op": "add", "path": "members", "value": [{"value": "{test}"}]}),
         groups={"JumpCloud Test": {"test"}}, events=["scimGroup.updated testgroup"]),
    Step("Delete the test group", "DELETE /Groups/{testgroup}", status=204, groups={"JumpCloud Test": None},
         events=["scimGroup.deleted testgroup"]),
    Step("Delete the test user: the product hears of one arrival and one departure", "DELETE /Users/{test}",
         status=204, people={"test": None}, events=["scimUser.deprovisioned test"]),
    Step("Is it gone?", "GET /Users/{test}", status=404),
]  # fmt: skip

PEOPLE = [
    Step("Look up before create", 'GET /Users?filter=userName eq "priya.sharma@acme.example"', finds=[]),
    Step("Create", "POST /Users", PRIYA, status=201, hears={k: v for k, v in PRIYA.items() if k != "schemas"},
         remembers="priya", people={"priya": MEMBER}, events=["scimUser.provisioned priya"]),
    Step("Create", "POST /Users", OMAR, status=201, remembers="omar", people={"omar": MEMBER},
         events=["scimUser.provisioned omar"]),
    Step("Created again", "POST /Users", PRIYA, status=409),
]  # fmt: skip

BY_PATCH = [
    Step("Updated by PATCH", "PATCH /Users/{priya}", patch({"op": "replace", "path": "title", "value": "Lead"}),
         hears={"title": "Lead"}, events=["scimUser.updated priya"]),
    Step("A group", "POST /Groups", {"schemas": [GROUP], "displayName": "Admins", "members": []}, status=201,
         remembers="admins", groups={"Admins": set()}, events=["scimGroup.created admins"]),
    Step("Both join", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{priya}"}, {"value": "{omar}"}]}),
         people={"priya": ADMIN, "omar": ADMIN}, groups={"Admins": {"priya", "omar"}},
         events=["scimUser.updated priya", "scimUser.updated omar", "scimGroup.updated admins"]),
    Step("Both are said to join again: a success, and nothing new", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{priya}"}, {"value": "{omar}"}]})),
    Step("… also twice in one list", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{priya}"}, {"value": "{priya}"}]})),
    Step("One leaves, by value", "PATCH /Groups/{admins}",
         patch({"op": "remove", "path": "members", "value": [{"value": "{priya}"}]}),
         people={"priya": MEMBER}, groups={"Admins": {"omar"}},
         events=["scimUser.updated priya", "scimGroup.updated admins"]),
    Step("Suspended", "PATCH /Users/{priya}", patch({"op": "replace", "path": "active", "value": False}),
         hears={"active": False}, people={"priya": INACTIVE}, events=["scimUser.deprovisioned priya"]),
    Step("Resumed", "PATCH /Users/{priya}", patch({"op": "replace", "path": "active", "value": True}),
         hears={"active": True}, people={"priya": MEMBER}, events=["scimUser.provisioned priya"]),
]  # fmt: skip

BY_PUT = [
    Step("Updated by PUT", "PUT /Users/{priya}", {**PRIYA, "id": "{priya}", "title": "Lead"},
         hears={"title": "Lead"}, events=["scimUser.updated priya"]),
    Step("A group", "POST /Groups", {"schemas": [GROUP], "displayName": "Admins", "members": [{"value": "{priya}"}]},
         status=201, remembers="admins", people={"priya": ADMIN}, groups={"Admins": {"priya"}},
         events=["scimUser.updated priya", "scimGroup.created admins"]),
    Step("The whole group, with other members", "PUT /Groups/{admins}",
         {"schemas": [GROUP], "id": "{admins}", "displayName": "Admins", "members": [{"value": "{omar}"}]},
         people={"priya": MEMBER, "omar": ADMIN}, groups={"Admins": {"omar"}},
         events=["scimUser.updated priya", "scimUser.updated omar", "scimGroup.updated admins"]),
    Step("Suspended", "PUT /Users/{priya}", {**PRIYA, "id": "{priya}", "title": "Lead", "active": False},
         hears={"active": False}, people={"priya": INACTIVE}, events=["scimUser.deprovisioned priya"]),
    Step("Resumed", "PUT /Users/{priya}", {**PRIYA, "id": "{priya}", "title": "Lead"},
         hears={"active": True}, people={"priya": MEMBER}, events=["scimUser.provisioned priya"]),
]  # fmt: skip


def test_jumpcloud_that_patches(play: Callable[..., Any]) -> None:
    play(JUMPCLOUD, [*ACTIVATION, *PEOPLE, *BY_PATCH])


def test_jumpcloud_that_puts(play: Callable[..., Any]) -> None:
    play(JUMPCLOUD, [*ACTIVATION, *PEOPLE, *BY_PUT])


def test_jumpcloud_may_be_activated_twice(play: Callable[..., Any]) -> None:
    again = [ACTIVATION[0], Step("Create the test user again", "POST /Users", TEST_USER, status=201,
             hears={"id": "{test}"}, people={"test": MEMBER}, events=["scimUser.provisioned test"])]  # fmt: skip
    play(JUMPCLOUD, [*ACTIVATION, *again])
