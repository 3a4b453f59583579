"""One-time forms: sent twice, by a double click or a reload, they act once."""

import logging
import secrets

from flask import current_app
from redis import RedisError

from blueprints.profile.access import session_limits

log = logging.getLogger(__name__)


def new_nonce() -> str:
    """Return a number for one form."""
    return secrets.token_urlsafe(16)


def claim_nonce(session_id: str, nonce: str) -> bool:
    """Tell whether a form is sent for the first time, and remember it as long as a session lasts.

    While Redis is away every form counts as new: to act twice on a double click is better than not to act at all.
    """
    try:
        return bool(
            current_app.extensions["redis"].set(
                f"form:{session_id}:{nonce[:64]}", 1, nx=True, px=session_limits().lifetime_ms
            )
        )
    except RedisError as error:
        log.warning("a form could not be checked for being sent twice: %s", error)
        return True
