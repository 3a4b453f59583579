"""The published document: valid OpenAPI 3.1, and true to what requests made from it are answered."""

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from blueprints.management.operations import OPERATIONS
from tests import okta
from tests.conftest import Tenant
from tests.openapi import whole_document

JUDGED: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def test_the_document_is_valid_openapi_3_1_and_needs_no_key(acme: Tenant) -> None:
    answer = acme.client.get("/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json == whole_document()
    assert answer.json["openapi"].startswith("3.1")
    assert answer.json["servers"] == [{"url": "https://acme.authn.test"}]
    assert not list(OpenAPIV31SpecValidator(answer.json).iter_errors())


def test_every_operation_is_in_the_document_once() -> None:
    described = [one["operationId"] for path in whole_document()["paths"].values() for one in path.values()]
    assert sorted(described) == sorted(OPERATIONS)


def test_secrets_are_marked_and_stand_in_no_answer_that_reads() -> None:
    schemas = whole_document()["components"]["schemas"]
    marked = {
        (name, member)
        for name, schema in schemas.items()
        for member, described in schema.get("properties", {}).items()
        if described.get("x-shown-once")
    }
    assert {
        ("IssuedScimToken", "token"),
        ("IssuedSecretKey", "secret"),
        ("WebhookEndpointWithSecret", "signing_secret"),
    } <= marked
    for declared in OPERATIONS.values():
        if declared.method == "GET":
            answer = str(schemas.get(getattr(declared.answer, "__name__", "").removesuffix("Object"), {}))
            assert not [name for name, _ in marked if f"/{name}'" in answer or "x-shown-once" in answer]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_is_answered_otherwise_than_documented(app: Flask, acme: Tenant, mode: GenerationMode) -> None:
    """Requests that fit the document, and such that do not, on what is there and on what is not."""
    user_id = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.api("POST", "/webhook-endpoints", {"url": "https://93.184.215.14/webhooks"})
    there = {"organization_id": acme.organization_id, "user_id": user_id}
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", app)
    headers = {"Authorization": f"Bearer {acme.secret_key}"}
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] in ("read_openapi", "revoke_secret_key"):
            continue
        path = {
            name: value
            for name, value in there.items()
            if f"{{{name}}}" in operation.path and mode is GenerationMode.POSITIVE
        }
        known = operation.as_strategy(generation_mode=mode, **({"path_parameters": path} if path else {}))

        @seed(20261124)
        @settings(
            max_examples=4 if mode is GenerationMode.POSITIVE else 2,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=known)
        def judge(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=JUDGED)

        judge()
