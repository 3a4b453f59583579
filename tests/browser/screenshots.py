"""``make screenshots``: pictures of the main pages, for the README and the docs.

A server of its own, an invented organization, Okta as the simulator plays it,
and the way through the wizard by clicks. What is invented is the same each time,
and written in letters that the fonts of a bare machine have.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from simulator.okta import OktaClient
from simulator.own_server import OwnServer
from simulator.people import Person
from tests.browser.windows import new_window, running_browser

# The server's own address is another one each time.
PUBLIC_URL = "https://scim.example.com"
SAY_PUBLIC_URL = """([mine, example]) => document.querySelectorAll("code, #base-url").forEach((element) => {
  element.textContent = element.textContent.replace(mine, example);
})"""
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PEOPLE = [
    Person("00u1", "nadia.petrov@acme.example", "Nadia", "Petrov", "en-US"),
    Person("00u2", "li.wei@acme.example", "Li", "Wei", "en-US"),
    Person("00u3", "eleni.ioannou@acme.example", "Ελένη", "Ιωάννου", "el-GR"),
    Person("00u4", "amina.alarabi@acme.example", "أمينة", "العربي", "ar-EG"),
    Person("00u5", "jose.garcia@acme.example", "José", "García", "es-ES"),
    Person("00u6", "siobhan.oneill@acme.example", "Siobhan", "O’Neill", "en-IE"),
]
SETUP = "/organization/directory-sync/setup/okta"


def main() -> None:
    """Take all pictures anew."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with OwnServer() as server, running_browser() as browser:
        made = server.bootstrap("Acme")
        window = new_window(browser, width=1120)
        page = window.page
        page.goto(str(made["sign_in_url"]))
        page.get_by_role("button", name="Sign in").click()
        walk(page, server.url)
        page.emulate_media(color_scheme="dark")
        picture(page, f"{server.url}{SETUP}/test-person", "wizard-test-person-dark")
        page.set_viewport_size({"width": 390, "height": 780})
        page.emulate_media(color_scheme="light")
        picture(page, f"{server.url}/organization/directory-sync", "directory-sync-narrow", full=False)


def walk(page: Page, url: str) -> None:
    """Set Okta up by clicks, let it push people, and take a picture of each page worth one."""
    picture(page, f"{url}/organization/directory-sync/setup", "wizard-choose")
    page.get_by_role("button", name="Okta Changes arrive").click()
    page.get_by_role("button", name="I have pasted the base URL").click()
    page.get_by_role("button", name="Issue new token").click()
    okta = OktaClient(f"{url}/scim/v2/", page.locator("#token").inner_text())
    page.get_by_role("link", name="I have copied the token").click()
    okta.test_connection()
    expect(page.locator("#live")).to_contain_text("Okta tested the credentials")
    picture(page, f"{url}{SETUP}/connect", "wizard-connection", full=False)
    page.goto(f"{url}{SETUP}/mapping")
    page.get_by_role("button", name="The attributes are right").click()
    ids = {okta.assign(person).user["id"]: person.user_name for person in PEOPLE}
    first = next(iter(ids))
    okta.deactivate(first)
    okta.assign(PEOPLE[0])
    okta.push_group("Platform Team", dict(list(ids.items())[:4]))
    okta.expect_duplicate_refused(PEOPLE[1])
    okta.update_user(first, {"title": "Engineer"})
    picture(page, f"{url}/organization/directory-sync", "directory-sync")
    picture(page, f"{url}/organization/members", "members")


def picture(page: Page, address: str, name: str, **how: Any) -> None:
    """Take a picture of a page, as high as the page is, or of what the window shows."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.evaluate(SAY_PUBLIC_URL, ["/".join(address.split("/")[:3]), PUBLIC_URL])
    page.screenshot(path=IMAGES / f"{name}.png", full_page=how.get("full", True), animations="disabled")


if __name__ == "__main__":
    main()
