"""The audit log: written with the change, read back by organization, actor, kind and time."""

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from clock import now_ms
from database import db
from models import AdministrativeAct
from organizations.audit import Actor, list_acts, record_act
from tests.conftest import Tenant

KEY = Actor("secret_key", "sk_1", "Backend (sk_01234…)", "req_1")
COMMAND = Actor("command", None, "sign-in-link")


def record(session: Session, tenant: Tenant | None, action: str, actor: Actor = KEY) -> str:
    act = record_act(
        session,
        actor,
        action,
        organization_id=tenant.organization_id if tenant else None,
        target_type="scim_token",
        target_id="scimt_1",
        details={"name": "Okta"},
    )
    return act.id


def test_an_act_keeps_who_did_what_to_which_object_and_under_which_trace_id(app: Flask, acme: Tenant) -> None:
    before = now_ms()
    with app.app_context(), db.unit_of_work() as session:
        act_id = record(session, acme, "scim_token.issued")
    with app.app_context(), db.reading() as session:
        act = session.get_one(AdministrativeAct, act_id)
        assert act_id.startswith("adt_")
        assert (act.actor_kind, act.actor_id, act.actor_label, act.trace_id) == (
            "secret_key",
            "sk_1",
            "Backend (sk_01234…)",
            "req_1",
        )
        assert (act.action, act.target_type, act.target_id) == ("scim_token.issued", "scim_token", "scimt_1")
        assert act.details == {"name": "Okta"}
        assert before <= act.occurred_at <= now_ms()


def test_an_act_is_gone_with_the_transaction_that_failed(app: Flask, acme: Tenant) -> None:
    with app.app_context():
        with pytest.raises(RuntimeError), db.unit_of_work() as session:
            record(session, acme, "scim_token.renamed")
            raise RuntimeError
        with db.reading() as session:
            assert list_acts(session, acme.organization_id, limit=10, action="scim_token.renamed") == []


def test_acts_are_found_by_organization_actor_kind_and_time(app: Flask, acme: Tenant, globex: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        issued = record(session, acme, "scim_token.issued")
        by_command = record(session, acme, "sign_in_link.made", COMMAND)
        foreign = record(session, globex, "scim_token.issued")
        of_environment = record(session, None, "role.created")
    ours = {issued, by_command, foreign, of_environment}

    def found(organization_id: str | None = None, **filters: object) -> set[str]:
        return {act.id for act in list_acts(session, organization_id, limit=50, **filters)} & ours  # type: ignore[arg-type]

    with app.app_context(), db.reading() as session:
        assert found() == ours
        assert found(acme.organization_id) == {issued, by_command}
        assert found(globex.organization_id) == {foreign}
        assert found(actor_id="sk_1") == {issued, foreign, of_environment}
        assert found(action="scim_token.issued") == {issued, foreign}
        assert found(acme.organization_id, actor_id="sk_1", action="scim_token.issued") == {issued}
        assert found(since=now_ms() + 1000) == set()
        assert found(since=now_ms() - 60_000) == ours


def test_acts_are_listed_page_by_page_the_latest_first(app: Flask, acme: Tenant) -> None:
    with app.app_context(), db.unit_of_work() as session:
        made = {record(session, acme, "scim_token.issued") for _ in range(5)}
    seen: list[str] = []
    with app.app_context(), db.reading() as session:
        while page := list_acts(
            session,
            acme.organization_id,
            limit=2,
            before=seen[-1] if seen else None,
            action="scim_token.issued",
            actor_id="sk_1",
        ):
            seen += [act.id for act in page]
    assert seen == sorted(made, reverse=True)
