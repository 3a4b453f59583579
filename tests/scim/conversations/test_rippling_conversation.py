"""Rippling, a custom app of which is told by its admin what the server can do.

Ticked per app: groups, deletion of groups, PATCH of groups (else PUT), and which attributes there are: externalId,
emails, and each of name's. So the same changes come in two shapes.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

RIPPLING = IdentityProvider("Rippling", {"Accept": "application/scim+json", "Content-Type": "application/scim+json"})

GRACE = {
    "schemas": [USER],
    "userName": "grace.okafor@acme.example",
    "externalId": "63f0c2a4e1b7",
    "name": {"givenName": "Grace", "familyName": "Okafor"},
    "emails": [{"value": "grace.okafor@acme.example", "primary": True}],
    "active": True,
}
MARRIED = {"givenName": "Grace", "familyName": "Okafor-Lund"}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


CONNECT_AND_CREATE = [
    Step("Test the connection by a page of users", "GET /Users?startIndex=1&count=1", finds=[]),
    Step("Look up before create", 'GET /Users?filter=userName eq "grace.okafor@acme.example"', finds=[]),
    Step("Create", "POST /Users", GRACE, status=201, hears=GRACE, remembers="grace", people={"grace": MEMBER},
         events=["scimUser.provisioned grace"]),
    Step("Created again", "POST /Users", GRACE, status=409),
    Step("Look her up by the id that Rippling knows", 'GET /Users?filter=externalId eq "63f0c2a4e1b7"',
         finds=["grace"]),
    Step("Page through everybody", "GET /Users?startIndex=1&count=50", finds=["grace"]),
]  # fmt: skip

WITH_PATCH = [
    Step("Updated by PATCH", "PATCH /Users/{grace}", patch({"op": "replace", "path": "name", "value": MARRIED}),
         hears={"name": MARRIED}, events=["scimUser.updated grace"]),
    Step("A group of a department", "POST /Groups", {"schemas": [GROUP], "displayName": "Admins", "members": []},
         status=201, remembers="admins", groups={"Admins": set()}, events=["scimGroup.created admins"]),
    Step("She joins", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{grace}"}]}),
         people={"grace": ADMIN}, groups={"Admins": {"grace"}},
         events=["scimUser.updated grace", "scimGroup.updated admins"]),
    Step("She leaves", "PATCH /Groups/{admins}", patch({"op": "remove", "path": 'members[value eq "{grace}"]'}),
         people={"grace": MEMBER}, groups={"Admins": set()},
         events=["scimUser.updated grace", "scimGroup.updated admins"]),
    Step("Her last day", "PATCH /Users/{grace}", patch({"op": "replace", "path": "active", "value": False}),
         hears={"active": False}, people={"grace": INACTIVE}, events=["scimUser.deprovisioned grace"]),
    Step("Hired again", "PATCH /Users/{grace}", patch({"op": "replace", "path": "active", "value": True}),
         hears={"active": True}, people={"grace": MEMBER}, events=["scimUser.provisioned grace"]),
    Step("The group is deleted", "DELETE /Groups/{admins}", status=204, groups={"Admins": None},
         events=["scimGroup.deleted admins"]),
]  # fmt: skip

WITHOUT_PATCH = [
    Step("Updated by PUT", "PUT /Users/{grace}", {**GRACE, "name": MARRIED}, hears={"name": MARRIED},
         events=["scimUser.updated grace"]),
    Step("A group with her in it", "POST /Groups",
         {"schemas": [GROUP], "displayName": "Admins", "members": [{"value": "{grace}"}]}, status=201,
         remembers="admins", people={"grace": ADMIN}, groups={"Admins": {"grace"}},
         events=["scimUser.updated grace", "scimGroup.created admins"]),
    Step("She leaves: the whole group without her", "PUT /Groups/{admins}",
         {"schemas": [GROUP], "displayName": "Admins", "members": []}, people={"grace": MEMBER},
         groups={"Admins": set()}, events=["scimUser.updated grace", "scimGroup.updated admins"]),
    Step("Her last day", "PUT /Users/{grace}", {**GRACE, "name": MARRIED, "active": False}, hears={"active": False},
         people={"grace": INACTIVE}, events=["scimUser.deprovisioned grace"]),
    Step("Hired again", "PUT /Users/{grace}", {**GRACE, "name": MARRIED}, hears={"active": True},
         people={"grace": MEMBER}, events=["scimUser.provisioned grace"]),
]  # fmt: skip


def test_rippling_where_patch_is_ticked(play: Callable[..., Any]) -> None:
    play(RIPPLING, [*CONNECT_AND_CREATE, *WITH_PATCH])


def test_rippling_where_patch_is_not_ticked(play: Callable[..., Any]) -> None:
    play(RIPPLING, [*CONNECT_AND_CREATE, *WITHOUT_PATCH])
