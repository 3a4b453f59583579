"""What an impatient client checks of every answer before it believes it."""

import re
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DISCOVERY = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")


def judge(request: str, response: Any, secrets: tuple[str, ...] = ()) -> Any:
    """Return the JSON of an answer, None where there is none, after checking all that must be so in any answer."""
    for secret in secrets:
        assert secret not in response.text, "the answer repeats a secret"
    if response.status_code == 204:
        assert response.data == b"", "a 204 has no body"
        return None
    assert response.mimetype == "application/scim+json", f"the answer is {response.content_type}"
    content = response.get_json(force=True)
    path, _, query = request.partition(" ")[2].partition("?")
    if response.status_code >= 400:
        judge_error(content, response)
    elif path.startswith(DISCOVERY):
        assert content["schemas"], "it says no schemas"
    elif content["schemas"] == [LIST_RESPONSE]:
        judge_list(content, query)
    else:
        judge_resource(content, response, query)
    return content


def judge_error(content: Any, response: Any) -> None:
    """RFC 7644 §3.12: the status as a string, and words for the admin."""
    assert content["schemas"] == [ERROR]
    assert content["status"] == str(response.status_code), f"the error's status is {content['status']!r}"
    assert isinstance(content["detail"], str) and content["detail"].strip(), "the error has no detail"
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"]
    if response.status_code == 409:
        assert content["scimType"] == "uniqueness"


def judge_list(content: Any, query: str) -> None:
    """RFC 7644 §3.4.2: integers, and ``Resources`` even when there is nothing in it."""
    for name in ("totalResults", "startIndex", "itemsPerPage"):
        assert type(content[name]) is int, f"{name} is {content[name]!r}"
    assert isinstance(content["Resources"], list), "Resources must be a list, even an empty one"
    assert content["itemsPerPage"] == len(content["Resources"]) <= content["totalResults"]
    for resource in content["Resources"]:
        judge_members(resource, query)


def judge_resource(content: Any, response: Any, query: str) -> None:
    """RFC 7644 §3.3 and RFC 7643 §3.1: who it is, where it is, and since when."""
    judge_members(content, query)
    if response.status_code == 201:
        assert response.headers["Location"] == content["meta"]["location"]
    if response.status_code in (200, 201) and "ttributes=" not in query:
        assert response.headers["ETag"] == content["meta"]["version"]


def judge_members(resource: Any, query: str) -> None:
    assert isinstance(resource["id"], str) and resource["id"], "the resource has no id"
    assert "password" not in resource
    if re.search(r"(^|&)attributes=", query):
        return
    kind = "User" if USER in resource["schemas"] else "Group"
    assert {"User": USER, "Group": GROUP}[kind] in resource["schemas"]
    meta = resource["meta"]
    assert meta["resourceType"] == kind
    assert meta["location"].endswith(f"/scim/v2/{kind}s/{resource['id']}")
    assert MOMENT.fullmatch(meta["created"]) and MOMENT.fullmatch(meta["lastModified"])
    if kind == "User":
        assert isinstance(resource["userName"], str) and resource["userName"]
        assert type(resource["active"]) is bool, f"active is {resource['active']!r}"
        assert all(type(email.get("primary", True)) is bool for email in resource.get("emails", []))
    else:
        assert isinstance(resource["displayName"], str) and resource["displayName"]
        assert all(member["value"] for member in resource.get("members", []))
