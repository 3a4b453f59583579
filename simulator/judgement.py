"""What an identity provider takes for a proper answer. Each check returns what it read, or raises Misbehaviour."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.exchange import Exchange, JsonObject, Misbehaviour

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"

# What a server decides, whatever a body says (RFC 7643 §3.1 and §4.1.2), and what it must never give back.
NOT_ECHOED = ("id", "meta", "groups", "password", "schemas")


@dataclass(frozen=True)
class Listing:
    """A ListResponse (RFC 7644 §3.4.2) whose members were found to be of the right kinds."""

    total: int
    start_index: int
    resources: list[JsonObject]


def read_object(exchange: Exchange) -> JsonObject:
    """Return the JSON object of a SCIM answer."""
    media_type = exchange.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/scim+json":
        raise Misbehaviour(f"The answer is {media_type or 'of no type'}, not application/scim+json.", exchange)
    for secret in exchange.secrets:
        if secret and secret in exchange.text:
            raise Misbehaviour("The answer repeats a secret of the request.", exchange)
    try:
        content = json.loads(exchange.text)
    except ValueError as error:
        raise Misbehaviour(f"The answer is no JSON: {error}.", exchange) from error
    if not isinstance(content, dict):
        raise Misbehaviour("The answer is no JSON object.", exchange)
    return content


def read_listing(exchange: Exchange) -> Listing:
    """Return a ListResponse; its totals are integers and its ``Resources`` are there even when empty."""
    content = read_object(exchange)
    _require_schema(content, LIST_SCHEMA, exchange)
    total, start_index, per_page = (
        _whole_number(content, name, exchange) for name in ("totalResults", "startIndex", "itemsPerPage")
    )
    resources = content.get("Resources")
    if not isinstance(resources, list):
        raise Misbehaviour("The ListResponse has no Resources.", exchange)
    if len(resources) != per_page or len(resources) > total:
        complaint = (
            f"{len(resources)} Resources, itemsPerPage {per_page} and totalResults {total} contradict each other."
        )
        raise Misbehaviour(complaint, exchange)
    for resource in resources:
        _require_id(resource, exchange)
    return Listing(total, start_index, resources)


def read_service_provider_config(exchange: Exchange) -> JsonObject:
    """Return the capabilities of a server (RFC 7643 §5)."""
    content = read_object(exchange)
    _require_schema(content, CONFIG_SCHEMA, exchange)
    for capability in ("patch", "bulk", "filter", "changePassword", "sort", "etag"):
        if not isinstance(content.get(capability), dict) or not isinstance(content[capability].get("supported"), bool):
            raise Misbehaviour(f"The ServiceProviderConfig does not say whether {capability} is supported.", exchange)
    if not content.get("authenticationSchemes"):
        raise Misbehaviour("The ServiceProviderConfig names no authentication scheme.", exchange)
    return content


def read_user(exchange: Exchange) -> JsonObject:
    """Return a whole user: ``id``, ``userName`` and a boolean ``active`` are there, as IdPs need them."""
    user = read_object(exchange)
    _require_schema(user, USER_SCHEMA, exchange)
    _require_id(user, exchange)
    check_user_members(user, exchange)
    return user


def check_user_members(user: JsonObject, exchange: Exchange) -> None:
    """Check what an IdP reads of each user, in an answer of its own or in a list."""
    if not isinstance(user.get("userName"), str) or not user["userName"]:
        raise Misbehaviour("The user has no userName.", exchange)
    if not isinstance(user.get("active"), bool):
        raise Misbehaviour("The user does not say by true or false whether it is active.", exchange)
    if "password" in user:
        raise Misbehaviour("The answer shows a password.", exchange)


def read_group(exchange: Exchange) -> JsonObject:
    """Return a group with its ``id`` and ``displayName``; ``members`` may be left out."""
    group = read_object(exchange)
    _require_schema(group, GROUP_SCHEMA, exchange)
    _require_id(group, exchange)
    if not isinstance(group.get("displayName"), str) or not group["displayName"]:
        raise Misbehaviour("The group has no displayName.", exchange)
    return group


def check_created(exchange: Exchange, resource: JsonObject) -> None:
    """Check that a 201 says where the new resource is (RFC 7644 §3.3)."""
    location = exchange.headers.get("Location", "")
    if not location.endswith(f"/{resource['id']}") or resource.get("meta", {}).get("location") != location:
        raise Misbehaviour("Location and meta.location of the new resource are missing or differ.", exchange)


def check_shown(exchange: Exchange, resource: JsonObject, sent: Mapping[str, Any]) -> None:
    """Check that a resource shows what was sent; members that a server decides by itself are passed over."""
    for name, value in sent.items():
        if name not in NOT_ECHOED and not _contains(resource.get(name), value):
            raise Misbehaviour(f"{name} was sent as {value!r} and is shown as {resource.get(name)!r}.", exchange)


def check_refusal(exchange: Exchange, status: int) -> JsonObject:
    """Return a SCIM error (RFC 7644 §3.12): its ``status`` is a string and its ``detail`` says something."""
    if exchange.status != status:
        raise Misbehaviour(f"A refusal with {status} was due, and {exchange.status} came.", exchange)
    error = read_object(exchange)
    _require_schema(error, ERROR_SCHEMA, exchange)
    if error.get("status") != str(status):
        raise Misbehaviour(f'The error must say "status": "{status}", as a string.', exchange)
    if not isinstance(error.get("detail"), str) or not error["detail"].strip():
        raise Misbehaviour("The error has no detail for the admin to read.", exchange)
    if status == 401 and "WWW-Authenticate" not in exchange.headers:
        raise Misbehaviour("The 401 has no WWW-Authenticate header.", exchange)
    if status == 429 and not error["detail"].startswith("rate_limited"):
        raise Misbehaviour("The detail of a 429 must begin with rate_limited.", exchange)
    return error


def _contains(shown: Any, sent: Any) -> bool:
    """Tell whether a shown value holds all of a sent one: objects member by member, lists in any order."""
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(_contains(shown.get(name), value) for name, value in sent.items())
    if isinstance(sent, list):
        found = shown if isinstance(shown, list) else []
        return len(found) == len(sent) and all(any(_contains(item, value) for item in found) for value in sent)
    return bool(shown == sent and type(shown) is type(sent))


def _require_schema(content: JsonObject, schema: str, exchange: Exchange) -> None:
    if schema not in (content.get("schemas") or []):
        raise Misbehaviour(f"The answer's schemas do not name {schema}.", exchange)


def _require_id(resource: Any, exchange: Exchange) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), str) or not resource["id"]:
        raise Misbehaviour("The resource has no id; it would be taken for empty.", exchange)


def _whole_number(content: JsonObject, name: str, exchange: Exchange) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misbehaviour(f"{name} is {value!r}; an integer is needed.", exchange)
    return value
