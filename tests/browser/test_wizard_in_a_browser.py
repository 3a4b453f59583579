"""The whole way from nothing to a person who came, went and came back: by clicks, while a simulated Okta calls."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from simulator.exchange import Misbehaviour
from simulator.okta import OktaClient
from simulator.people import Person
from tests.browser.conftest import Site
from tests.browser.windows import Window

pytestmark = pytest.mark.slow

NADIA = Person("00u1", "nadia.petrov@acme.example", "Nadia", "Petrov", "en-US")
NAMELESS = Person("00u2", "no.name@acme.example", "", "Nameless", "en-US")
SETUP = "/organization/directory-sync/setup"


def okta_with(site: Site, token: str) -> OktaClient:
    """Okta, with what its admin pasted into it."""
    return OktaClient(f"{site.url}/scim/v2/", token)


def sign_in(window: Window, site: Site, tenant: Any) -> Page:
    window.page.goto(f"{site.url}/sign-in/{tenant.sign_in_token}")
    window.page.get_by_role("button", name="Sign in").click()
    return window.page


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def set_up_to_the_test(page: Page) -> str:
    """Click from Directory sync to the step that tests the connection, and return the token."""
    page.get_by_role("link", name="Directory sync").first.click()
    page.get_by_role("link", name="Start the setup").click()
    page.get_by_role("button", name="Okta Changes arrive").click()
    heading(page, "Tell Okta where to call")
    expect(page.locator("#base-url")).to_have_text("http://localhost/scim/v2/")
    expect(page.get_by_text("Configure API Integration").first).to_be_visible()
    page.get_by_role("button", name="I have pasted the base URL").click()
    heading(page, "Issue a token")
    page.get_by_role("button", name="Issue new token").click()
    heading(page, "Copy the token now")
    token = page.locator("#token").inner_text()
    page.get_by_role("link", name="I have copied the token").click()
    heading(page, "Test the connection")
    return token


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_whole_walkthrough(site: Site, open_window: Callable[..., Window], javascript: bool) -> None:
    tenant = site.new_organization(f"Walk {javascript}")
    window = open_window(java_script_enabled=javascript)
    page = sign_in(window, site, tenant)
    site_token = set_up_to_the_test(page)
    okta = okta_with(site, site_token)
    panel = page.locator("#live")

    def see() -> None:
        """With JavaScript the panel keeps itself up to date; without, there is a link."""
        if not javascript:
            page.get_by_role("link", name="Look again").click()

    expect(panel).to_contain_text("Waiting for the first call.")
    okta.test_connection()
    see()
    expect(panel).to_contain_text("Okta tested the credentials")
    expect(panel).to_contain_text("Okta SCIM Client 1.0.0")
    expect(page.get_by_role("link", name="Connection (done)")).to_be_visible()
    expect(page.get_by_role("link", name="Next: Attributes")).to_have_class(re.compile("button--primary"))
    page.get_by_role("link", name="Next: Attributes").click()
    heading(page, "Check what is taken from where")
    page.get_by_role("button", name="The attributes are right").click()
    heading(page, "Try it with one person")
    user_id = okta.assign(NADIA).user["id"]
    see()
    expect(panel.locator(".check--done")).to_have_count(1)
    expect(panel).to_contain_text("nadia.petrov@acme.example is a member now")
    okta.deactivate(user_id)
    see()
    expect(panel.locator(".check--done")).to_have_count(2)
    okta.assign(NADIA)
    see()
    expect(panel.locator(".check--done")).to_have_count(3)
    page.get_by_role("button", name="Finish", exact=True).click()
    heading(page, "Okta is connected")
    page.get_by_role("link", name="Members").first.click()
    expect(page.get_by_text("Nadia Petrov")).to_be_visible()
    okta.deactivate(user_id)
    page.reload()
    expect(page.get_by_text("Nadia Petrov")).to_have_count(0)
    assert window.complaints == []


def test_what_goes_wrong_is_said_while_it_goes_wrong(site: Site, open_window: Callable[..., Window]) -> None:
    tenant = site.new_organization("Wrong")
    window = open_window()
    page = sign_in(window, site, tenant)
    token = set_up_to_the_test(page)
    panel = page.locator("#live")
    page.get_by_text("Nothing appears?").click()  # whoever reads on in the panel sees the news all the same
    okta_with(site, token[:30]).expect_credentials_refused()
    expect(panel).to_contain_text("401: The token was not copied whole")
    expect(panel).to_contain_text(token[:13])
    with pytest.raises(Misbehaviour):
        OktaClient(f"{site.url}/scim/v2/Users", token).test_connection()
    expect(panel).to_contain_text("404: The base URL is one step too long")
    okta = okta_with(site, token)
    okta.test_connection()
    expect(panel).to_contain_text("Okta tested the credentials")
    expect(page.locator("[data-live-say]")).to_have_text("Okta is connected.")
    user_id = okta.assign(NAMELESS).user["id"]
    page.goto(f"{site.url}{SETUP}/okta/test-person")
    expect(panel).to_contain_text("arrived without a first name.")
    expect(panel).to_contain_text("profile editor")
    okta.push_group("Platform Admins", {user_id: NAMELESS.user_name})
    page.goto(f"{site.url}{SETUP}/okta/connect")
    expect(page.get_by_text("The mapping reads no groups yet: “Platform Admins”.")).to_be_visible()
    page.goto(f"{site.url}/organization/directory-sync")
    for name in ("First token", "Okta — Production"):
        page.get_by_role("link", name=f"Revoke {name}").click()
        page.get_by_role("button", name="Revoke token").click()
    okta.expect_credentials_refused()
    page.goto(f"{site.url}{SETUP}/okta/connect")
    expect(panel).to_contain_text("401: The token was revoked")
    expect(panel).to_contain_text("was revoked today at")
    assert window.complaints == []


def test_the_wizard_can_be_done_with_the_keyboard(site: Site, open_window: Callable[..., Window]) -> None:
    tenant = site.new_organization("Keys")
    window = open_window()
    page = sign_in(window, site, tenant)
    page.goto(f"{site.url}{SETUP}")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "okta":
            break
    page.keyboard.press("Enter")
    heading(page, "Tell Okta where to call")
    window.tab_to("I have pasted the base URL")
    page.keyboard.press("Enter")
    heading(page, "Issue a token")
    window.tab_to("Issue new token")
    page.keyboard.press("Enter")
    heading(page, "Copy the token now")
    okta = okta_with(site, page.locator("#token").inner_text())
    window.tab_to("I have copied the token")
    page.keyboard.press("Enter")
    okta.test_connection()
    expect(page.locator("#live")).to_contain_text("Okta tested the credentials")
    window.tab_to("Next: Attributes")
    page.keyboard.press("Enter")
    heading(page, "Check what is taken from where")
    assert window.complaints == []


def test_a_panel_that_nobody_looks_at_asks_nothing(site: Site, open_window: Callable[..., Window]) -> None:
    tenant = site.new_organization("Hidden")
    page = sign_in(open_window(), site, tenant)
    page.clock.install()
    page.goto(f"{site.url}{SETUP}/okta/connect")
    asked: list[str] = []
    with page.expect_response("**/okta/connect"):
        page.clock.run_for(2_500)
    hide = "hidden => Object.defineProperty(document, 'hidden', {value: hidden, configurable: true})"
    page.evaluate(hide, True)
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(30_000)
    assert asked == []
    page.evaluate(hide, False)
    with page.expect_response("**/okta/connect"):
        page.clock.run_for(2_500)
