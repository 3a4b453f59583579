"""Requests as Okta sends them, with invented people."""

from typing import Any

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def user(name: str = "nadia.petrov", /, **changes: Any) -> dict[str, Any]:
    """The body of Okta's POST /Users."""
    given, _, family = name.partition(".")
    email = f"{name}@acme.example"
    return {
        "schemas": [USER_SCHEMA],
        "userName": email,
        "name": {"givenName": given.title(), "familyName": family.title()},
        "emails": [{"primary": True, "value": email, "type": "work"}],
        "displayName": f"{given.title()} {family.title()}",
        "locale": "en-US",
        "externalId": f"00u{name}",
        "groups": [],
        "password": "a random password that must never be kept",
        "active": True,
        **changes,
    }


def group(name: str = "Platform Team", *members: str) -> dict[str, Any]:
    """The body of Okta's POST /Groups."""
    return {"schemas": [GROUP_SCHEMA], "displayName": name, "members": [{"value": member} for member in members]}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """The body of a PATCH."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def set_active(active: bool) -> dict[str, Any]:
    """How Okta deactivates and reactivates: a replace without a path."""
    return patch({"op": "replace", "value": {"active": active}})
