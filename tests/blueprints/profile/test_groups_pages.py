"""Groups: what the IdP pushed, who is in it, and which role follows from it."""

from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask

from database import db
from models import DirectoryGroupMember
from tests import okta
from tests.directory.applying import add, push, put_and_apply

ADMINS = {"groups[*].value": '{{ value | downcase | replace: "admins", "org:admin" }}.organization_role'}
GROUPS = "/organization/groups"


def names(page: Any) -> list[str]:
    return [cell.get_text(strip=True) for cell in page.soup.select("tbody td:first-child a")]


def test_groups_are_listed_with_members_role_and_last_change(app: Flask, acme: Any, acme_admin: Any) -> None:
    ada, grace = add(acme, "ada.lovelace"), add(acme, "grace.hopper")
    push(acme, "Everyone", ada, grace)
    push(acme, "Admins", ada)
    push(acme, "Empty")
    page = acme_admin.get(GROUPS)
    assert page.rows() == ["Admins 1 None just now", "Empty 0 None just now", "Everyone 2 None just now"]
    assert "The attribute mapping takes no role from groups" in page.text
    put_and_apply(app, acme, ADMINS)
    page = acme_admin.get(GROUPS)
    assert page.rows()[0] == "Admins 1 Admin just now"
    assert page.rows()[2] == "Everyone 2 No role There is no “ everyone ”. just now"
    assert "takes no role from groups" not in page.text


def test_a_search_finds_every_word_whatever_its_case(acme: Any, acme_admin: Any) -> None:
    for name in ("Platform Team", "Team Berlin", "100% Owners", "ÉLODIE"):
        push(acme, name)
    for words, found in (
        ("team", ["Platform Team", "Team Berlin"]),
        ("TEAM plat", ["Platform Team"]),
        ("%", ["100% Owners"]),
        ("élodie", ["ÉLODIE"]),
        ("_", []),
    ):
        page = acme_admin.get(f"{GROUPS}?q={quote(words)}")
        assert names(page) == found
        assert page.soup.select_one("#q")["value"] == words
    assert "No group found for “zz”" in acme_admin.get(f"{GROUPS}?q=zz").text


def test_the_list_has_pages_and_they_keep_the_search(
    acme: Any, acme_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.groups.PAGE_SIZE", 2)
    for number in range(5):
        push(acme, f"Team {number}")
        push(acme, f"Other {number}")
    page = acme_admin.get(f"{GROUPS}?q=team")
    walked = [names(page)]
    while page.soup.select("a[rel=next]"):
        page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
        walked.append(names(page))
    assert walked == [["Team 0", "Team 1"], ["Team 2", "Team 3"], ["Team 4"]]
    back = []
    while page.soup.select("a[rel=prev]"):
        page = acme_admin.get(page.soup.select_one("a[rel=prev]")["href"])
        back.append(names(page))
    assert back == walked[-2::-1]


def test_without_groups_the_page_teaches_where_they_come_from(acme_admin: Any) -> None:
    page = acme_admin.get(GROUPS)
    assert "No groups yet" in page.text and "Push group memberships immediately" in page.text
    assert "Google Workspace pushes no groups." in page.text
    assert not page.soup.select("form[role=search]")


def test_one_group_shows_its_role_with_the_rules_and_its_members(app: Flask, acme: Any, acme_admin: Any) -> None:
    ada = add(acme, "ada.lovelace")
    off = acme.scim("POST", "/Users", okta.user("alan.off", active=False)).json["id"]
    group = push(acme, "Admins", ada, off)
    put_and_apply(app, acme, ADMINS)
    page = acme_admin.get(f"{GROUPS}/{group}")
    assert page.heading == "Admins" and "2 members · pushed" in page.text
    assert "this group gives the role Admin ." in page.text
    steps = [" ".join(row.get_text(" ").split()) for row in page.soup.select(".scroll tbody tr")]
    assert steps == ['groups[*].value Admins {{ value | downcase | replace: "admins", "org:admin" }} Admin Used']
    members = [" ".join(row.get_text(" ").split()) for row in page.soup.select(".card--flush tbody tr")]
    assert "AL Ada Lovelace ada.lovelace@acme.example Admin just now" in members
    assert "AO Alan Off Inactive alan.off@acme.example Not a member just now" in members


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({}, "The attribute mapping takes no role from groups, so this group changes nobody's role."),
        ({"title": "organization_role"}, "The attribute mapping takes no role from groups"),
        (
            {'groups[display eq "Others"].value': '{{ "org:admin" }}.organization_role'},
            "No rule of the attribute mapping makes a role of this group.",
        ),
        ({"groups[*].value": "organization_role"}, "gives “ Admins ”, which is no role of this system."),
        (
            {"groups[0].value": '{{ value | downcase | replace: "admins", "org:admin" }}.organization_role'},
            "The rule reads one place in the list of a person's groups",
        ),
        ({"groups[*].id": "public_metadata.groups"}, "The attribute mapping takes no role from groups"),
    ],
)
def test_what_a_group_gives_is_said_in_words(
    acme: Any, app: Flask, acme_admin: Any, mapping: dict[str, Any], sentence: str
) -> None:
    group = push(acme, "Admins")
    if mapping:
        put_and_apply(app, acme, mapping)
    assert sentence in acme_admin.get(f"{GROUPS}/{group}").text


def test_members_of_a_group_have_pages_with_the_latest_first(
    app: Flask, acme: Any, acme_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.groups.MEMBERS_PAGE_SIZE", 2)
    ids = [add(acme, f"person.n{number}") for number in range(5)]
    group = push(acme, "Team", *ids)
    with app.app_context(), db.unit_of_work() as session:
        for number, user_id in enumerate(ids):  # three joined in the same moment
            session.get_one(DirectoryGroupMember, (acme.organization_id, group, user_id)).joined_at = max(number, 2)

    def people(page: Any) -> list[str]:
        return [link["href"].rpartition("/")[2] for link in page.soup.select("tbody a.person__link")]

    page = acme_admin.get(f"{GROUPS}/{group}")
    walked = [people(page)]
    while page.soup.select("a[rel=next]"):
        page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
        walked.append(people(page))
    assert [user_id for part in walked for user_id in part] == ids[::-1]
    back = []
    while page.soup.select("a[rel=prev]"):
        page = acme_admin.get(page.soup.select_one("a[rel=prev]")["href"])
        back.append(people(page))
    assert back == walked[-2::-1]


def test_a_group_of_another_organization_is_neither_shown_nor_found(acme: Any, globex: Any, globex_admin: Any) -> None:
    group = push(acme, "Acme's secret team", add(acme, "ada.lovelace"))
    push(globex, "Own")
    assert globex_admin.open(f"{GROUPS}/{group}").status_code == 404
    assert names(globex_admin.get(GROUPS)) == ["Own"]
    assert names(globex_admin.get(f"{GROUPS}?q=secret")) == []
    assert names(globex_admin.get(f"{GROUPS}?after={group}")) == ["Own"], "it is no place in this list"


def test_a_member_managed_elsewhere_goes_by_the_own_directorys_name(acme: Any, globex: Any, globex_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace", name={"givenName": "Secret", "familyName": "Name"})
    globex.scim("POST", "/Users", okta.user("ada.lovelace"))
    group = push(globex, "Own", user_id)
    page = globex_admin.get(f"{GROUPS}/{group}")
    assert "Ada Lovelace" in page.text and "Secret" not in page.response.text


@pytest.mark.parametrize("query", ["before=%00", "after=x", "q=" + "a" * 3000, "before=&after="])
def test_nonsense_in_the_address_is_no_error(acme: Any, acme_admin: Any, query: str) -> None:
    push(acme, "Team")
    assert acme_admin.get(f"{GROUPS}?{query}").heading == "Groups"


@pytest.mark.parametrize("place", ["x", "1", "1.", ".user", "9" * 40 + ".u", "-1.u", "%00.%00", "²."])
def test_nonsense_as_a_place_among_members_is_no_error(acme: Any, acme_admin: Any, place: str) -> None:
    group = push(acme, "Team", add(acme, "ada.lovelace"))
    for name in ("earlier_than", "later_than"):
        assert acme_admin.get(f"{GROUPS}/{group}?{name}={place}").heading == "Team"
