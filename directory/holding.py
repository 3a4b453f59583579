"""Holding many rows from the start, in the one order that all take them in, for a transaction of many writes."""

import hashlib
from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, select, text
from sqlalchemy.orm import Session

from directory.directories import Directory
from directory.group_membership import BATCH
from folding import fold
from models import DirectoryGroup, DirectoryUser, Organization, User

# Locked in the order of the list.
ADDRESS_LOCKS = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")


def hold(
    session: Session,
    directory: Directory,
    user_ids: Collection[str],
    group_ids: Collection[str],
    addresses: Collection[str],
) -> None:
    """Lock the groups, directory users and people of these ids, as far as the directory has them, until the commit.

    Transactions of many writes to one directory follow each other: what they
    create cannot be locked beforehand, and two that create the same in
    opposite orders would block each other, again at every try. So would two
    of different directories, of which the same people are new to both: they
    lock the people's e-mail addresses. Single writes go on beside them. Where
    the database has one writer at a time there is nothing to do.
    """
    if session.connection().dialect.name == "sqlite":
        return
    one_by_one = select(Organization.id).where(Organization.id == directory.organization_id)
    session.execute(one_by_one.with_for_update(key_share=True))
    keys = sorted({_number_of(fold(address)) for address in addresses})[:BATCH]  # it has memory for some thousands
    session.execute(ADDRESS_LOCKS, {"keys": keys})
    users, groups = _batches(user_ids), _batches(group_ids)
    for batch in groups:  # before the users, as a write of one group does
        found = select(DirectoryGroup.id).where(
            DirectoryGroup.organization_id == directory.organization_id, DirectoryGroup.id.in_(batch)
        )
        session.execute(found.order_by(DirectoryGroup.id).with_for_update(key_share=True))
    for batch in users:
        session.execute(_users(directory, batch).with_for_update(key_share=True))
    for batch in users:
        people = select(User.id).where(User.id.in_(_users(directory, batch))).order_by(User.id)
        session.execute(people.with_for_update(key_share=True))


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)


def _batches(ids: Collection[str]) -> list[list[str]]:
    """Return ids in order, in lists that fit into a statement."""
    ordered = sorted(ids)
    return [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]


def _users(directory: Directory, user_ids: Collection[str]) -> Select[Any]:
    return (
        select(DirectoryUser.user_id)
        .where(DirectoryUser.organization_id == directory.organization_id, DirectoryUser.user_id.in_(user_ids))
        .order_by(DirectoryUser.user_id)
    )
