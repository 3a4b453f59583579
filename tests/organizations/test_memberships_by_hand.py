"""Memberships made, changed and ended by hand, and what becomes of them when the directory speaks again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from database import db
from errors import Conflict, DomainError, InvalidInput, NotFound
from models import OrganizationMembership, Role
from organizations.memberships import NewMember, add_member, change_role, end_membership
from organizations.representations import membership_object
from tests import okta
from tests.blueprints.management.calls import open_session, open_sessions
from tests.conftest import Tenant
from tests.events import events_of

HAND = "organizationMembership"


def by_hand(app: Flask, act: Callable[..., OrganizationMembership], *args: Any, **kwargs: Any) -> dict[str, Any]:
    with app.app_context(), db.unit_of_work() as session:
        return membership_object(act(session, *args, **kwargs))


def refusal(app: Flask, act: Callable[..., OrganizationMembership], *args: Any, **kwargs: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        by_hand(app, act, *args, **kwargs)
    return caught.value


def members(tenant: Tenant) -> dict[str, tuple[str, str]]:
    found = tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships").json["data"]
    return {one["user"]["id"]: (one["role"], one["role_source"]) for one in found}


def provisioned(tenant: Tenant, name: str = "nadia.petrov") -> str:
    return str(tenant.scim("POST", "/Users", okta.user(name)).json["id"])


def map_roles(tenant: Tenant) -> None:
    body = {"mapping": {"title": "organization_role"}}
    path = f"/organizations/{tenant.organization_id}/scim/attribute-mappings"
    assert tenant.api("PUT", path, body).status_code == 200


def test_a_new_person_is_added_by_address_with_the_default_role(app: Flask, acme: Tenant) -> None:
    new = NewMember(email_address="Ada@acme.example", first_name="Ada")
    made = by_hand(app, add_member, acme.organization_id, new)

    assert (made["role"], made["role_source"], made["user"]["first_name"]) == ("org:member", "manual", "Ada")
    assert (made["user"]["active"], made["user"]["managed_by_organization_id"]) == (True, None)
    [_, event] = events_of(app, acme.organization_id, HAND)
    assert event["type"] == "organizationMembership.created" and event["data"] == made


def test_an_address_finds_the_person_who_is_there_and_tells_nothing_of_elsewhere(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    user_id = provisioned(acme)
    new = NewMember(email_address="NADIA.petrov@acme.example", first_name="Mallory")
    made = by_hand(app, add_member, globex.organization_id, new)

    assert made["user"]["id"] == user_id and made["user"]["first_name"] == "Nadia"
    event = events_of(app, globex.organization_id, HAND)[-1]
    assert (event["data"]["user"]["first_name"], event["data"]["user"]["external_id"]) == (None, None)


def test_a_user_of_another_organization_cannot_be_named_by_id(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id, own = provisioned(acme), globex.organization_id

    assert isinstance(refusal(app, add_member, own, NewMember(user_id=user_id), seen_by=own), NotFound)
    assert by_hand(app, add_member, own, NewMember(user_id=user_id))["user"]["id"] == user_id


@pytest.mark.parametrize(
    ("new", "params"),
    [
        (NewMember(), ["email_address"]),
        (NewMember(user_id="user_x", email_address="a@b.example"), ["email_address"]),
        (NewMember(email_address="nobody"), ["email_address"]),
        (NewMember(email_address="a@b@c.example", role_key="org:none"), ["email_address", "role"]),
        (NewMember(email_address="a@b.example", first_name=" ", last_name="x" * 201), ["first_name", "last_name"]),
    ],
)
def test_what_cannot_be_accepted_is_named_all_at_once(
    app: Flask, acme: Tenant, new: NewMember, params: list[str]
) -> None:
    error = refusal(app, add_member, acme.organization_id, new)

    assert isinstance(error, InvalidInput)
    assert [problem.meta["param"] for problem in error.problems] == params
    assert len(members(acme)) == 1


def test_a_member_is_not_added_twice(app: Flask, acme: Tenant) -> None:
    assert refusal(app, add_member, acme.organization_id, NewMember(user_id=acme.admin_id)).code == "already_member"


def test_whom_the_directory_deactivated_is_not_added_by_hand(app: Flask, acme: Tenant) -> None:
    user_id = provisioned(acme)
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))

    error = refusal(app, add_member, acme.organization_id, NewMember(user_id=user_id))
    assert isinstance(error, Conflict) and error.code == "inactive_in_directory"


def test_a_former_member_gets_the_same_membership_again(app: Flask, acme: Tenant) -> None:
    first = by_hand(app, add_member, acme.organization_id, NewMember(email_address="ada@acme.example"))
    user_id = first["user"]["id"]
    ended = by_hand(app, end_membership, acme.organization_id, user_id)
    assert (ended["deleted_at"] is None, ended["user"]["active"]) == (False, False)

    again = by_hand(app, add_member, acme.organization_id, NewMember(user_id=user_id, role_key="org:admin"))

    assert (again["id"], again["role"], again["deleted_at"]) == (first["id"], "org:admin", None)
    assert again["user"]["active"] and again["user"]["deleted_at"] is None


def test_a_role_given_by_hand_is_told_with_what_changed(app: Flask, acme: Tenant) -> None:
    user_id = provisioned(acme)
    by_hand(app, change_role, acme.organization_id, user_id, "org:admin")

    event = events_of(app, acme.organization_id, HAND)[-1]
    assert event["type"] == "organizationMembership.updated"
    assert event["data"]["changes"] == {
        "role": {"from": "org:member", "to": "org:admin"},
        "role_source": {"from": "default", "to": "manual"},
    }
    count = len(events_of(app, acme.organization_id, HAND))
    by_hand(app, change_role, acme.organization_id, user_id, "org:admin")
    assert len(events_of(app, acme.organization_id, HAND)) == count


def test_a_role_given_by_hand_stays_until_the_directory_says_something_else(app: Flask, acme: Tenant) -> None:
    map_roles(acme)
    user_id = str(acme.scim("POST", "/Users", okta.user(title="org:member")).json["id"])
    by_hand(app, change_role, acme.organization_id, user_id, "org:admin")

    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "nickName", "value": "Nad"}))
    assert members(acme)[user_id] == ("org:admin", "manual")

    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id="role_x", key="org:auditor", name="Auditor", permissions=[]))
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "org:auditor"}))
    assert members(acme)[user_id] == ("org:auditor", "mapping")


def test_whom_the_directory_has_stays_out_until_it_activates_the_person_anew(app: Flask, acme: Tenant) -> None:
    user_id = provisioned(acme)
    by_hand(app, end_membership, acme.organization_id, user_id)

    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "Lead"}))
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))
    assert user_id not in members(acme)

    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(False))
    acme.scim("PATCH", f"/Users/{user_id}", okta.set_active(True))
    assert user_id in members(acme)


def test_an_end_takes_the_sessions_and_only_this_membership(app: Flask, acme: Tenant, globex: Tenant) -> None:
    user_id = provisioned(acme)
    open_session(app, acme, acme.admin_id)
    open_session(app, acme, user_id)
    by_hand(app, add_member, globex.organization_id, NewMember(user_id=user_id))
    by_hand(app, change_role, acme.organization_id, user_id, "org:admin")

    ended = by_hand(app, end_membership, acme.organization_id, acme.admin_id)
    kept = by_hand(app, end_membership, globex.organization_id, user_id)

    assert open_sessions(app, acme) == [user_id]
    assert (ended["user"]["active"], kept["user"]["active"]) == (False, True)
    assert [event["type"] for event in events_of(app, acme.organization_id, HAND)][
        -1
    ] == "organizationMembership.deleted"


def test_nobody_of_another_organization_is_changed_or_ended(app: Flask, acme: Tenant, globex: Tenant) -> None:
    for error in (
        refusal(app, change_role, globex.organization_id, acme.admin_id, "org:member"),
        refusal(app, end_membership, globex.organization_id, acme.admin_id),
    ):
        assert isinstance(error, NotFound)
    assert members(acme) == {acme.admin_id: ("org:admin", "manual")}


def test_the_last_admin_stays_unless_forced(app: Flask, acme: Tenant) -> None:
    provisioned(acme)
    assert refusal(app, change_role, acme.organization_id, acme.admin_id, "org:member").code == "last_admin"
    assert refusal(app, end_membership, acme.organization_id, acme.admin_id).code == "last_admin"
    assert members(acme)[acme.admin_id] == ("org:admin", "manual")

    by_hand(app, end_membership, acme.organization_id, acme.admin_id, force=True)

    assert acme.admin_id not in members(acme)
    told = events_of(app, acme.organization_id, "organization")
    assert [event["type"] for event in told[-2:]] == [
        "organizationMembership.deleted",
        "organization.lastAdminRemoved",
    ]
    assert told[-1]["data"]["user"]["id"] == acme.admin_id


def test_an_unknown_role_changes_nothing(app: Flask, acme: Tenant) -> None:
    assert isinstance(refusal(app, change_role, acme.organization_id, acme.admin_id, "org:none"), InvalidInput)


def test_two_admins_who_remove_each_other_at_once_leave_one(app: Flask, acme: Tenant) -> None:
    new = NewMember(email_address="ada@acme.example", role_key="org:admin")
    other_id = by_hand(app, add_member, acme.organization_id, new)["user"]["id"]
    together = Barrier(2)

    def remove(user_id: str) -> str | None:
        together.wait()
        try:
            by_hand(app, end_membership, acme.organization_id, user_id)
        except Conflict as error:
            return error.code
        return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(remove, [acme.admin_id, other_id]))

    assert sorted(outcomes, key=str) == [None, "last_admin"]
    assert len(members(acme)) == 1
