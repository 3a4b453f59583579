"""Switching the directory off and on by a page: what is said, what is refused, and what the directory does."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from database import db
from directory.switching import switch_everybody
from models import AdministrativeAct
from tests.directory.applying import add

SYNC = "/organization/directory-sync"
SWITCH = f"{SYNC}/switch"


def acts(app: Flask) -> list[str]:
    with app.app_context(), db.reading() as session:
        return [act for act in session.scalars(select(AdministrativeAct.action)) if act.startswith("scim_directory")]


def test_it_is_switched_off_with_its_people_kept_and_on_again(
    app: Flask, acme: Any, acme_admin: Any, globex: Any
) -> None:
    add(acme, "ada.lovelace")
    assert SWITCH in acme_admin.get(SYNC).links()
    assert acme_admin.send_and_read(acme_admin.get(SWITCH)).status == 422
    assert acme_admin.send(acme_admin.get(SWITCH), people="keep").status_code == 303
    assert acme.scim("GET", "/Users").status_code == 403 and globex.scim("GET", "/Users").status_code == 200
    assert acme_admin.get(SYNC).words(".state__sentence").startswith("Switched off.")
    connect = acme_admin.get(f"{SYNC}/setup/okta/connect")
    assert "403: Directory sync is switched off" in connect.words("#live") and SWITCH in connect.links()
    row = next(row for row in connect.rows() if "gets 403 on every call" in row)
    assert "Seen" in row, row
    page = acme_admin.get(SWITCH)
    assert page.heading == "Switch Directory sync on" and "still members" in page.text
    assert acme_admin.send(page).status_code == 303
    assert acme.scim("GET", "/Users").status_code == 200
    assert acts(app) == ["scim_directory.disabled", "scim_directory.enabled"]


def test_suspended_people_come_back_and_the_page_says_how_far_it_is(app: Flask, acme: Any, acme_admin: Any) -> None:
    user_id = add(acme, "ada.lovelace")
    acme_admin.send(acme_admin.get(SWITCH), people="suspend")
    page = acme_admin.get(SWITCH)
    assert "People are being suspended. 0 of 1 person so far." in page.words(".state__sentence")
    with app.app_context():
        switch_everybody(db, acme.organization_id)
    assert "1 person is suspended." in acme_admin.get(SWITCH).text
    assert f"/organization/members/{user_id}" not in acme_admin.get("/organization/members").links()
    acme_admin.send(acme_admin.get(SWITCH))
    with app.app_context():
        switch_everybody(db, acme.organization_id)
    assert f"/organization/members/{user_id}" in acme_admin.get("/organization/members").links()
