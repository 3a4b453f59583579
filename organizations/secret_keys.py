"""Secret keys: what the product's backend authenticates with on ``/v1``. Shown once, looked up by hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotAllowed, NotFound
from ids import new_id
from models import SecretKey
from organizations.credentials import hash_secret, new_secret
from organizations.validation import end_problems, name_problems

Scope = Literal["read", "write"]

# ``last_used_at`` is a hint for people, and not worth a write for each request.
LAST_USED_RESOLUTION_MS = 60_000

# Every request asks this, so it is built once. Its columns are the fields of a holder.
HOLDER = select(
    SecretKey.id,
    SecretKey.name,
    SecretKey.prefix,
    SecretKey.scope,
    SecretKey.organization_id,
    SecretKey.expires_at,
    SecretKey.last_used_at,
    SecretKey.revoked_at,
).where(SecretKey.key_hash == bindparam("hash"))


@dataclass(frozen=True)
class KeyHolder:
    """Whom a management request comes from. ``organization_id`` is null for a key of the whole environment."""

    key_id: str
    name: str
    prefix: str
    scope: str
    organization_id: str | None
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None

    def is_usable(self, now: int) -> bool:
        """Tell whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def may(self, scope: Scope) -> bool:
        """Tell whether the key opens calls that need a scope; who may write may read."""
        return scope in ("read", self.scope)

    def may_reach(self, organization_id: str) -> bool:
        """Tell whether the key opens an organization."""
        return self.organization_id is None or self.organization_id == organization_id

    def needs_last_used(self, now: int) -> bool:
        """Tell whether ``last_used_at`` is old enough to be written again."""
        return self.last_used_at is None or now - self.last_used_at >= LAST_USED_RESOLUTION_MS


def make_secret_key(
    session: Session,
    name: str,
    *,
    organization_id: str | None = None,
    scope: Scope = "write",
    expires_at: int | None = None,
    maker: KeyHolder | None = None,
) -> tuple[SecretKey, str]:
    """Make a secret key, and return it with its plaintext.

    :param organization_id: What it opens; None for the whole environment.
    :param maker: The key with which it is made, if it is made with one.
    :raises InvalidInput: When the name is empty or too long, or the expiry is past.
    :raises NotAllowed: When it could do more than its maker, or for longer.
    """
    problems = key_name_problems(name) + end_problems(expires_at)
    if problems:
        raise InvalidInput(problems)
    if maker is not None:
        _check_no_stronger(maker, organization_id, scope, expires_at)
    secret = new_secret("sk")
    key = SecretKey(
        id=new_id("sk"),
        organization_id=organization_id,
        name=name.strip(),
        scope=scope,
        prefix=secret.prefix,
        key_hash=secret.hash,
        created_at=now_ms(),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, secret.plaintext


def key_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of a secret key."""
    return name_problems("name", name, "The secret key needs a name.", example="“Backend — Production”")


def _check_no_stronger(maker: KeyHolder, organization_id: str | None, scope: Scope, expires_at: int | None) -> None:
    reaches = maker.organization_id is None or maker.organization_id == organization_id
    lasts = maker.expires_at is None or (expires_at is not None and expires_at <= maker.expires_at)
    if not (reaches and lasts and maker.may(scope)):
        raise NotAllowed(
            "A secret key cannot make one that may do more than itself, or for longer.",
            long_message="Give the new key the organization, a scope and an expiry that this key has, or less; "
            "or make it with a stronger key, or with: flask --app app secret-key create",
            code="secret_key_scope",
        )


def _keys_of(organization_id: str | None) -> Select[SecretKey]:
    """Return the query of the keys that a caller may see: those of an organization, or all for None."""
    query = select(SecretKey)
    return query if organization_id is None else query.where(SecretKey.organization_id == organization_id)


def list_secret_keys(
    session: Session, organization_id: str | None = None, *, limit: int, before: str | None = None
) -> Sequence[SecretKey]:
    """Return one page of the keys of an organization, or of all for None, revoked ones too, newest first.

    :param before: The id of the last one of the page before.
    """
    query = _keys_of(organization_id).order_by(SecretKey.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(SecretKey.id < before)).all()


def get_secret_key(session: Session, key_id: str, organization_id: str | None = None) -> SecretKey:
    """Return a key.

    :raises NotFound: When there is none of this id that the caller may see.
    """
    key = session.scalar(_keys_of(organization_id).where(SecretKey.id == key_id))
    if key is None:
        raise NotFound("No such secret key.", code="secret_key_not_found")
    return key


def revoke_secret_key(session: Session, key_id: str, organization_id: str | None = None) -> SecretKey:
    """End a key at once. Revoking it again changes nothing.

    :raises NotFound: When there is none of this id that the caller may see.
    """
    key = get_secret_key(session, key_id, organization_id)
    if key.revoked_at is None:
        key.revoked_at = now_ms()
        session.flush()
    return key


def find_key_holder(session: Session, plaintext: str) -> KeyHolder | None:
    """Return whom a presented secret key belongs to, revoked and expired ones too, or None."""
    row = session.connection().execute(HOLDER, {"hash": hash_secret(plaintext)}).one_or_none()
    return None if row is None else KeyHolder(*row)


def note_key_used(session: Session, key_id: str, now: int) -> None:
    """Write the moment a key was last used."""
    session.execute(update(SecretKey).where(SecretKey.id == key_id).values(last_used_at=now))
