"""Whose token it was that opened nothing, so that its organization can be told what is wrong."""

import re
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import ScimToken
from organizations.scim_tokens import find_token_holder

PREFIX = re.compile(r"scim_[0-9A-HJKMNP-TV-Z]{8}", re.IGNORECASE)


@dataclass(frozen=True)
class Recognised:
    """The token that a refused request meant, and in a code what is wrong with it."""

    organization_id: str
    token_id: str
    reason: str


def recognise_token(session: Session, header: str | None) -> Recognised | None:
    """Return which token a refused ``Authorization`` header holds, or None when it is nobody's.

    A token that was copied in part is recognised by its prefix, 40 random bits
    that only the token's own organization sees. The caller answers the same in any case.
    """
    words = (header or "").split()
    if not words:
        return None
    holder = find_token_holder(session, words[-1])
    if holder is None:
        return _find_by_prefix(session, words[-1])
    if holder.revoked_at is not None:
        reason = "token_revoked"
    elif len(words) == 1:
        reason = "bearer_missing"
    else:
        reason = "bearer_twice" if len(words) > 2 else "token_expired"
    return Recognised(holder.organization_id, holder.token_id, reason)


def _find_by_prefix(session: Session, credential: str) -> Recognised | None:
    found = PREFIX.match(credential)
    if found is None:
        return None
    prefix = found[0][:5].lower() + found[0][5:].upper()
    query = select(ScimToken.organization_id, ScimToken.id).where(ScimToken.prefix == prefix)
    rows = session.execute(query.limit(2)).all()
    return Recognised(rows[0].organization_id, rows[0].id, "token_garbled") if len(rows) == 1 else None
