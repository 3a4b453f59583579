"""Secret keys: what the product's backend authenticates with on ``/v1``."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from clock import now_ms
from ids import new_id
from models import SecretKey
from organizations.credentials import hash_secret, new_secret

Scope = Literal["read", "write"]


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


def make_secret_key(session: Session, name: str, *, organization_id: str | None = None) -> tuple[SecretKey, str]:
    """Make a secret key, and return it with its plaintext."""
    secret = new_secret("sk")
    key = SecretKey(
        id=new_id("sk"),
        organization_id=organization_id,
        name=name,
        prefix=secret.prefix,
        key_hash=secret.hash,
        created_at=now_ms(),
    )
    session.add(key)
    session.flush()
    return key, secret.plaintext


def find_key_holder(session: Session, plaintext: str) -> KeyHolder | None:
    """Return whom a presented secret key belongs to, revoked ones too, or None."""
    row = session.execute(
        select(
            SecretKey.id,
            SecretKey.name,
            SecretKey.prefix,
            SecretKey.scope,
            SecretKey.organization_id,
            SecretKey.expires_at,
            SecretKey.last_used_at,
            SecretKey.revoked_at,
        ).where(SecretKey.key_hash == hash_secret(plaintext))
    ).one_or_none()
    return None if row is None else KeyHolder(*row)
