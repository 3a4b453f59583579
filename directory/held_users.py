"""A user of a directory who is to be written: the row and the person, held, and what comes in the same round trip."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from directory.directories import Directory
from directory.mappings import ask_rules
from directory.memberships import ANY_MEMBERSHIP, ask_membership
from directory.resources import Document, load
from directory.rows import LOADED, loaded_row
from errors import NotFound
from models import DirectoryUser, User
from prepared import Asked, Prepared
from webhooks.events import SUBSCRIPTIONS, ask_subscriptions

HELD_USER = Prepared(
    select(*LOADED[DirectoryUser], *LOADED[User])
    .join_from(DirectoryUser, User, User.id == DirectoryUser.user_id)
    .where(
        DirectoryUser.organization_id == bindparam("organization"),
        DirectoryUser.user_id == bindparam("user"),
        DirectoryUser.deleted_at.is_(None),
    )
    .with_for_update(key_share=True)
)


class HeldUser(NamedTuple):
    """A directory user and the person, whose rows are held until the transaction ends."""

    row: DirectoryUser
    user: User
    # As it was when the row was held.
    document: Document
    # The person's membership, which came along.
    membership: Asked


class AskedUser(NamedTuple):
    """A user of a directory who is asked for to be written, see ``Asked``."""

    row_and_person: Asked
    membership: Asked


def questions_of(directory: Directory, user_id: str) -> list[tuple[Prepared, dict[str, Any]]]:
    """Return what ``ask_directory_user`` asks, but for what whoever shares the transaction knows already."""
    organization = {"organization": directory.organization_id}
    return [
        (HELD_USER, {**organization, "user": user_id}),
        (SUBSCRIPTIONS, organization),
        (ANY_MEMBERSHIP, {**organization, "user": user_id, "person": user_id}),
    ]


def ask_directory_user(session: Session, directory: Directory, user_id: str) -> AskedUser:
    """Ask for a user of a directory to be written: the row and the person, both held until the transaction ends.

    What is asked for after that, such as groups, is as it was when they were held: no change of them is overlooked.
    """
    session.flush()  # prepared statements do not see to that themselves
    asked = HELD_USER.ask(session, {"organization": directory.organization_id, "user": user_id})
    ask_rules(session, directory)
    ask_subscriptions(session, directory.organization_id)
    return AskedUser(asked, ask_membership(session, directory.organization_id, user_id))


def held_user(asked: AskedUser) -> HeldUser:
    """Return the user who was asked for.

    :raises NotFound: When the directory has no such user, or only a tombstone.
    """
    rows = asked.row_and_person.rows()
    if not rows:
        raise NotFound("No such user in this directory.")
    row = loaded_row(DirectoryUser, rows[0])
    person = loaded_row(User, rows[0][len(LOADED[DirectoryUser]) :])
    return HeldUser(row, person, load(row.document), asked.membership)
