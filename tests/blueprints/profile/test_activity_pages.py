"""Activity: the log can be narrowed, read, understood and taken away, by those it belongs to."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from clock import now_ms
from database import db
from directory.advice import PLACES, SYMPTOMS, WHERE, where_in
from directory.remedies import REMEDIES
from ids import first_id, new_id
from models import DirectoryActivity, DirectorySetup
from tests import okta

ACTIVITY = "/organization/directory-sync/activity"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def busy(acme: Any) -> str:
    """Acme's IdP created Nadia, changed her, was refused once, tested, and pushed a group. Returns Nadia's id."""
    acme.scim("GET", "/Users?count=1")
    nadia = acme.scim("POST", "/Users", okta.user("nadia.petrov")).json["id"]
    title = okta.patch({"op": "replace", "path": "name.givenName", "value": "Nadja"})
    assert acme.scim("PATCH", f"/Users/{nadia}", title).status_code == 200
    assert acme.scim("POST", "/Users", okta.user("nadia.petrov")).status_code == 409
    assert acme.scim("POST", "/Groups", okta.group("Engineering", nadia)).status_code == 201
    return str(nadia)


def entries(app: Flask, **wanted: Any) -> list[DirectoryActivity]:
    with app.app_context(), db.reading() as session:
        found = session.query(DirectoryActivity).filter_by(**wanted).order_by(DirectoryActivity.id).all()
        session.expunge_all()
        return found


def add_entries(app: Flask, organization_id: str, count: int, **values: Any) -> list[str]:
    now = now_ms()
    rows = [
        {
            "id": first_id("req", now + number) if "id" not in values else values["id"],
            "organization_id": organization_id,
            "method": "POST",
            "path": "/scim/v2/Users",
            "status": 201,
            "warnings": [],
            "target_label": f"person {number:03}",
            **values,
        }
        for number in range(count)
    ]
    with app.app_context(), db.unit_of_work() as session:
        session.add_all([DirectoryActivity(**row) for row in rows])
    return [row["id"] for row in rows]


# -- The list -----------------------------------------------------------------------------


@pytest.mark.usefixtures("busy")
def test_the_list_says_what_became_of_each_request(acme_admin: Any) -> None:
    page = acme_admin.get(ACTIVITY)
    rows = page.rows()
    assert len(rows) == 5
    assert rows[0].startswith("POST /Groups Created Engineering Group")
    assert "Refused, 409" in rows[1] and "nadia.petrov@acme.example" in rows[1]
    assert "Updated" in rows[2] and "Created" in rows[3] and "Tested the connection" in rows[4]
    current = page.soup.select(".sections [aria-current]")
    assert [link.get_text(strip=True) for link in current] == ["Activity"]


@pytest.mark.parametrize(
    ("query", "outcomes"),
    [
        ("what=refused", ["Refused"]),
        ("what=tests", ["Tested"]),
        ("what=writes", ["Created", "Refused", "Updated", "Created"]),
        ("what=changes", ["Created", "Updated", "Created"]),
        ("what=warned", []),
        ("method=PATCH", ["Updated"]),
        ("kind=Group", ["Created"]),
        ("status=409", ["Refused"]),
        ("q=NADIA.petrov&method=POST", ["Refused", "Created"]),
        ("q=%25", []),
        ("q=_", None),
        ("from=2020-01-01&to=2020-01-02", []),
        ("from=2020-01-01", ["Created", "Refused", "Updated", "Created", "Tested"]),
        ("what=nonsense&method=HACK&kind=x&status=abc&from=x&to=0000-00-00", [""] * 5),
        ("q=%00&status=%ed%a0%80&from=9999-12-31&older_than=%00", [""] * 5),
    ],
)
@pytest.mark.usefixtures("busy")
def test_filters_leave_what_was_asked_for(acme_admin: Any, query: str, outcomes: list[str] | None) -> None:
    page = acme_admin.get(f"{ACTIVITY}?{query}")
    rows = page.rows()
    if outcomes is not None:
        assert len(rows) == len(outcomes), rows
        assert all(outcome in row for outcome, row in zip(outcomes, rows, strict=True))
    if not rows:
        assert "Nothing matches" in page.text


def test_filters_stay_in_the_address_and_in_the_form_from_page_to_page(app: Flask, acme: Any, acme_admin: Any) -> None:
    add_entries(app, acme.organization_id, 120, target_type="User")
    add_entries(app, acme.organization_id, 1, id=first_id("req", now_ms() + 999), target_type="Group")
    page = acme_admin.get(f"{ACTIVITY}?kind=User&q=person")
    seen = page.rows()
    while page.soup.select_one("a[rel=next]"):
        page = acme_admin.get(page.soup.select_one("a[rel=next]")["href"])
        seen += page.rows()
        assert page.soup.select_one("#q")["value"] == "person"
        assert page.soup.select_one("#kind option[selected]")["value"] == "User"
    assert len(seen) == 120 and "person 119" in seen[0] and "person 000" in seen[-1]
    back = acme_admin.get(page.soup.select_one("a[rel=prev]")["href"])
    assert back.rows() == seen[50:100]
    assert acme_admin.get(back.soup.select_one("a[rel=prev]")["href"]).rows() == seen[:50]


def test_an_empty_log_says_what_will_stand_there(acme_admin: Any) -> None:
    assert "As soon as your identity provider tests the connection" in acme_admin.get(ACTIVITY).text


# -- One request ------------------------------------------------------------------------------


def test_a_request_shows_what_was_sent_answered_and_changed(app: Flask, busy: str, acme_admin: Any) -> None:
    updated = entries(app, action="updated")[0]
    page = acme_admin.get(f"{ACTIVITY}/{updated.id}")
    assert "from Nadia → to Nadja" in page.text and "First name" in page.text
    sent, answered = (json.loads(block.text) for block in page.soup.select("pre.code"))
    assert sent["Operations"][0]["value"] == "Nadja" and answered["id"] == busy
    assert "First token (scim_" in page.text and "millisecond" in page.text
    created = acme_admin.get(f"{ACTIVITY}/{entries(app, action='created', target_type='User')[0].id}")
    assert "a random password" not in created.response.text and "[not kept]" in created.response.text


def test_a_refusal_says_why_and_where_to_mend_it(app: Flask, acme: Any, busy: str, acme_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(DirectorySetup(organization_id=acme.organization_id, provider="okta"))
    page = acme_admin.get(f"{ACTIVITY}/{entries(app, status=409)[0].id}")
    assert "The user name is taken" in page.text and "In Okta: Assignments" in page.text
    assert "user_name_taken" in page.text


def test_groups_that_change_no_role_and_people_without_a_first_name_are_pointed_out(
    app: Flask, acme: Any, busy: str, acme_admin: Any
) -> None:
    group = acme_admin.get(f"{ACTIVITY}/{entries(app, target_type='Group')[0].id}")
    assert "Groups change no role here" in group.text
    assert "/organization/directory-sync/mapping" in group.links()
    acme.scim("POST", "/Users", okta.user("li.wei", name={"familyName": "Wei"}))
    person = acme_admin.get(f"{ACTIVITY}/{entries(app, action='created', target_type='User')[-1].id}")
    assert "The person has no first name" in person.text
    named = acme_admin.get(f"{ACTIVITY}/{entries(app, action='created', target_type='User')[0].id}")
    assert "no first name" not in named.text
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    acme.api("PUT", path, {"mapping": {"groups[*].value": "organization_role"}})
    acme.scim("POST", "/Groups", okta.group("org:nothing", busy))
    warned = acme_admin.get(f"{ACTIVITY}/{entries(app, target_type='Group')[-1].id}")
    assert "named no role that exists" in warned.text


def test_the_advice_of_every_provider_is_for_a_reason_that_exists() -> None:
    assert set(PLACES) <= set(REMEDIES)
    assert set(WHERE) <= set(PLACES.values()) | set(REMEDIES)
    assert all(advice.where is None or advice.where in WHERE for advice in SYMPTOMS.values())
    assert where_in(None, "token") is None and where_in("okta", "unheard of") is None


def test_the_operations_of_a_bulk_request_are_one_click_away(app: Flask, acme: Any, acme_admin: Any) -> None:
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": okta.user("li.wei")}],
    }
    acme.scim("POST", "/Bulk", body)
    bulk = entries(app, action="bulk")[0]
    page = acme_admin.get(f"{ACTIVITY}/{bulk.id}")
    operations = acme_admin.get(f"{ACTIVITY}?bulk={bulk.id}")
    assert f"{ACTIVITY}?bulk={bulk.id}" in page.links()
    assert len(operations.rows()) == 1 and "li.wei@acme.example" in operations.rows()[0]
    child = acme_admin.get(f"{ACTIVITY}/{entries(app, parent_id=bulk.id)[0].id}")
    assert f"{ACTIVITY}/{bulk.id}" in child.links()


def test_names_of_every_kind_are_shown_as_they_are(app: Flask, acme: Any, acme_admin: Any) -> None:
    name = "<script>alert(1)</script> محمد " + "x" * 180
    [entry] = add_entries(
        app, acme.organization_id, 1, target_label=name, detail=name, status=400, path="/scim/v2/" + name
    )
    for page in (acme_admin.get(ACTIVITY), acme_admin.get(f"{ACTIVITY}/{entry}")):
        assert "<script>alert" not in page.response.text and "محمد" in page.text


# -- Export -----------------------------------------------------------------------------------


def test_an_export_has_all_that_the_filters_leave(app: Flask, acme: Any, busy: str, acme_admin: Any) -> None:
    add_entries(app, acme.organization_id, 1200, target_label="person", action="created")
    response = acme_admin.open(f"{ACTIVITY}/export?q=person")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="activity.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff"))))
    assert len(rows) == 1200 and len({row["request_id"] for row in rows}) == 1200
    assert all(re.fullmatch(r"[0-9-]{10}T[0-9:]{8}Z", row["time"]) for row in rows)
    lines = acme_admin.open(f"{ACTIVITY}/export?format=jsonl&what=refused").text.splitlines()
    [refused] = [json.loads(line) for line in lines]
    assert refused["status"] == 409 and "nadia.petrov" in refused["request_body"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", '=HYPERLINK("http://x")', "＝1"])
def test_no_cell_of_an_export_is_a_formula(app: Flask, acme: Any, acme_admin: Any, text: str) -> None:
    add_entries(app, acme.organization_id, 1, target_label=text, user_agent=text, detail=text, path=text)
    [row] = csv.DictReader(io.StringIO(acme_admin.open(f"{ACTIVITY}/export").text.removeprefix("\ufeff"), newline=""))
    assert {row[name] for name in ("name", "caller", "detail", "path")} == {f"'{text}"}


@pytest.mark.parametrize("text", ["a;=1+1;b", "a; +1", "a\n=1", "a\r\n@x", 'a;"=1"', "a;＝1", "a;\t-1"])
def test_no_part_of_a_cell_is_a_formula_where_semicolons_part_cells(
    app: Flask, acme: Any, acme_admin: Any, text: str
) -> None:
    """Such a spreadsheet reads the whole line anew: quotes that do not begin it hold nothing together."""
    add_entries(app, acme.organization_id, 1, target_label=text)
    exported = acme_admin.open(f"{ACTIVITY}/export").text
    parts = [part.strip(' \t"') for part in re.split(r"[;\r\n]", exported)]
    assert not [part for part in parts if part.startswith(("=", "+", "-", "@", "＝"))]


# -- Who may ------------------------------------------------------------------------------------


def test_who_may_only_read_sees_no_bodies_and_no_values(app: Flask, busy: str, acme_member: Any) -> None:
    updated = entries(app, action="updated")[0]
    page = acme_member.get(f"{ACTIVITY}/{updated.id}")
    assert "What was sent and answered is shown to admins" in page.text and not page.soup.select("pre.code")
    assert "First name" in page.text and "Nadja" not in page.text
    for line in acme_member.open(f"{ACTIVITY}/export?format=jsonl").text.splitlines():
        assert not {"request_body", "answer_body", "effects"} & set(json.loads(line))


def test_nothing_of_another_organization_is_found(
    app: Flask, acme: Any, globex: Any, busy: str, globex_admin: Any, visit: Callable[..., Any]
) -> None:
    entry = entries(app, organization_id=acme.organization_id)[-1]
    assert globex_admin.get(f"{ACTIVITY}/{entry.id}", 404).title.startswith("Error: ")
    assert globex_admin.get(f"{ACTIVITY}/{new_id('req')}", 404)
    for query in ("", f"?target={busy}", f"?token={entry.token_id}", f"?older_than={new_id('req')}", "?q=nadia"):
        page = globex_admin.get(f"{ACTIVITY}{query}")
        assert page.rows() == [] and "First token" not in page.text
        assert globex_admin.open(f"{ACTIVITY}/export{query}").text.count("\n") == 1
