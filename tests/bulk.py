"""Bulk requests, and their results checked for the right shape."""

from typing import Any

from tests import okta
from tests.conftest import Tenant

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
BASE = "https://acme.authn.test/scim/v2"


def bulk(*operations: Any, **members: Any) -> dict[str, Any]:
    return {"schemas": [BULK_REQUEST], "Operations": list(operations), **members}


def post(bulk_id: str, data: dict[str, Any], path: str = "/Users") -> dict[str, Any]:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def change(path: str, *operations: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"method": "PATCH", "path": path, "data": okta.patch(*operations), **members}


def set_title(user_id: str, value: str = "x", **members: Any) -> dict[str, Any]:
    return change(f"/Users/{user_id}", {"op": "replace", "path": "title", "value": value}, **members)


def send(tenant: Tenant, *operations: Any, **members: Any) -> list[dict[str, Any]]:
    """Send a Bulk request and return the results, of the right shape."""
    response = tenant.scim("POST", "/Bulk", bulk(*operations, **members))
    assert response.status_code == 200, response.text
    assert response.content_type == "application/scim+json"
    assert response.json["schemas"] == [BULK_RESPONSE]
    for result in response.json["Operations"]:
        assert isinstance(result["status"], str)
        assert ("response" in result) == (int(result["status"]) >= 400)
        if "response" in result:
            assert result["response"]["schemas"] == [okta.ERROR]
            assert result["response"]["status"] == result["status"] and result["response"]["detail"]
    return list(response.json["Operations"])


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [int(result["status"]) for result in results]


def create(tenant: Tenant, name: str = "nadia.petrov") -> str:
    return str(tenant.scim("POST", "/Users", okta.user(name)).json["id"])


def id_of(result: dict[str, Any]) -> str:
    return str(result["location"]).rpartition("/")[2]
