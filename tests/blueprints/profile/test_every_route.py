"""Every route of the pages for every kind of visitor: what happens follows from what its view declares.

The routes come from the route table, so a route that is added without protection fails here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, select, update

from clock import now_ms
from database import db
from models import Base, Role
from models import Session as BrowserSession
from organizations.roles import ADMIN_PERMISSIONS, MEMBER_PERMISSIONS
from organizations.sessions import SETUP_PERMISSIONS
from organizations.setup_links import make_setup_link, revoke_setup_link
from organizations.sign_in import end_sessions
from tests.blueprints.profile.conftest import BASE_URL
from tests.blueprints.profile.route_samples import Route, address, make_samples, page_routes

SIGN_IN = "/sign-in"
PROOF = "/sign-in/again"
SIGN_OUT = "profile.sign_in.sign_out"
# Written here a second time, so that nobody opens a module to setup links without saying so.
SETUP_LINKS_OPEN = {"sign_in", "proof", "directory_sync", "wizard", "attribute_mapping", "activity"}


@dataclass(frozen=True)
class Guest:
    """A kind of visitor: what they may do, None for somebody who is not signed in."""

    permissions: frozenset[str] | None
    by_setup_link: bool = False
    is_elsewhere: bool = False
    is_stale: bool = False


GUESTS = {
    "signed out": Guest(None),
    "ended session": Guest(None),
    "revoked setup link": Guest(None),
    "admin of another organization": Guest(frozenset(ADMIN_PERMISSIONS), is_elsewhere=True),
    "setup link of another organization": Guest(SETUP_PERMISSIONS, by_setup_link=True, is_elsewhere=True),
    "member without a right": Guest(frozenset()),
    "member who may read": Guest(frozenset(MEMBER_PERMISSIONS)),
    "setup link": Guest(SETUP_PERMISSIONS, by_setup_link=True),
    "admin whose proof is old": Guest(frozenset(ADMIN_PERMISSIONS), is_stale=True),
    "admin": Guest(frozenset(ADMIN_PERMISSIONS)),
}


def expected(route: Route, rule: Any, guest: Guest) -> str:
    """Return what the declaration of a route promises to a guest."""
    if rule.signed_out:
        return "served"
    if guest.permissions is None:
        return "led to sign in"
    section = route.endpoint.split(".")[1]
    if rule.any_of and not rule.any_of & guest.permissions:
        return "refused"
    if guest.by_setup_link and section not in SETUP_LINKS_OPEN:
        return "refused"
    if rule.fresh and guest.is_stale:
        return "asked for a proof"
    return "not found" if guest.is_elsewhere and route.names_an_object else "served"


def happened(response: Any) -> str:
    """Return in the same words what an answer did."""
    if response.status_code == 303 and response.location in (SIGN_IN, PROOF):
        return "led to sign in" if response.location == SIGN_IN else "asked for a proof"
    if response.status_code < 500:
        return {401: "refused", 403: "refused", 404: "not found"}.get(response.status_code, "served")
    return f"broken: {response.status_code}"


def open_setup(app: Flask, visitor: Any, organization_id: str) -> str:
    with app.app_context(), db.unit_of_work() as session:
        link, token = make_setup_link(session, organization_id, "Kim")
    assert visitor.send(visitor.get(f"/setup/{token}")).status_code == 303
    return link.id


@pytest.fixture
def arrive(
    app: Flask, acme: Any, globex: Any, visit: Callable[..., Any], add_member: Callable[..., str]
) -> Callable[[str], Any]:
    """Return the browser of a kind of visitor."""

    def start(kind: str) -> Any:
        guest = GUESTS[kind]
        organization = globex if guest.is_elsewhere else acme
        if kind == "member without a right":
            with app.app_context(), db.unit_of_work() as session:
                session.add(Role(id="role_guest", key="org:guest", name="Guest", permissions=[]))
            return visit(acme.organization_id, add_member(acme.organization_id, "Guest", role="org:guest"))
        if kind == "member who may read":
            return visit(acme.organization_id, add_member(acme.organization_id, "Reader"))
        if kind == "signed out" or "setup link" in kind:
            visitor = visit()
        else:
            visitor = visit(organization.organization_id, organization.admin_id)
        link_id = open_setup(app, visitor, organization.organization_id) if "setup link" in kind else None
        with app.app_context(), db.unit_of_work() as session:
            if guest.is_stale:
                session.execute(update(BrowserSession).values(proven_at=now_ms() - 24 * 3600 * 1000))
            if kind == "ended session":
                end_sessions(session, acme.organization_id, acme.admin_id)
            if kind == "revoked setup link":
                revoke_setup_link(session, acme.organization_id, link_id)
        return visitor

    return start


def rules(app: Flask) -> dict[str, Any]:
    from blueprints.profile.access import rule_of

    with app.app_context():
        return {route.endpoint: rule_of(route.endpoint) for route in page_routes(app)}


def test_every_route_declares_whom_it_serves(app: Flask) -> None:
    declared = rules(app)
    assert len(declared) >= 15
    assert [endpoint for endpoint, rule in declared.items() if rule is None] == []


def test_no_form_is_open_to_whoever_may_only_read(app: Flask) -> None:
    declared = rules(app)
    forms = [route for route in page_routes(app) if route.method != "GET"]
    reading = [str(route) for route in forms if any(":read" in one for one in declared[route.endpoint].any_of)]
    assert forms and reading == []


def test_every_way_to_a_page_is_in_the_one_blueprint(app: Flask) -> None:
    others = {rule.endpoint.split(".")[0] for rule in app.url_map.iter_rules()} - {"profile"}
    assert others == {"scim", "management", "docs", "health", "metrics", "static"}, (
        "each of these has a gate of its own"
    )


@pytest.mark.parametrize("kind", GUESTS)
def test_every_route_does_what_it_declares(app: Flask, acme: Any, arrive: Callable[[str], Any], kind: str) -> None:
    samples = make_samples(app, acme)
    visitor, declared = arrive(kind), rules(app)
    app.config["WTF_CSRF_ENABLED"] = False  # so that every form reaches its view
    wrong = []
    for route in page_routes(app):
        before = stored(app, acme.organization_id) if GUESTS[kind].is_elsewhere else None
        response = visitor.client.open(address(app, route, samples), method=route.method, base_url=BASE_URL)
        promised, did = expected(route, declared[route.endpoint], GUESTS[kind]), happened(response)
        if route.endpoint == SIGN_OUT and promised == "served":
            promised = "led to sign in"
        gone = promised == "served" and did == "not found" and route.method != "GET"  # by what was sent before
        if did != promised and not gone:
            wrong.append(f"{route}: {did}, not {promised}")
        if before is not None:
            if stored(app, acme.organization_id) != before and not declared[route.endpoint].signed_out:
                wrong.append(f"{route}: it changed something of another organization")
            if any(value in response.text for value in told(samples, route)):
                wrong.append(f"{route}: it tells of another organization")
    assert not wrong, "\n".join(wrong)


def told(samples: dict[str, str], route: Route) -> list[str]:
    """Return what only the organization of the samples may be told; what the address names may come back in it."""
    return [value for name, value in samples.items() if name not in route.parameters] + ["ada@acme.example"]


def stored(app: Flask, organization_id: str) -> list[Any]:
    """Return every row that belongs to an organization, but for who is signed in."""
    rows: list[Any] = []
    with app.app_context(), db.reading() as session:
        for mapper in Base.registry.mappers:
            table = mapper.local_table
            if "organization_id" in table.c and table.name != "sessions":
                rows += session.execute(
                    select(table)
                    .where(table.c.organization_id == organization_id)
                    .order_by(*inspect(table).primary_key)
                )
    return rows


def test_every_form_is_refused_without_its_token(app: Flask, acme: Any, acme_admin: Any) -> None:
    samples = make_samples(app, acme)
    before = stored(app, acme.organization_id)
    forms = [route for route in page_routes(app) if route.method != "GET"]
    assert len(forms) >= 6
    for route in forms:
        answer = acme_admin.client.open(address(app, route, samples), method=route.method, base_url=BASE_URL)
        assert answer.status_code == 400 and "This form is no longer valid" in answer.text, str(route)
    assert stored(app, acme.organization_id) == before


def test_every_page_answers_its_head_and_refuses_other_methods(app: Flask, acme: Any, acme_admin: Any) -> None:
    samples = make_samples(app, acme)
    for route in page_routes(app):
        if route.method == "GET":
            path = address(app, route, samples)
            assert acme_admin.client.head(path, base_url=BASE_URL).status_code < 500, str(route)
            assert acme_admin.client.delete(path, base_url=BASE_URL).status_code in (400, 405), str(route)
