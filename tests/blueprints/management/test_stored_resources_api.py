"""What the identity provider sent, listed and read by the management API."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.blueprints.management.calls import key_of, names, ok, params, refused
from tests.conftest import Tenant


def path(tenant: Tenant, rest: str = "") -> str:
    return f"/organizations/{tenant.organization_id}/scim{rest}"


def provision(tenant: Tenant, who: str, /, **more: Any) -> str:
    return str(ok(tenant.scim("POST", "/Users", okta.user(who, **more)), 201)["id"])


def found(tenant: Tenant, query: str, kind: str = "users") -> list[str]:
    return names(tenant.api("GET", path(tenant, f"/{kind}?{query}")), "id")


def test_a_person_is_read_as_the_idp_sent_them_with_what_is_ours(acme: Tenant) -> None:
    user_id = provision(acme, "nadia.petrov", title="Engineer", userType="Staff")
    group_id = acme.scim("POST", "/Groups", okta.group("Team", user_id)).json["id"]
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "Lead"}))

    shown = ok(acme.api("GET", path(acme, f"/users/{user_id}")))

    assert (shown["id"], shown["object"], shown["version"], shown["active"]) == (user_id, "scim_user", 2, True)
    assert (shown["user_name"], shown["external_id"]) == ("nadia.petrov@acme.example", "00unadia.petrov")
    assert (shown["resource"]["title"], shown["resource"]["userType"]) == ("Lead", "Staff")
    assert shown["groups"] == [{"id": group_id, "display_name": "Team", "external_id": None}]
    assert shown["created_at"] <= shown["updated_at"]
    assert "password" not in str(shown)
    assert ok(acme.api("GET", path(acme, "/users")))["data"] == [shown]


def test_people_are_found_by_what_the_idp_calls_them(acme: Tenant, globex: Tenant) -> None:
    emails = [{"value": "N@work.example", "type": "work"}, {"value": "n@home.example"}]
    nadia = provision(acme, "nadia.petrov", emails=emails)
    ada = provision(acme, "ada.king", displayName="Ädä 100%")
    acme.scim("PATCH", f"/Users/{ada}", okta.set_active(False))
    provision(globex, "nadia.petrov", externalId="g-1")

    assert found(acme, "") == sorted([nadia, ada])
    assert found(acme, "user_name=NADIA.petrov@ACME.example") == [nadia]
    assert found(acme, "external_id=00unadia.petrov") == [nadia] and found(acme, "external_id=g-1") == []
    assert found(acme, "email_address=n@HOME.example") == [nadia] == found(acme, "email_address=n@work.example")
    assert found(acme, "active=false") == [ada] and found(acme, "active=true") == [nadia]
    assert found(acme, "q=%C3%84D%C3%84+100%25") == [ada]
    assert found(acme, "q=petrov+zz") == [] == found(acme, "q=%25_")
    acme.scim("DELETE", f"/Users/{ada}")
    assert found(acme, "") == [nadia]
    assert refused(acme.api("GET", path(acme, f"/users/{ada}")), 404) == "scim_user_not_found"


def test_groups_are_read_found_and_their_members_paged(acme: Tenant) -> None:
    people = sorted(provision(acme, f"p{number}.x") for number in range(5))
    body = {**okta.group("Platform Team", *people), "externalId": "g-1"}
    team = acme.scim("POST", "/Groups", body).json["id"]
    other = acme.scim("POST", "/Groups", okta.group("Sales")).json["id"]

    shown = ok(acme.api("GET", path(acme, f"/groups/{team}")))
    assert (shown["object"], shown["display_name"], shown["member_count"]) == ("scim_group", "Platform Team", 5)
    assert (shown["external_id"], shown["version"], shown["resource"]["displayName"]) == ("g-1", 1, "Platform Team")
    assert found(acme, "", "groups") == [team, other]
    assert found(acme, "display_name=platform+team", "groups") == [team] == found(acme, "external_id=g-1", "groups")
    assert found(acme, "q=SAL", "groups") == [other]

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ok(acme.api("GET", path(acme, f"/groups/{team}/members?limit=2&cursor={cursor}")))
        seen += [member["user_id"] for member in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert seen == people
    assert refused(acme.api("GET", path(acme, "/groups/grp_none/members")), 404) == "scim_group_not_found"


def test_lists_are_paged_by_cursor(acme: Tenant) -> None:
    people = sorted(provision(acme, f"p{number}.x") for number in range(3))
    first = ok(acme.api("GET", path(acme, "/users?limit=2")))
    rest = ok(acme.api("GET", path(acme, f"/users?limit=2&cursor={first['meta']['next_cursor']}")))
    assert [user["id"] for user in first["data"] + rest["data"]] == people and rest["meta"]["next_cursor"] is None


def test_another_organization_reads_nobody(app: Flask, acme: Tenant, globex: Tenant) -> None:
    nadia = provision(acme, "nadia.petrov")
    team = acme.scim("POST", "/Groups", okta.group("Team", nadia)).json["id"]
    provision(globex, "nadia.petrov", externalId="g-1", title="Contractor")

    assert ok(globex.api("GET", path(globex, f"/users/{nadia}")))["resource"]["externalId"] == "g-1"
    assert ok(globex.api("GET", path(globex, f"/users/{nadia}")))["groups"] == []
    for rest in (f"/groups/{team}", f"/groups/{team}/members"):
        assert globex.api("GET", path(globex, rest)).status_code == 404
    for rest in ("/users", f"/users/{nadia}", "/groups", f"/groups/{team}", f"/groups/{team}/members"):
        assert key_of(app, globex).api("GET", path(acme, rest)).status_code == 404


@pytest.mark.parametrize(
    ("query", "place"),
    [("active=maybe", "active"), ("userName=x", "userName"), (f"q={'x' * 201}", "q"), ("limit=0", "limit")],
)
def test_a_bad_query_is_refused_by_name(acme: Tenant, query: str, place: str) -> None:
    assert params(acme.api("GET", path(acme, f"/users?{query}"))) == [place]
