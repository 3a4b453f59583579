"""OneLogin, whose requests have an empty User-Agent and bodies made from a JSON template that an admin wrote.

Such templates name schemas of SCIM 1.0, write roles as bare texts and carry keys of their own. Per app an admin
chooses what happens to somebody who leaves: a deletion, a suspension, or nothing. Each call may wait for an approval,
so a retry can come long after.
"""

from collections.abc import Callable
from typing import Any

from tests.scim.conversations.impatience import GROUP, PATCH_OP, USER
from tests.scim.conversations.talking import ADMIN, INACTIVE, MEMBER, IdentityProvider, Step

ONELOGIN = IdentityProvider("OneLogin", {"User-Agent": "", "Content-Type": "application/scim+json"})

TEMPLATE = {
    "schemas": ["urn:scim:schemas:core:1.0"],
    "userName": "yusuf.haddad@acme.example",
    "name": {"givenName": "Yusuf", "familyName": "Haddad", "formatted": "Yusuf Haddad"},
    "emails": [{"value": "yusuf.haddad@acme.example", "type": "work", "primary": True}],
    "roles": ["engineer"],
    "costCentre": "4711",
    "profileUrl": "",
    "active": True,
}
PUT_BODY = {**TEMPLATE, "title": "Lead"}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


CONNECT_AND_CREATE = [
    Step("On connecting: a name that it knows does not exist",
         'GET /Users?filter=userName eq "onelogin-does-not-exist@acme.example"', finds=[]),
    Step("Look up before create", 'GET /Users?filter=userName eq "yusuf.haddad@acme.example"', finds=[]),
    Step("Create, from the template", "POST /Users", TEMPLATE, status=201,
         hears={"userName": "yusuf.haddad@acme.example", "roles": [{"value": "engineer"}], "costCentre": "4711",
                "schemas": [USER, "urn:scim:schemas:core:1.0"], "active": True},
         remembers="yusuf", people={"yusuf": MEMBER}, events=["scimUser.provisioned yusuf"]),
    Step("Approved twice: the second creation", "POST /Users", TEMPLATE, status=409),
    Step("It finds him instead", 'GET /Users?filter=userName eq "yusuf.haddad@acme.example"', finds=["yusuf"]),
    Step("Update by PUT, without the id", "PUT /Users/{yusuf}", PUT_BODY,
         hears={"title": "Lead", "costCentre": "4711"}, events=["scimUser.updated yusuf"]),
    Step("Read him", "GET /Users/{yusuf}", hears={"title": "Lead", "roles": [{"value": "engineer"}]}),
    Step("List everybody", "GET /Users", finds=["yusuf"]),
]  # fmt: skip

GROUPS = [
    Step("List the groups there are", "GET /Groups", finds=[]),
    Step("Create one", "POST /Groups", {"schemas": [GROUP], "displayName": "Admins"}, status=201,
         hears={"displayName": "Admins"}, remembers="admins", groups={"Admins": set()},
         events=["scimGroup.created admins"]),
    Step("He joins", "PATCH /Groups/{admins}",
         patch({"op": "add", "path": "members", "value": [{"value": "{yusuf}"}]}),
         people={"yusuf": ADMIN}, groups={"Admins": {"yusuf"}},
         events=["scimUser.updated yusuf", "scimGroup.updated admins"]),
    Step("He leaves", "PATCH /Groups/{admins}", patch({"op": "remove", "path": 'members[value eq "{yusuf}"]'}),
         people={"yusuf": MEMBER}, groups={"Admins": set()},
         events=["scimUser.updated yusuf", "scimGroup.updated admins"]),
]  # fmt: skip

SUSPEND = [
    Step("Removal action “Suspend”", "PUT /Users/{yusuf}", {**PUT_BODY, "active": False}, hears={"active": False},
         people={"yusuf": INACTIVE}, events=["scimUser.deprovisioned yusuf"]),
    Step("Back again", "PUT /Users/{yusuf}", PUT_BODY, hears={"active": True},
         people={"yusuf": MEMBER}, events=["scimUser.provisioned yusuf"]),
]  # fmt: skip

DELETE = [
    Step("Removal action “Delete”", "DELETE /Users/{yusuf}", status=204, people={"yusuf": None},
         events=["scimUser.deprovisioned yusuf"]),
    Step("Approved twice", "DELETE /Users/{yusuf}", status=404),
    Step("Back again, by a new creation", "POST /Users", TEMPLATE, status=201, hears={"id": "{yusuf}"},
         people={"yusuf": MEMBER}, events=["scimUser.provisioned yusuf"]),
]  # fmt: skip


def test_onelogin_that_suspends(play: Callable[..., Any]) -> None:
    play(ONELOGIN, [*CONNECT_AND_CREATE, *GROUPS, *SUSPEND])


def test_onelogin_that_deletes(play: Callable[..., Any]) -> None:
    play(ONELOGIN, [*CONNECT_AND_CREATE, *DELETE])
