"""The published document as a judge: every answer of ``/v1`` that any test gets has to be what it says.

Objects are closed here: a member that the document does not name is a mistake
of the document, though clients have to put up with new ones.
"""

import re
from functools import cache
from typing import Any

import jsonschema_rs
from flask.testing import FlaskClient

from blueprints.management.openapi import document, path_template
from blueprints.management.operations import OPERATIONS, Operation

# Which statuses of which operations happened while the tests ran.
SEEN: set[tuple[str, int]] = set()


class CheckedClient(FlaskClient):
    """A test client that holds every answer against the document."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        response = super().open(*args, **kwargs)
        if response.request.path.startswith("/v1/"):
            check_answer(response.request.method, response.request.path, response)
        return response


def check_answer(method: str, path: str, response: Any) -> None:
    """Fail unless an answer has a documented status and the shape that is documented for it."""
    declared = find_operation(method, path)
    if declared is None:
        return
    SEEN.add((declared.id, response.status_code))
    described = described_answers(declared).get(str(response.status_code))
    assert described is not None, f"{declared.id} does not document {response.status_code}: {response.text}"
    if "content" not in described:
        assert response.data == b""
        return
    assert response.mimetype == "application/json"
    validator(declared.id, response.status_code).validate(response.json)


@cache
def find_operation(method: str, path: str) -> Operation | None:
    """Return the operation that answers at an address; a literal address wins over a parameter."""
    found = [
        declared
        for declared in OPERATIONS.values()
        if declared.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path_template(declared)) + "/*", path)
    ]
    return min(found, key=lambda declared: declared.path.count("<"), default=None)


def whole_document() -> dict[str, Any]:
    return document("https://acme.authn.test")


def described_answers(declared: Operation) -> dict[str, Any]:
    described = whole_document()["paths"][path_template(declared)][declared.method.lower()]["responses"]
    shared = whole_document()["components"]["responses"]
    return {
        status: shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in described.items()
    }


@cache
def validator(operation_id: str, status: int) -> Any:
    schema = described_answers(OPERATIONS[operation_id])[str(status)]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": closed(whole_document()["components"])})


def closed(schema: Any) -> Any:
    """Return a schema whose objects have no other members than those that it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {} if schema.get("type") != "object" or "properties" not in schema else {"additionalProperties": False}
    return {**{name: closed(value) for name, value in schema.items()}, **shut}


def documented_statuses(declared: Operation) -> set[int]:
    """Return every status that the document names for an operation."""
    return {int(status) for status in described_answers(declared)}


def never_happened() -> list[tuple[str, int]]:
    """Return the documented statuses, of which operations, that no test has seen."""
    documented = {(declared.id, status) for declared in OPERATIONS.values() for status in documented_statuses(declared)}
    return sorted(documented - SEEN)
