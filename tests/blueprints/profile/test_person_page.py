"""The page of one person: who they are, why they have their role, and what became of them here."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from clock import now_ms
from database import db
from models import DirectoryUser, Role, User
from organizations.memberships import end_membership
from tests import okta
from tests.directory.applying import add, push, put_and_apply, set_role

ADMINS = {"groups[*].value": '{{ value | downcase | replace: "admins", "org:admin" }}.organization_role'}


def address(user_id: str, rest: str = "") -> str:
    return f"/organization/members/{user_id}{rest}"


def patch(tenant: Any, user_id: str, value: dict[str, Any]) -> Any:
    headers = {"User-Agent": "Okta SCIM Client 1.0.0"}
    return tenant.scim("PATCH", f"/Users/{user_id}", okta.patch({"op": "replace", "value": value}), headers=headers)


def history(page: Any) -> list[str]:
    """Return what the entries of the history say, without their links."""
    told = [" ".join(entry.get_text(" ").split()) for entry in page.soup.select(".timeline__entry")]
    return [entry.partition(" · See the request")[0] for entry in told]


def test_each_field_says_where_it_comes_from(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace", title="Countess")
    put_and_apply(app, acme, {"title": "{{ value | upcase }}.public_metadata.title"})
    page = acme_admin.get(address(user_id))
    assert page.heading == "Ada Lovelace" and "Ada Lovelace · Acme" in page.title
    rows = page.rows()
    assert "First name Ada name.givenName" in rows
    assert "E-mail address ada.lovelace@acme.example emails[primary eq true].value" in rows
    assert "title Metadata COUNTESS title by {{ value | upcase }}" in rows
    assert "User name Nothing No value from userName" in rows


def test_the_role_says_which_group_gave_it_and_why(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    put_and_apply(app, acme, ADMINS)
    push(acme, "Everyone", user_id)
    push(acme, "Admins", user_id)
    page = acme_admin.get(address(user_id))
    assert page.words(".role-line") == "Admin From the group Admins by the attribute mapping"
    assert "Of those that exist, this is the one of most permissions." in page.text
    steps = [" ".join(row.get_text(" ").split()) for row in page.soup.select(".scroll tbody tr")]
    assert steps[0].startswith("groups[*].value Everyone") and steps[0].endswith("everyone No role of this system")
    assert steps[1].startswith("groups[*].value Admins") and steps[1].endswith("Admin Used")
    assert "From the group Admins by the attribute mapping" in acme_admin.get("/organization/members").text
    assert [link.get_text() for link in page.soup.select("a[href^='/organization/groups/']")] == ["Everyone", "Admins"]


def test_the_history_tells_in_words_what_the_idp_did(acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    add(acme, "grace.hopper")
    patch(acme, user_id, {"name.givenName": "Augusta"})
    patch(acme, user_id, {"userName": "grace.hopper@acme.example"})
    patch(acme, user_id, {"active": False})
    ended, refused, changed, created = history(acme_admin.get(address(user_id)))
    assert ended == "Okta deactivated this person: membership and all sessions ended just now"
    assert refused.startswith("Okta asked for something that was refused Another user of this directory has")
    assert "In the IdP, find who else has it" in refused
    assert changed == "Okta changed this person First name : from Ada → to Augusta just now"
    assert created == "The identity provider created this person just now"


def test_each_entry_of_the_history_leads_to_its_request(acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    patch(acme, user_id, {"name.givenName": "Augusta"})
    page = acme_admin.get(address(user_id))
    changed, created = (link["href"] for link in page.soup.select(".timeline__when a"))
    assert acme_admin.get(changed).heading == f"PATCH /Users/{user_id}"
    assert acme_admin.get(created).heading == "POST /Users"


def test_a_change_by_a_group_is_not_told_as_one_of_the_person(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    put_and_apply(app, acme, ADMINS)
    push(acme, "Admins", user_id)
    patch(acme, user_id, {"name.givenName": "Augusta"})
    told = history(acme_admin.get(address(user_id)))
    assert told[0].startswith("Okta changed this person First name")
    assert told[1].startswith("Changed by a group, or by the attribute mapping Role : from Member → to Admin")


def test_a_long_history_has_pages_and_loses_nothing_between_them(
    acme: Any, acme_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.person_overview.HISTORY_SIZE", 2)
    user_id = add(acme, "ada.lovelace")
    for number in range(5):
        patch(acme, user_id, {"name.givenName": f"Ada {number}"})
        patch(acme, user_id, {"userName": ""})
    page = acme_admin.get(address(user_id))
    told = history(page)
    while page.soup.select(".card .pages a[rel=next]"):
        page = acme_admin.get(page.soup.select_one(".card .pages a[rel=next]")["href"])
        assert page.heading == "Ada 4 Lovelace" and "Role" not in [head.text for head in page.soup.select("h2")]
        told += history(page)
    assert len([entry for entry in told if "First name" in entry]) == 5
    assert len([entry for entry in told if "was refused" in entry]) == 5
    assert told[-1].startswith("The identity provider created this person")


def test_somebody_who_left_has_a_page_that_says_why_and_how_they_come_back(
    app: Flask, acme: Any, acme_admin: Any, acme_member: Any
) -> None:
    off, gone, out = (add(acme, name) for name in ("ada.off", "grace.gone", "alan.out"))
    patch(acme, off, {"active": False})
    acme.scim("DELETE", f"/Users/{gone}")
    with app.app_context(), db.unit_of_work() as session:
        end_membership(session, acme.organization_id, out)
    for user_id, badge, sentence in (
        (off, "Deactivated by the IdP", "when the person is assigned or activated there again"),
        (gone, "Deleted by the IdP", "the same person and membership come back"),
        (out, "Removed by hand", "The identity provider still assigns them. They stay out until"),
    ):
        page = acme_admin.get(address(user_id))
        assert badge in page.text and sentence in page.text and "when they left" in page.text
        assert not page.soup.select("a[href$='/role']"), "there is no role to change"
        assert acme_member.open(address(user_id)).status_code == 404
    rows = acme_admin.get("/organization/members?status=former").rows()
    assert [row.split(" just now")[0].split("mapping ")[-1].split("role ")[-1] for row in rows] == [
        "Removed by hand",
        "Deleted by the IdP",
        "Deactivated by the IdP",
    ]
    assert acme_member.open("/organization/members?status=former").status_code == 403
    assert not acme_member.get("/organization/members").soup.select("a[href$='status=former']")


def test_somebody_who_never_was_active_is_shown_to_admins(acme: Any, acme_admin: Any, acme_member: Any) -> None:
    user_id = acme.scim("POST", "/Users", okta.user("ada.lovelace", active=False)).json["id"]
    page = acme_admin.get(address(user_id))
    assert "Never a member" in page.text and "Nobody becomes a member before" in page.text
    assert history(page) == ["The identity provider created this person just now"]
    assert acme_member.open(address(user_id)).status_code == 404


def test_the_resource_is_shown_masked_and_only_to_those_who_may_read_it(
    app: Flask, acme: Any, acme_admin: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    extension = "urn:example:params:scim:schemas:extension:acme:2.0:User"
    user_id = add(acme, "ada.lovelace", **{extension: {"badge": "<b>7</b>", "apiSecret": "hunter2 hunter2"}})
    shown = acme_admin.get(address(user_id)).soup.select_one("pre").get_text()
    assert '"badge": "<b>7</b>"' in shown and '"userName": "ada.lovelace@acme.example"' in shown
    assert "hunter2" not in shown and '"apiSecret": "[not kept]"' in shown
    assert "password" not in shown
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id="role_m", key="org:m", name="M", permissions=["org:sys_memberships:read"]))
    reader = visit(acme.organization_id, add_member(acme.organization_id, "Reader", role="org:m"))
    page = reader.get(address(user_id))
    assert not page.soup.select("pre") and "Why this role" not in page.text


def test_a_person_of_another_organization_is_not_found(acme: Any, globex_admin: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    assert acme_admin.open(address(user_id)).status_code == 200
    assert acme_admin.open(address(user_id, "/role")).status_code == 200
    assert globex_admin.open(address(user_id)).status_code == 404
    assert globex_admin.open(address(user_id, "/role")).status_code == 404
    assert globex_admin.post_with_token(address(user_id, "/role"), role="org:admin").status_code == 404
    assert globex_admin.open(address("user_nobody")).status_code == 404


def test_somebody_managed_elsewhere_shows_only_what_this_directory_says(
    acme: Any, globex: Any, acme_admin: Any, globex_admin: Any
) -> None:
    user_id = add(acme, "ada.lovelace", title="Secret of Acme", nickName="Acme's Ada")
    body = okta.user("ada.lovelace", externalId="globex-1", name={"givenName": "A.", "familyName": "L."})
    assert globex.scim("POST", "/Users", body).json["id"] == user_id
    patch(acme, user_id, {"name.givenName": "Augusta"})
    page = globex_admin.get(address(user_id))
    assert "The profile is managed by another organization" in page.text
    assert "First name A. name.givenName" in page.rows()
    for secret in ("Augusta", "Secret of Acme", "Acme's Ada", "00uada.lovelace"):
        assert secret not in page.response.text
    assert "Augusta" in acme_admin.get(address(user_id)).text


def test_a_former_member_taken_over_elsewhere_shows_nothing_new(
    app: Flask, acme: Any, globex: Any, acme_admin: Any
) -> None:
    user_id = add(acme, "ada.lovelace")
    acme.scim("DELETE", f"/Users/{user_id}")
    assert globex.scim("POST", "/Users", okta.user("ada.lovelace")).json["id"] == user_id
    with app.app_context(), db.unit_of_work() as session:
        user = session.get_one(User, user_id)
        assert user.managed_by_organization_id == globex.organization_id
        user.email_address, user.first_name = "ada@globex.example", "Globex's Ada"
    for path in ("/organization/members?status=former", address(user_id)):
        page = acme_admin.get(path)
        assert "Ada Lovelace" in page.text and "globex" not in page.response.text.lower()
    assert acme_admin.get("/organization/members?status=former&q=globex").rows() == []


@pytest.mark.parametrize("before", ["0", "-1", "x", "9" * 30, "%00", "1e3"])
def test_nonsense_in_the_place_of_a_history_is_no_error(acme: Any, acme_admin: Any, before: str) -> None:
    user_id = add(acme, "ada.lovelace")
    assert acme_admin.get(address(user_id, f"?before={before}")).heading == "Ada Lovelace"


def test_names_are_isolated_and_escaped(acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "x", name={"givenName": "<i>محمد", "familyName": "العربي"}, displayName="<i>")
    push(acme, "<b>فريق</b>", user_id)
    page = acme_admin.get(address(user_id))
    assert page.soup.select_one("h1 bdi").get_text() == "<i>محمد العربي"
    assert "<b>فريق" not in page.response.text and page.soup.find("bdi", string="<b>فريق</b>")


def test_a_role_set_by_hand_through_the_api_is_told_as_that(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    set_role(app, acme, user_id, "org:admin")
    assert acme_admin.get(address(user_id)).words(".role-line") == "Admin Set by hand"


def test_the_last_change_is_that_of_the_directory(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    with app.app_context(), db.unit_of_work() as session:
        session.get_one(DirectoryUser, (acme.organization_id, user_id)).last_modified_at = now_ms() - 3 * 3_600_000
    assert "3 hours ago" in acme_admin.get("/organization/members").text
    assert "3 hours ago" in acme_admin.get(address(user_id)).text
