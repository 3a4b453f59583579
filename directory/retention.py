"""How long the activity log and the tombstones of all directories are kept."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from batches import Store, in_batches
from ids import first_id
from models import DirectoryActivity, DirectoryUser

DAY = 24 * 3600 * 1000
UNSYNCHRONIZED = {"synchronize_session": False}


def remove_old_activity(store: Store, now: int, days: int, *, pause: Callable[[float], bool] = lambda _: False) -> int:
    """Remove the entries of the activity log that are more than so many days old, and return how many were removed."""
    until = first_id("req", now - days * DAY)
    with store.reading() as session:  # spares the writers when there is nothing to do
        if session.scalar(select(DirectoryActivity.id).where(DirectoryActivity.id < until).limit(1)) is None:
            return 0
    return in_batches(store, partial(_remove_activity, until=until), pause=pause)


def _remove_activity(session: Session, limit: int, *, until: str) -> int:
    old = select(DirectoryActivity.id).where(DirectoryActivity.id < until).order_by(DirectoryActivity.id).limit(limit)
    removed = delete(DirectoryActivity).where(DirectoryActivity.id.in_(old)).returning(DirectoryActivity.id)
    return len(session.scalars(removed, execution_options=UNSYNCHRONIZED).all())


def remove_old_tombstones(
    store: Store, now: int, days: int, *, pause: Callable[[float], bool] = lambda _: False
) -> int:
    """Forget what the IdP said of people whom it deleted more than so many days ago; return how many were forgotten.

    The person stays, soft-deleted, and is found by the e-mail address when the
    IdP creates the same one again; by ``externalId`` and ``userName`` no more.
    """
    until = now - days * DAY
    with store.reading() as session:
        if session.scalar(select(DirectoryUser.user_id).where(DirectoryUser.deleted_at < until).limit(1)) is None:
            return 0
    return in_batches(store, partial(_remove_tombstones, until=until), pause=pause)


def _remove_tombstones(session: Session, limit: int, *, until: int) -> int:
    key = tuple_(DirectoryUser.organization_id, DirectoryUser.user_id)
    old = (
        select(DirectoryUser.organization_id, DirectoryUser.user_id)
        .where(DirectoryUser.deleted_at < until)
        .order_by(DirectoryUser.deleted_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # one that is being brought back is a tombstone no more
    )
    keys = [tuple(row) for row in session.execute(old)]
    session.execute(delete(DirectoryUser).where(key.in_(keys)), execution_options=UNSYNCHRONIZED)
    return len(keys)
