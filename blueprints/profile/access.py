"""Who is signed in, and what a page needs of them.

One guard stands before every view of the blueprint. What a view needs is
declared beside it, by ``needs`` or ``open_to_all``; one that declares nothing
is closed to everybody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import current_app, flash, g, redirect, request, session, url_for
from werkzeug.wrappers import Response

from database import db
from errors import NotAllowed, NotFound
from organizations.sign_in import SignedIn, find_signed_in

View = TypeVar("View", bound=Callable[..., Any])

SESSION_TOKEN = "session_token"  # noqa: S105  (the name of a value in the cookie)
RETURN_TO = "return_to"
QUERY_LENGTH = 500  # a cookie holds 4 KiB


@dataclass(frozen=True)
class Rule:
    """Whom a view serves: anybody, or members whose role has one of the permissions, or all where none is named."""

    signed_out: bool = False
    any_of: frozenset[str] = frozenset()

    def allows(self, permissions: frozenset[str]) -> bool:
        """Tell whether a member with these permissions may see the view."""
        return not self.any_of or bool(self.any_of & permissions)


@dataclass(frozen=True)
class Section:
    """An entry of the navigation."""

    label: str
    endpoint: str
    icon: str


SECTIONS = (
    Section("Members", "profile.members.show_members", "people"),
    Section("Directory sync", "profile.directory_sync.show_overview", "sync"),
)

_rules: dict[Callable[..., Any], Rule] = {}


def open_to_all(view: View) -> View:
    """Declare that a view serves signed-out visitors too."""
    _rules[view] = Rule(signed_out=True)
    return view


def needs(*any_of: str) -> Callable[[View], View]:
    """Declare that a view serves members whose role has one of the permissions; every member when none is named."""

    def declare(view: View) -> View:
        _rules[view] = Rule(any_of=frozenset(any_of))
        return view

    return declare


def rule_of(endpoint: str) -> Rule | None:
    """Return what the view of an endpoint declared, or None when it declared nothing."""
    view = current_app.view_functions.get(endpoint)
    return None if view is None else _rules.get(view)


def guard() -> Response | None:
    """Let a request reach its view, or lead a signed-out visitor to sign in.

    :raises NotAllowed: When the visitor's role does not open the view, or the view declared nothing.
    :raises NotFound: When the address names something that no id can be.
    """
    g.signed_in = None
    rule = rule_of(request.endpoint or "")
    token = session.get(SESSION_TOKEN)
    if token:
        with db.reading() as database_session:
            g.signed_in = find_signed_in(database_session, token)
    if rule is not None and rule.signed_out:
        return None
    if g.signed_in is None:
        return lead_to_sign_in()
    if any("\0" in str(value) for value in (request.view_args or {}).values()):
        raise NotFound("There is nothing at this address.")
    if rule is None or not rule.allows(g.signed_in.permissions):
        raise NotAllowed(
            "Your role does not open this page.",
            long_message=f"Your role is {g.signed_in.role}. Ask an admin for another one.",
        )
    return None


def lead_to_sign_in() -> Response:
    """Send a signed-out visitor to the sign-in page, and remember where to go afterwards."""
    if session.pop(SESSION_TOKEN, None):
        flash("Your session is over. Sign in again to go on.")
    if request.method == "GET" and request.endpoint:
        # Built from our own routes, so it cannot point anywhere else.
        address = url_for(request.endpoint, **(request.view_args or {}))
        query = request.query_string.decode("ascii", "replace")[:QUERY_LENGTH]
        session[RETURN_TO] = f"{address}?{query}" if query else address
    return redirect(url_for("profile.sign_in.explain"), 303)


def signed_in() -> SignedIn:
    """Return who is using the page. Only for views behind the guard, where somebody always is."""
    member: SignedIn = g.signed_in
    return member


def may(permission: str) -> bool:
    """Tell whether whoever is signed in has a permission."""
    member: SignedIn | None = g.get("signed_in")
    return member is not None and permission in member.permissions


def open_sections() -> list[Section]:
    """Return the sections that whoever is signed in may open."""
    member: SignedIn | None = g.get("signed_in")
    if member is None:
        return []
    rules = [(section, rule_of(section.endpoint)) for section in SECTIONS]
    return [section for section, rule in rules if rule is not None and rule.allows(member.permissions)]


def for_templates() -> dict[str, Any]:
    """Return what every template may use; it needs no database, so error pages can be rendered at any time."""
    return {"signed_in": g.get("signed_in"), "sections": open_sections(), "may": may}
