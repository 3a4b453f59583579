"""Signing in by a one-time link, and what keeps everybody else out."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, update

from clock import now_ms
from database import db
from models import Organization, OrganizationMembership, Role, SignInLink
from organizations.roles import MEMBERSHIPS_READ, PROVISIONING_MANAGE, PROVISIONING_READ
from organizations.sign_in import end_sessions
from tests.blueprints.profile.conftest import BASE_URL


def test_a_link_shows_a_button_that_signs_in_to_the_organization(visit: Callable[..., Any], acme: Any) -> None:
    page = visit().get(f"/sign-in/{acme.sign_in_token}")
    assert page.heading == "Sign in to Acme"
    assert len(page.soup.select("main button")) == 1 and page.words("main button") == "Sign in to Acme"


def test_opening_a_link_does_not_use_it_up(visit: Callable[..., Any], acme: Any) -> None:
    scanner = visit()
    for _ in range(3):
        scanner.get(f"/sign-in/{acme.sign_in_token}")
        scanner.client.head(f"/sign-in/{acme.sign_in_token}")
    person = visit()
    assert person.sign_in(acme.sign_in_token).status_code == 303
    assert person.get("/").heading == "Members"


def test_a_link_works_once(visit: Callable[..., Any], acme: Any) -> None:
    first, second = visit(), visit()
    page = second.get(f"/sign-in/{acme.sign_in_token}")
    assert first.sign_in(acme.sign_in_token).status_code == 303
    assert second.send(page).status_code == 410
    assert second.get(f"/sign-in/{acme.sign_in_token}", 410).heading == "This sign-in link does not work any more"
    assert second.get("/").heading == "Sign in"


def test_an_expired_link_says_what_to_do(app: Flask, visit: Callable[..., Any], acme: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.execute(update(SignInLink).values(expires_at=now_ms()))
    page = visit().get(f"/sign-in/{acme.sign_in_token}", 410)
    assert page.title.startswith("Error: ")
    assert "Ask for a new link" in page.text and "make sign-in-link" in page.text
    assert not page.soup.select("form")


def test_the_end_of_the_organization_ends_its_links_and_sessions(
    app: Flask, visit: Callable[..., Any], acme: Any, acme_admin: Any, globex_admin: Any
) -> None:
    visitor = visit()
    page = visitor.get(f"/sign-in/{acme.sign_in_token}")
    with app.app_context(), db.unit_of_work() as session:
        session.get(Organization, acme.organization_id).deleted_at = now_ms()
    visit().get(f"/sign-in/{acme.sign_in_token}", 410)
    assert visitor.send(page).status_code == 410
    assert acme_admin.get("/").heading == "Sign in" and globex_admin.get("/").heading == "Members"


@pytest.mark.parametrize("token", ["signin_UNKNOWN", "1", "%00", "%F0%9F%94%91", "null"])
def test_an_unknown_link_is_answered_like_an_expired_one(visit: Callable[..., Any], token: str) -> None:
    assert "Ask for a new link" in visit().get(f"/sign-in/{token}", 410).text


def test_the_sign_in_page_without_a_link_explains(visit: Callable[..., Any]) -> None:
    page = visit().get("/sign-in")
    assert page.heading == "Sign in" and "one-time link" in page.text
    assert len(page.soup.select("main form")) == 1, "for those who have a password"


def test_after_signing_in_one_is_led_back(visit: Callable[..., Any], acme: Any) -> None:
    visitor = visit()
    response = visitor.open("/organization/members?q=ada%26x&older_than=orgmem_1")
    assert (response.status_code, response.location) == (303, "/sign-in")
    assert visitor.sign_in(acme.sign_in_token).location == "/organization/members?q=ada%26x&older_than=orgmem_1"


@pytest.mark.parametrize("query", ["_external=1&_scheme=evil", "endpoint=x", "next=//evil.example"])
def test_one_is_led_back_nowhere_else(visit: Callable[..., Any], acme: Any, query: str) -> None:
    visitor = visit()
    visitor.open(f"/organization/members?{query}")
    assert visitor.sign_in(acme.sign_in_token).location == f"/organization/members?{query}"


def test_the_cookie_is_kept_from_scripts_and_other_sites(visit: Callable[..., Any], acme: Any) -> None:
    cookie = visit().sign_in(acme.sign_in_token).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" in cookie


def test_signing_in_replaces_what_the_browser_held_before(
    visit: Callable[..., Any], acme_admin: Any, acme: Any, globex: Any
) -> None:
    thief = visit()
    thief.cookie = acme_admin.cookie
    assert thief.get("/").heading == "Members"
    assert acme_admin.sign_in(globex.sign_in_token).status_code == 303
    assert acme_admin.get("/").words(".brand") == "Globex"
    assert thief.get("/").heading == "Sign in", "the session before is ended, not only forgotten"


def test_signing_out_ends_the_session_on_the_server(visit: Callable[..., Any], acme_admin: Any) -> None:
    thief = visit()
    thief.cookie = acme_admin.cookie
    response = acme_admin.send(acme_admin.get("/"), "/sign-out")
    assert (response.status_code, response.location) == (303, "/sign-in")
    assert "You are signed out." in acme_admin.get("/sign-in").text
    assert thief.get("/").heading == "Sign in"


def test_ended_sessions_end_at_once(app: Flask, acme: Any, acme_admin: Any, globex_admin: Any) -> None:
    with app.app_context(), db.unit_of_work() as session:
        end_sessions(session, acme.organization_id, acme.admin_id)
    page = acme_admin.get("/organization/directory-sync")
    assert page.heading == "Sign in" and "Your session is over" in page.text
    assert globex_admin.get("/").heading == "Members"


@pytest.mark.parametrize("change", ["soft-deleted", "gone"])
def test_a_session_ends_with_the_membership(
    app: Flask, acme: Any, acme_admin: Any, globex_admin: Any, change: str
) -> None:
    mine = (
        OrganizationMembership.organization_id == acme.organization_id,
        OrganizationMembership.user_id == acme.admin_id,
    )
    with app.app_context(), db.unit_of_work() as session:
        if change == "gone":
            session.execute(delete(OrganizationMembership).where(*mine))
        else:
            session.execute(update(OrganizationMembership).where(*mine).values(deleted_at=now_ms()))
    assert acme_admin.get("/").heading == "Sign in"
    assert globex_admin.get("/").heading == "Members"


def test_a_view_that_declares_nothing_is_closed(app: Flask, acme_admin: Any, visit: Callable[..., Any]) -> None:
    from blueprints.profile import access, members

    rule = access._rules.pop(members.show_members)
    try:
        assert "does not open this page" in acme_admin.get("/organization/members", 403).text
        assert visit().get("/organization/members").heading == "Sign in"
    finally:
        access._rules[members.show_members] = rule


def test_a_role_without_permissions_opens_nothing_and_says_so(
    app: Flask, acme: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id="role_guest", key="org:guest", name="Guest", permissions=[]))
    guest = visit(acme.organization_id, add_member(acme.organization_id, "Guest", role="org:guest"))
    page = guest.get("/", 403)
    assert "Your role is org:guest" in page.text and not page.soup.select(".sections a")
    guest.get("/organization/directory-sync", 403)


@pytest.mark.parametrize(
    ("permission", "labels"),
    [
        (MEMBERSHIPS_READ, ["Members"]),
        (PROVISIONING_READ, ["Members", "Directory sync", "Groups", "Activity", "Webhooks"]),
        (PROVISIONING_MANAGE, ["Directory sync", "Groups", "Activity", "Webhooks"]),
    ],
)
def test_the_navigation_holds_what_the_role_opens(
    app: Flask, acme: Any, visit: Callable[..., Any], add_member: Callable[..., str], permission: str, labels: list[str]
) -> None:
    with app.app_context(), db.unit_of_work() as session:
        session.add(Role(id="role_some", key="org:some", name="Some", permissions=[permission]))
    page = visit(acme.organization_id, add_member(acme.organization_id, "Some", role="org:some")).get("/")
    assert [link.get_text(strip=True) for link in page.soup.select(".sections a")] == labels
    assert page.heading == labels[0] == page.soup.select_one("[aria-current=page]").get_text(strip=True)


def test_a_form_without_its_token_is_refused_and_changes_nothing(visit: Callable[..., Any], acme: Any) -> None:
    visitor = visit()
    response = visitor.post(f"/sign-in/{acme.sign_in_token}")
    assert response.status_code == 400
    assert "reload the page" in response.text and "<h1>This form is no longer valid</h1>" in response.text
    assert response.headers["Content-Security-Policy"]
    assert visitor.sign_in(acme.sign_in_token).status_code == 303


def test_an_address_that_is_not_there_is_a_page_for_everybody(acme_admin: Any, visit: Callable[..., Any]) -> None:
    for visitor in (acme_admin, visit()):
        page = visitor.get("/organization/nothing", 404)
        assert page.title.startswith("Error: There is nothing at this address")


def test_static_files_need_no_session(visit: Callable[..., Any]) -> None:
    for name in ("app.css", "app.js", "favicon.svg"):
        assert visit().open(f"/static/{name}").status_code == 200


def test_the_error_page_needs_no_database(app: Flask, visit: Callable[..., Any], acme_admin: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the database is away")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.testing = False
    original, db.reading = db.reading, fail  # type: ignore[method-assign,assignment]
    try:
        page = acme_admin.get("/organization/members", 500)
    finally:
        db.reading = original  # type: ignore[method-assign]
    assert page.title.startswith("Error: Something went wrong") and "the database is away" not in page.text


PAGES = ("/", "/sign-in", "/nowhere", "/docs")
FILES = ("/static/app.css", "/static/app.js", "/static/favicon.svg", "/organization/members/export")
FOR_PROGRAMS = ("/healthz", "/v1/openapi.json", "/v1/organizations", "/scim/v2/Users", "/scim/v2/Schemas")


@pytest.mark.parametrize("path", [*PAGES, *FILES, *FOR_PROGRAMS])
def test_no_answer_is_taken_for_another_kind_than_it_says(acme_admin: Any, path: str) -> None:
    answer = FlaskClient.open(acme_admin.client, path, base_url=BASE_URL)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers
    if answer.mimetype == "text/html":
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("environ", [{"PUBLIC_URL": "http://localhost:8000"}], indirect=True)
def test_where_pages_are_not_served_by_https_it_is_not_demanded(app: Flask) -> None:
    answer = app.test_client().get("/sign-in")
    assert "Strict-Transport-Security" not in answer.headers and "Secure" not in answer.headers["Set-Cookie"]


@pytest.fixture
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    return {**environ, **getattr(request, "param", {})}
