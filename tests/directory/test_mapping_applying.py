"""A new mapping reaches everybody who is there already: once, in batches, whatever happens to the worker."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

import jobs
from clock import now_ms
from database import db
from directory import mapping_applying
from directory.mappings import load_mapping
from ids import new_id
from models import DirectoryUser, MappingApplication, Role, User
from tests import okta
from tests.conftest import Tenant, looking_on, wait_until
from tests.directory.applying import (
    BY_GROUPS,
    add,
    application_row,
    apply,
    people,
    push,
    put,
    put_and_apply,
    set_role,
)
from tests.events import event_types, events_of

LOUD = {"name.givenName": "{{ value | upcase }}"}


def add_three(tenant: Tenant) -> list[str]:
    return [add(tenant, name) for name in ("ada.lovelace", "grace.hopper", "mary.jackson")]


def updates(app: Flask, tenant: Tenant) -> list[dict[str, Any]]:
    return [event["data"] for event in events_of(app, tenant.organization_id) if event["type"] == "scimUser.updated"]


# -- What is applied ------------------------------------------------------------------


def test_a_new_mapping_reaches_everybody_and_each_who_changes_has_one_event(app: Flask, acme: Tenant) -> None:
    ids = add_three(acme)
    application = put_and_apply(app, acme, LOUD)
    assert {person["first_name"] for person in people(app, acme).values()} == {"ADA", "GRACE", "MARY"}
    assert [data["user"]["id"] for data in updates(app, acme)] == ids
    assert updates(app, acme)[0]["changes"] == {"first_name": {"from": "Ada", "to": "ADA"}}
    assert (application["total"], application["examined"], application["changed"]) == (3, 3, 3)
    assert application["finished_at"] >= application["started_at"] >= application["created_at"]


def test_whoever_does_not_change_has_no_event(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    add(acme, "x.y", name={"givenName": "KATHERINE"})
    application = put_and_apply(app, acme, LOUD)
    assert (application["examined"], application["changed"], len(updates(app, acme))) == (4, 3, 3)


def test_the_scim_resource_stays_as_it_is(app: Flask, acme: Tenant) -> None:
    user_id = add(acme, "ada.lovelace")
    before = acme.scim("GET", f"/Users/{user_id}")
    put_and_apply(app, acme, LOUD)
    after = acme.scim("GET", f"/Users/{user_id}")
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])


def test_the_defaults_are_brought_back_to_everybody(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    before = people(app, acme)
    put_and_apply(app, acme, {**LOUD, "displayName": "public_metadata.shown.name"})
    assert people(app, acme) != before
    put_and_apply(app, acme, {})
    assert people(app, acme) == before


def test_the_same_mapping_again_is_no_new_version_and_is_not_applied_again(app: Flask, acme: Tenant) -> None:
    assert put(acme, {})["application"] is None
    put_and_apply(app, acme, LOUD)
    first = application_row(app, acme)
    assert put(acme, LOUD)["application"]["version"] == first.version == 1
    assert put(acme, {**LOUD, "title": "public_metadata.title"})["application"]["version"] == 2
    # The order of the entries means something.
    assert put(acme, {"title": "public_metadata.title", **LOUD})["application"]["version"] == 3


def test_metadata_that_the_mapping_gives_up_goes_and_other_metadata_stays(app: Flask, acme: Tenant) -> None:
    user_id = add(acme, "ada.lovelace", title="Countess")
    put_and_apply(app, acme, {"title": "public_metadata.job.title", "locale": "public_metadata.locale"})
    with app.app_context(), db.unit_of_work() as session:
        user = session.get_one(User, user_id)
        user.public_metadata = {**user.public_metadata, "plan": "gold", "job": {**user.public_metadata["job"], "x": 1}}
    assert people(app, acme)[user_id]["public_metadata"]["job"] == {"title": "Countess", "x": 1}
    put_and_apply(app, acme, {"locale": "public_metadata.language"})
    assert people(app, acme)[user_id]["public_metadata"] == {"plan": "gold", "job": {"x": 1}, "language": "en-US"}


def test_metadata_that_no_directory_wrote_stays_also_where_a_former_mapping_named_it(app: Flask, acme: Tenant) -> None:
    user_id = add(acme, "ada.lovelace")
    with app.app_context(), db.unit_of_work() as session:
        session.get_one(User, user_id).public_metadata = {"plan": "gold"}
    put(acme, {"title": "public_metadata.plan"})
    put_and_apply(app, acme, LOUD)  # the former mapping never reached anybody
    assert people(app, acme)[user_id]["public_metadata"] == {"plan": "gold"}


def test_a_write_of_the_idp_removes_given_up_metadata_as_well(app: Flask, acme: Tenant) -> None:
    user_id = add(acme, "ada.lovelace", title="Countess")
    put_and_apply(app, acme, {"title": "public_metadata.title"})
    put(acme, LOUD)
    acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "path": "title", "value": "Poet"}))
    assert people(app, acme)[user_id]["public_metadata"] == {}
    assert apply(app, acme)["changed"] == 0


def test_roles_follow_pushed_groups(app: Flask, acme: Tenant) -> None:
    ada, grace, _ = add_three(acme)
    push(acme, "org:admin", ada)
    put_and_apply(app, acme, BY_GROUPS)
    assert (people(app, acme)[ada]["role"], people(app, acme)[grace]["role"]) == ("org:admin", "org:member")
    assert updates(app, acme)[0]["changes"] == {"role": {"from": "org:member", "to": "org:admin"}}
    put_and_apply(app, acme, {})
    assert people(app, acme)[ada]["role"] == "org:member"


def test_a_role_set_by_hand_stays_until_the_mapping_decides_otherwise(app: Flask, acme: Tenant) -> None:
    ada, grace, _ = add_three(acme)
    push(acme, "org:admin", grace)
    set_role(app, acme, ada, "org:admin")
    put_and_apply(app, acme, BY_GROUPS)
    assert people(app, acme)[ada]["role"] == "org:admin"
    put_and_apply(app, acme, {**BY_GROUPS, **LOUD})
    assert people(app, acme)[ada]["role"] == "org:admin"
    set_role(app, acme, grace, "org:member")
    put_and_apply(app, acme, {"userType": "organization_role"})  # decides another role for Grace than before
    assert people(app, acme)[grace]["role"] == "org:member"
    assert people(app, acme)[ada]["role"] == "org:admin"


def test_taking_the_last_admin_away_is_told_once(app: Flask, acme: Tenant) -> None:
    ids = add_three(acme)
    group_id = push(acme, "org:admin", *ids)
    put_and_apply(app, acme, BY_GROUPS)
    with app.app_context(), db.unit_of_work() as session:
        from organizations.members import get_membership

        get_membership(session, acme.organization_id, acme.admin_id).deleted_at = now_ms()
    assert group_id
    put_and_apply(app, acme, {})
    assert len(events_of(app, acme.organization_id, "organization.lastAdminRemoved")) == 1


def test_the_last_admin_is_missed_also_when_others_change_roles_with_them(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id=new_id("role"), key="org:auditor", name="Auditor", permissions=["a"]))
    put_and_apply(app, acme, {"title": "organization_role"})
    admin_id = add(acme, "ada", title="org:admin", nickName="org:member")
    for name in ("bob", "cyd"):
        add(acme, name, title="org:member", nickName="org:auditor")
    set_role(app, acme, acme.admin_id, "org:member")

    put_and_apply(app, acme, {"nickName": "organization_role"})

    told = events_of(app, acme.organization_id, "organization.lastAdminRemoved")
    assert [event["data"]["user"]["id"] for event in told] == [admin_id]


def test_of_somebody_whom_another_organization_manages_only_the_role_changes(
    app: Flask, acme: Tenant, globex: Tenant
) -> None:
    ada = add(globex, "ada.lovelace")
    assert add(acme, "ada.lovelace") == ada
    push(acme, "org:admin", ada)
    put_and_apply(app, acme, {**BY_GROUPS, **LOUD})
    assert people(app, acme)[ada]["first_name"] == "Ada"
    assert (people(app, acme)[ada]["role"], people(app, globex)[ada]["role"]) == ("org:admin", "org:member")
    (update,) = updates(app, acme)
    assert update["user"]["first_name"] == "ADA" and set(update["changes"]) == {"role"}
    assert updates(app, globex) == []


def test_inactive_people_follow_and_deleted_people_do_not(app: Flask, acme: Tenant) -> None:
    ada, grace, _ = add_three(acme)
    acme.scim("PATCH", f"/Users/{ada}", okta.set_active(False))
    acme.scim("DELETE", f"/Users/{grace}")
    assert put_and_apply(app, acme, LOUD)["total"] == 2
    assert (people(app, acme)[ada]["first_name"], people(app, acme)[grace]["first_name"]) == ("ADA", "Grace")
    assert people(app, acme)[ada]["role"] is None


def test_a_mapping_may_decide_who_is_active(app: Flask, acme: Tenant) -> None:
    ada, grace, _ = add_three(acme)
    acme.scim("PATCH", f"/Users/{ada}", okta.patch({"op": "replace", "path": "userType", "value": "false"}))
    put_and_apply(app, acme, {"userType": "active"})
    assert (people(app, acme)[ada]["active"], people(app, acme)[ada]["role"]) == (False, None)
    assert people(app, acme)[grace]["active"]
    put_and_apply(app, acme, {})
    assert (people(app, acme)[ada]["active"], people(app, acme)[ada]["role"]) == (True, "org:member")
    assert event_types(app, acme.organization_id)[-2:] == ["scimUser.deprovisioned", "scimUser.provisioned"]


def test_an_address_of_another_active_person_is_not_given_and_the_log_says_so(app: Flask, acme: Tenant) -> None:
    ada, grace, mary = add_three(acme)
    same = "same@acme.example"
    for user_id in (ada, mary):
        acme.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "add", "path": "nickName", "value": same}))
    application = put_and_apply(app, acme, {"nickName": "email_address"})
    found = people(app, acme)
    assert [found[one]["email_address"] for one in (ada, grace, mary)] == [
        same,
        "grace.hopper@acme.example",
        "mary.jackson@acme.example",
    ]
    (note,) = application["warnings"]
    assert (note["people"], note["first_user_id"]) == (1, mary)
    log = acme.api("GET", f"/organizations/{acme.organization_id}/scim/activity").json["data"]
    assert log[0]["method"] == "PUT" and note["message"] in log[0]["warnings"][0]


def test_an_address_that_another_organization_has_is_not_given(app: Flask, acme: Tenant, globex: Tenant) -> None:
    add(globex, "taken.elsewhere")
    ada = add(acme, "ada.lovelace", nickName="taken.elsewhere@acme.example")
    application = put_and_apply(app, acme, {"nickName": "email_address"})
    assert people(app, acme)[ada]["email_address"] == "ada.lovelace@acme.example"
    assert application["warned"] == 1 and application["changed"] == 0


def test_what_cannot_be_computed_for_one_person_stays_and_the_others_follow(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace", nickName="x" * 5000)
    grace = add(acme, "grace.hopper", nickName="amazing")
    application = put_and_apply(app, acme, {"nickName": "{{ value | upcase }}.first_name"})
    assert (people(app, acme)[ada]["first_name"], people(app, acme)[grace]["first_name"]) == ("Ada", "AMAZING")
    assert application["warned"] == 1


def test_a_person_whom_applying_fails_for_is_passed_over(
    app: Flask, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, grace, _ = add_three(acme)

    def refuse(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("UPDATE users") and grace in str(parameters):
            raise RuntimeError("a defect")

    with app.app_context():
        engine = db.engine
    with looking_on(engine, before_cursor_execute=refuse):
        application = put_and_apply(app, acme, LOUD)
    assert [person["first_name"] for person in people(app, acme).values()] == ["ADA", "Grace", "MARY"]
    assert (application["examined"], application["changed"], application["warned"]) == (3, 2, 1)
    assert len(updates(app, acme)) == 2


def test_an_unexpected_failure_is_said_and_can_be_tried_again(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    put(acme, LOUD)

    def refuse(_mapper: Any, _connection: Any, application: MappingApplication) -> None:
        if application.cursor:
            raise RuntimeError("a defect")

    event.listen(MappingApplication, "before_update", refuse)
    try:
        application = apply(app, acme)
    finally:
        event.remove(MappingApplication, "before_update", refuse)
    assert (application["state"], application["examined"]) == ("failed", 0) and "unexpectedly" in application["error"]
    assert updates(app, acme) == []
    assert apply(app, acme)["state"] == "failed"
    assert put(acme, LOUD)["application"]["state"] == "pending"
    assert (apply(app, acme)["state"], len(updates(app, acme))) == ("done", 3)


# -- How it is applied ------------------------------------------------------------------


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_applying, "LOOKED_AT", 2)
    monkeypatch.setattr(mapping_applying, "WRITTEN", 1)


@pytest.mark.usefixtures("small_batches")
def test_a_worker_that_is_told_to_end_leaves_the_rest_to_another_one(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    put(acme, LOUD)
    answers = iter([False, True])
    with app.app_context():
        assert mapping_applying.apply_to_everybody(db, acme.organization_id, lambda: next(answers)) == 1
    row = application_row(app, acme)
    assert (row.state, row.examined, row.changed, row.claimed_by) == ("running", 1, 1, None)
    assert apply(app, acme)["changed"] == 3
    assert len(updates(app, acme)) == 3


@pytest.mark.usefixtures("small_batches")
def test_a_newer_mapping_stops_the_one_that_is_being_applied(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    put(acme, LOUD)

    def replaced_after_the_first_batch() -> bool:
        if application_row(app, acme).examined == 1:
            put(acme, {"name.givenName": "{{ value | downcase }}"})
        return False

    with app.app_context():
        mapping_applying.apply_to_everybody(db, acme.organization_id, replaced_after_the_first_batch)
    with app.app_context(), db.reading() as session:
        first = session.get_one(MappingApplication, (acme.organization_id, 1))
        assert (first.state, first.examined) == ("superseded", 1)
    assert apply(app, acme)["changed"] == 3
    assert {person["first_name"] for person in people(app, acme).values()} == {"ada", "grace", "mary"}


def test_while_one_worker_applies_it_another_one_does_nothing(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    put(acme, LOUD)
    with app.app_context(), db.unit_of_work() as session:
        row = session.get_one(MappingApplication, (acme.organization_id, 1))
        row.state, row.claimed_by, row.claimed_until = "running", "another", now_ms() + 60_000
    assert apply(app, acme)["examined"] == 0
    with app.app_context(), db.unit_of_work() as session:
        session.get_one(MappingApplication, (acme.organization_id, 1)).claimed_until = now_ms() - 1
    assert apply(app, acme)["state"] == "done"


@pytest.mark.usefixtures("small_batches")
def test_a_worker_that_lost_its_claim_writes_nothing_more(app: Flask, acme: Tenant) -> None:
    add_three(acme)
    put(acme, LOUD)

    def taken_over_after_the_first_batch() -> bool:
        if application_row(app, acme).examined == 1:
            with app.app_context(), db.unit_of_work() as session:
                session.get_one(MappingApplication, (acme.organization_id, 1)).claimed_by = "another"
        return False

    with app.app_context():
        mapping_applying.apply_to_everybody(db, acme.organization_id, taken_over_after_the_first_batch)
    assert application_row(app, acme).examined == 1
    assert len(updates(app, acme)) == 1


def test_redis_is_told_once_and_the_sweep_makes_up_for_it(app: Flask, acme: Tenant, globex: Tenant) -> None:
    queue = app.extensions["queue"]
    put(acme, LOUD)
    put(acme, {**LOUD, "title": "public_metadata.title"})
    assert len(queue.job_ids) == 1
    queue.connection.flushall()
    with app.app_context():
        assert jobs.sweep_once() == 1
        assert jobs.sweep_once() == 0
        apply(app, acme)
        queue.empty()
        assert jobs.sweep_once() == 0


def test_people_whom_the_idp_writes_meanwhile_are_not_written_again(app: Flask, acme: Tenant) -> None:
    ada, *_ = add_three(acme)
    put(acme, LOUD)
    acme.scim("PATCH", f"/Users/{ada}", okta.patch({"op": "add", "path": "title", "value": "Countess"}))
    assert people(app, acme)[ada]["first_name"] == "ADA"
    assert apply(app, acme)["changed"] == 2
    assert [data["user"]["id"] for data in updates(app, acme)].count(ada) == 1


def test_another_organization_stays_untouched(app: Flask, acme: Tenant, globex: Tenant) -> None:
    add(acme, "ada.lovelace")
    add(globex, "grace.hopper")
    before = people(app, globex)
    put_and_apply(app, acme, {**LOUD, "userName": "public_metadata.login"})
    assert people(app, globex) == before and updates(app, globex) == []
    assert (
        globex.api("GET", f"/organizations/{globex.organization_id}/scim/attribute-mappings").json["application"]
        is None
    )


def test_a_person_deleted_between_looking_and_writing_is_passed_over(
    app: Flask, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, grace, _ = add_three(acme)
    put(acme, LOUD)
    look = mapping_applying._Run._look

    def look_and_lose_one(run: Any, limit: int) -> Any:
        batch = look(run, limit)
        with app.app_context(), db.unit_of_work() as session:
            session.get_one(DirectoryUser, (acme.organization_id, grace)).deleted_at = now_ms()
        return batch

    monkeypatch.setattr(mapping_applying._Run, "_look", look_and_lose_one)
    assert apply(app, acme)["changed"] == 2
    assert people(app, acme)[grace]["first_name"] == "Grace"


def test_applying_waits_for_a_write_that_goes_by_the_former_mapping_and_put_does_not(app: Flask, acme: Tenant) -> None:
    """Otherwise that write could come after everybody was looked at, and would stay as it is."""
    saved, applied = threading.Event(), threading.Event()
    other = Tenant(app.test_client(), acme.organization_id, acme.admin_id, acme.secret_key, "", "")

    def save_and_apply() -> None:
        put(other, LOUD)
        saved.set()
        apply(app, other)
        applied.set()

    saving = threading.Thread(target=save_and_apply)
    with app.app_context(), db.unit_of_work() as session:
        load_mapping(session, acme.organization_id)
        saving.start()
        if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
            assert saved.wait(20)
        assert not applied.wait(0.5)
    saving.join(20)
    assert applied.is_set()


def test_metadata_that_could_not_be_decided_stays_the_directorys(app: Flask, acme: Tenant) -> None:
    ada = add(acme, "ada.lovelace", title="Countess")
    put_and_apply(app, acme, {"title": "{{ value | upcase }}.public_metadata.title"})
    acme.scim("PATCH", f"/Users/{ada}", okta.patch({"op": "replace", "path": "title", "value": "x" * 5000}))
    assert people(app, acme)[ada]["public_metadata"] == {"title": "COUNTESS"}
    put_and_apply(app, acme, {})
    assert people(app, acme)[ada]["public_metadata"] == {}


def test_mappings_of_many_organizations_wait_for_their_turn_and_no_delivery_waits_for_them(app: Flask) -> None:
    drains, ends, delivered = jobs.Drains(app), threading.Event(), threading.Event()
    begun: list[str] = []

    def work(name: str) -> Callable[[], int]:
        return lambda: begun.append(name) or int(ends.wait(20))

    for name in [f"org_{number}" for number in range(50)] * 2:
        drains.start_in_turn(name, work(name))
    drains.start("an endpoint", lambda: int(delivered.set() or 0))

    assert delivered.wait(10)
    assert len(begun) <= jobs.APPLICATIONS_PER_WORKER
    ends.set()
    wait_until(lambda: len(set(begun)) == 50)
    drains.finish()
    assert len(begun) <= 50 + jobs.APPLICATIONS_PER_WORKER  # whoever is at work already may be asked once more
