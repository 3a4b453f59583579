"""The pages in a real browser: narrow and wide, light and dark, with and without JavaScript."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from clock import now_ms
from database import db
from folding import fold
from ids import new_id
from models import DirectoryActivity, DirectoryUser, OrganizationMembership, ScimToken, User
from organizations.roles import get_role
from organizations.scim_tokens import find_token_holder, issue_scim_token
from organizations.sign_in import make_sign_in_link
from tests.browser.windows import Window, served

pytestmark = pytest.mark.slow

LONG_NAME = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff"


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "PUBLIC_URL": "http://localhost"}  # a browser keeps Secure cookies from plain HTTP


@pytest.fixture
def base_url(app: Flask) -> Iterator[str]:
    """The application, served to a browser."""
    with served(app) as url:
        yield url


@contextmanager
def writing(app: Flask) -> Iterator[Any]:
    with app.app_context(), db.unit_of_work() as session:
        yield session


@pytest.fixture
def sign_in_url(app: Flask, acme: Any, base_url: str) -> Callable[[], str]:
    def make() -> str:
        with writing(app) as session:
            return f"{base_url}/sign-in/{make_sign_in_link(session, acme.organization_id, acme.admin_id)[1]}"

    return make


@pytest.fixture
def lived_in(app: Flask, acme: Any) -> None:
    """People, tokens in every state, and troubles, as after some weeks of use."""
    names = [("Ada", "Lovelace"), (LONG_NAME, "Sr."), ("محمد", "العربي"), ("さくら", "山田"), ("<b>Bobby</b>", "T.")]
    now, organization_id = now_ms(), acme.organization_id
    with writing(app) as session:
        for number, (first, last) in enumerate(names):
            add_person(session, organization_id, first, last, f"{'long.' * 4 * number}p{number}@acme.example")
        for name, values in {
            "Used": {"last_used_at": now - 240_000},
            "Ends soon, " + "and has a long label " * 7: {"expires_at": now + 86_400_000},
            "Past": {"expires_at": now - 1000},
            "Ended": {"revoked_at": now},
        }.items():
            token, _ = issue_scim_token(session, organization_id, name)
            for key, value in values.items():
                setattr(token, key, value)
        for status, detail, warnings in ((409, "userName is taken.", []), (201, None, ["No such role: 'org:none'."])):
            session.add(
                DirectoryActivity(
                    id=new_id("req"),
                    organization_id=organization_id,
                    method="PATCH",
                    path=f"/scim/v2/Users/{new_id('user')}",
                    status=status,
                    detail=detail,
                    warnings=warnings,
                    user_agent="Okta SCIM Client 1.0.0",
                )
            )


def add_person(session: Any, organization_id: str, first: str, last: str, email: str) -> None:
    user = User(
        id=new_id("user"),
        first_name=first,
        last_name=last,
        email_address=email,
        email_key=fold(email),
        managed_by_organization_id=organization_id,
    )
    session.add(user)
    session.add(
        OrganizationMembership(
            id=new_id("orgmem"),
            organization_id=organization_id,
            user_id=user.id,
            role=get_role(session, "org:member"),
            role_source="mapping",
        )
    )
    session.flush()
    session.add(
        DirectoryUser(
            organization_id=organization_id,
            user_id=user.id,
            user_name=email,
            user_name_key=fold(email),
            active=True,
            document="{}",
            document_key={},
        )
    )


def organization_of(app: Flask, plaintext: str) -> str | None:
    """Return the organization that a SCIM token opens now."""
    with app.app_context(), db.reading() as session:
        holder = find_token_holder(session, plaintext)
        return holder.organization_id if holder is not None and holder.is_usable(now_ms()) else None


@pytest.mark.usefixtures("lived_in")
def test_every_page_fits_is_accessible_and_breaks_no_policy(
    open_window: Callable[..., Window], sign_in_url: Callable[[], str], base_url: str
) -> None:
    window = open_window()
    page, link = window.page, sign_in_url()
    for address in (f"{base_url}/sign-in", f"{base_url}/nothing", link):
        page.goto(address)
        window.inspect()
    page.get_by_role("button", name="Sign in to Acme").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Members")
    window.inspect()
    for path in ("/organization/members?q=nobody", "/organization/directory-sync", "/organization/nothing"):
        page.goto(base_url + path)
        window.inspect()
    page.goto(f"{base_url}/organization/directory-sync/tokens/new")
    window.inspect()
    page.get_by_role("button", name="Issue token").click()
    expect(page.get_by_role("alert")).to_be_focused()
    window.inspect()
    page.goto(f"{base_url}/organization/directory-sync")
    page.get_by_role("link", name="Revoke Used").click()
    window.inspect()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in link does not work any more")
    window.inspect()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_token_is_issued_shown_once_and_revoked(
    app: Flask,
    acme: Any,
    open_window: Callable[..., Window],
    sign_in_url: Callable[[], str],
    width: int,
    javascript: bool,
) -> None:
    window = open_window(width=width, java_script_enabled=javascript)
    page = window.page
    page.goto(sign_in_url())
    page.get_by_role("button", name="Sign in to Acme").click()
    page.get_by_role("link", name="Directory sync").first.click()
    page.get_by_role("link", name="Issue new token").click()
    page.get_by_label("Label").fill("Okta — Production")
    page.get_by_role("button", name="Issue token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Token issued")
    plaintext = page.locator("#token").inner_text()
    assert organization_of(app, plaintext) == acme.organization_id
    expect(page.get_by_role("button", name="Copy the token")).to_have_count(1 if javascript else 0)
    page.get_by_role("link", name="I have copied the token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Directory sync")
    assert plaintext not in page.content()
    page.get_by_role("link", name="Revoke Okta — Production").click()
    assert organization_of(app, plaintext) == acme.organization_id, "asked first"
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_role("status").first).to_contain_text("The token “Okta — Production” is revoked.")
    assert organization_of(app, plaintext) is None
    assert window.complaints == []


def test_a_reload_of_the_page_with_the_token_issues_no_other(
    app: Flask, open_window: Callable[..., Window], sign_in_url: Callable[[], str], base_url: str
) -> None:
    page = signed_in_page(open_window(), sign_in_url)
    page.goto(f"{base_url}/organization/directory-sync/tokens/new")
    page.get_by_label("Label").fill("Okta")
    page.get_by_role("button", name="Issue token").click()
    plaintext = page.locator("#token").inner_text()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("This token was issued before")
    assert plaintext not in page.content()
    with app.app_context(), db.reading() as session:
        assert session.query(ScimToken).filter_by(name="Okta").count() == 1


def test_a_double_click_still_shows_the_token(
    app: Flask, open_window: Callable[..., Window], sign_in_url: Callable[[], str], base_url: str
) -> None:
    page = signed_in_page(open_window(), sign_in_url)
    page.goto(f"{base_url}/organization/directory-sync/tokens/new")
    page.get_by_label("Label").fill("Okta")
    page.get_by_role("button", name="Issue token").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Token issued")


def test_the_copy_button_copies(
    open_window: Callable[..., Window], sign_in_url: Callable[[], str], base_url: str
) -> None:
    window = open_window(permissions=["clipboard-read", "clipboard-write"])
    page = signed_in_page(window, sign_in_url)
    page.goto(f"{base_url}/organization/directory-sync")
    button = page.get_by_role("button", name="Copy the base URL")
    button.click()
    expect(page.get_by_role("button", name="Copied the base URL")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "http://localhost/scim/v2/"
    expect(button).to_be_visible()
    assert window.complaints == []


def test_everything_can_be_done_with_the_keyboard(
    app: Flask, acme: Any, open_window: Callable[..., Window], sign_in_url: Callable[[], str], base_url: str
) -> None:
    window = open_window()
    page = window.page
    page.goto(sign_in_url())
    window.tab_to("Sign in to Acme")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Members")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto(f"{base_url}/organization/directory-sync")
    window.tab_to("Issue new token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Issue new token")
    window.tab_to("label")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Token issued")
    assert organization_of(app, page.locator("#token").inner_text()) == acme.organization_id


def signed_in_page(window: Window, sign_in_url: Callable[[], str]) -> Page:
    window.page.goto(sign_in_url())
    window.page.get_by_role("button", name="Sign in to Acme").click()
    expect(window.page.get_by_role("heading", level=1)).to_have_text("Members")
    return window.page
