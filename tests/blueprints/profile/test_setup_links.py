"""Setup links: Directory sync of one organization, for somebody who is no member of it, until the link ends."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from clock import now_ms
from database import db
from models import AdministrativeAct, Organization, SetupLink
from models import Session as BrowserSession
from organizations.setup_links import make_setup_link, revoke_setup_link

OVERVIEW = "/organization/directory-sync"
LINKS = f"{OVERVIEW}/setup-links"


@pytest.fixture
def setup_link(app: Flask, acme: Any) -> tuple[str, str]:
    """A link of Acme: its id, and the path that opens it."""
    with app.app_context(), db.unit_of_work() as session:
        link, token = make_setup_link(session, acme.organization_id, "Kim")
    return link.id, f"/setup/{token}"


@pytest.fixture
def kim(visit: Callable[..., Any], setup_link: tuple[str, str]) -> Any:
    """An IT admin who opened the link."""
    visitor = visit()
    assert visitor.send(visitor.get(setup_link[1])).status_code == 303
    return visitor


def revoke(app: Flask, organization_id: str, link_id: str) -> None:
    with app.app_context(), db.unit_of_work() as session:
        revoke_setup_link(session, organization_id, link_id)


def test_a_link_leads_into_directory_sync_and_says_who_one_is(kim: Any) -> None:
    page = kim.get("/")
    assert page.heading == "Directory sync" and page.words(".account__name") == "Setup link · Kim"
    assert [link.get_text(strip=True) for link in page.soup.select(".sections a")] == ["Directory sync", "Activity"]


def test_a_scanner_that_opens_a_link_opens_no_session(app: Flask, visit: Callable[..., Any], setup_link: Any) -> None:
    for _ in range(2):
        visit().get(setup_link[1])
    with app.app_context(), db.reading() as session:
        assert session.scalar(select(SetupLink.last_used_at)) is None
        assert session.scalar(select(BrowserSession.id).where(BrowserSession.setup_link_id.is_not(None))) is None


def test_a_link_works_in_several_browsers(visit: Callable[..., Any], kim: Any, setup_link: Any) -> None:
    other = visit()
    other.send(other.get(setup_link[1]))
    assert kim.get("/").heading == other.get("/").heading == "Directory sync"


@pytest.mark.parametrize("path", ["/organization/members", LINKS, f"{LINKS}/new"])
def test_a_link_opens_nothing_else(kim: Any, path: str) -> None:
    page = kim.get(path, 403)
    assert "A setup link opens Directory sync and nothing else" in page.text


def test_after_opening_a_link_one_is_led_back_only_where_it_opens(visit: Callable[..., Any], setup_link: Any) -> None:
    for wanted, reached in ((f"{OVERVIEW}/tokens/new", f"{OVERVIEW}/tokens/new"), ("/organization/members", "/")):
        visitor = visit()
        visitor.open(wanted)
        assert visitor.send(visitor.get(setup_link[1])).location == reached


def test_a_token_can_be_issued_with_a_link(acme: Any, kim: Any, plaintext_in: Callable[[Any], str]) -> None:
    page = kim.send_and_read(kim.get(f"{OVERVIEW}/tokens/new"), label="Okta")
    acme.scim_token = plaintext_in(page)
    assert acme.scim("GET", "/Users").status_code == 200


def test_revoking_a_link_ends_its_sessions_at_once(app: Flask, acme: Any, kim: Any, setup_link: Any) -> None:
    revoke(app, acme.organization_id, setup_link[0])
    page = kim.get(OVERVIEW)
    assert page.heading == "Sign in" and "Your session is over" in page.text
    assert kim.get(setup_link[1], 410).heading == "This setup link does not work any more"


def test_an_expired_link_ends_its_sessions(app: Flask, kim: Any, setup_link: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(SetupLink).values(expires_at=now_ms()))
    assert kim.get(OVERVIEW).heading == "Sign in"
    assert "ask whoever sent it for a new one" in kim.get(setup_link[1], 410).text.lower()


def test_a_session_never_outlasts_its_link(app: Flask, acme: Any, visit: Callable[..., Any]) -> None:
    with app.app_context(), db.unit_of_work() as session:
        link, token = make_setup_link(session, acme.organization_id, "Kim", lifetime_seconds=60)
    visitor = visit()
    visitor.send(visitor.get(f"/setup/{token}"))
    with app.app_context(), db.reading() as session:
        assert session.scalar(select(BrowserSession.expires_at)) == link.expires_at


def test_the_end_of_the_organization_ends_its_links(app: Flask, acme: Any, kim: Any, setup_link: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(Organization).where(Organization.id == acme.organization_id).values(deleted_at=now_ms()))
    assert kim.get(OVERVIEW).heading == "Sign in"
    kim.get(setup_link[1], 410)


@pytest.mark.parametrize("token", ["setup_UNKNOWN", "1", "%00", "%F0%9F%94%91", "null"])
def test_an_unknown_link_is_answered_like_a_revoked_one(visit: Callable[..., Any], token: str) -> None:
    assert "Ask whoever sent it" in visit().get(f"/setup/{token}", 410).text


def test_an_admin_makes_a_link_that_is_shown_once(acme_admin: Any, visit: Callable[..., Any]) -> None:
    page = acme_admin.send_and_read(acme_admin.get(f"{LINKS}/new"), name="Kim from IT")
    (url,) = re.findall(r"https://acme\.authn\.test(/setup/setup_[0-9A-Z]+)", page.response.text)
    assert url not in acme_admin.get(LINKS).response.text
    assert acme_admin.get(LINKS).rows()[0].startswith("Kim from IT")
    visitor = visit()
    assert visitor.send(visitor.get(url)).status_code == 303


def test_a_form_sent_twice_makes_one_link(app: Flask, acme_admin: Any) -> None:
    page = acme_admin.get(f"{LINKS}/new")
    assert acme_admin.send(page, name="Kim").status_code == 200
    assert acme_admin.send(page, name="Kim").status_code == 409
    assert len(acme_admin.get(LINKS).rows()) == 1


@pytest.mark.parametrize(("typed", "said"), [("", "Say who the link is for."), ("x" * 101, "100 characters or fewer")])
def test_a_link_needs_a_name(acme_admin: Any, typed: str, said: str) -> None:
    page = acme_admin.send_and_read(acme_admin.get(f"{LINKS}/new"), name=typed)
    assert page.status == 422 and said in page.words(".error-summary")
    assert acme_admin.get(LINKS).rows() == []


def test_an_admin_revokes_a_link(acme_admin: Any, kim: Any, setup_link: Any) -> None:
    page = acme_admin.get(f"{LINKS}/{setup_link[0]}/revoke")
    assert "Whoever uses it now is signed out" in page.text
    assert acme_admin.send(page).location == LINKS
    assert "Revoked" in acme_admin.get(LINKS).rows()[0] and kim.get(OVERVIEW).heading == "Sign in"


def test_another_organization_sees_and_revokes_nothing_of_it(globex_admin: Any, kim: Any, setup_link: Any) -> None:
    assert globex_admin.get(LINKS).rows() == []
    globex_admin.get(f"{LINKS}/{setup_link[0]}/revoke", 404)
    assert globex_admin.post_with_token(f"{LINKS}/{setup_link[0]}/revoke").status_code == 404
    assert kim.get(OVERVIEW).heading == "Directory sync"


def test_links_are_written_into_the_audit_log(app: Flask, acme: Any, acme_admin: Any) -> None:
    acme_admin.send(acme_admin.get(f"{LINKS}/new"), name="Kim")
    link_id = acme_admin.get(LINKS).soup.select_one("tbody a")["href"].split("/")[-2]
    acme_admin.send(acme_admin.get(f"{LINKS}/{link_id}/revoke"))
    with app.app_context(), db.reading() as session:
        about_links = select(AdministrativeAct).where(AdministrativeAct.target_type == "setup_link")
        acts = session.scalars(about_links.order_by(AdministrativeAct.id)).all()
        assert [(act.action, act.actor_kind, act.actor_id, act.target_id) for act in acts] == [
            ("setup_link.made", "member", acme.admin_id, link_id),
            ("setup_link.revoked", "member", acme.admin_id, link_id),
        ]


def test_the_command_prints_a_link_that_works(runner: Any, acme: Any, visit: Callable[..., Any]) -> None:
    printed = runner.invoke(args=["setup-link", "--organization", acme.organization_id, "--name", "Kim", "--days", "2"])
    assert printed.exit_code == 0, printed.output
    visitor = visit()
    page = visitor.get(printed.output.strip().removeprefix("https://acme.authn.test"))
    assert "Hello, Kim" in page.text and visitor.send(page).status_code == 303


def test_the_command_refuses_an_unknown_organization(runner: Any, acme: Any) -> None:
    printed = runner.invoke(args=["setup-link", "--organization", "org_nothing"])
    assert printed.exit_code == 1 and "No such organization" in printed.output


def test_a_proof_that_is_old_is_asked_for_again(app: Flask, kim: Any, setup_link: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(BrowserSession).values(proven_at=now_ms() - 31 * 60_000))
    page = kim.get(f"{OVERVIEW}/tokens/new")
    assert page.heading == "Confirm that it is you" and "Open your setup link again" in page.text
    assert kim.send(kim.get(setup_link[1])).location == f"{OVERVIEW}/tokens/new"
