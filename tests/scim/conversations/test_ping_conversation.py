"""PingOne and PingFederate, where nearly everything is a setting of the connection.

The attribute that tells people apart and the filter expression, what a removal does (disable or delete), whether people
who are disabled are provisioned at all, and whether groups are changed by PATCH or by PUT.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

PING = IdentityProvider("Ping", {"Accept": "application/scim+json", "Content-Type": "application/scim+json"}, space="+")

TAMAR = {
    "schemas": [USER],
    "userName": "tamar.levi@acme.example",
    "externalId": "b7c1e5f2-2f6f-4e0e-9f57-3a6f1d1b9c10",
    "name": {"givenName": "Tamar", "familyName": "Levi"},
    "emails": [{"type": "work", "value": "tamar.levi@acme.example", "primary": True}],
    "active": True,
}
NOAM = {
    **TAMAR,
    "userName": "noam.peretz@acme.example",
    "externalId": "b7c1e5f2-2f6f-4e0e-9f57-3a6f1d1b9c11",
    "name": {"givenName": "Noam", "familyName": "Peretz"},
    "emails": [{"type": "work", "value": "noam.peretz@acme.example", "primary": True}],
    "active": False,
}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


PROVISION = [
    Step("Test the connection", "GET /Users?startIndex=1&count=1", finds=[]),
    Step("Look up by the attribute that was chosen", 'GET /Users?filter=userName eq "tamar.levi@acme.example"',
         finds=[]),
    Step("… or another one", 'GET /Users?filter=externalId eq "b7c1e5f2-2f6f-4e0e-9f57-3a6f1d1b9c10"', finds=[]),
    Step("Create", "POST /Users", TAMAR, status=201, hears=TAMAR, remembers="tamar", people={"tamar": MEMBER},
         events=["scimUser.provisioned tamar"]),
    Step("“Provision disabled users”: he is in the directory, and nobody's member", "POST /Users", NOAM, status=201,
         hears=NOAM, remembers="noam", people={"noam": INACTIVE}),
    Step("Created again, though disabled", "POST /Users", NOAM, status=409),
    Step("Enabled at last: now he joins", "PUT /Users/{noam}", {**NOAM, "active": True}, hears={"active": True},
         people={"noam": MEMBER}, events=["scimUser.provisioned noam"]),
    Step("Updated", "PUT /Users/{tamar}", {**TAMAR, "id": "{tamar}", "title": "Lead"}, hears={"title": "Lead"},
         events=["scimUser.updated tamar"]),
]  # fmt: skip

GROUPS_BY_PUT = [
    Step("Look the group up", 'GET /Groups?filter=displayName eq "Admins"', finds=[]),
    Step("Create it", "POST /Groups", {"schemas": [GROUP], "displayName": "Admins"}, status=201, remembers="admins",
         groups={"Admins": set()}, events=["scimGroup.created admins"]),
    Step("The whole group with both", "PUT /Groups/{admins}",
         {"schemas": [GROUP], "displayName": "Admins", "members": [{"value": "{tamar}"}, {"value": "{noam}"}]},
         people={"tamar": ADMIN, "noam": ADMIN}, groups={"Admins": {"tamar", "noam"}},
         events=["scimUser.updated tamar", "scimUser.updated noam", "scimGroup.updated admins"]),
    Step("The whole group with one", "PUT /Groups/{admins}",
         {"schemas": [GROUP], "displayName": "Admins", "members": [{"value": "{tamar}"}]},
         people={"noam": MEMBER}, groups={"Admins": {"tamar"}},
         events=["scimUser.updated noam", "scimGroup.updated admins"]),
]  # fmt: skip

GROUPS_BY_PATCH = [
    *GROUPS_BY_PUT[:2],
    Step("Both join", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{tamar}"}, {"value": "{noam}"}]}),
         people={"tamar": ADMIN, "noam": ADMIN}, groups={"Admins": {"tamar", "noam"}},
         events=["scimUser.updated tamar", "scimUser.updated noam", "scimGroup.updated admins"]),
    Step("One leaves", "PATCH /Groups/{admins}", patch({"op": "remove", "path": 'members[value eq "{noam}"]'}),
         people={"noam": MEMBER}, groups={"Admins": {"tamar"}},
         events=["scimUser.updated noam", "scimGroup.updated admins"]),
]  # fmt: skip

DISABLE = [
    Step("Remove action “disable”", "PUT /Users/{tamar}", {**TAMAR, "title": "Lead", "active": False},
         hears={"active": False}, people={"tamar": INACTIVE}, events=["scimUser.deprovisioned tamar"]),
    Step("Enabled again: the group is hers still, and so is the role", "PUT /Users/{tamar}",
         {**TAMAR, "title": "Lead"}, hears={"active": True}, people={"tamar": ADMIN},
         events=["scimUser.provisioned tamar"]),
]  # fmt: skip

DELETE = [
    Step("Remove action “delete”", "DELETE /Users/{noam}", status=204, people={"noam": None},
         events=["scimUser.deprovisioned noam"]),
    Step("Gone", "GET /Users/{noam}", status=404),
]  # fmt: skip


def test_ping_that_puts_groups_and_disables(play: Callable[..., Any]) -> None:
    play(PING, [*PROVISION, *GROUPS_BY_PUT, *DISABLE])


def test_ping_that_patches_groups_and_deletes(play: Callable[..., Any]) -> None:
    play(PING, [*PROVISION, *GROUPS_BY_PATCH, *DELETE])
