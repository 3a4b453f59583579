"""Google Workspace's automated provisioning, which exists for pre-integrated apps of its catalogue only.

The token is pasted by the admin. The console builds its list of attributes from /Schemas. Look-ups come without a
count. Suspending and deleting are two settings: a deletion can come for somebody who is active still, or three weeks
after a suspension. No groups are known to be pushed. Google does not document how it updates; both ways are told here.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import INACTIVE, MEMBER, IdentityProvider, Step

GOOGLE = IdentityProvider("Google", {"Accept": "application/scim+json", "Content-Type": "application/scim+json"})

# A stray schema of SCIM 1.0 comes first.
MARIA = {
    "schemas": ["urn:scim:schemas:core:1.0", USER],
    "userName": "maria.rossi@acme.example",
    "name": {"givenName": "Maria", "familyName": "Rossi"},
    "displayName": "Maria Rossi",
    "emails": [{"type": "work", "primary": True, "value": "maria.rossi@acme.example"}],
    "active": True,
}


def suspend(active: bool) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": {"active": active}}]}


CONVERSATION = [
    Step("What attributes are there to map?", "GET /Schemas"),
    Step("… of a user", f"GET /Schemas/{USER}", hears={"id": USER, "name": "User"}),
    Step("Look up before create, from 1 and without a count",
         'GET /Users?filter=userName eq "maria.rossi@acme.example"&startIndex=1', finds=[]),
    Step("Create", "POST /Users", MARIA, status=201, hears={k: v for k, v in MARIA.items() if k != "schemas"},
         remembers="maria", people={"maria": MEMBER}, events=["scimUser.provisioned maria"]),
    Step("The look-up finds her now", 'GET /Users?filter=userName eq "maria.rossi@acme.example"&startIndex=1',
         finds=["maria"]),
    Step("Created once more", "POST /Users", MARIA, status=409),
    Step("Updated by PUT", "PUT /Users/{maria}", {**MARIA, "name": {"givenName": "Maria", "familyName": "Bianchi"}},
         hears={"name": {"givenName": "Maria", "familyName": "Bianchi"}}, events=["scimUser.updated maria"]),
    Step("Suspended", "PATCH /Users/{maria}", suspend(False), hears={"active": False}, people={"maria": INACTIVE},
         events=["scimUser.deprovisioned maria"]),
    Step("Restored", "PATCH /Users/{maria}", suspend(True), hears={"active": True}, people={"maria": MEMBER},
         events=["scimUser.provisioned maria"]),
    Step("Somebody else put her into a group", "POST /Groups",
         {"schemas": [GROUP], "displayName": "Sales", "members": [{"value": "{maria}"}]}, status=201,
         remembers="sales", groups={"Sales": {"maria"}}, events=["scimGroup.created sales"]),
    Step("Deleted though she was never suspended: she leaves her groups too", "DELETE /Users/{maria}", status=204,
         people={"maria": None}, groups={"Sales": set()},
         events=["scimUser.deprovisioned maria", "scimGroup.updated sales"]),
    Step("Gone", "GET /Users/{maria}", status=404),
    Step("Hired again: the same person", "POST /Users", MARIA, status=201, hears={"id": "{maria}"},
         people={"maria": MEMBER}, events=["scimUser.provisioned maria"]),
    Step("Suspended", "PATCH /Users/{maria}", suspend(False), people={"maria": INACTIVE},
         events=["scimUser.deprovisioned maria"]),
    Step("Deleted three weeks later: the product knows already", "DELETE /Users/{maria}", status=204,
         people={"maria": None}),
]  # fmt: skip


def test_google_speaks(play: Callable[..., Any]) -> None:
    play(GOOGLE, CONVERSATION)


def test_the_schemas_that_google_maps_from_are_true(acme: Any) -> None:
    schema = acme.scim("GET", f"/Schemas/{USER}").json
    by_name = {attribute["name"]: attribute for attribute in schema["attributes"]}
    subs = {name: {sub["name"] for sub in by_name[name].get("subAttributes", [])} for name in ("name", "emails")}

    assert by_name["userName"]["required"] is True and by_name["userName"]["type"] == "string"
    assert (by_name["active"]["type"], by_name["active"]["mutability"]) == ("boolean", "readWrite")
    assert by_name["emails"]["multiValued"] is True and {"value", "type", "primary"} <= subs["emails"]
    assert by_name["name"]["type"] == "complex" and {"givenName", "familyName"} <= subs["name"]
