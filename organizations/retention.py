"""How long sessions and sign-in links that are over are kept: long enough to find out what happened."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from batches import Store, in_batches
from models import Session as BrowserSession
from models import SignInLink

KEPT_MS = 30 * 24 * 3600 * 1000


def remove_old_sessions(store: Store, now: int, *, pause: Callable[[float], bool] = lambda _: False) -> int:
    """Remove the sessions and sign-in links that expired more than 30 days ago, and return how many were removed."""
    removed = 0
    for model in (BrowserSession, SignInLink):
        with store.reading() as session:  # spares the writers when there is nothing to do
            found = session.scalar(select(model.id).where(model.expires_at < now - KEPT_MS).limit(1))
        if found is not None:
            removed += in_batches(store, partial(_remove_expired, model=model, until=now - KEPT_MS), pause=pause)
    return removed


def _remove_expired(session: Session, limit: int, *, model: type[BrowserSession] | type[SignInLink], until: int) -> int:
    old = select(model.id).where(model.expires_at < until).order_by(model.expires_at).limit(limit)
    removed = delete(model).where(model.id.in_(old)).returning(model.id)
    return len(session.scalars(removed, execution_options={"synchronize_session": False}).all())
