"""One-time links that sign a member in."""

from collections.abc import Sequence

from sqlalchemy import bindparam, exists, or_, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import NotAuthenticated, NotFound
from ids import new_id
from models import Organization, OrganizationMembership, SignInLink
from models import Session as BrowserSession
from organizations.credentials import hash_secret, new_secret
from organizations.members import get_membership
from organizations.sessions import (
    DEFAULT_LIMITS,
    NOT_ENDED,
    Proof,
    SessionLimits,
    end_sessions_of_member,
    open_session,
)
from prepared import Prepared

LINK_LIFETIME_MS = 24 * 3600 * 1000
SIGN_IN_LINK = "sign_in_link"

NOT_USED = (
    SignInLink.organization_id == bindparam("organization"),
    SignInLink.user_id == bindparam("person"),
    SignInLink.used_at.is_(None),
    SignInLink.revoked_at.is_(None),
)
REVOKED_LINKS = Prepared(update(SignInLink).where(*NOT_USED).values(revoked_at=bindparam("now")))
# Whether ``end_sessions`` would find anything, to be asked by a statement of the same transaction before it.
HAS_SESSIONS = or_(exists().where(*NOT_ENDED), exists().where(*NOT_USED))


def make_sign_in_link(
    session: Session, organization_id: str, user_id: str, *, organization_bound: bool = False
) -> tuple[SignInLink, str]:
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
        organization_bound=organization_bound,
        created_at=now,
        expires_at=now + LINK_LIFETIME_MS,
    )
    session.add(link)
    session.flush()
    return link, secret.plaintext


def list_sign_in_links(
    session: Session, organization_id: str, *, limit: int, after: str | None = None
) -> Sequence[SignInLink]:
    """Return one page of an organization's sign-in links, used and revoked ones too, newest first."""
    query = select(SignInLink).where(SignInLink.organization_id == organization_id).order_by(SignInLink.id.desc())
    if after is not None:
        query = query.where(SignInLink.id < after)
    return session.scalars(query.limit(limit)).all()


def get_sign_in_link(session: Session, organization_id: str, link_id: str) -> SignInLink:
    """Return a sign-in link of an organization.

    :raises NotFound: When the organization has no such link.
    """
    query = select(SignInLink).where(SignInLink.organization_id == organization_id, SignInLink.id == link_id)
    link = session.scalar(query)
    if link is None:
        raise NotFound("No such sign-in link in this organization.", code="sign_in_link_not_found")
    return link


def revoke_sign_in_link(session: Session, organization_id: str, link_id: str) -> SignInLink:
    """Make a link useless that was not used yet. The session of a used one runs on.

    :raises NotFound: When the organization has no such link.
    """
    link = get_sign_in_link(session, organization_id, link_id)
    if link.used_at is None and link.revoked_at is None:
        link.revoked_at = now_ms()
        session.flush()
    return link


def find_sign_in_link(session: Session, token: str) -> SignInLink | None:
    """Return the link of a token while it can still be used, or None."""
    query = (
        select(SignInLink)
        .join(Organization, Organization.id == SignInLink.organization_id)
        .where(
            SignInLink.token_hash == hash_secret(token),
            SignInLink.used_at.is_(None),
            SignInLink.revoked_at.is_(None),
            SignInLink.expires_at > now_ms(),
            Organization.deleted_at.is_(None),
        )
    )
    return session.scalar(query)


def sign_in(
    session: Session, token: str, *, limits: SessionLimits = DEFAULT_LIMITS, user_agent: str | None = None
) -> str:
    """Use a link up, open a session for its member, and return the session's plaintext token.

    :raises NotAuthenticated: When the link is unknown, used, revoked or expired,
        or its person is no longer a member.
    """
    now = now_ms()
    used = session.execute(
        update(SignInLink)
        .where(
            SignInLink.token_hash == hash_secret(token),
            SignInLink.used_at.is_(None),
            SignInLink.revoked_at.is_(None),
            SignInLink.expires_at > now,
        )
        .values(used_at=now)
        .returning(SignInLink.organization_id, SignInLink.user_id, SignInLink.organization_bound)
    ).one_or_none()
    if used is None or not _is_member(session, used.organization_id, used.user_id):
        raise NotAuthenticated(
            "This sign-in link was used before, or its time is over.",
            long_message="Ask whoever sent it for a new one. A link works once, for 24 hours.",
        )
    proof = Proof(SIGN_IN_LINK, used.organization_id, used.user_id, organization_bound=used.organization_bound)
    return open_session(session, proof, limits=limits, user_agent=user_agent)


def _is_member(session: Session, organization_id: str, user_id: str) -> bool:
    query = (
        select(OrganizationMembership.id)
        .join(Organization, Organization.id == OrganizationMembership.organization_id)
        .where(
            OrganizationMembership.organization_id == organization_id,
            OrganizationMembership.user_id == user_id,
            OrganizationMembership.deleted_at.is_(None),
            Organization.deleted_at.is_(None),
        )
    )
    return session.scalar(query) is not None


def end_sessions(session: Session, organization_id: str, user_id: str) -> None:
    """End every session of a person in an organization, and every sign-in link not used yet."""
    named = {"organization": organization_id, "person": user_id, "now": now_ms()}
    end_sessions_of_member(session, organization_id, user_id)
    REVOKED_LINKS.run(session, named)


def end_sessions_of_all(session: Session, organization_id: str, user_ids: Sequence[str]) -> None:
    """End every session of many people in an organization, and every sign-in link not used yet."""
    now = now_ms()
    sessions = update(BrowserSession).where(BrowserSession.ended_at.is_(None)).values(ended_at=now)
    links = update(SignInLink).where(SignInLink.used_at.is_(None), SignInLink.revoked_at.is_(None))
    for ended, table in ((sessions, BrowserSession), (links.values(revoked_at=now), SignInLink)):
        theirs = (table.organization_id == organization_id, table.user_id.in_(user_ids))
        session.execute(ended.where(*theirs), execution_options={"synchronize_session": False})
