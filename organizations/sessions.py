"""Sessions of the pages: who is using them, in which organization, and since when. They live on the server.

What a session may do is read at each request: it is over the moment its person is no member any more, its setup
link is revoked, or its organization is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from ids import new_id
from models import Organization, OrganizationMembership, Role, SetupLink, User
from models import Session as BrowserSession
from organizations.credentials import hash_secret, new_secret
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ
from prepared import Prepared

MEMBER = "member"
SETUP_LINK = "setup_link"
# A setup link lets an IT admin connect the IdP, whatever roles the environment has.
SETUP_PERMISSIONS = frozenset({PROVISIONING_READ, PROVISIONING_MANAGE})

MINUTE_MS = 60_000
USER_AGENT_LENGTH = 300

NOT_ENDED = (
    BrowserSession.organization_id == bindparam("organization"),
    BrowserSession.user_id == bindparam("person"),
    BrowserSession.ended_at.is_(None),
)
ENDED_SESSIONS = Prepared(update(BrowserSession).where(*NOT_ENDED).values(ended_at=bindparam("now")))


@dataclass(frozen=True)
class SessionLimits:
    """How long sessions last, in milliseconds: in all, unused, and until a proof is asked for again."""

    lifetime_ms: int = 12 * 60 * MINUTE_MS
    idle_ms: int = 2 * 60 * MINUTE_MS
    fresh_ms: int = 30 * MINUTE_MS


DEFAULT_LIMITS = SessionLimits()


@dataclass(frozen=True)
class Proof:
    """What opens a session: of a member (``user_id``) or of a setup link.

    ``until`` is when it ends at the latest, ``at`` when the proof was given, if not now.
    """

    by: str
    organization_id: str
    user_id: str | None = None
    setup_link_id: str | None = None
    organization_bound: bool = False
    until: int | None = None
    at: int | None = None


@dataclass(frozen=True)
class SignedIn:
    """Who is using the pages of one organization, and what they may do.

    ``kind`` is ``member`` or ``setup_link``: somebody who opened a setup link is
    no member, so ``user_id`` is None then, and ``setup_link_id`` else.
    ``permissions`` are those of the role at this moment.
    """

    session_id: str
    kind: str
    user_id: str | None
    setup_link_id: str | None
    name: str
    email_address: str | None
    organization_id: str
    organization_name: str
    role: str | None
    permissions: frozenset[str]
    signed_in_at: int
    last_seen_at: int
    expires_at: int
    proven_at: int
    proven_by: str
    organization_bound: bool


def open_session(
    session: Session, proof: Proof, *, limits: SessionLimits = DEFAULT_LIMITS, user_agent: str | None = None
) -> str:
    """Open a session, and return its plaintext token."""
    now = now_ms()
    secret = new_secret("session")
    session.add(
        BrowserSession(
            id=new_id("sess"),
            organization_id=proof.organization_id,
            user_id=proof.user_id,
            setup_link_id=proof.setup_link_id,
            token_hash=secret.hash,
            proven_by=proof.by,
            proven_at=proof.at or now,
            organization_bound=proof.organization_bound,
            user_agent=(user_agent or "")[:USER_AGENT_LENGTH] or None,
            created_at=now,
            last_seen_at=now,
            expires_at=min(now + limits.lifetime_ms, proof.until or now + limits.lifetime_ms),
        )
    )
    session.flush()
    return secret.plaintext


def running(limits: SessionLimits, now: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a session was not ended, is not over, and was used lately."""
    return (
        BrowserSession.ended_at.is_(None),
        BrowserSession.expires_at > now,
        BrowserSession.last_seen_at > now - limits.idle_ms,
    )


def _with_holder(now: int) -> Select[*tuple[BrowserSession, Organization, User, Role, SetupLink]]:
    """Return the query of sessions with whoever may use them at this moment: a member, or a setup link."""
    return (
        select(BrowserSession, Organization, User, Role, SetupLink)
        .join(Organization, Organization.id == BrowserSession.organization_id)
        .outerjoin(
            OrganizationMembership,
            (OrganizationMembership.organization_id == BrowserSession.organization_id)
            & (OrganizationMembership.user_id == BrowserSession.user_id)
            & OrganizationMembership.deleted_at.is_(None),
        )
        .outerjoin(User, (User.id == OrganizationMembership.user_id) & User.deleted_at.is_(None))
        .outerjoin(Role, Role.id == OrganizationMembership.role_id)
        .outerjoin(
            SetupLink,
            (SetupLink.organization_id == BrowserSession.organization_id)
            & (SetupLink.id == BrowserSession.setup_link_id)
            & SetupLink.revoked_at.is_(None)
            & (SetupLink.expires_at > now),
        )
        .where(Organization.deleted_at.is_(None), or_(User.id.is_not(None), SetupLink.id.is_not(None)))
    )


def find_signed_in(session: Session, token: str, *, limits: SessionLimits = DEFAULT_LIMITS) -> SignedIn | None:
    """Return who holds a session token, while the session runs and its holder may use it; else None."""
    now = now_ms()
    query = _with_holder(now).where(BrowserSession.token_hash == hash_secret(token), *running(limits, now))
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    browser_session, organization, user, role, setup_link = row
    return SignedIn(
        session_id=browser_session.id,
        kind=SETUP_LINK if user is None else MEMBER,
        user_id=browser_session.user_id,
        setup_link_id=browser_session.setup_link_id,
        name=f"Setup link · {setup_link.name}" if user is None else name_of(user),
        email_address=None if user is None else user.email_address,
        organization_id=organization.id,
        organization_name=organization.name,
        role=None if user is None else role.key,
        permissions=SETUP_PERMISSIONS if user is None else frozenset(role.permissions),
        signed_in_at=browser_session.created_at,
        last_seen_at=browser_session.last_seen_at,
        expires_at=browser_session.expires_at,
        proven_at=browser_session.proven_at,
        proven_by=browser_session.proven_by,
        organization_bound=browser_session.organization_bound,
    )


def name_of(user: User) -> str:
    """Return what a person is called: the name, or what comes closest to one."""
    names = " ".join(name for name in (user.first_name, user.last_name) if name)
    return names or user.email_address or user.username or "No name"


def note_seen(session: Session, session_id: str) -> None:
    """Write that a session is in use."""
    session.execute(update(BrowserSession).where(BrowserSession.id == session_id).values(last_seen_at=now_ms()))


def end_session(session: Session, session_id: str) -> None:
    """End one session."""
    _end(session, BrowserSession.id == session_id)


def list_sessions(
    session: Session, who: SignedIn, *, limits: SessionLimits = DEFAULT_LIMITS, limit: int = 50
) -> Sequence[tuple[BrowserSession, str]]:
    """Return the running sessions of the member who is signed in, the latest used first, each with its organization."""
    query = (
        select(BrowserSession, Organization.name)
        .join(Organization, Organization.id == BrowserSession.organization_id)
        .where(*_own(who), *running(limits, now_ms()))
        .order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc())
    )
    return [(row[0], row[1]) for row in session.execute(query.limit(limit))]


def end_other_sessions(session: Session, who: SignedIn) -> None:
    """End every session of the member who is signed in but the present one."""
    _end(session, *_own(who), BrowserSession.id != who.session_id)


def _own(who: SignedIn) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a member's own sessions: a proof that is bound to an organization sees no others."""
    own = (BrowserSession.user_id == who.user_id,)
    return (*own, BrowserSession.organization_id == who.organization_id) if who.organization_bound else own


def end_all_sessions(session: Session, user_id: str) -> None:
    """End every session of a person, in whatever organization."""
    _end(session, BrowserSession.user_id == user_id)


def end_sessions_of_member(session: Session, organization_id: str, user_id: str) -> None:
    """End every session of a person in an organization."""
    named = {"organization": organization_id, "person": user_id, "now": now_ms()}
    ENDED_SESSIONS.run(session, named)


def _end(session: Session, *whose: ColumnElement[bool]) -> None:
    session.execute(
        update(BrowserSession)
        .where(BrowserSession.ended_at.is_(None), *whose)
        .values(ended_at=now_ms())
        .execution_options(synchronize_session=False)
    )
