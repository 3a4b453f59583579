"""Management requests at the same moment, on both databases: who loses against another one is tried again."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text

from database import db
from models import DirectoryUser, IdempotentAnswer, OrganizationMembership, SecretKey, User
from tests import okta
from tests.blueprints.management.calls import ok
from tests.conftest import Tenant, wait_until
from tests.events import events_of


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"fresh_{request.param}_url")
    return url


def path(tenant: Tenant) -> str:
    return f"/organizations/{tenant.organization_id}/memberships"


def test_of_many_who_add_the_same_person_one_wins_and_the_others_are_told_so(app: Flask, acme: Tenant) -> None:
    barrier = Barrier(4)

    def add(_: int) -> Any:
        headers = {"Authorization": f"Bearer {acme.secret_key}"}
        barrier.wait(20)
        body = {"email_address": "new@acme.example"}
        return app.test_client().post(f"/v1{path(acme)}", json=body, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(add, range(4)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 3}
    assert {answer.json["errors"][0]["code"] for answer in answers if answer.status_code == 409} == {"already_member"}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # on SQLite there is one writer at a time
def test_a_request_that_postgresql_breaks_off_for_another_one_is_done_again(app: Flask, acme: Tenant) -> None:
    person = ok(acme.api("POST", path(acme), {"email_address": "new@acme.example"}), 201)["user"]["id"]
    acme.api("DELETE", f"{path(acme)}/{person}")

    def send() -> Any:
        headers = {"Authorization": f"Bearer {acme.secret_key}", "Idempotency-Key": "one"}
        return app.test_client().post(f"/v1{path(acme)}", json={"user_id": person}, headers=headers)

    with app.app_context(), db.engine.connect() as other, ThreadPoolExecutor(1) as pool:
        key_id = other.scalar(select(SecretKey.id))
        other.execute(select(User).where(User.id == person).with_for_update())
        request = pool.submit(send)  # it has claimed its idempotency key, and waits for the person
        with db.engine.connect() as watch:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            wait_until(lambda: (watch.rollback(), watch.scalar(waiting))[1])
        claim = {"secret_key_id": key_id, "key": "one", "fingerprint": "", "status": 0, "sealed_body": ""}
        other.execute(insert(IdempotentAnswer).values(created_at=1, **claim))  # a deadlock, which the request loses
        other.rollback()
        assert ok(request.result(20), 201)["user"]["id"] == person
    kinds = [e["type"] for e in events_of(app, acme.organization_id, "organizationMembership")]
    assert kinds[-1] == "organizationMembership.created" and kinds.count("organizationMembership.created") == 3


def test_an_organization_is_deleted_while_its_identity_provider_writes(app: Flask, acme: Tenant) -> None:
    known = [acme.scim("POST", "/Users", okta.user(f"p{number}.x")).json["id"] for number in range(4)]
    barrier = Barrier(5)

    def push(number: int) -> set[int]:
        mine, seen = replace(acme, client=app.test_client()), set()
        barrier.wait(20)
        for round_ in range(6):
            seen.add(mine.scim("POST", "/Users", okta.user(f"n{number}.r{round_}")).status_code)
            active = okta.set_active(bool(round_ % 2))
            seen.add(mine.scim("PATCH", f"/Users/{known[number]}", active).status_code)
        return seen

    def drop() -> int:
        mine = replace(acme, client=app.test_client())
        barrier.wait(20)
        return mine.api("DELETE", f"/organizations/{acme.organization_id}").status_code

    with ThreadPoolExecutor(5) as pool:
        dropping, pushing = pool.submit(drop), [pool.submit(push, number) for number in range(4)]
        dropped, pushed = dropping.result(), [future.result() for future in pushing]
    assert dropped == 204
    assert set.union(*pushed) <= {200, 201, 401, 403, 404}
    with app.app_context(), db.reading() as session:
        for table in (OrganizationMembership, DirectoryUser):
            mine = (table.organization_id == acme.organization_id, table.deleted_at.is_(None))
            assert session.scalars(select(table).where(*mine)).all() == []
        assert session.scalars(select(User.id).where(User.active)).all() == []
    assert events_of(app, acme.organization_id, "")[-1]["type"] == "organization.deleted"
