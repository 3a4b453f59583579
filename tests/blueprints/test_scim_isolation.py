"""The token alone decides the organization: nothing of one is visible or changeable through the other's token."""

from typing import Any

import pytest
from flask import Flask

from tests import okta
from tests.conftest import Tenant
from tests.events import events_of


@pytest.fixture
def theirs(acme: Tenant) -> dict[str, Any]:
    """A person and a group of Acme, which Globex must not reach."""
    user = acme.scim("POST", "/Users", okta.user()).json
    group = acme.scim("POST", "/Groups", okta.group("Board", user["id"])).json
    return {"user": user["id"], "group": group["id"]}


REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/Users/{user}", None),
    ("GET", "/Groups/{group}", None),
    ("PUT", "/Users/{user}", okta.user(displayName="Changed")),
    ("PUT", "/Groups/{group}", okta.group("Changed")),
    ("PATCH", "/Users/{user}", okta.set_active(False)),
    ("PATCH", "/Groups/{group}", okta.patch({"op": "remove", "path": "members"})),
    ("DELETE", "/Users/{user}", None),
    ("DELETE", "/Groups/{group}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_another_organizations_resource_is_not_found_and_stays_as_it_is(
    app: Flask, acme: Tenant, globex: Tenant, theirs: dict[str, Any], method: str, path: str, body: Any
) -> None:
    url = path.format(**theirs)
    before = [acme.scim("GET", f"/Users/{theirs['user']}").json, acme.scim("GET", f"/Groups/{theirs['group']}").json]
    events = events_of(app, acme.organization_id)

    response = globex.scim(method, url, body)

    assert response.status_code == 404
    unknown = globex.scim(method, path.format(user="user_unknown", group="grp_unknown"), body)
    known_detail = response.json["detail"].replace(url.rpartition("/")[2], "…")
    assert known_detail == unknown.json["detail"].replace("user_unknown", "…").replace("grp_unknown", "…")
    after = [acme.scim("GET", f"/Users/{theirs['user']}").json, acme.scim("GET", f"/Groups/{theirs['group']}").json]
    assert after == before
    assert events_of(app, acme.organization_id) == events


@pytest.mark.parametrize(
    "query",
    [
        "",
        '?filter=userName eq "nadia.petrov@acme.example"',
        '?filter=externalId eq "00unadia.petrov"',
        '?filter=emails.value eq "nadia.petrov@acme.example"',
        '?filter=id eq "{user}"',
        '?filter=not (userName eq "somebody else")',
    ],
)
def test_a_list_never_shows_another_organizations_people(
    acme: Tenant, globex: Tenant, theirs: dict[str, Any], query: str
) -> None:
    url = "/Users" + query.format(**theirs)

    assert acme.scim("GET", url).json["totalResults"] == 1
    assert globex.scim("GET", url).json["totalResults"] == 0


@pytest.mark.parametrize("query", ["", '?filter=displayName eq "Board"', '?filter=members.value eq "{user}"'])
def test_a_list_never_shows_another_organizations_groups(
    acme: Tenant, globex: Tenant, theirs: dict[str, Any], query: str
) -> None:
    url = "/Groups" + query.format(**theirs)

    assert acme.scim("GET", url).json["totalResults"] == 1
    assert globex.scim("GET", url).json["totalResults"] == 0


def test_the_same_names_in_two_organizations_do_not_meet(acme: Tenant, globex: Tenant, theirs: dict[str, Any]) -> None:
    same = globex.scim("POST", "/Users", okta.user())
    group = globex.scim("POST", "/Groups", okta.group("Board"))

    assert (same.status_code, group.status_code) == (201, 201)
    globex.scim("DELETE", f"/Users/{same.json['id']}")
    assert acme.scim("GET", f"/Users/{theirs['user']}").json["active"] is True


def test_a_person_of_another_organization_cannot_be_put_into_a_group(
    acme: Tenant, globex: Tenant, theirs: dict[str, Any]
) -> None:
    group = globex.scim("POST", "/Groups", okta.group("Spies", theirs["user"])).json

    add = okta.patch({"op": "add", "path": "members", "value": [{"value": theirs["user"]}]})
    globex.scim("PATCH", f"/Groups/{group['id']}", add)

    assert "members" not in globex.scim("GET", f"/Groups/{group['id']}").json
    assert [g["display"] for g in acme.scim("GET", f"/Users/{theirs['user']}").json["groups"]] == ["Board"]


def test_a_token_in_the_query_is_no_token(acme: Tenant) -> None:
    response = acme.client.get(f"/scim/v2/Users?access_token={acme.scim_token}")

    assert response.status_code == 401
