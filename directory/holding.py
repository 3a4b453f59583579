"""Holding many rows from the start, in the one order that all take them in, for a transaction of many writes."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from directory.directories import Directory
from models import DirectoryGroup, DirectoryUser, Organization, User


def hold(session: Session, directory: Directory, user_ids: Collection[str], group_ids: Collection[str]) -> None:
    """Lock the directory users, groups and people of these ids, as far as the directory has them, until the commit.

    Transactions of many writes to one directory follow each other: what they
    create cannot be locked beforehand, and two that create the same people in
    opposite orders would block each other. Single writes go on beside them.
    Where the database has one writer at a time there is nothing to do.
    """
    if session.connection().dialect.name == "sqlite":
        return
    one_by_one = select(Organization.id).where(Organization.id == directory.organization_id)
    session.execute(one_by_one.with_for_update(key_share=True))
    mine = DirectoryUser.organization_id == directory.organization_id, DirectoryUser.user_id.in_(user_ids)
    if user_ids:
        users = select(DirectoryUser.user_id).where(*mine).order_by(DirectoryUser.user_id)
        session.execute(users.with_for_update(key_share=True))
    if group_ids:
        groups = (
            select(DirectoryGroup.id)
            .where(DirectoryGroup.organization_id == directory.organization_id, DirectoryGroup.id.in_(group_ids))
            .order_by(DirectoryGroup.id)
        )
        session.execute(groups.with_for_update(key_share=True))
    if user_ids:
        people = select(User.id).where(User.id.in_(select(DirectoryUser.user_id).where(*mine))).order_by(User.id)
        session.execute(people.with_for_update(key_share=True))
