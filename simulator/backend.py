"""The product's backend: what it asks the management API."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from simulator.exchange import Exchange, JsonObject, Misbehaviour, Observer
from simulator.transport import Connections

TOKEN_PREFIX_LENGTH = 13


class ProductBackend:
    """Calls ``/v1`` with a secret key. Every method raises Misbehaviour on an answer that is not as documented."""

    def __init__(self, server_url: str, secret_key: str, observer: Observer | None = None) -> None:
        self._connections = Connections(server_url, 1, observer)
        self._url = server_url.rstrip("/") + "/v1"
        self._secret_key = secret_key

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def find_organization_of(self, scim_token: str) -> JsonObject | None:
        """Return the organization that issued a SCIM token, known by the token's first characters, or None."""
        prefix = scim_token[:TOKEN_PREFIX_LENGTH]
        for organization in self._list("/organizations"):
            tokens = self._list(f"/organizations/{quote(organization['id'])}/scim/tokens")
            if any(token["prefix"] == prefix for token in tokens):
                return organization
        return None

    def members(self, organization_id: str) -> dict[str, JsonObject]:
        """Return the active memberships of an organization by the ids of their users."""
        listed = self._list(f"/organizations/{quote(organization_id)}/memberships")
        return {membership["user"]["id"]: membership for membership in listed}

    def register_receiver(
        self,
        organization_id: str | None,
        url: str,
        *,
        description: str = "Simulator",
        event_types: Sequence[str] = ("*",),
    ) -> JsonObject:
        """Register a webhook endpoint, and return it with its ``signing_secret``.

        :param organization_id: Whose events it gets; None for all that the secret key opens.
        """
        body = {
            "url": url,
            "description": description,
            "organization_id": organization_id,
            "enabled_event_types": list(event_types),
        }
        exchange = self._call("POST", "/webhook-endpoints", body, expected=(200, 201))
        endpoint = _object(exchange)
        if not str(endpoint.get("signing_secret", "")).startswith("whsec_"):
            raise Misbehaviour("The new webhook endpoint shows no signing_secret.", exchange)
        return endpoint

    def remove_left_over(self, url: str, description: str) -> list[str]:
        """Delete the webhook endpoints of that address and description, and return their ids."""
        found = [
            str(endpoint["id"])
            for endpoint in self._list("/webhook-endpoints")
            if (endpoint["url"], endpoint["description"]) == (url, description)
        ]
        for endpoint_id in found:
            self.remove_receiver(endpoint_id)
        return found

    def remove_receiver(self, endpoint_id: str) -> None:
        """Delete a webhook endpoint."""
        self._call("DELETE", f"/webhook-endpoints/{quote(endpoint_id)}", expected=(200, 204))

    def attribute_mapping(self, organization_id: str) -> JsonObject:
        """Return the override of an organization's attribute mapping."""
        path = f"/organizations/{quote(organization_id)}/scim/attribute-mappings"
        mapping = _object(self._call("GET", path, expected=(200,))).get("mapping")
        return mapping if isinstance(mapping, dict) else {}

    def set_attribute_mapping(self, organization_id: str, mapping: JsonObject) -> None:
        """Put an override of an organization's attribute mapping; an empty one reverts to the defaults."""
        path = f"/organizations/{quote(organization_id)}/scim/attribute-mappings"
        exchange = self._call("PUT", path, {"mapping": mapping}, expected=(200,))
        if _object(exchange).get("mapping") != mapping:
            raise Misbehaviour("The answer does not show the attribute mapping that was put.", exchange)

    def _list(self, path: str) -> Iterator[JsonObject]:
        """Yield the objects of all pages of a list."""
        cursor: str | None = ""
        while cursor is not None:
            query = "?limit=200" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
            exchange = self._call("GET", path + query, expected=(200,))
            page = _object(exchange)
            if not isinstance(page.get("data"), list) or "next_cursor" not in (page.get("meta") or {}):
                raise Misbehaviour("The list has no data or no meta.next_cursor.", exchange)
            yield from page["data"]
            cursor = page["meta"]["next_cursor"]

    def _call(self, method: str, path: str, body: Any = None, *, expected: tuple[int, ...]) -> Exchange:
        headers = {"Authorization": f"Bearer {self._secret_key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        text = None if body is None else json.dumps(body)
        exchange = self._connections.send(method, self._url + path, headers, text, (self._secret_key,))
        if exchange.status not in expected:
            wanted = " or ".join(str(status) for status in expected)
            raise Misbehaviour(f"The product expects {wanted} here, and got {exchange.status}.", exchange)
        return exchange


def _object(exchange: Exchange) -> JsonObject:
    if exchange.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
        raise Misbehaviour("The answer of the management API is not application/json.", exchange)
    content = json.loads(exchange.text)
    if not isinstance(content, dict):
        raise Misbehaviour("The answer of the management API is no JSON object.", exchange)
    return content
