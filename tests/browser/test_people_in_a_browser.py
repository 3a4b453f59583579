"""Changing a role with the keyboard alone, in a real browser, with and without JavaScript."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect, sync_playwright
from werkzeug.serving import make_server

from database import db
from organizations.members import get_membership
from organizations.sign_in import make_sign_in_link
from tests.directory.applying import add

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "PUBLIC_URL": "http://localhost"}  # a browser keeps Secure cookies from plain HTTP


@pytest.fixture
def open_page(app: Flask) -> Iterator[Callable[..., Page]]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        base_url = f"http://localhost:{server.server_port}"
        yield lambda **options: browser.new_context(base_url=base_url, **options).new_page()
        browser.close()
    server.shutdown()
    thread.join()


def tab_to(page: Page, words: str) -> None:
    """Press Tab until the control of this text, or the radio button of this value, has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        said = page.evaluate("[document.activeElement.innerText, document.activeElement.value].join('|')")
        if words in said.split("|"):
            return
    raise AssertionError(f"{words!r} cannot be reached by keyboard")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_role_is_changed_with_the_keyboard(
    app: Flask, acme: Any, open_page: Callable[..., Page], javascript: bool
) -> None:
    user_id = add(acme, "ada.lovelace")
    with app.app_context(), db.unit_of_work() as session:
        _, token = make_sign_in_link(session, acme.organization_id, acme.admin_id)
    page = open_page(java_script_enabled=javascript)
    page.goto(f"/sign-in/{token}")
    page.get_by_role("button", name="Sign in to Acme").press("Enter")
    page.goto("/organization/members?q=ada")
    page.get_by_role("link", name="Ada Lovelace").press("Enter")
    page.get_by_role("link", name="Change role").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Change the role of Ada Lovelace")
    tab_to(page, "org:member")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="Admin")).to_be_checked()
    tab_to(page, "Change role")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("The role is Admin now.")
    expect(page).to_have_url(re.compile(f"/organization/members/{user_id}$"))
    with app.app_context(), db.reading() as session:
        membership = get_membership(session, acme.organization_id, user_id)
        assert (membership.role.key, membership.role_source) == ("org:admin", "manual")
