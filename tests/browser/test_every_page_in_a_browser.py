"""Every page of the route table in a real browser: it fits, is accessible, and breaks no policy.

The list of pages is the route table itself, so a page that is added tomorrow is inspected too.
"""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from clock import now_ms
from database import db
from organizations.scim_tokens import issue_scim_token
from tests import okta
from tests.blueprints.profile.route_samples import Route, address, make_samples, page_routes
from tests.browser.conftest import Site
from tests.browser.windows import Window

pytestmark = pytest.mark.slow

LONG = "Wolfeschlegelsteinhausenbergerdorff"
PEOPLE = [
    ("Ada", "Lovelace"),
    (f"Hubert Blaine {LONG * 2}", "Sr."),
    ("محمد", "العربي"),
    ("さくら", "山田"),
    ("<b>", "T."),
]
HEADERS = {"User-Agent": "Okta SCIM Client 1.0.0 " + "x" * 120}
# Each of these is the same page with other words, and one of them is enough.
STEPS = ("base-url", "token", "connect", "mapping", "test-person", "done")


@pytest.fixture(scope="module")
def samples(site: Site) -> dict[str, str]:
    """An organization as after some weeks of use, and something for each parameter of an address to name."""
    site.app.config["SCIM_ENDPOINT_URL"] = f"https://{'very-long-name.' * 6}example/scim/v2/"
    samples = make_samples(site.app, site.tenant)
    with site.app.app_context(), db.unit_of_work() as session:
        for label, ends in (("Okta " + "with a long label " * 9, now_ms() + 86_400_000), ("T" * 190, None)):
            issue_scim_token(session, site.tenant.organization_id, label, expires_at=ends)
    fill(site.tenant)
    return samples


def fill(tenant: Any) -> None:
    """Let people and groups of every kind arrive, some of them refused."""
    tenant.scim("GET", "/Users?startIndex=1&count=2", headers=HEADERS)
    ids = []
    for number, (given, family) in enumerate(PEOPLE):
        name = {"givenName": given, "familyName": family}
        body = okta.user(f"{'long' * 15 * number}person{number}", name=name, displayName=f"{given} {family}")
        ids.append(tenant.scim("POST", "/Users", body, headers=HEADERS).json["id"])
    tenant.scim("POST", "/Groups", okta.group(f"مهندسون {LONG * 4}", *ids), headers=HEADERS)
    tenant.scim("PATCH", f"/Users/{ids[0]}", okta.set_active(False), headers=HEADERS)
    tenant.scim("POST", "/Users", okta.user("person0"), headers=HEADERS)
    tenant.scim("POST", "/Users", okta.user("nobody", name={}), headers=HEADERS)
    tenant.scim("PATCH", "/Users/user_none", okta.set_active(True), headers=HEADERS)


def addresses(site: Site, samples: dict[str, str]) -> list[str]:
    """Return an address of every page that can be read, and of every step of the wizard."""
    routes = [route for route in page_routes(site.app) if route.method == "GET"]
    found = [path for route in routes for path in of_route(site, route, samples)]
    return list(dict.fromkeys(found))


def of_route(site: Site, route: Route, samples: dict[str, str]) -> list[str]:
    if "step" in route.parameters:
        return [address(site.app, route, {**samples, "step": step}) for step in STEPS]
    return [address(site.app, route, samples)]


def test_every_page_fits_is_accessible_and_breaks_no_policy(
    site: Site, samples: dict[str, str], open_window: Callable[..., Window]
) -> None:
    window = open_window()
    page = window.page
    page.goto(site.sign_in_link())
    page.get_by_role("button", name="Sign in").click()
    paths = addresses(site, samples)
    faults, inspected = [], 0
    for path in [*paths, f"/{secrets.token_hex(4)}"]:
        answer = window.context.request.get(site.url + path)
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue  # an export
        page.goto(site.url + path)
        try:
            window.inspect()
        except AssertionError as fault:
            faults.append(str(fault)[:1500])
        window.complaints.clear()
        inspected += 1
    assert faults == [], "\n\n".join(faults)
    assert inspected > 15


def test_a_fault_is_found(site: Site, open_window: Callable[..., Window]) -> None:
    window = open_window()
    window.page.goto(f"{site.url}/sign-in")
    window.page.evaluate("document.querySelector('h1').outerHTML = '<h1 id=wide></h1><img src=x>'")
    window.page.evaluate("document.getElementById('wide').style.width = '2000px'")
    with pytest.raises(AssertionError) as found:
        window.inspect()
    assert "pixels too wide at 360" in str(found.value) and "image-alt" in str(found.value)
