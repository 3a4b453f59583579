"""What every operation makes of a request: every problem at once with its place, media types, entity tags, the log."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from blueprints.management.operations import OPERATIONS
from clock import now_ms
from tests import okta
from tests.blueprints.management.test_every_operation import Caller
from tests.conftest import Tenant


def problems(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 422, response.text
    return [(error["code"], error["meta"].get("pointer", error["meta"]["param"])) for error in response.json["errors"]]


@pytest.fixture
def mapping(acme: Tenant) -> str:
    return f"/organizations/{acme.organization_id}/scim/attribute-mappings"


# -- Bodies and queries -----------------------------------------------------------------


def test_problems_of_the_query_and_the_body_are_told_together(acme: Tenant, mapping: str) -> None:
    body = {"mapping": 5, "groups": ["x", 7], "resorce": {}}
    assert problems(acme.api("POST", f"{mapping}/preview?limit=0&limt=5&cursor=%25", body)) == [
        ("invalid_value", "limit"),
        ("invalid_value", "cursor"),
        ("unknown_parameter", "limt"),
        ("invalid_value", "/mapping"),
        ("invalid_value", "/groups/1"),
        ("unknown_parameter", "/resorce"),
    ]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=5&limit=6", "invalid_value"),
        ("lmit=5", "unknown_parameter"),
        ("limit=", "invalid_value"),
        ("limit=+5", "invalid_value"),
        ("limit=1_0", "invalid_value"),
        ("limit=٥", "invalid_value"),
        ("limit=5.0", "invalid_value"),
        ("limit=99999999999999999999999999", "invalid_value"),
        ("since=-1", "invalid_value"),
        ("since=9007199254740992", "invalid_value"),
        ("cursor=%25", "invalid_value"),
    ],
)
def test_a_query_parameter_that_cannot_be_meant_is_refused_by_name(acme: Tenant, query: str, code: str) -> None:
    assert problems(acme.api("GET", f"/audit-log?{query}")) == [(code, query.partition("=")[0])]


def test_a_parameter_of_another_operation_is_unknown_where_there_is_none(acme: Tenant) -> None:
    assert problems(acme.api("GET", f"/organizations/{acme.organization_id}?limit=5")) == [
        ("unknown_parameter", "limit")
    ]
    token = acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens").json["data"][0]["id"]
    path = f"/organizations/{acme.organization_id}/scim/tokens/{token}/revoke"
    assert problems(acme.api("POST", path, {"reason": "x"})) == [("unknown_parameter", "/reason")]
    assert acme.api("POST", path, {}).status_code == 200


def test_a_pointer_leads_to_its_place_whatever_a_member_is_called(acme: Tenant) -> None:
    assert problems(acme.api("POST", "/organizations", {"name": "x", "a/b~c": 1})) == [
        ("unknown_parameter", "/a~1b~0c")
    ]


def test_what_the_domain_refuses_has_its_pointer_too(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization_id}/scim/tokens"
    assert problems(acme.api("POST", path, {"name": " ", "expires_at": 5})) == [
        ("invalid_value", "/name"),
        ("invalid_value", "/expires_at"),
    ]


def test_what_only_the_domain_refuses_is_told_with_what_nobody_can_mean(acme: Tenant) -> None:
    own = f"/organizations/{acme.organization_id}"
    for path, body, places in (
        ("/organizations", {"name": " ", "nam": "x"}, {"/name", "/nam"}),
        (f"{own}/scim/tokens", {"name": "", "expires_at": 5, "scope": 1}, {"/name", "/expires_at", "/scope"}),
        (f"{own}/setup-links", {"name": "", "expires_in_seconds": 1}, {"/name", "/expires_in_seconds"}),
        (f"{own}/memberships", {"email_address": "x", "first_name": "", "role": 5}, None),
        (
            f"{own}/enterprise-connections",
            {"protocol": "ldap", "name": "", "domains": ["a.example", "acme"]},
            {"/protocol", "/name", "/domains/1"},
        ),
        ("/roles", {"key": "x", "name": "", "permissions": ["y"], "is_default": 1}, None),
        ("/webhook-endpoints", {"url": "ftp://x", "enabled_event_types": ["y"], "enabled": True}, None),
        ("/webhook-endpoints", {"url": "ftp://x", "enabled_event_types": [], "description": "x" * 501}, None),
    ):
        refused = problems(acme.api("POST", path, body))
        assert {place for _, place in refused} == (places or {f"/{name}" for name in body})
        assert len(refused) == len({place for _, place in refused})


def test_each_problem_of_a_mapping_leads_to_its_entry(acme: Tenant, mapping: str) -> None:
    body = {"mapping": {"title": ["first_name", "nowhere"], "a/b[": "last_name"}}
    places = {"/mapping/title/1", "/mapping/a~1b["}
    for method, path in (("PUT", mapping), ("POST", f"{mapping}/preview")):
        assert {place for _, place in problems(acme.api(method, path, body))} == places
        assert {place for _, place in problems(acme.api(method, path, {**body, "x": 1}))} == {*places, "/x"}


def test_what_contradicts_what_is_stored_has_its_place_too(acme: Tenant) -> None:
    role = {"key": "org:support", "name": "Support", "permissions": []}
    acme.api("POST", "/roles", role)
    [problem] = acme.api("POST", "/roles", role).json["errors"]
    assert (problem["code"], problem["meta"]) == ("role_exists", {"param": "key", "in": "body", "pointer": "/key"})
    [problem] = acme.api("GET", "/events?after=evt_unknown").json["errors"]
    assert problem["meta"] == {"param": "after", "in": "query"}


def test_what_the_document_says_of_lengths_holds(acme: Tenant) -> None:
    """Of every member of every body, with nothing else wrong: so it is the domain that keeps the rule."""
    caller, tried = Caller(acme), 0
    caller.known["/v1/roles"] = acme.api("POST", "/roles", caller.sample(OPERATIONS["create_role"])).json["id"]
    for declared in OPERATIONS.values():
        for name, schema in declared.body.model_json_schema().get("properties", {}).items() if declared.body else ():
            for bad in beyond(next((kind for kind in schema.get("anyOf", ()) if "type" in kind), schema)):
                body = {**caller.sample(declared), name: bad}
                answer = acme.api(declared.method, caller.address(declared).removeprefix("/v1"), body)
                assert f"/{name}" in {place for _, place in problems(answer)}, declared.id
                tried += 1
    assert tried > 30


def beyond(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield values that are too short, too long, too few or too many for a schema."""
    if "minLength" in schema:
        yield ""
    if "maxLength" in schema:
        yield "https://x.example/" + "x" * schema["maxLength"]
    if "minItems" in schema:
        yield []
    if "maxItems" in schema:
        yield ["x.example"] * (schema["maxItems"] + 1)


def test_answers_about_people_are_kept_by_no_cache(acme: Tenant, mapping: str) -> None:
    listed = acme.api("GET", f"/organizations/{acme.organization_id}/memberships")
    assert listed.headers["Cache-Control"] == "no-store"
    assert acme.api("GET", mapping).headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_that_does_not_call_itself_json_is_refused(acme: Tenant, media_type: str) -> None:
    answer = acme.api("POST", "/organizations", data=b'{"name": "x"}', headers={"Content-Type": media_type})
    assert answer.status_code == 415
    assert answer.json["errors"][0]["code"] == "unsupported_media_type"
    assert "Content-Type: application/json" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_json_is_read_however_it_calls_itself(acme: Tenant, media_type: str) -> None:
    answer = acme.api("POST", "/organizations", data=b'{"name": "x"}', headers={"Content-Type": media_type})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "a\\u0000b"}', "NUL"),
        (b'{"name": "\\ud800"}', "surrogate"),
        (b'{"name": "x", "name": "y"}', "twice"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": ', "line 1"),
        (b"[1]", "object"),
        (b'"x"', "object"),
        (b"\xff", "UTF-8"),
        (b"[" * 5000, "nested"),
    ],
)
def test_what_cannot_be_read_or_stored_is_refused_clearly(acme: Tenant, body: bytes, words: str) -> None:
    answer = acme.api("POST", "/organizations", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["code"] == "invalid_json"
    assert words in answer.json["errors"][0]["message"]


# -- Entity tags --------------------------------------------------------------------------


def test_a_mapping_that_did_not_change_is_not_sent_again(acme: Tenant, mapping: str) -> None:
    first = acme.api("GET", mapping)
    tag = first.headers["ETag"]
    unchanged = acme.api("GET", mapping, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", tag)
    acme.api("PUT", mapping, {"mapping": {"title": "public_metadata.title"}})
    changed = acme.api("GET", mapping, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_a_change_that_somebody_made_meanwhile_is_not_overwritten(acme: Tenant, mapping: str) -> None:
    tag = acme.api("GET", mapping).headers["ETag"]
    mine, theirs = {"title": "public_metadata.mine"}, {"title": "public_metadata.theirs"}
    first = acme.api("PUT", mapping, {"mapping": theirs}, headers={"If-Match": tag})
    assert first.status_code == 200
    refused = acme.api("PUT", mapping, {"mapping": mine}, headers={"If-Match": tag})
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (412, "version_mismatch")
    assert acme.api("GET", mapping).json["mapping"] == theirs
    for condition in (first.headers["ETag"], f'"77", {first.headers["ETag"]}', "*"):
        again = acme.api("PUT", mapping, {"mapping": theirs}, headers={"If-Match": condition})
        assert again.status_code == 200


@pytest.mark.parametrize("condition", ["", '""', '"x"', '"9999999999999999999"', "nonsense"])
def test_a_condition_that_no_version_meets_is_not_met(acme: Tenant, mapping: str, condition: str) -> None:
    assert acme.api("PUT", mapping, {"mapping": {}}, headers={"If-Match": condition}).status_code == 412


# -- The audit log ---------------------------------------------------------------------------


def test_the_audit_log_tells_who_did_what_and_under_which_trace_id(acme: Tenant) -> None:
    issued = acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens", {"name": "Okta"})
    [act] = acme.api("GET", "/audit-log?action=scim_token.issued&limit=1").json["data"]
    key = acme.api("GET", "/secret-keys").json["data"][0]
    assert act["trace_id"] == issued.headers["X-Request-Id"]
    assert (act["target_type"], act["target_id"]) == ("scim_token", issued.json["id"])
    assert act["organization_id"] == acme.organization_id
    assert act["actor"] == {"kind": "secret_key", "id": key["id"], "label": f"{key['name']} ({key['prefix']}…)"}
    assert act["details"] == {"name": "Okta", "prefix": issued.json["prefix"]}
    assert issued.json["token"] not in str(act)


def test_the_audit_log_is_filtered_and_paged(acme: Tenant, globex: Tenant) -> None:
    begun = now_ms()
    for tenant in (acme, globex, acme):
        tenant.api("POST", f"/organizations/{tenant.organization_id}/scim/tokens", {"name": "Okta"})
    key = acme.api("GET", f"/audit-log?since={begun}").json["data"][0]["actor"]["id"]

    def found(query: str) -> list[str]:
        return [act["target_id"] for act in acme.api("GET", f"/audit-log?{query}&since={begun}").json["data"]]

    everything = found("limit=200")
    assert len(everything) == 3
    assert len(found(f"organization_id={globex.organization_id}")) == 1
    assert len(found(f"actor={key}")) == 2
    assert found("action=scim_token.revoked") == []
    assert found(f"target_id={everything[1]}") == [everything[1]]
    assert found(f"until={begun}") == []
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = acme.api("GET", f"/audit-log?limit=2&since={begun}&cursor={cursor}").json
        seen += [act["target_id"] for act in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert seen == everything


def test_the_audit_log_of_bootstrap_names_all_that_it_made(acme: Tenant) -> None:
    log = acme.api("GET", "/audit-log?limit=200").json["data"]
    assert {act["action"] for act in log} == {
        "organization.created",
        "organization_membership.created",
        "secret_key.created",
        "scim_token.issued",
        "sign_in_link.made",
    }
    assert {(act["actor"]["kind"], act["actor"]["label"], act["trace_id"]) for act in log} == {
        ("command", "bootstrap", None)
    }


def test_a_refused_change_is_not_in_the_audit_log(acme: Tenant, mapping: str) -> None:
    before = acme.api("GET", "/audit-log").json
    acme.api("PUT", mapping, {"mapping": {"title": "nowhere"}})
    acme.api("POST", "/organizations", {"name": " "})
    acme.api("POST", f"/organizations/{acme.organization_id}/scim/tokens/scimt_x/revoke")
    assert acme.api("GET", "/audit-log").json == before


def test_what_an_identity_provider_does_is_no_administrative_act(app: Flask, acme: Tenant) -> None:
    before = acme.api("GET", "/audit-log").json
    acme.scim("POST", "/Users", okta.user())
    assert acme.api("GET", "/audit-log").json == before
