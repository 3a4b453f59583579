"""The wizard: steps that know what was seen, and words for each identity provider."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from blueprints.profile.providers import PROVIDERS
from blueprints.profile.wizard import STEPS
from clock import now_ms
from database import db
from models import AdministrativeAct, DirectorySetup, ScimToken
from tests import okta

SETUP = "/organization/directory-sync/setup"
OKTA = {"User-Agent": "Okta SCIM Client 1.0.0"}


def change_tokens(app: Flask, tenant: Any, **values: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(ScimToken).where(ScimToken.organization_id == tenant.organization_id).values(**values))


def test_choosing_a_provider_leads_to_the_first_step_that_is_open(acme_admin: Any, globex_admin: Any) -> None:
    page = acme_admin.get(SETUP)
    assert page.heading == "Which identity provider do you use?"
    answer = acme_admin.send(page, provider="entra")
    assert (answer.status_code, answer.location) == (303, f"{SETUP}/entra/base-url")
    assert "Go on with Microsoft Entra ID" in acme_admin.get(SETUP).text
    assert "Go on with" not in globex_admin.get(SETUP).text


@pytest.mark.parametrize("provider", ["", "keycloak", "../okta", "\x00"])
def test_an_unknown_provider_is_not_kept(app: Flask, acme_admin: Any, provider: str) -> None:
    assert acme_admin.send(acme_admin.get(SETUP), provider=provider).status_code == 404
    with app.app_context(), db.reading() as session:
        assert session.scalars(select(DirectorySetup)).all() == []


@pytest.mark.parametrize("idp", PROVIDERS)
def test_each_provider_has_every_step_in_its_own_words(acme_admin: Any, idp: str) -> None:
    headings = set()
    for step in STEPS:
        page = acme_admin.get(f"{SETUP}/{idp}/{step}")
        headings.add(page.heading)
        assert page.soup.select_one("[aria-current=step]").get_text(strip=True).lstrip("✓").startswith(STEPS[step])
        assert "**" not in page.text and "`" not in page.text
    assert len(headings) == len(STEPS)


@pytest.mark.parametrize("path", ["okta/nothing", "nobody/token", "nobody", "nobody/connect", "okta/%00"])
def test_a_step_that_is_not_there_is_not_found(acme_admin: Any, path: str) -> None:
    acme_admin.get(f"{SETUP}/{path}", 404)


def test_okta_is_told_in_okta_s_words(acme_admin: Any) -> None:
    assert "Configure API Integration" in acme_admin.get(f"{SETUP}/okta/base-url").words(".steps")
    clicks = acme_admin.get(f"{SETUP}/okta/connect").words(".steps")
    for words in ("Test API Credentials", "To App", "Create Users", "Update User Attributes", "Deactivate Users"):
        assert words in clicks


def test_okta_s_other_page_for_an_app_of_one_s_own_is_told_too(acme_admin: Any) -> None:
    assert "SCIM connector base URL" in acme_admin.get(f"{SETUP}/okta/base-url").text
    page = acme_admin.get(f"{SETUP}/okta/connect")
    assert "Test Connector Configuration" in page.text and "An OIDC app of your own cannot provision" in page.text


def test_what_a_provider_cannot_do_is_said(acme_admin: Any) -> None:
    assert acme_admin.get(f"{SETUP}/google/base-url").words(".notice").startswith("Before you start. Only apps")
    assert "Push the groups" not in acme_admin.get(f"{SETUP}/google/done").text
    assert "Groups are not pushed" in acme_admin.get(f"{SETUP}/google/connect").text
    assert "40 minutes" in acme_admin.get(f"{SETUP}/entra/connect").text


def test_a_token_is_issued_shown_once_and_written_down(
    app: Flask, acme: Any, acme_admin: Any, plaintext_in: Callable[..., str]
) -> None:
    form = acme_admin.get(f"{SETUP}/okta/token")
    assert form.soup.select_one("#label")["value"] == "Okta — Production"
    page = acme_admin.send_and_read(form)
    plaintext = plaintext_in(page)
    assert page.heading == "Copy the token now"
    again = acme_admin.send_and_read(form)
    assert again.status == 409 and plaintext not in again.text
    with app.app_context(), db.reading() as session:
        acts = session.scalars(select(AdministrativeAct.action)).all()
        assert "scim_token.issued" in acts
        names = session.scalars(select(ScimToken.name).where(ScimToken.organization_id == acme.organization_id)).all()
        assert sorted(names) == ["First token", "Okta — Production"]


def test_the_panel_sees_the_test_of_the_credentials(app: Flask, acme: Any, acme_admin: Any, globex_admin: Any) -> None:
    waiting = acme_admin.get(f"{SETUP}/okta/connect")
    assert waiting.words(".live__verdict").startswith("Waiting for the first call.")
    acme.scim("GET", "/Users?startIndex=1&count=2", headers=OKTA)
    page = acme_admin.get(f"{SETUP}/okta/connect")
    verdict = page.words(".live__verdict")
    assert verdict.startswith("Okta tested the credentials") and "ago ✓" in verdict
    assert "Okta SCIM Client 1.0.0" in verdict and "First token" in verdict
    assert page.soup.select_one("#live")["data-say"] == "Okta is connected."
    assert globex_admin.get(f"{SETUP}/okta/connect").words(".live__verdict").startswith("Waiting")


def test_the_panel_says_what_is_wrong_with_a_revoked_token(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    change_tokens(app, acme, revoked_at=now_ms())
    assert acme.scim("GET", "/Users?startIndex=1&count=2", headers=OKTA).status_code == 401
    page = acme_admin.get(f"{SETUP}/okta/connect")
    live = page.words("#live")
    assert "401: The token was revoked" in live and "was revoked today at" in live and "First token" in live
    assert "Issue a new token here" in page.words(".mend")
    assert "Seen just now" in page.rows()[0] and "Not seen" in page.rows()[1]
    assert "401:" not in globex_admin.get(f"{SETUP}/okta/connect").words("#live")


def test_the_panel_recognises_a_base_url_with_users_at_its_end(acme: Any, acme_admin: Any) -> None:
    acme.scim("GET", "/Users/Users?startIndex=1&count=2")
    assert "The base URL is one step too long" in acme_admin.get(f"{SETUP}/okta/connect").words("#live")


def test_a_test_person_is_followed_step_by_step(acme: Any, acme_admin: Any, globex_admin: Any) -> None:
    acme_admin.send(acme_admin.get(SETUP), provider="okta")
    path = f"{SETUP}/okta/test-person"

    def ticked() -> int:
        return len(acme_admin.get(path).soup.select(".check--done"))

    assert ticked() == 0
    person = acme.scim("POST", "/Users", okta.user()).json["id"]
    assert ticked() == 1 and "nadia.petrov@acme.example arrived" in acme_admin.get(path).words(".checks")
    acme.scim("PATCH", f"/Users/{person}", okta.set_active(False))
    assert ticked() == 2
    acme.scim("PATCH", f"/Users/{person}", okta.set_active(True))
    assert ticked() == 3 and "is back, with the same membership" in acme_admin.get(path).words(".checks")
    assert "nadia" not in globex_admin.get(path).text
    answer = acme_admin.send(acme_admin.get(path))
    assert answer.location == f"{SETUP}/okta/done"


def test_a_person_without_a_first_name_is_noticed(acme: Any, acme_admin: Any) -> None:
    acme_admin.send(acme_admin.get(SETUP), provider="okta")
    acme.scim("POST", "/Users", okta.user(name={"familyName": "Petrov"}))
    page = acme_admin.get(f"{SETUP}/okta/test-person")
    assert "arrived without a first name." in page.words("#live") and "profile editor" in page.words("#live")
    assert "nadia.petrov@acme.example" in page.rows()[1] and "Seen" in page.rows()[1]


def test_a_refused_person_is_told_with_how_to_mend_it(acme: Any, acme_admin: Any) -> None:
    acme_admin.send(acme_admin.get(SETUP), provider="okta")
    acme.scim("POST", "/Users", okta.user(userName=""))
    live = acme_admin.get(f"{SETUP}/okta/test-person").words("#live")
    assert "400: A value does not fit" in live and "userName" in live


def test_groups_that_change_no_roles_are_noticed(acme: Any, acme_admin: Any) -> None:
    person = acme.scim("POST", "/Users", okta.user()).json["id"]
    acme.scim("POST", "/Groups", okta.group("Platform Admins", person))
    row = acme_admin.get(f"{SETUP}/okta/connect").rows()[2]
    assert "The mapping reads no groups yet: “Platform Admins”." in row and "Seen" in row


def test_the_setup_goes_on_where_it_was_left(acme: Any, acme_admin: Any) -> None:
    acme_admin.send(acme_admin.get(SETUP), provider="okta")
    where = acme_admin.open(f"{SETUP}/okta").location
    assert where == f"{SETUP}/okta/base-url"
    acme_admin.send(acme_admin.get(where))
    assert acme_admin.open(f"{SETUP}/okta").location == f"{SETUP}/okta/connect", "a token is there already"
    acme.scim("GET", "/Users?startIndex=1&count=2")
    assert acme_admin.open(f"{SETUP}/okta").location == f"{SETUP}/okta/mapping"
    acme_admin.send(acme_admin.get(f"{SETUP}/okta/mapping"), action=f"{SETUP}/okta/mapping")
    assert acme_admin.open(f"{SETUP}/okta").location == f"{SETUP}/okta/test-person"
    acme_admin.send(acme_admin.get(f"{SETUP}/okta/test-person"))
    assert acme_admin.get(f"{SETUP}/okta/done").heading == "Okta is connected"
    other = acme_admin.send(acme_admin.get(SETUP), provider="google")
    assert other.location.startswith(f"{SETUP}/google/"), "another provider starts anew"


def test_the_recipe_of_groups_goes_into_the_draft_by_one_click(acme_admin: Any) -> None:
    page = acme_admin.get(f"{SETUP}/okta/mapping")
    button = page.soup.select_one("form[action*='/recipes/'] button")
    answer = acme_admin.send(page, action=button.find_parent("form")["action"])
    assert answer.status_code == 303
    draft = acme_admin.get(answer.location)
    assert "Not saved yet" in draft.text and "groups[*].value" in draft.text
