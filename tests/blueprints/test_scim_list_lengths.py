"""How many there are, and who stands where, is kept with each write: pages say what counting and walking would."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from database import db
from directory.lists import find_length
from ids import new_id
from models import DirectoryGroup, DirectoryUser, User
from scim.places import DIRECTORIES, PLACES_OF_LIST, KnownPlaces, Places
from tests import okta
from tests.conftest import Tenant

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def lengths(app: Flask, tenant: Tenant) -> tuple[int, int]:
    """Return how many users and groups there are said to be, once that is seen to be so."""
    with app.app_context(), db.reading() as session:
        in_directory = DirectoryUser.organization_id == tenant.organization_id
        users = session.scalar(select(func.count()).where(in_directory, DirectoryUser.deleted_at.is_(None)))
        groups = session.scalar(select(func.count()).where(DirectoryGroup.organization_id == tenant.organization_id))
        said = [find_length(session, tenant.organization_id, kind) for kind in ("User", "Group")]
    assert [length[0] for length in said if length] == [users, groups]
    return users or 0, groups or 0


def shifts(app: Flask, tenant: Tenant) -> int:
    with app.app_context(), db.reading() as session:
        length = find_length(session, tenant.organization_id, "User")
    assert length is not None
    return length[1]


def create(tenant: Tenant, name: str, **changes: Any) -> str:
    response = tenant.scim("POST", "/Users", okta.user(name, **changes))
    assert response.status_code == 201, response.text
    return str(response.json["id"])


def test_each_way_to_come_and_go_is_counted(app: Flask, acme: Tenant, globex: Tenant) -> None:
    ids = [create(acme, name) for name in ("ada", "grace", "alan")]
    create(acme, "staged", active=False)
    assert acme.scim("POST", "/Users", okta.user("ada")).status_code == 409
    assert acme.scim("PATCH", f"/Users/{ids[0]}", okta.set_active(False)).status_code == 200
    assert lengths(app, acme) == (4, 0)
    group_id = acme.scim("POST", "/Groups", okta.group("All", *ids)).json["id"]
    acme.scim("POST", "/Groups", okta.group("None"))
    assert lengths(app, acme) == (4, 2)
    for _ in range(2):  # the second time there is nothing to delete
        acme.scim("DELETE", f"/Users/{ids[1]}")
        acme.scim("DELETE", f"/Groups/{group_id}")
    assert lengths(app, acme) == (3, 1)
    assert create(acme, "grace") == ids[1]
    assert lengths(app, acme) == (4, 1)
    assert lengths(app, globex) == (0, 0)
    assert acme.scim("GET", "/Users?startIndex=2&count=1").json["totalResults"] == 4
    assert globex.scim("GET", "/Users?startIndex=2&count=1").json["totalResults"] == 0


def test_of_a_bulk_request_those_that_succeeded_are_counted(app: Flask, acme: Tenant) -> None:
    gone = create(acme, "gone")
    names = ["ada", "grace", "ada"]
    operations: list[dict[str, Any]] = [
        {"method": "POST", "path": "/Users", "bulkId": f"b{n}", "data": okta.user(name)} for n, name in enumerate(names)
    ]
    operations += [{"method": "DELETE", "path": f"/Users/{gone}"}, {"method": "DELETE", "path": "/Users/user_nobody"}]
    operations += [{"method": "POST", "path": "/Groups", "bulkId": "g", "data": okta.group("All", "bulkId:b0")}]
    answer = acme.scim("POST", "/Bulk", {"schemas": [BULK], "Operations": operations}).json
    assert [each["status"] for each in answer["Operations"]] == ["201", "201", "409", "204", "404", "201"]
    assert lengths(app, acme) == (2, 1)


def test_only_who_comes_anywhere_but_at_the_end_or_goes_shifts_the_others(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        older = new_id("user")
        session.add(User(id=older, email_address="older@acme.example", email_key="older@acme.example"))
    ada = create(acme, "ada")
    create(acme, "grace")
    assert shifts(app, acme) == 0
    assert create(acme, "older") == older  # a person who was there before, with a smaller id
    assert shifts(app, acme) == 1
    acme.scim("DELETE", f"/Users/{ada}")
    assert shifts(app, acme) == 2
    assert create(acme, "ada") == ada
    assert shifts(app, acme) == 3
    acme.scim("PATCH", f"/Users/{ada}", okta.set_active(False))
    create(acme, "alan")
    assert shifts(app, acme) == 3


def test_pages_stay_right_while_people_come_and_go(acme: Tenant) -> None:
    def walked(size: int) -> list[str]:
        seen, start = [], 1
        while page := acme.scim("GET", f"/Users?startIndex={start}&count={size}").json["Resources"]:
            seen += [user["id"] for user in page]
            start += size
        return seen

    ids = sorted(create(acme, f"n{number}") for number in range(9))
    assert walked(2) == walked(3) == walked(2) == ids
    acme.scim("DELETE", f"/Users/{ids[0]}")
    assert walked(2) == walked(3) == ids[1:]
    assert create(acme, "late") == (late := walked(2)[-1])
    assert walked(3) == [*ids[1:], late]
    assert acme.scim("GET", "/Users?startIndex=5&count=2").json["Resources"][0]["id"] == ids[5]


def test_an_organization_of_which_nothing_was_written_down_is_counted(app: Flask, acme: Tenant) -> None:
    ids = sorted(create(acme, f"n{number}") for number in range(3))
    with app.app_context(), db.unit_of_work() as session:
        session.connection().exec_driver_sql("DELETE FROM directory_lists")
    create(acme, "one-more")
    page = acme.scim("GET", "/Users?startIndex=2&count=1").json
    assert (page["totalResults"], page["Resources"][0]["id"]) == (4, ids[1])


def test_the_nearest_known_place_is_found() -> None:
    places = Places(0)
    for place in (200, 100, 300, 100):
        places.note(place, f"user_{place}")
    asked = [places.nearest(place) for place in (0, 99, 100, 250, 10**6)]
    assert asked == [(0, ""), (0, ""), (100, "user_100"), (200, "user_200"), (300, "user_300")]
    for place in range(1000, 1000 + 2 * PLACES_OF_LIST):
        places.note(place, "user_x")
    assert places.nearest(10**6)[0] == 1000 + PLACES_OF_LIST - 5


def test_places_are_forgotten_when_a_list_shifts_or_others_are_read() -> None:
    known = KnownPlaces()
    known.of("org_1", "User", 3).note(10, "user_10")
    assert known.of("org_1", "User", 3).nearest(10) == (10, "user_10")
    assert known.of("org_1", "Group", 3).nearest(10) == (0, "")
    assert known.of("org_1", "User", 4).nearest(10) == (0, "")
    known.of("org_1", "User", 4).note(10, "user_10")
    for number in range(DIRECTORIES):
        known.of(f"org_other{number}", "User", 0)
    assert known.of("org_1", "User", 4).nearest(10) == (0, "")


@pytest.mark.slow
def test_creations_at_the_same_moment_are_all_counted(app: Flask, acme: Tenant) -> None:
    def one(number: int) -> int:
        headers = {"Authorization": f"Bearer {acme.scim_token}"}
        body = okta.user(f"n{number}")
        return app.test_client().post("/scim/v2/Users", json=body, headers=headers).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(one, range(40))) == {201}
    assert lengths(app, acme) == (40, 0)
    with app.app_context(), db.reading() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 41
