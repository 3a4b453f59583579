"""Giving a role by hand: what it means is said first, what must not happen is refused, and who did it is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from database import db
from models import AdministrativeAct, Role
from organizations.members import get_membership
from tests.directory.applying import BY_GROUPS, add, push, put_and_apply
from tests.events import events_of

HAND = "organizationMembership"
CHANGED = "organization_membership.updated"


def address(user_id: str) -> str:
    return f"/organization/members/{user_id}/role"


def role_of(app: Flask, tenant: Any, user_id: str) -> tuple[str, str]:
    with app.app_context(), db.reading() as session:
        membership = get_membership(session, tenant.organization_id, user_id)
        return membership.role.key, membership.role_source


def make_role(app: Flask, key: str, *permissions: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id=f"role_{key}", key=key, name=key.title(), permissions=list(permissions)))


def test_a_role_is_given_by_hand_and_the_pages_say_by_whom(app: Flask, acme: Any, acme_admin: Any, visit: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    page = acme_admin.get(f"/organization/members/{user_id}")
    page = acme_admin.get(page.soup.select_one("a[href$='/role']")["href"])
    assert page.heading == "Change the role of Ada Lovelace"
    chosen = page.soup.select_one("input[type=radio][checked]")
    assert chosen["value"] == "org:member"

    response = acme_admin.send(page, role="org:admin")
    assert response.status_code == 303 and role_of(app, acme, user_id) == ("org:admin", "manual")
    page = acme_admin.get(response.location)
    assert "The role is Admin now." in page.text
    assert page.words(".role-line") == "Admin Set by hand by you, just now"
    (event,) = events_of(app, acme.organization_id, f"{HAND}.updated")
    assert event["data"]["changes"]["role"] == {"from": "org:member", "to": "org:admin"}
    other = visit(acme.organization_id, user_id).get("/organization/members")
    assert "Set by hand by you" not in other.text and "Set by hand by" in other.text
    with app.app_context(), db.reading() as session:
        act = session.scalars(select(AdministrativeAct).where(AdministrativeAct.action == CHANGED)).one()
        assert (act.actor_kind, act.actor_id) == ("member", acme.admin_id)
        assert act.details == {"user_id": user_id, "role": {"from": "org:member", "to": "org:admin"}}
        assert act.trace_id


def test_what_it_means_depends_on_what_the_mapping_decides(
    app: Flask, acme: Any, acme_admin: Any, add_member: Callable[..., str]
) -> None:
    user_id, invited = add(acme, "ada.lovelace"), add_member(acme.organization_id, "Invited")
    assert "says nothing of roles" in acme_admin.get(address(user_id)).text
    assert "not in the directory, so the role stays" in acme_admin.get(address(invited)).text
    put_and_apply(app, acme, BY_GROUPS)
    push(acme, "org:admin", user_id)
    page = acme_admin.get(address(user_id))
    assert "The attribute mapping decides Admin for this person now." in page.text
    assert "until the directory next changes that decision" in page.text
    assert "what the attribute mapping decides" in page.text
    assert "This is your own role" not in page.text
    assert "This is your own role" in acme_admin.get(address(acme.admin_id)).text


def test_it_stays_until_the_directory_decides_otherwise(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    put_and_apply(app, acme, BY_GROUPS)
    group = push(acme, "org:admin", user_id)
    acme_admin.send(acme_admin.get(address(user_id)), role="org:member")
    acme.scim("PATCH", f"/Users/{user_id}", {"schemas": [], "Operations": [{"op": "replace", "value": {"title": "x"}}]})
    assert role_of(app, acme, user_id) == ("org:member", "manual")
    page = acme_admin.get(f"/organization/members/{user_id}")
    assert "decides Admin for this person; the role set by hand stays until" in page.text
    acme.scim("DELETE", f"/Groups/{group}")
    assert role_of(app, acme, user_id) == ("org:member", "mapping")


def test_the_last_admin_cannot_be_taken_away(app: Flask, acme: Any, acme_admin: Any) -> None:
    page = acme_admin.get(address(acme.admin_id))
    refused = acme_admin.send_and_read(page, role="org:member")
    assert refused.status == 409 and refused.title.startswith("Error: Change the role of First Admin")
    assert "This is the last member who can manage provisioning" in refused.words(".error-summary")
    assert role_of(app, acme, acme.admin_id) == ("org:admin", "manual")
    assert events_of(app, acme.organization_id, f"{HAND}.updated") == []
    with app.app_context(), db.reading() as session:
        assert CHANGED not in session.scalars(select(AdministrativeAct.action)).all()


@pytest.mark.parametrize("role", ["", "org:none", "x" * 5000, "org:admin\x00"])
def test_what_is_no_role_changes_nothing(app: Flask, acme: Any, acme_admin: Any, role: str) -> None:
    user_id = add(acme, "ada.lovelace")
    response = acme_admin.send(acme_admin.get(address(user_id)), role=role)
    assert response.status_code in (404, 422)
    assert role_of(app, acme, user_id) == ("org:member", "default")


def test_the_same_role_again_is_no_act(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    for _ in range(2):
        acme_admin.send(acme_admin.get(address(user_id)), role="org:member")
    assert role_of(app, acme, user_id) == ("org:member", "manual"), "from now on it stays"
    assert len(events_of(app, acme.organization_id, f"{HAND}.updated")) == 1


def test_nobody_gives_or_takes_a_role_that_permits_more_than_their_own(
    app: Flask, acme: Any, visit: Any, add_member: Callable[..., str]
) -> None:
    make_role(app, "org:desk", "org:sys_memberships:manage", "org:sys_memberships:read", "app:tickets")
    make_role(app, "org:guest", "app:anything")
    user_id = add(acme, "ada.lovelace")
    desk = visit(acme.organization_id, add_member(acme.organization_id, "Desk", role="org:desk"))
    page = desk.get(address(acme.admin_id))
    assert "permits more than your own role" in page.text
    assert [radio["value"] for radio in page.soup.select("input[type=radio][disabled]")] == ["org:admin", "org:member"]
    for target, role in ((user_id, "org:admin"), (acme.admin_id, "org:guest"), (user_id, "org:guest")):
        assert desk.post_with_token(address(target), role=role).status_code == 403
    assert role_of(app, acme, acme.admin_id) == ("org:admin", "manual")
    assert role_of(app, acme, user_id) == ("org:member", "default")
    guest = add_member(acme.organization_id, "Guest", role="org:guest")
    assert desk.post_with_token(address(guest), role="org:desk").status_code == 303


def test_who_may_only_read_finds_no_button_and_no_page(acme: Any, acme_member: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    assert not acme_member.get(f"/organization/members/{user_id}").soup.select("a[href$='/role']")
    assert acme_member.open(address(user_id)).status_code == 403
    assert acme_member.post_with_token(address(user_id), role="org:admin").status_code == 403


def test_who_left_has_no_role_to_change(acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    acme.scim("DELETE", f"/Users/{user_id}")
    assert acme_admin.open(address(user_id)).status_code == 404
    assert acme_admin.post_with_token(address(user_id), role="org:admin").status_code == 404
