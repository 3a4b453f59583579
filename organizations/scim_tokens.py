"""SCIM tokens: issued once, looked up by hash, revoked for ever."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotFound
from ids import new_id
from models import EnterpriseConnection, ScimToken
from organizations.credentials import hash_secret, new_secret
from organizations.representations import scim_token_object
from webhooks.events import record_event

NAME_LENGTH = 200
# ``last_used_at`` is a hint for people; writing it on each request would double the cost of a read.
LAST_USED_RESOLUTION_MS = 60_000

# Every SCIM request asks this, so it is built once. Its columns are the fields of a holder.
HOLDER = select(
    ScimToken.id,
    ScimToken.prefix,
    ScimToken.organization_id,
    ScimToken.enterprise_connection_id,
    ScimToken.expires_at,
    ScimToken.revoked_at,
    ScimToken.last_used_at,
).where(ScimToken.token_hash == bindparam("hash"))


@dataclass(frozen=True)
class TokenHolder:
    """Whom a SCIM request comes from: all that may be known of its token once the session is closed."""

    token_id: str
    prefix: str
    organization_id: str
    enterprise_connection_id: str | None
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

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


def _check_new_token(
    session: Session, organization_id: str, name: str, connection_id: str | None, expires_at: int | None
) -> None:
    problems = []
    if not name.strip() or len(name) > NAME_LENGTH:
        problems.append(
            DomainError(
                "The token needs a name.",
                long_message=f"Give it a name of 1 to {NAME_LENGTH} characters, such as “Okta — Production”.",
                code="invalid_value",
                meta={"param": "name"},
            )
        )
    if expires_at is not None and expires_at <= now_ms():
        problems.append(
            DomainError(
                "expires_at is in the past.",
                long_message="Give a future moment in Unix milliseconds, or leave it out.",
                code="invalid_value",
                meta={"param": "expires_at"},
            )
        )
    if connection_id is not None and not _has_connection(session, organization_id, connection_id):
        problems.append(
            DomainError(
                "No such enterprise connection in this organization.",
                code="enterprise_connection_not_found",
                meta={"param": "enterprise_connection_id"},
            )
        )
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
    token = get_scim_token(session, organization_id, token_id)
    if token.revoked_at is None:
        token.revoked_at = now_ms()
        session.flush()
        record_event(session, "scimToken.revoked", organization_id, {"scim_token": scim_token_object(token)})
    return token


def find_token_holder(session: Session, plaintext: str) -> TokenHolder | None:
    """Return whom a presented token belongs to, revoked and expired ones too, or None when nobody ever had it."""
    row = session.connection().execute(HOLDER, {"hash": hash_secret(plaintext)}).one_or_none()
    return None if row is None else TokenHolder(*row)


def needs_last_used(holder: TokenHolder, now: int) -> bool:
    """Tell whether ``last_used_at`` is old enough to be written again."""
    return holder.last_used_at is None or now - holder.last_used_at >= LAST_USED_RESOLUTION_MS


def note_last_used(session: Session, holder: TokenHolder, now: int) -> None:
    """Write the moment a token was last used."""
    session.execute(update(ScimToken).where(ScimToken.id == holder.token_id).values(last_used_at=now))
