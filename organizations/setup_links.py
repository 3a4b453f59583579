"""Setup links: they open Directory sync of one organization to its IT admin, who need not be a member."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotAuthenticated, NotFound
from ids import new_id
from models import Organization, SetupLink
from models import Session as BrowserSession
from organizations.credentials import hash_secret, new_secret
from organizations.sessions import DEFAULT_LIMITS, SETUP_LINK, Proof, SessionLimits, open_session
from organizations.validation import name_problems, problem

NAME_LENGTH = 100
DAY_SECONDS = 24 * 3600
MIN_LIFETIME_SECONDS = 60
DEFAULT_LIFETIME_SECONDS = 7 * DAY_SECONDS
MAX_LIFETIME_SECONDS = 30 * DAY_SECONDS


def make_setup_link(
    session: Session, organization_id: str, name: str, *, lifetime_seconds: int = DEFAULT_LIFETIME_SECONDS
) -> tuple[SetupLink, str]:
    """Make a setup link, and return it with its plaintext token. It works until it ends, in any number of browsers.

    :raises InvalidInput: When the name is empty or too long, or the link would last less than a minute or more than
        30 days.
    """
    _check(name, lifetime_seconds)
    secret = new_secret("setup")
    now = now_ms()
    link = SetupLink(
        id=new_id("stl"),
        organization_id=organization_id,
        name=name.strip(),
        token_hash=secret.hash,
        created_at=now,
        expires_at=now + lifetime_seconds * 1000,
    )
    session.add(link)
    session.flush()
    return link, secret.plaintext


def link_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of a setup link: it says who will open it."""
    return name_problems("name", name, "The setup link needs a name.", example="“Kim from IT”", longest=NAME_LENGTH)


def _check(name: str, lifetime_seconds: int) -> None:
    problems = link_name_problems(name)
    if not MIN_LIFETIME_SECONDS <= lifetime_seconds <= MAX_LIFETIME_SECONDS:
        advice = f"Give from {MIN_LIFETIME_SECONDS} to {MAX_LIFETIME_SECONDS} seconds."
        problems.append(problem("expires_in_seconds", "A setup link lasts from one minute to 30 days.", advice))
    if problems:
        raise InvalidInput(problems)


def list_setup_links(
    session: Session, organization_id: str, *, limit: int, after: str | None = None
) -> Sequence[SetupLink]:
    """Return one page of an organization's setup links, ended ones too, newest first."""
    query = select(SetupLink).where(SetupLink.organization_id == organization_id).order_by(SetupLink.id.desc())
    if after is not None:
        query = query.where(SetupLink.id < after)
    return session.scalars(query.limit(limit)).all()


def get_setup_link(session: Session, organization_id: str, link_id: str) -> SetupLink:
    """Return a setup link of an organization.

    :raises NotFound: When the organization has no such link.
    """
    query = select(SetupLink).where(SetupLink.organization_id == organization_id, SetupLink.id == link_id)
    link = session.scalar(query)
    if link is None:
        raise NotFound("No such setup link in this organization.", code="setup_link_not_found")
    return link


def revoke_setup_link(session: Session, organization_id: str, link_id: str) -> SetupLink:
    """End a link and the sessions that it opened, at once. Revoking it again changes nothing.

    :raises NotFound: When the organization has no such link.
    """
    link = get_setup_link(session, organization_id, link_id)
    if link.revoked_at is None:
        link.revoked_at = now_ms()
        session.flush()
        session.execute(
            update(BrowserSession)
            .where(
                BrowserSession.organization_id == organization_id,
                BrowserSession.setup_link_id == link_id,
                BrowserSession.ended_at.is_(None),
            )
            .values(ended_at=link.revoked_at)
            .execution_options(synchronize_session=False)
        )
    return link


def find_setup_link(session: Session, token: str) -> SetupLink | None:
    """Return the link of a token while it can be opened, or None."""
    query = (
        select(SetupLink)
        .join(Organization, Organization.id == SetupLink.organization_id)
        .where(
            SetupLink.token_hash == hash_secret(token),
            SetupLink.revoked_at.is_(None),
            SetupLink.expires_at > now_ms(),
            Organization.deleted_at.is_(None),
        )
    )
    return session.scalar(query)


def open_setup_link(
    session: Session, token: str, *, limits: SessionLimits = DEFAULT_LIMITS, user_agent: str | None = None
) -> str:
    """Open a session for whoever holds a link, and return the session's plaintext token.

    :raises NotAuthenticated: When the link is unknown, revoked or expired.
    """
    link = find_setup_link(session, token)
    if link is None:
        raise NotAuthenticated("This setup link does not work any more.", long_message="Ask for a new one.")
    link.last_used_at = now_ms()
    proof = Proof(SETUP_LINK, link.organization_id, setup_link_id=link.id, until=link.expires_at)
    return open_session(session, proof, limits=limits, user_agent=user_agent)
