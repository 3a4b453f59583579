"""Bulk: many operations in one request, each as if it had come alone (RFC 7644 §3.7)."""

import json
from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.bulk import BASE, BULK_REQUEST, bulk, change, create, id_of, post, send, set_title, statuses
from tests.conftest import Tenant
from tests.events import events_of


def test_each_kind_of_operation_does_what_it_does_alone(acme: Tenant) -> None:
    kept, gone = create(acme, "kept.one"), create(acme, "gone.one")

    results = send(
        acme,
        post("new", okta.user("new.one")),
        {"method": "PUT", "path": f"/Users/{kept}", "data": okta.user("kept.one", title="put")},
        change(f"/Users/{kept}", {"op": "Replace", "path": "active", "value": "False"}),
        {"method": "delete", "path": f"Users/{gone}"},
    )

    assert statuses(results) == [201, 200, 200, 204]
    assert results[0] == {
        "location": f"{BASE}/Users/{id_of(results[0])}",
        "method": "POST",
        "bulkId": "new",
        "version": 'W/"1"',
        "status": "201",
    }
    assert results[2]["location"] == f"{BASE}/Users/{kept}" and results[2]["version"] == 'W/"3"'
    assert acme.scim("GET", f"/Users/{id_of(results[0])}").json["userName"] == "new.one@acme.example"
    got = acme.scim("GET", f"/Users/{kept}")
    assert (got.json["title"], got.json["active"], got.headers["ETag"]) == ("put", False, 'W/"3"')
    assert acme.scim("GET", f"/Users/{gone}").status_code == 404


@pytest.mark.parametrize("is_forward", [True, False])
def test_bulk_ids_are_resolved_in_any_order(acme: Tenant, is_forward: bool) -> None:
    group = post("team", okta.group("Team", "bulkId:boss", "bulkId:report"), "/Groups")
    report = post("report", okta.user("re.port", **{okta.ENTERPRISE: {"manager": {"value": "bulkId:boss"}}}))
    boss = post("boss", okta.user("bo.ss"))
    rename = change("/Groups/bulkId:team", {"op": "replace", "path": "displayName", "value": "The team"})
    operations = [rename, group, report, boss] if is_forward else [boss, report, group, rename]

    results = send(acme, *operations)

    by_id = {result["bulkId"]: id_of(result) for result in results if "bulkId" in result}
    assert sorted(statuses(results)) == [200, 201, 201, 201]
    assert [result.get("bulkId") for result in results] == [operation.get("bulkId") for operation in operations]
    stored = acme.scim("GET", f"/Groups/{by_id['team']}").json
    assert stored["displayName"] == "The team"
    assert {member["value"] for member in stored["members"]} == {by_id["boss"], by_id["report"]}
    assert acme.scim("GET", f"/Users/{by_id['report']}").json[okta.ENTERPRISE]["manager"]["value"] == by_id["boss"]


def test_members_can_be_added_by_bulk_id(acme: Tenant) -> None:
    group = acme.scim("POST", "/Groups", okta.group("Team")).json["id"]
    add = {"op": "add", "path": "members", "value": [{"value": "bulkId:a"}]}

    results = send(acme, change(f"/Groups/{group}", add), post("a", okta.user()))

    assert statuses(results) == [200, 201]
    members = acme.scim("GET", f"/Groups/{group}").json["members"]
    assert [member["value"] for member in members] == [id_of(results[1])]


@pytest.mark.parametrize("is_forward", [True, False])
def test_members_can_be_removed_by_bulk_id(acme: Tenant, is_forward: bool) -> None:
    path = 'members[value eq "bulkId:a" or value eq "bulkId:b"]'
    operations = [
        post("a", okta.user("a")),
        post("b", okta.user("b")),
        post("team", okta.group("Team", "bulkId:a", "bulkId:b", "bulkId:c"), "/Groups"),
        change("/Groups/bulkId:team", {"op": "remove", "path": path}),
        post("c", okta.user("c")),
    ]

    results = send(acme, *(operations if is_forward else operations[::-1]))

    assert sorted(statuses(results)) == [200, 201, 201, 201, 201]
    by_id = {result["bulkId"]: id_of(result) for result in results if "bulkId" in result}
    members = acme.scim("GET", f"/Groups/{by_id['team']}").json["members"]
    assert [member["value"] for member in members] == [by_id["c"]]


def test_a_removal_of_a_member_who_was_not_created_is_a_conflict(acme: Tenant) -> None:
    group = acme.scim("POST", "/Groups", okta.group("Team")).json["id"]
    remove = {"op": "remove", "path": 'members[value eq "bulkId:nobody"]'}

    assert statuses(send(acme, change(f"/Groups/{group}", remove))) == [409]


def test_what_identity_providers_send_is_mended_as_it_is_alone(acme: Tenant) -> None:
    """Entra's capitals, bare manager and ``$ref: null``, Okta's ``id``, and an extension that no schema declares."""
    user_id = create(acme)
    manager = {"op": "Add", "path": f"{okta.ENTERPRISE}:manager", "value": "m1"}
    badge = {"op": "add", "path": "urn:acme:2.0:User:badge", "value": 7}
    members = [{"value": user_id, "$ref": None}]

    results = send(
        acme,
        post("g", {**okta.group("Team"), "id": "ours", "members": None}, "/Groups"),
        change("/Groups/bulkId:g", {"op": "Add", "path": "members", "value": members}),
        change(f"/Users/{user_id}", manager, badge, {"op": "replace", "value": {"id": user_id, "title": "x"}}),
    )

    assert statuses(results) == [201, 200, 200]
    got = acme.scim("GET", f"/Users/{user_id}").json
    assert (got["title"], got["urn:acme:2.0:User"], got[okta.ENTERPRISE]["manager"]) == (
        "x", {"badge": 7}, {"value": "m1"},
    )  # fmt: skip
    assert [group["display"] for group in got["groups"]] == ["Team"]


def test_references_that_cannot_be_resolved_are_conflicts_and_the_others_are_done(acme: Tenant) -> None:
    def reports_to(name: str, manager: str) -> dict[str, Any]:
        return okta.user(name, **{okta.ENTERPRISE: {"manager": {"value": manager}}})

    results = send(
        acme,
        post("self", reports_to("s.elf", "bulkId:self")),
        post("lost", reports_to("lo.st", "bulkId:nobody")),
        post("bad", {"userName": ""}),
        post("child", reports_to("chi.ld", "bulkId:bad")),
        post("twice", okta.user("on.ce")),
        post("twice", okta.user("twi.ce")),
        post("good", okta.user("go.od")),
    )

    assert statuses(results) == [409, 409, 400, 409, 201, 400, 201]
    names = {user["userName"] for user in acme.scim("GET", "/Users").json["Resources"]}
    assert names == {"on.ce@acme.example", "go.od@acme.example"}


def test_events_come_in_the_order_of_the_operations(app: Flask, acme: Tenant) -> None:
    user_id = create(acme)
    known = len(events_of(app, acme.organization_id, ""))

    send(
        acme,
        set_title(user_id),
        post("g", okta.group("Team", user_id), "/Groups"),
        change(f"/Users/{user_id}", {"op": "replace", "value": {"active": False}}),
        change(f"/Users/{user_id}", {"op": "replace", "value": {"active": True}}),
        {"method": "DELETE", "path": f"/Users/{user_id}"},
    )

    events = events_of(app, acme.organization_id, "")[known:]
    assert [event["type"] for event in events] == [
        "scimUser.updated", "scimGroup.created", "scimUser.deprovisioned", "scimUser.provisioned",
        "scimUser.deprovisioned", "scimGroup.updated",
    ]  # fmt: skip
    assert [e["sequence"] for e in events] == list(range(events[0]["sequence"], events[0]["sequence"] + 6))


def test_versions_are_conditions(acme: Tenant) -> None:
    user_id = create(acme)

    results = send(
        acme,
        set_title(user_id, "a", version='W/"1"'),
        set_title(user_id, "b", version='W/"1"'),
        set_title(user_id, "c", version='"2"'),
        {"method": "DELETE", "path": f"/Users/{user_id}", "version": 'W/"2"'},
    )

    assert statuses(results) == [200, 412, 200, 412]
    assert acme.scim("GET", f"/Users/{user_id}").json["title"] == "c"


@pytest.mark.parametrize(("most", "tried"), [(None, 5), (1, 2), (2, 4), (3, 5)])
def test_fail_on_errors_stops_after_so_many_and_keeps_what_was_done(acme: Tenant, most: int | None, tried: int) -> None:
    bad = {"method": "DELETE", "path": "/Users/nobody"}
    good = [post(f"u{number}", okta.user(f"u.n{number}")) for number in range(3)]

    results = send(acme, good[0], bad, good[1], bad, good[2], **({} if most is None else {"failOnErrors": most}))

    assert statuses(results) == [201, 404, 201, 404, 201][:tried]
    assert acme.scim("GET", "/Users").json["totalResults"] == statuses(results).count(201)


WRONG_OPERATIONS = [
    ({}, 400),
    ({"method": "POST", "path": "/Users", "data": okta.user()}, 400),
    ({"method": "GET", "path": "/Users"}, 400),
    ({"method": 7, "path": "/Users"}, 400),
    ({"method": "POST", "path": ["/Users"], "bulkId": "b0", "data": {}}, 400),
    ({"method": "POST", "path": "/Users", "bulkId": 7, "data": okta.user()}, 400),
    ({"method": "POST", "path": "/Users", "bulkId": "b1"}, 400),
    ({"method": "POST", "path": "/Users", "bulkId": "b2", "data": "text"}, 400),
    ({"method": "POST", "path": "/Users", "bulkId": "b3", "data": {"userName": []}}, 400),
    ({"method": "POST", "path": "/Users", "bulkId": "b4", "data": {"userName": "bulkId:\x7f"}}, 409),
    ({"method": "PATCH", "path": "/Users/nobody", "data": {}}, 400),
    ({"method": "PATCH", "path": "/Users/nobody", "version": 1, "data": okta.patch()}, 400),
    ({"method": "PATCH", "path": "/Users/nobody", "version": '\n"', "data": okta.patch()}, 404),
    ({"method": "PUT", "path": "/Users", "data": okta.user()}, 405),
    ({"method": "DELETE", "path": "/Users"}, 405),
    ({"method": "POST", "path": "/Nowhere", "bulkId": "b5", "data": {}}, 404),
    ({"method": "POST", "path": "/Users/a/b", "bulkId": "b6", "data": {}}, 404),
    ({"method": "POST", "path": "", "bulkId": "b7", "data": {}}, 405),
    ({"method": "POST", "path": "/Bulk", "bulkId": "b8", "data": {}}, 400),
    ({"method": "POST", "path": "/.search", "bulkId": "b9", "data": {}}, 400),
    ({"method": "POST", "path": "/Users/.search", "bulkId": "b10", "data": {}}, 400),
    ({"method": "PATCH", "path": "/Me", "data": okta.patch()}, 501),
    ({"method": "PUT", "path": "/Nowhere", "data": {}}, 404),
    ({"method": "DELETE", "path": "/Schemas"}, 405),
    ({"method": "DELETE", "path": "/Users/bulkId:x"}, 409),
]


def test_a_wrong_operation_fails_alone(acme: Tenant) -> None:
    operations = [operation for operation, _ in WRONG_OPERATIONS]

    results = send(acme, *operations, post("good", okta.user("go.od")))

    assert statuses(results) == [*(status for _, status in WRONG_OPERATIONS), 201]


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ([], "invalidSyntax"),
        ("text", "invalidSyntax"),
        ({}, "invalidSyntax"),
        ({"schemas": [BULK_REQUEST]}, "invalidSyntax"),
        ({"schemas": ["urn:other"], "Operations": []}, "invalidSyntax"),
        (bulk(Operations={}), "invalidSyntax"),
        (bulk("text"), "invalidSyntax"),
        (bulk(failOnErrors="1"), "invalidValue"),
        (bulk(failOnErrors=0), "invalidValue"),
        (bulk(failOnErrors=True), "invalidValue"),
    ],
)
def test_a_request_that_is_no_bulk_request_is_refused(acme: Tenant, body: Any, scim_type: str) -> None:
    response = acme.scim("POST", "/Bulk", body)

    assert (response.status_code, response.json["scimType"]) == (400, scim_type)
    assert response.json["status"] == "400" and response.json["detail"]


def test_the_activity_log_tells_of_the_whole_and_of_each_operation(acme: Tenant) -> None:
    results = send(acme, post("a", okta.user()), post("b", okta.user(externalId="other")))

    path = f"/organizations/{acme.organization_id}/scim/activity"
    log = [(e["method"], e["path"], e["status"], e["detail"]) for e in acme.api("GET", path).json["data"]]
    assert set(log) == {
        ("POST", "/scim/v2/Bulk", 200, "Bulk: 1 of 2 operations succeeded, 1 failed."),
        ("POST", "/scim/v2/Users", 201, None),
        ("POST", "/scim/v2/Users", 409, results[1]["response"]["detail"]),
    }


# -- Limits -----------------------------------------------------------------------


def with_settings(environ: dict[str, str], request: pytest.FixtureRequest, **settings: str) -> Tenant:
    environ.update(settings)
    tenant: Tenant = request.getfixturevalue("acme")
    return tenant


def test_the_limits_are_announced_and_kept(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    limits = {"SCIM_BULK_MAX_OPERATIONS": "3", "SCIM_BULK_MAX_PAYLOAD_SIZE": "2000"}
    acme = with_settings(environ, request, **limits)
    delete = {"method": "DELETE", "path": "/Users/nobody"}

    announced = acme.scim("GET", "/ServiceProviderConfig").json["bulk"]
    assert announced == {"supported": True, "maxOperations": 3, "maxPayloadSize": 2000}
    assert statuses(send(acme, delete, delete, delete)) == [404, 404, 404]
    refused = acme.scim("POST", "/Bulk", bulk(post("a", okta.user()), delete, delete, delete))
    assert (refused.status_code, refused.json["status"]) == (413, "413")
    assert "maxOperations" in refused.json["detail"]
    body = json.dumps(bulk(delete)).encode()
    kind = {"Content-Type": "application/scim+json"}
    assert acme.scim("POST", "/Bulk", data=body.ljust(2000), headers=kind).status_code == 200
    refused = acme.scim("POST", "/Bulk", data=body.ljust(2001), headers=kind)
    assert (refused.status_code, refused.json["status"]) == (413, "413")
    assert acme.scim("GET", "/Users").json["totalResults"] == 0


def test_a_bulk_request_may_be_larger_than_any_other(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    acme = with_settings(environ, request, SCIM_BULK_MAX_PAYLOAD_SIZE=str(3 * 1024 * 1024))

    results = send(acme, *[post(f"u{n}", okta.user(f"u.n{n}", title="x" * 900_000)) for n in range(2)])

    assert statuses(results) == [201, 201]


def test_each_operation_counts_against_the_limit_of_the_token(
    environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    acme = with_settings(environ, request, SCIM_RATE_LIMIT="10 per minute")
    delete = {"method": "DELETE", "path": "/Users/nobody"}
    assert acme.scim("GET", "/ServiceProviderConfig").json["bulk"]["maxOperations"] == 10  # never more than the limit

    assert len(send(acme, *[delete] * 4)) == 4
    refused = acme.scim("POST", "/Bulk", bulk(post("a", okta.user()), *[delete] * 5))
    assert (refused.status_code, refused.json["status"]) == (429, "429")
    assert refused.json["detail"].startswith("rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60

    # The refused one was not counted, and nothing of it was done: five are left.
    assert acme.scim("GET", "/Users").json["totalResults"] == 0
    assert len(send(acme, *[delete] * 4)) == 4
    assert acme.scim("GET", "/Users").status_code == 429


def test_as_many_operations_as_the_limit_pass_at_once(environ: dict[str, str], request: pytest.FixtureRequest) -> None:
    acme = with_settings(environ, request, SCIM_RATE_LIMIT="100 per minute")

    results = send(acme, *[post(f"u{number}", okta.user(f"u.n{number}")) for number in range(100)])

    assert statuses(results) == [201] * 100
    assert acme.scim("GET", "/Users").status_code == 429


def test_a_strangers_bulk_request_is_not_even_read(acme: Tenant) -> None:
    response = acme.client.post("/scim/v2/Bulk", json=bulk(), headers={"Authorization": "Bearer scim_wrong"})

    assert (response.status_code, response.json["status"]) == (401, "401")
