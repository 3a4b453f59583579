"""A directory switched off and on: its IdP is refused meanwhile, its people are kept, or suspended and restored."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

import jobs
from database import db
from directory import switching
from models import OrganizationMembership
from tests import okta
from tests.blueprints.management.calls import key_of, ok, open_session, open_sessions, params, refused
from tests.conftest import Tenant
from tests.directory.applying import put_and_apply
from tests.events import events_of


def path(tenant: Tenant, verb: str = "") -> str:
    return f"/organizations/{tenant.organization_id}/scim/directory" + (f"/{verb}" if verb else "")


def provision(tenant: Tenant, who: str, **more: Any) -> str:
    return str(ok(tenant.scim("POST", "/Users", okta.user(who, **more)), 201)["id"])


def disable(tenant: Tenant, people: str = "suspend", **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = ok(tenant.api("POST", path(tenant, "disable"), {"people": people, **more}))
    return shown


def enable(tenant: Tenant) -> dict[str, Any]:
    shown: dict[str, Any] = ok(tenant.api("POST", path(tenant, "enable")))
    return shown


def work(app: Flask, tenant: Tenant) -> None:
    with app.app_context():
        jobs.switch_directory_of(tenant.organization_id)


def members(tenant: Tenant) -> dict[str, str]:
    found = ok(tenant.api("GET", f"/organizations/{tenant.organization_id}/memberships"))["data"]
    return {one["user"]["id"]: one["role"] for one in found}


def told(app: Flask, tenant: Tenant) -> list[tuple[str, str, str | None]]:
    """What became of memberships by hand: the act, whose, and why; without the admin's own first one."""
    events = events_of(app, tenant.organization_id, "organizationMembership")[1:]
    return [(e["type"].split(".")[1], e["data"]["user"]["id"], e["data"].get("reason")) for e in events]


def test_a_directory_is_on_from_the_start(acme: Tenant) -> None:
    provision(acme, "nadia.petrov")
    acme.scim("POST", "/Groups", okta.group())
    assert ok(acme.api("GET", path(acme))) == {
        "object": "scim_directory",
        "organization_id": acme.organization_id,
        "state": "enabled",
        "disabled_at": None,
        "people": None,
        "work": None,
        "active_users": 1,
        "inactive_users": 0,
        "suspended_users": 0,
        "groups": 1,
    }


def test_while_it_is_off_its_tokens_get_a_scim_403_that_says_so(acme: Tenant, globex: Tenant) -> None:
    user_id = provision(acme, "nadia.petrov")
    shown = disable(acme, "keep")
    assert (shown["state"], shown["people"], shown["work"]) == ("disabled", "keep", None)

    for method, address, body in (
        ("GET", "/Users", None),
        ("GET", "/ServiceProviderConfig", None),
        ("POST", "/Users", okta.user("ada.king")),
        ("PATCH", f"/Users/{user_id}", okta.set_active(False)),
        ("DELETE", f"/Users/{user_id}", None),
        ("POST", "/Bulk", {"schemas": [], "Operations": []}),
    ):
        answer = acme.scim(method, address, body)
        assert answer.status_code == 403 and answer.json["schemas"] == [okta.ERROR], (method, address)
        assert answer.json["status"] == "403" and "switched off" in answer.json["detail"]
    assert globex.scim("GET", "/Users").status_code == 200
    assert user_id in members(acme)

    assert enable(acme)["state"] == "enabled"
    assert acme.scim("GET", f"/Users/{user_id}").status_code == 200


def test_calls_while_it_is_off_are_seen_in_the_activity_and_on_the_token(acme: Tenant) -> None:
    disable(acme, "keep")
    assert acme.scim("POST", "/Users", okta.user("ada.king")).status_code == 403
    [token] = ok(acme.api("GET", f"/organizations/{acme.organization_id}/scim/tokens"))["data"]
    assert token["last_used_at"] is not None
    [entry] = ok(acme.api("GET", f"/organizations/{acme.organization_id}/scim/activity"))["data"]
    assert (entry["method"], entry["status"], entry["scim_token_id"]) == ("POST", 403, token["id"])
    assert "switched off" in entry["detail"]


def test_a_write_that_was_let_in_before_is_refused_as_well(app: Flask, acme: Tenant) -> None:
    from directory.directories import Directory
    from directory.lifecycle import create_directory_user
    from directory.resources import UserResource
    from errors import NotAllowed

    disable(acme, "keep")
    with app.app_context(), pytest.raises(NotAllowed), db.unit_of_work() as session:
        create_directory_user(session, Directory(acme.organization_id), UserResource.of({"userName": "late"}))


def test_people_are_suspended_with_their_sessions_and_restored_as_they_were(app: Flask, acme: Tenant) -> None:
    nadia, ada, gone = (provision(acme, who) for who in ("nadia.petrov", "ada.king", "gone.before"))
    acme.scim("PATCH", f"/Users/{gone}", okta.set_active(False))
    ok(acme.api("PATCH", f"/organizations/{acme.organization_id}/memberships/{ada}", {"role": "org:admin"}))
    open_session(app, acme, ada)
    open_session(app, acme, acme.admin_id)
    before = members(acme)

    assert disable(acme)["work"] == {"kind": "suspend", "done": 0, "total": 2}
    work(app, acme)
    shown = ok(acme.api("GET", path(acme)))
    assert (shown["work"], shown["suspended_users"]) == (None, 2)
    assert list(members(acme)) == [acme.admin_id]
    assert open_sessions(app, acme) == [acme.admin_id]
    assert ok(acme.api("GET", f"/users/{nadia}"))["active"] is False

    enable(acme)
    work(app, acme)
    assert members(acme) == before
    assert ok(acme.api("GET", f"/users/{nadia}"))["deleted_at"] is None
    assert told(app, acme)[1:] == [
        ("deleted", nadia, "directory_disabled"),
        ("deleted", ada, "directory_disabled"),
        ("created", nadia, "directory_enabled"),
        ("created", ada, "directory_enabled"),
    ]


def test_only_those_come_back_whom_the_directory_suspended_and_the_idp_still_wants(app: Flask, acme: Tenant) -> None:
    wanted, unwanted, removed, by_hand = (provision(acme, f"p{n}.x") for n in range(4))
    acme.api("DELETE", f"/organizations/{acme.organization_id}/memberships/{by_hand}")
    disable(acme)
    work(app, acme)
    enable(acme)
    # The IdP speaks again before the restoring has reached these two.
    acme.scim("PATCH", f"/Users/{unwanted}", okta.set_active(False))
    acme.scim("DELETE", f"/Users/{removed}")
    work(app, acme)

    assert set(members(acme)) == {acme.admin_id, wanted}
    assert ok(acme.api("GET", path(acme)))["suspended_users"] == 0


def test_somebody_added_by_hand_meanwhile_stays_and_is_not_restored_twice(app: Flask, acme: Tenant) -> None:
    nadia = provision(acme, "nadia.petrov")
    disable(acme)
    work(app, acme)
    ok(acme.api("POST", f"/organizations/{acme.organization_id}/memberships", {"user_id": nadia}), 201)
    work(app, acme)
    assert nadia in members(acme)
    enable(acme)
    work(app, acme)
    assert [act for act, _, _ in told(app, acme)] == ["deleted", "created"]


def test_people_of_another_organization_are_not_touched(app: Flask, acme: Tenant, globex: Tenant) -> None:
    nadia = provision(acme, "nadia.petrov")
    provision(globex, "nadia.petrov")
    disable(acme)
    work(app, acme)
    work(app, globex)
    assert nadia in members(globex) and nadia not in members(acme)
    assert ok(acme.api("GET", f"/users/{nadia}"))["active"] is True
    other = key_of(app, globex)
    for method, verb in (("GET", ""), ("POST", "disable"), ("POST", "enable")):
        body = {"people": "keep"} if verb == "disable" else None
        assert other.api(method, path(acme, verb), body).status_code == 404
    assert ok(globex.api("GET", path(globex)))["state"] == "enabled"


def test_whom_a_new_mapping_makes_active_while_people_are_suspended_is_suspended_too(app: Flask, acme: Tenant) -> None:
    put_and_apply(app, acme, {"userType": "active"})
    never, former, by_hand, stays = (
        provision(acme, f"p{n}.x", userType=kind) for n, kind in enumerate(("false", "true", "true", "true"))
    )
    for user_id in (former, by_hand):
        acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "userType", "value": "false"}))
    disable(acme)
    work(app, acme)
    ok(acme.api("POST", f"/organizations/{acme.organization_id}/memberships", {"user_id": by_hand}), 201)
    before, provisioned = members(acme), events_of(app, acme.organization_id, "scimUser.provisioned")
    application = put_and_apply(app, acme, {})  # by the defaults the IdP wants everybody

    assert application["changed"] == 3
    assert members(acme) == before
    assert ok(acme.api("GET", f"/users/{never}"))["active"] is False
    assert events_of(app, acme.organization_id, "scimUser.provisioned") == provisioned
    assert ok(acme.api("GET", path(acme)))["suspended_users"] == 3

    enable(acme)
    work(app, acme)
    assert set(members(acme)) == {acme.admin_id, never, former, by_hand, stays}
    assert ok(acme.api("GET", path(acme)))["suspended_users"] == 0
    restored = {user_id for act, user_id, why in told(app, acme) if why == "directory_enabled"}
    assert restored == {never, former, stays}


def test_kept_people_can_be_suspended_later_and_not_the_other_way_round(app: Flask, acme: Tenant) -> None:
    provision(acme, "nadia.petrov")
    first = disable(acme, "keep")
    assert disable(acme, "keep") == first
    assert disable(acme, "suspend")["disabled_at"] == first["disabled_at"]
    assert refused(acme.api("POST", path(acme, "disable"), {"people": "keep"}), 409) == "people_suspended"
    work(app, acme)
    enable(acme)
    assert refused(acme.api("POST", path(acme, "disable"), {"people": "keep"}), 409) == "directory_busy"
    work(app, acme)
    assert enable(acme)["work"] is None


def test_all_admins_are_not_suspended_unless_forced(app: Flask, acme: Tenant) -> None:
    nadia = provision(acme, "nadia.petrov")
    memberships = f"/organizations/{acme.organization_id}/memberships"
    ok(acme.api("PATCH", f"{memberships}/{nadia}", {"role": "org:admin"}))
    acme.api("DELETE", f"{memberships}/{acme.admin_id}")

    assert refused(acme.api("POST", path(acme, "disable"), {"people": "suspend"}), 409) == "last_admin"
    assert ok(acme.api("GET", path(acme)))["state"] == "enabled"
    disable(acme, force=True)
    work(app, acme)
    assert members(acme) == {}
    assert events_of(app, acme.organization_id, "organization.lastAdminRemoved")[-1]["data"]["user"]["id"] == nadia


@pytest.mark.parametrize(
    ("body", "places"), [({}, ["people"]), ({"people": "drop"}, ["people"]), ({"people": "keep", "x": 1}, ["x"])]
)
def test_a_bad_body_switches_nothing(acme: Tenant, body: dict[str, Any], places: list[str]) -> None:
    assert params(acme.api("POST", path(acme, "disable"), body)) == places
    assert ok(acme.api("GET", path(acme)))["state"] == "enabled"


def test_a_worker_that_dies_is_followed_by_another_and_nobody_is_told_twice(
    app: Flask, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [provision(acme, f"p{n}.x") for n in range(7)]
    monkeypatch.setattr(switching, "BATCH", 2)
    disable(acme)
    with app.app_context():
        done = 0

        def dies() -> bool:
            nonlocal done
            done += 1
            if done > 2:
                raise KeyboardInterrupt
            return False

        with pytest.raises(KeyboardInterrupt):
            switching.switch_everybody(db, acme.organization_id, dies)
    assert ok(acme.api("GET", path(acme)))["work"] == {"kind": "suspend", "done": 4, "total": 7}
    with app.app_context(), db.reading() as session:
        assert switching.due_switches(session) == [acme.organization_id]  # so a sweep queues it again
    work(app, acme)
    assert sorted(user_id for _, user_id, _ in told(app, acme)) == sorted(people)
    with app.app_context(), db.reading() as session:
        assert switching.due_switches(session) == []
        query = select(OrganizationMembership.suspended_at).where(OrganizationMembership.user_id.in_(people))
        assert all(session.scalars(query))
