"""The members page: who is shown, why, and how one finds them among many."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import update

from clock import now_ms
from database import db
from models import OrganizationMembership


def test_it_shows_name_address_role_and_where_the_role_comes_from(
    acme: Any, globex: Any, acme_admin: Any, add_member: Callable[..., str]
) -> None:
    add_member(acme.organization_id, "Ada", "ada@acme.example", last_name="Lovelace", in_directory=True)
    add_member(acme.organization_id, "Mona", "mona@acme.example", role="org:admin", role_source="mapping")
    add_member(
        acme.organization_id, "Lena", "lena@globex.example", in_directory=True, managed_by=globex.organization_id
    )
    add_member(acme.organization_id, None, None, username="u.nique")
    page = acme_admin.get("/organization/members")
    rows = page.rows()
    assert rows[0] == "U u.nique Member Default role Active Not in the directory"
    assert rows[1] == (
        "L lena@globex.example Member Default role Active just now Membership only; the profile is managed elsewhere"
    )
    assert rows[2] == "M Mona mona@acme.example Admin By the attribute mapping Active Not in the directory"
    assert rows[3] == "AL Ada Lovelace ada@acme.example Member Default role Active just now"
    assert (
        rows[4]
        == "FA First Admin You admin Admin Set by hand on the command line, just now Active Not in the directory"
    )
    assert len(rows) == 5


def test_members_of_another_organization_are_neither_shown_nor_found(
    acme: Any, globex_admin: Any, add_member: Callable[..., str]
) -> None:
    add_member(acme.organization_id, "Ada", "ada@acme.example")
    assert len(globex_admin.get("/organization/members").rows()) == 1
    assert "Nobody found for “ada”" in globex_admin.get("/organization/members?q=ada").text


def test_a_person_disappears_with_the_membership_and_returns_with_it(
    app: Flask, acme: Any, acme_admin: Any, add_member: Callable[..., str]
) -> None:
    user_id = add_member(acme.organization_id, "Ada", "ada@acme.example")

    def set_deleted(moment: int | None) -> None:
        with app.app_context(), db.unit_of_work() as session:
            session.execute(
                update(OrganizationMembership)
                .where(OrganizationMembership.user_id == user_id)
                .values(deleted_at=moment)
            )

    set_deleted(now_ms())
    assert "Ada" not in acme_admin.get("/organization/members").text
    set_deleted(None)
    assert "Ada" in acme_admin.get("/organization/members").text


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ada", ["Ada Lovelace"]),
        ("LOVEL", ["Ada Lovelace"]),
        ("lovelace ada", ["Ada Lovelace"]),
        ("acme.example", ["Élodie Übel", "100% Sure_", "Ada Lovelace"]),
        ("élodie", ["Élodie Übel"]),
        ("ÜBEL", ["Élodie Übel"]),
        ("e\u0301lodie", ["Élodie Übel"]),
        ("%", ["100% Sure_"]),
        ("_", ["100% Sure_"]),
        ("/", []),
        ("ada lovelace nobody", []),
        ("a\x00da", ["Ada Lovelace"]),
        ("   ", ["Élodie Übel", "100% Sure_", "Ada Lovelace", "First Admin"]),
    ],
)
def test_the_search_finds_every_word_and_takes_wildcards_as_letters(
    acme: Any, acme_admin: Any, add_member: Callable[..., str], words: str, found: list[str]
) -> None:
    add_member(acme.organization_id, "Ada", "ada@acme.example", last_name="Lovelace")
    add_member(acme.organization_id, "100%", "sure@acme.example", last_name="Sure_")
    add_member(acme.organization_id, "Élodie", "elodie@acme.example", last_name="Übel")
    page = acme_admin.get(f"/organization/members?{urlencode({'q': words})}")
    names = page.soup.select(".person__name")
    assert [name.get_text() for name in names] == found


def test_names_are_shown_as_text(acme: Any, acme_admin: Any, add_member: Callable[..., str]) -> None:
    add_member(acme.organization_id, "<script>alert(1)</script>", 'x"onmouseover="alert(1)@acme.example')
    response = acme_admin.get("/organization/members").response
    assert "<script>alert" not in response.text and "&lt;script&gt;alert(1)" in response.text
    assert 'x"onmouseover' not in response.text
    page = acme_admin.get("/organization/members?q=%3Cscript%3E%22")
    assert "<script>" not in page.response.text.replace("<script src", "")
    assert page.soup.select_one("#q")["value"] == '<script>"'


def test_pages_walk_to_the_end_and_back(
    acme: Any, acme_admin: Any, add_member: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.members.PAGE_SIZE", 3)
    for number in range(7):
        add_member(acme.organization_id, f"Person {number}", f"p{number}@acme.example")
    seen = []
    page = acme_admin.get("/organization/members")
    assert not page.soup.select("a[rel=prev]")
    seen.append(page.rows())
    while page.soup.select("a[rel=next]"):
        page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
        seen.append(page.rows())
    assert [len(rows) for rows in seen] == [3, 3, 2]
    assert len({row for rows in seen for row in rows}) == 8
    back = []
    while page.soup.select("a[rel=prev]"):
        page = acme_admin.get(page.soup.select_one("a[rel=prev]")["href"])
        back.append(page.rows())
    assert back == seen[-2::-1]


def test_paging_keeps_the_search(
    acme: Any, acme_admin: Any, add_member: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.members.PAGE_SIZE", 1)
    for name in ("Ann", "Bob", "Anna"):
        add_member(acme.organization_id, name, f"{name}@x.example")
    page = acme_admin.get("/organization/members?q=ann")
    page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
    assert [row.split()[1] for row in page.rows()] == ["Ann"]
    assert not page.soup.select("a[rel=next]")
    assert page.soup.select_one("#q")["value"] == "ann"


def test_a_search_that_finds_nobody_says_where_it_looked(acme_admin: Any) -> None:
    page = acme_admin.get("/organization/members?q=nobody")
    assert "Nobody found for “nobody”" in page.text and "/organization/members" in page.links()


def test_while_the_directory_is_empty_the_page_says_how_people_come(
    acme: Any, acme_admin: Any, add_member: Callable[..., str]
) -> None:
    page = acme_admin.get("/organization/members")
    assert "Nobody from your directory is a member now. Assign a person" in page.text
    add_member(acme.organization_id, "Ada", "ada@acme.example", in_directory=True)
    assert "Nobody from your directory is a member now" not in acme_admin.get("/organization/members").text


@pytest.mark.parametrize("query", ["older_than=%00", "newer_than=x'--", "q=" + "a" * 5000, "older_than=&newer_than="])
def test_nonsense_in_the_address_is_no_error(acme_admin: Any, query: str) -> None:
    assert acme_admin.get(f"/organization/members?{query}").heading == "Members"


def test_members_can_be_narrowed_by_role_and_by_where_it_comes_from(
    acme: Any, acme_admin: Any, add_member: Callable[..., str]
) -> None:
    add_member(acme.organization_id, "Mapped", role="org:admin", role_source="mapping")
    add_member(acme.organization_id, "Plain")
    add_member(acme.organization_id, "Hand", role_source="manual")
    for query, found in (
        ("role=org:admin", ["Mapped", "First Admin"]),
        ("role=org:member", ["Hand", "Plain"]),
        ("source=manual", ["Hand", "First Admin"]),
        ("source=default", ["Plain"]),
        ("role=org:admin&source=mapping", ["Mapped"]),
        ("role=org:admin&q=first", ["First Admin"]),
        ("role=org:none", []),
        ("source=nonsense", ["Hand", "Plain", "Mapped", "First Admin"]),
    ):
        page = acme_admin.get(f"/organization/members?{query}")
        assert [name.get_text() for name in page.soup.select(".person__name")] == found, query
    assert "Nobody fits these filters" in acme_admin.get("/organization/members?role=org:none").text
    page = acme_admin.get("/organization/members?role=org:admin&source=mapping")
    assert [option["value"] for option in page.soup.select("option[selected]")] == ["org:admin", "mapping"]


def test_paging_keeps_the_filters(
    acme: Any, acme_admin: Any, add_member: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.members.PAGE_SIZE", 1)
    for name in ("Ann", "Bob", "Cleo"):
        add_member(acme.organization_id, name, role="org:admin" if name == "Bob" else "org:member")
    page = acme_admin.get("/organization/members?role=org:member")
    assert page.soup.select_one(".person__name").get_text() == "Cleo"
    page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
    assert page.soup.select_one(".person__name").get_text() == "Ann"
    assert not page.soup.select("a[rel=next]")


def exported(visitor: Any, query: str = "") -> list[dict[str, str]]:
    response = visitor.open(f"/organization/members/export{query}")
    assert response.status_code == 200 and response.mimetype == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "no-store"
    return list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"))))


def test_the_export_holds_everybody_whom_the_filters_find(
    acme: Any, acme_admin: Any, add_member: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blueprints.profile.members.EXPORTED_AT_ONCE", 2)
    for number in range(5):
        add_member(acme.organization_id, f"Person {number}", f"p{number}@acme.example", last_name="=HYPERLINK(1)")
    rows = exported(acme_admin)
    assert [row["First name"] for row in rows] == [*(f"Person {number}" for number in reversed(range(5))), "First"]
    assert rows[0]["Last name"] == "'=HYPERLINK(1)", "no spreadsheet runs it"
    assert (rows[0]["Role"], rows[0]["Status"], rows[0]["Left"]) == ("org:member", "Active", "")
    assert [row["First name"] for row in exported(acme_admin, "?role=org:admin")] == ["First"]
    link = acme_admin.get("/organization/members?q=person").soup.find("a", string=re.compile("Download these people"))
    assert len(exported(acme_admin, "?" + link["href"].partition("?")[2])) == 5


def test_the_export_is_of_one_organization_and_former_members_are_for_admins(
    acme: Any, globex_admin: Any, acme_member: Any, add_member: Callable[..., str]
) -> None:
    add_member(acme.organization_id, "Ada", "ada@acme.example")
    assert [row["First name"] for row in exported(globex_admin)] == ["First"]
    assert acme_member.open("/organization/members/export?status=former").status_code == 403
