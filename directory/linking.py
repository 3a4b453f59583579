"""Which person a directory user is, and who may write that person's profile.

A person is one row for the whole environment, found by e-mail address. A
directory may add anybody to its own organization; it may write the profile only
of the people it manages, and it manages somebody only while nobody else has a
claim. Otherwise whoever runs one directory could take over a person elsewhere.
"""

from typing import Any

from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.rows import add_row
from ids import new_id
from models import DirectoryUser, User
from organizations.users import is_member_elsewhere
from prepared import Prepared


def find_person(session: Session, email_key: str | None) -> User | None:
    """Return the person of a folded e-mail address, whose row is held until the end of the transaction, or None."""
    return session.scalar(select(User).where(User.email_key == email_key).with_for_update(key_share=True))


def add_person(session: Session, profile: dict[str, Any], *, active: bool) -> User:
    """Add a person with the columns of a profile.

    A new one has its address from the start, so that of two directories which meet
    somebody at the same moment one is refused by the database, tries again, and
    finds the person.
    """
    now = now_ms()
    return add_row(
        session,
        User,
        id=new_id("user"),
        **profile,
        active=active,
        created_at=now,
        updated_at=now,
        deleted_at=None if active else now,
    )


IN_DIRECTORY_ELSEWHERE = Prepared(
    select(
        exists().where(
            DirectoryUser.user_id == bindparam("user"),
            DirectoryUser.organization_id != bindparam("organization"),
            DirectoryUser.deleted_at.is_(None),
        )
    )
)


def is_claimed_elsewhere(session: Session, user_id: str, organization_id: str) -> bool:
    """Tell whether another organization has a person: as a member, or in its directory, active or not."""
    named = {"user": user_id, "organization": organization_id}
    [(in_directory,)] = IN_DIRECTORY_ELSEWHERE.rows(session, named)
    return is_member_elsewhere(session, user_id, organization_id) or bool(in_directory)
