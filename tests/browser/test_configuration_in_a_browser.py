"""The attribute mapping and the webhooks by clicks, in a real browser, with a real receiver."""

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from jobs import apply_mapping_of, drain
from tests import okta
from tests.browser.conftest import Site
from tests.browser.windows import Window
from tests.webhooks.receiving import Receiver, handler_for, status

pytestmark = pytest.mark.slow

DEPARTMENT = f"{okta.ENTERPRISE}:department"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(receiver))
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


def signed_in(site: Site, window: Window) -> Page:
    window.page.goto(site.sign_in_link())
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("link", name="Directory sync").first).to_be_visible()
    return window.page


def work(site: Site, job: Callable[[str], Any], of: str) -> None:
    """Do in this thread what a worker would do."""
    with site.app.app_context():
        job(of)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_mapping_is_written_mended_previewed_saved_and_watched(
    site: Site, open_window: Callable[..., Window], javascript: bool
) -> None:
    site.tenant = site.new_organization("Acme")
    name = f"nadia.{'scripted' if javascript else 'plain'}"  # one person of each name in the environment
    person = okta.user(name, **{okta.ENTERPRISE: {"department": "Finance"}})
    assert site.tenant.scim("POST", "/Users", person).status_code == 201
    window = open_window(java_script_enabled=javascript)
    page = signed_in(site, window)
    page.get_by_role("link", name="Directory sync").first.click()
    page.get_by_role("link", name="Open the mapping").click()
    page.get_by_role("link", name="Add a row").click()
    page.get_by_label("SCIM path").fill("department")
    page.get_by_label("Goes to").fill("metadata.department")
    page.get_by_label("Changed on the way").fill("value | upper")
    page.get_by_role("button", name="Put it into the draft").click()
    if javascript:
        expect(page.get_by_role("alert")).to_be_focused()
    expect(page.locator("#path-error")).to_contain_text(f"Did you mean '{DEPARTMENT}'?")
    page.get_by_label("SCIM path").fill(DEPARTMENT)
    page.get_by_role("button", name="Put it into the draft").click()
    expect(page.locator("#path-error")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("Did you mean 'public_metadata.department'?")
    page.get_by_label("Goes to").fill("public_metadata.department")
    page.get_by_label("Changed on the way").fill("value | upcase")
    page.get_by_role("button", name="Put it into the draft").click()
    expect(page.get_by_role("row", name=DEPARTMENT)).to_contain_text("FINANCE")
    page.get_by_role("link", name="Preview who would change").click()
    expect(page.get_by_role("heading", name="1 person would change")).to_be_visible()
    page.get_by_text("1 person gets another profile").click()
    expect(page.get_by_text('{"department": "FINANCE"}')).to_be_visible()
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_text("Waiting for a worker.", exact=True).first).to_be_visible()
    work(site, apply_mapping_of, site.tenant.organization_id)
    if not javascript:
        page.get_by_role("link", name="Check again").click()
    expect(page.get_by_text("Everybody follows the mapping.").first).to_be_visible()
    expect(page.get_by_text("1 of 1 person looked at, 1 changed").first).to_be_visible()
    assert window.complaints == []


def test_an_endpoint_is_tried_fails_and_gets_its_event_again(
    site: Site, open_window: Callable[..., Window], receiver: Receiver
) -> None:
    site.tenant = site.new_organization("Acme")
    receiver.answers = [status(503, body=b"closed for lunch")]
    window = open_window()
    page = signed_in(site, window)
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_role("link", name="Add an endpoint").click()
    page.get_by_label("URL").fill("http://10.1.2.3/hook")
    page.get_by_role("button", name="Add the endpoint").click()
    expect(page.locator("#url-error")).to_contain_text("not public")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_role("button", name="Add the endpoint").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    window.inspect()
    page.get_by_role("link", name="I have copied the secret").click()
    endpoint_id = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("heading", name="No attempt yet")).to_be_visible()
    work(site, drain, endpoint_id)
    expect(page.get_by_text("Failed", exact=True)).to_be_visible()  # the panel keeps itself up to date
    page.reload()
    page.get_by_text("What was answered").click()
    expect(page.get_by_text("closed for lunch")).to_be_visible()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_role("status").first).to_contain_text("The event is sent again, under the same id.")
    work(site, drain, endpoint_id)
    expect(page.get_by_text("Delivered", exact=True)).to_be_visible()
    assert [request.id for request in receiver.received] == [receiver.received[0].id] * 2
    page.get_by_role("link", name="127.0.0.1").click()
    page.get_by_role("link", name="Send events again").click()
    page.get_by_role("button", name="Send them again").click()
    expect(page.get_by_role("status").first).to_be_visible()
    assert window.complaints == []
