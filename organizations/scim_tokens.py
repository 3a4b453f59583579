"""SCIM tokens: issued once, looked up by hash, replaced with an overlap, revoked for ever."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import Conflict, DomainError, InvalidInput, NotFound
from ids import new_id
from models import DirectorySwitch, EnterpriseConnection, ScimToken
from organizations.credentials import hash_secret, new_secret
from organizations.representations import scim_token_object
from organizations.validation import end_problems, name_problems, problem
from prepared import Prepared
from webhooks.events import record_event, record_events

DAY_MS = 24 * 3600 * 1000
# How long before its end a token is announced to expire, by an event and in the pages.
EXPIRY_NOTICE_MS = 14 * DAY_MS
LONGEST_OVERLAP_SECONDS = 30 * 24 * 3600
# How many ends one transaction announces.
ANNOUNCED_AT_ONCE = 100
# ``last_used_at`` is a hint for people; writing it on each request would double the cost of a read.
LAST_USED_RESOLUTION_MS = 60_000

# Every SCIM request asks this. Its columns are the fields of a holder.
HOLDER = Prepared(
    select(
        ScimToken.id,
        ScimToken.prefix,
        ScimToken.organization_id,
        ScimToken.enterprise_connection_id,
        ScimToken.expires_at,
        ScimToken.revoked_at,
        ScimToken.last_used_at,
        DirectorySwitch.disabled_at.label("directory_disabled_at"),
    )
    .outerjoin(DirectorySwitch, DirectorySwitch.organization_id == ScimToken.organization_id)
    .where(ScimToken.token_hash == bindparam("hash"))
)


class TokenHolder(NamedTuple):
    """Whom a SCIM request comes from: all that may be known of its token once the session is closed."""

    token_id: str
    prefix: str
    organization_id: str
    enterprise_connection_id: str | None
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    directory_disabled_at: int | None

    def is_usable(self, now: int) -> bool:
        """Tell whether the token is neither revoked nor expired."""
        return self.revoked_at is None and not self.is_expired(now)

    def is_expired(self, now: int) -> bool:
        """Tell whether the token's time is over."""
        return self.expires_at is not None and self.expires_at <= now


def issue_scim_token(
    session: Session,
    organization_id: str,
    name: str,
    *,
    enterprise_connection_id: str | None = None,
    expires_at: int | None = None,
) -> tuple[ScimToken, str]:
    """Make a token for an organization's IdP, and return it with its plaintext.

    :raises InvalidInput: When the name is empty or too long, the expiry is
        past, or the enterprise connection is not the organization's.
    """
    _check_new_token(session, organization_id, name, enterprise_connection_id, expires_at)
    secret = new_secret("scim")
    token = ScimToken(
        id=new_id("scimt"),
        organization_id=organization_id,
        enterprise_connection_id=enterprise_connection_id,
        name=name.strip(),
        prefix=secret.prefix,
        token_hash=secret.hash,
        created_at=now_ms(),
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    record_event(session, "scimToken.issued", organization_id, {"scim_token": scim_token_object(token)})
    return token, secret.plaintext


def token_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of a token."""
    return name_problems("name", name, "The token needs a name.", example="“Okta — Production”")


def _check_new_token(
    session: Session, organization_id: str, name: str, connection_id: str | None, expires_at: int | None
) -> None:
    problems = token_name_problems(name) + end_problems(expires_at)
    if connection_id is not None and not _has_connection(session, organization_id, connection_id):
        message = "No such enterprise connection in this organization."
        problems.append(problem("enterprise_connection_id", message, code="enterprise_connection_not_found"))
    if problems:
        raise InvalidInput(problems)


def _has_connection(session: Session, organization_id: str, connection_id: str) -> bool:
    query = select(EnterpriseConnection.id).where(
        EnterpriseConnection.organization_id == organization_id, EnterpriseConnection.id == connection_id
    )
    return session.scalar(query) is not None


def list_scim_tokens(
    session: Session, organization_id: str, *, limit: int | None = None, after: str | None = None
) -> Sequence[ScimToken]:
    """Return the tokens of an organization, revoked ones too, newest first."""
    query = select(ScimToken).where(ScimToken.organization_id == organization_id).order_by(ScimToken.id.desc())
    if after is not None:
        query = query.where(ScimToken.id < after)
    return session.scalars(query.limit(limit)).all()


def get_scim_token(session: Session, organization_id: str, token_id: str) -> ScimToken:
    """Return a token of an organization.

    :raises NotFound: When the organization has no such token.
    """
    query = select(ScimToken).where(ScimToken.organization_id == organization_id, ScimToken.id == token_id)
    token = session.scalar(query)
    if token is None:
        raise NotFound("No such SCIM token in this organization.", code="scim_token_not_found")
    return token


def revoke_scim_token(session: Session, organization_id: str, token_id: str) -> ScimToken:
    """End a token at once. Revoking it again changes nothing.

    :raises NotFound: When the organization has no such token.
    """
    token = _held_token(session, organization_id, token_id)
    if token.revoked_at is None:
        token.revoked_at = now_ms()
        session.flush()
        record_event(session, "scimToken.revoked", organization_id, {"scim_token": scim_token_object(token)})
    return token


def rotate_scim_token(
    session: Session, organization_id: str, token_id: str, *, overlap_seconds: int, expires_at: int | None
) -> tuple[ScimToken, str]:
    """Issue a token in the place of another one, which expires after the overlap; return it with its plaintext.

    The new one has the name and the enterprise connection of the old one. The
    old one never lives longer than before; without an overlap it is revoked.

    :raises NotFound: When the organization has no such token.
    :raises InvalidInput: When the overlap is longer than 30 days, or the new end is past.
    :raises Conflict: ``scim_token_ended`` or ``scim_token_replaced``, when there is nothing to replace any more.
    """
    problems = end_problems(expires_at)
    if not 0 <= overlap_seconds <= LONGEST_OVERLAP_SECONDS:
        message = f"overlap_seconds must be from 0 to {LONGEST_OVERLAP_SECONDS} (30 days)."
        problems.append(problem("overlap_seconds", message))
    if problems:
        raise InvalidInput(problems)
    old = _held_token(session, organization_id, token_id)
    _require_replaceable(old)
    new, plaintext = issue_scim_token(
        session,
        organization_id,
        old.name,
        enterprise_connection_id=old.enterprise_connection_id,
        expires_at=expires_at,
    )
    old.replaced_by_id = new.id
    end = now_ms() + overlap_seconds * 1000
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    session.flush()
    if not overlap_seconds:
        revoke_scim_token(session, organization_id, token_id)
    return new, plaintext


def lifetime_from_now(token: ScimToken) -> int | None:
    """Return when a token that lives as long as this one was meant to would end, if it began now."""
    return None if token.expires_at is None else now_ms() + token.expires_at - token.created_at


def _held_token(session: Session, organization_id: str, token_id: str) -> ScimToken:
    """Return a token as it is now, held until the end of the transaction."""
    token = get_scim_token(session, organization_id, token_id)
    session.refresh(token, with_for_update={"key_share": True})
    return token


def _require_replaceable(token: ScimToken) -> None:
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now_ms()):
        raise Conflict(
            "The token is revoked or has expired.",
            long_message="Nothing can overlap with it. Issue a new token.",
            code="scim_token_ended",
        )
    if token.replaced_by_id is not None:
        raise Conflict(
            "The token was replaced already.",
            long_message="Rotate the token that replaced it, or issue a new one.",
            code="scim_token_replaced",
            meta={"replaced_by_id": token.replaced_by_id},
        )


def find_expiring_tokens(session: Session, organization_id: str, now: int) -> Sequence[ScimToken]:
    """Return the usable tokens that expire within 14 days and were not replaced, the first to end first."""
    query = select(ScimToken).where(ScimToken.organization_id == organization_id, *_expiring(now))
    return session.scalars(query.order_by(ScimToken.expires_at, ScimToken.id)).all()


def has_untold_ends(session: Session, now: int) -> bool:
    """Tell whether ``tell_of_ends`` has anything to do."""
    query = select(ScimToken.id).where(*_expiring(now), ScimToken.expiring_told_at.is_(None)).limit(1)
    return session.scalar(query) is not None


def tell_of_ends(session: Session, now: int) -> int:
    """Record ``scimToken.expiring`` for some tokens that expire within 14 days, once for each; return for how many.

    Of two that do this at once, one holds the rows, and the other finds them told of.
    """
    untold = select(ScimToken.id).where(*_expiring(now), ScimToken.expiring_told_at.is_(None))
    ids = session.scalars(untold.order_by(ScimToken.id).limit(ANNOUNCED_AT_ONCE)).all()
    taken = (
        update(ScimToken)
        .where(ScimToken.id.in_(ids), *_expiring(now), ScimToken.expiring_told_at.is_(None))
        .values(expiring_told_at=now)
        .returning(ScimToken)
    )
    tokens = session.scalars(taken, execution_options={"synchronize_session": False, "populate_existing": True}).all()
    # Counters of events are locked in one order by all who need several.
    for token in sorted(tokens, key=lambda token: (token.organization_id, token.expires_at, token.id)):
        data = {"scim_token": scim_token_object(token)}
        record_events(session, token.organization_id, [("scimToken.expiring", data)])
    return len(tokens)


def _expiring(now: int) -> tuple[ColumnElement[bool], ...]:
    return (
        ScimToken.revoked_at.is_(None),
        ScimToken.replaced_by_id.is_(None),
        ScimToken.expires_at > now,
        ScimToken.expires_at <= now + EXPIRY_NOTICE_MS,
    )


def find_token_holder(session: Session, plaintext: str) -> TokenHolder | None:
    """Return whom a presented token belongs to, revoked and expired ones too, or None when nobody ever had it."""
    row = HOLDER.row(session, {"hash": hash_secret(plaintext)})
    return None if row is None else TokenHolder._make(row)


def needs_last_used(holder: TokenHolder, now: int) -> bool:
    """Tell whether ``last_used_at`` is old enough to be written again."""
    return holder.last_used_at is None or now - holder.last_used_at >= LAST_USED_RESOLUTION_MS


def note_last_used(session: Session, holder: TokenHolder, now: int) -> None:
    """Write the moment a token was last used."""
    session.execute(update(ScimToken).where(ScimToken.id == holder.token_id).values(last_used_at=now))
