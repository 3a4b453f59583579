"""Who is signed in, and what a page needs of them.

One guard stands before every view of the blueprint. What a view needs is
declared beside it, by ``needs`` or ``open_to_all``; one that declares nothing
is closed to everybody.

Somebody who opened a setup link is no member: ``signed_in().user_id`` is None
and ``kind`` is ``setup_link``. The guard lets them into the modules of
``SETUP_LINK_SECTIONS`` and nowhere else, whatever the permissions say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import current_app, flash, g, redirect, request, session, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from blueprints.errors import trace_id
from clock import now_ms
from database import db
from errors import NotAllowed, NotFound
from organizations.audit import Actor
from organizations.sessions import MEMBER, SessionLimits, SignedIn, find_signed_in, note_seen

View = TypeVar("View", bound=Callable[..., Any])

SESSION_TOKEN = "session_token"  # noqa: S105  (the name of a value in the cookie)
RETURN_TO = "return_to"
QUERY_LENGTH = 500  # a cookie holds 4 KiB
SEEN_RESOLUTION_MS = 60_000
# The modules of this blueprint that a setup link opens.
SETUP_LINK_SECTIONS = frozenset({"sign_in", "proof", "directory_sync", "wizard", "attribute_mapping", "activity"})


@dataclass(frozen=True)
class Rule:
    """Whom a view serves: anybody, or members whose role has one of the permissions, or all where none is named.

    ``fresh`` asks for a proof of who it is that is not older than a setting says.
    """

    signed_out: bool = False
    any_of: frozenset[str] = frozenset()
    fresh: bool = False

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
    Section("Groups", "profile.groups.show_groups", "groups"),
    Section("Activity", "profile.activity.show_activity", "activity"),
    Section("Webhooks", "profile.webhooks.show_webhooks", "webhook"),
)

_rules: dict[Callable[..., Any], Rule] = {}


def open_to_all(view: View) -> View:
    """Declare that a view serves signed-out visitors too."""
    _rules[view] = Rule(signed_out=True)
    return view


def needs(*any_of: str, fresh: bool = False) -> Callable[[View], View]:
    """Declare that a view serves members whose role has one of the permissions; every member when none is named.

    With ``fresh``, whoever proved long ago who they are is asked to do it again, and led back to the view. It is for
    what shows a secret or opens a way in.
    """

    def declare(view: View) -> View:
        _rules[view] = Rule(any_of=frozenset(any_of), fresh=fresh)
        return view

    return declare


def rule_of(endpoint: str) -> Rule | None:
    """Return what the view of an endpoint declared, or None when it declared nothing."""
    view = current_app.view_functions.get(endpoint)
    return None if view is None else _rules.get(view)


def opens(endpoint: str) -> bool:
    """Tell whether whoever is signed in may open the view of an endpoint."""
    who: SignedIn | None = g.get("signed_in")
    rule = rule_of(endpoint)
    if rule is None or (who is None and not rule.signed_out):
        return False
    return who is None or rule.signed_out or (rule.allows(who.permissions) and _within_reach(who, endpoint))


def _within_reach(who: SignedIn, endpoint: str) -> bool:
    return who.kind == MEMBER or endpoint.split(".")[1] in SETUP_LINK_SECTIONS


def guard() -> Response | None:
    """Let a request reach its view, or lead a visitor to sign in, or to prove again who they are.

    :raises NotAllowed: When the visitor's role does not open the view, or the view declared nothing.
    :raises NotFound: When the address names something that no id can be.
    """
    g.signed_in = _find_visitor()
    endpoint = request.endpoint or ""
    rule = rule_of(endpoint)
    if rule is not None and rule.signed_out:
        return None
    if g.signed_in is None:
        return lead_to_sign_in()
    if any("\0" in str(value) for value in (request.view_args or {}).values()):
        raise NotFound("There is nothing at this address.")
    if rule is None or not opens(endpoint):
        raise _not_opened(g.signed_in)
    return lead_to_proof() if rule.fresh and not is_fresh(g.signed_in) else None


def _find_visitor() -> SignedIn | None:
    """Return who is signed in, and keep ``last_seen_at`` true to the minute."""
    token = session.get(SESSION_TOKEN)
    if not token:
        return None
    with db.reading() as database_session:
        visitor = find_signed_in(database_session, token, limits=session_limits())
    if visitor is not None and now_ms() - visitor.last_seen_at >= SEEN_RESOLUTION_MS:
        with db.unit_of_work() as database_session:
            note_seen(database_session, visitor.session_id)
    return visitor


def _not_opened(who: SignedIn) -> NotAllowed:
    if who.kind == MEMBER:
        return NotAllowed(
            "Your role does not open this page.",
            long_message=f"Your role is {who.role}. Ask an admin for another one.",
        )
    return NotAllowed(
        "Your setup link does not open this page.",
        long_message="A setup link opens Directory sync and nothing else. Members who sign in see the rest.",
    )


def lead_to_sign_in() -> Response:
    """Send a signed-out visitor to the sign-in page, and remember where to go afterwards."""
    if session.pop(SESSION_TOKEN, None):
        flash("Your session is over. Sign in again to go on.")
    if request.method == "GET" and request.endpoint:
        remember_address()
    return redirect(url_for("profile.sign_in.explain"), 303)


def lead_to_proof() -> Response:
    """Send whoever proved long ago who they are to the page that asks again, and remember where to go afterwards."""
    remember_address()
    return redirect(url_for("profile.proof.ask"), 303)


def remember_address() -> None:
    """Remember the page of this address, to come back to it; for a form, the page that shows it, if there is one.

    The address is built from our own routes, so it cannot point anywhere else.
    """
    endpoint, values = request.endpoint, dict(request.view_args or {})
    if request.method not in ("GET", "HEAD"):
        adapter = current_app.create_url_adapter(request)
        try:
            endpoint, matched = adapter.match(method="GET") if adapter is not None else (None, {})
        except HTTPException:
            endpoint, matched = None, {}
        values = dict(matched)
    if endpoint is None:
        session.pop(RETURN_TO, None)
        return
    address = url_for(endpoint, **values)
    query = request.query_string.decode("ascii", "replace")[:QUERY_LENGTH]
    session[RETURN_TO] = f"{address}?{query}" if query else address


def address_to_return_to(kind: str) -> str:
    """Return where whoever signs in now wanted to go, if that is open to this kind of visitor; else the start page."""
    address = session.get(RETURN_TO)
    if address and (kind == MEMBER or _section_at(address.partition("?")[0]) in SETUP_LINK_SECTIONS):
        return str(address)
    return url_for("profile.sign_in.start")


def _section_at(path: str) -> str:
    adapter = current_app.create_url_adapter(request)
    try:
        endpoint = adapter.match(path, method="GET")[0] if adapter is not None else ""
    except HTTPException:
        return ""
    return str(endpoint).split(".")[1] if endpoint.count(".") > 1 else ""


def session_limits() -> SessionLimits:
    """Return how long sessions last in this installation."""
    limits: SessionLimits = current_app.extensions["session_limits"]
    return limits


def is_fresh(who: SignedIn) -> bool:
    """Tell whether somebody proved lately who they are."""
    return now_ms() - who.proven_at < session_limits().fresh_ms


def signed_in() -> SignedIn:
    """Return who is using the page. Only for views behind the guard, where somebody always is."""
    visitor: SignedIn = g.signed_in
    return visitor


def acting_visitor() -> Actor:
    """Return who an act on a page is written down under in the audit log: a member, or a setup link."""
    return actor(signed_in())


def actor(who: SignedIn) -> Actor:
    """Return under whom the audit log keeps what a visitor does."""
    kind: Literal["member", "setup_link"] = "member" if who.kind == MEMBER else "setup_link"
    return Actor(kind, who.user_id or who.setup_link_id, who.email_address or who.name, trace_id())


def may(permission: str) -> bool:
    """Tell whether whoever is signed in has a permission."""
    member: SignedIn | None = g.get("signed_in")
    return member is not None and permission in member.permissions


def open_sections() -> list[Section]:
    """Return the sections that whoever is signed in may open."""
    if g.get("signed_in") is None:
        return []
    return [section for section in SECTIONS if opens(section.endpoint)]


def current_section() -> Section | None:
    """Return the section that the page of this request is in: of all that its address begins with, the longest."""
    addresses = {url_for(section.endpoint): section for section in SECTIONS}
    around = [address for address in addresses if f"{request.path}/".startswith(f"{address}/")]
    return addresses[max(around, key=len)] if around else None


def for_templates() -> dict[str, Any]:
    """Return what every template may use; it needs no database, so error pages can be rendered at any time."""
    return {
        "signed_in": g.get("signed_in"),
        "sections": open_sections(),
        "current_section": current_section,
        "may": may,
        "opens": opens,
    }
