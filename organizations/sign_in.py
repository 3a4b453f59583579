"""Signing in: one-time links, and the sessions they open. Sessions live on the server, so they can be ended at once."""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import NotAuthenticated
from ids import new_id
from models import Organization, OrganizationMembership, Role, SignInLink, User
from models import Session as BrowserSession
from organizations.credentials import hash_secret, new_secret
from organizations.members import get_membership

LINK_LIFETIME_MS = 24 * 3600 * 1000
SESSION_LIFETIME_MS = 12 * 3600 * 1000


@dataclass(frozen=True)
class SignedIn:
    """Who is using the pages: a member of one organization, with what the role permits."""

    session_id: str
    user_id: str
    email_address: str | None
    first_name: str | None
    last_name: str | None
    organization_id: str
    organization_name: str
    role: str
    permissions: frozenset[str]
    signed_in_at: int


def make_sign_in_link(session: Session, organization_id: str, user_id: str) -> tuple[SignInLink, str]:
    """Make a link that signs an active member in once, and return it with its plaintext token.

    :raises NotFound: When the user is no active member of the organization.
    """
    get_membership(session, organization_id, user_id)
    secret = new_secret("signin")
    now = now_ms()
    link = SignInLink(
        id=new_id("sil"),
        organization_id=organization_id,
        user_id=user_id,
        token_hash=secret.hash,
        created_at=now,
        expires_at=now + LINK_LIFETIME_MS,
    )
    session.add(link)
    session.flush()
    return link, secret.plaintext


def find_sign_in_link(session: Session, token: str) -> SignInLink | None:
    """Return the link of a token while it can still be used, or None."""
    query = select(SignInLink).where(
        SignInLink.token_hash == hash_secret(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now_ms()
    )
    return session.scalar(query)


def sign_in(session: Session, token: str) -> str:
    """Use a link up, open a session for its member, and return the session's plaintext token.

    :raises NotAuthenticated: When the link is unknown, used or expired, or its
        person is no longer a member.
    """
    now = now_ms()
    used = session.execute(
        update(SignInLink)
        .where(SignInLink.token_hash == hash_secret(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
        .returning(SignInLink.organization_id, SignInLink.user_id)
    ).one_or_none()
    if used is None or not _is_member(session, used.organization_id, used.user_id):
        raise NotAuthenticated(
            "This sign-in link was used before, or its time is over.",
            long_message="Ask whoever sent it for a new one. A link works once, for 24 hours.",
        )
    secret = new_secret("session")
    session.add(
        BrowserSession(
            id=new_id("sess"),
            organization_id=used.organization_id,
            user_id=used.user_id,
            token_hash=secret.hash,
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_LIFETIME_MS,
        )
    )
    session.flush()
    return secret.plaintext


def _is_member(session: Session, organization_id: str, user_id: str) -> bool:
    query = select(func.count()).where(
        OrganizationMembership.organization_id == organization_id,
        OrganizationMembership.user_id == user_id,
        OrganizationMembership.deleted_at.is_(None),
    )
    return bool(session.scalar(query))


def find_signed_in(session: Session, token: str) -> SignedIn | None:
    """Return who holds a session token, while the session runs and the person is a member; else None."""
    row = session.execute(
        select(BrowserSession, User, Organization, Role)
        .join(User, User.id == BrowserSession.user_id)
        .join(Organization, Organization.id == BrowserSession.organization_id)
        .join(
            OrganizationMembership,
            (OrganizationMembership.organization_id == BrowserSession.organization_id)
            & (OrganizationMembership.user_id == BrowserSession.user_id)
            & OrganizationMembership.deleted_at.is_(None),
        )
        .join(Role, Role.id == OrganizationMembership.role_id)
        .where(
            BrowserSession.token_hash == hash_secret(token),
            BrowserSession.ended_at.is_(None),
            BrowserSession.expires_at > now_ms(),
            Organization.deleted_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    browser_session, user, organization, role = row
    return SignedIn(
        session_id=browser_session.id,
        user_id=user.id,
        email_address=user.email_address,
        first_name=user.first_name,
        last_name=user.last_name,
        organization_id=organization.id,
        organization_name=organization.name,
        role=role.key,
        permissions=frozenset(role.permissions),
        signed_in_at=browser_session.created_at,
    )


def sign_out(session: Session, session_id: str) -> None:
    """End one session."""
    session.execute(update(BrowserSession).where(BrowserSession.id == session_id).values(ended_at=now_ms()))


def end_sessions(session: Session, organization_id: str, user_id: str) -> None:
    """End every session of a person in an organization, and every sign-in link not used yet."""
    now = now_ms()
    session.execute(
        update(BrowserSession)
        .where(
            BrowserSession.organization_id == organization_id,
            BrowserSession.user_id == user_id,
            BrowserSession.ended_at.is_(None),
        )
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(SignInLink)
        .where(
            SignInLink.organization_id == organization_id,
            SignInLink.user_id == user_id,
            SignInLink.used_at.is_(None),
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
