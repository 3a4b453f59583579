"""Which person a directory user is, and who may write that person's profile.

A person is one row for the whole environment, found by e-mail address. A
directory may add anybody to its own organization; it may write the profile only
of the people it manages, and it manages somebody only while nobody else has a
claim. Otherwise whoever runs one directory could take over a person elsewhere.
"""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from clock import now_ms
from directory.directories import Directory
from folding import fold
from ids import new_id
from models import DirectoryUser, User
from organizations.users import is_member_elsewhere


def find_or_make_user(session: Session, directory: Directory, email_address: str | None) -> User:
    """Return the person of an e-mail address, or a new one; a new one is not active before it is admitted.

    The row is locked until the end of the transaction. A new one has its address
    from the start, so that of two directories which meet somebody at the same
    moment one is refused by the database, tries again, and finds the person.
    """
    email_key = fold(email_address) if email_address else None
    if email_key is not None:
        user = session.scalar(select(User).where(User.email_key == email_key).with_for_update(key_share=True))
        if user is not None:
            return user
    now = now_ms()
    user = User(
        id=new_id("user"),
        email_address=email_address,
        email_key=email_key,
        active=False,
        public_metadata={},
        managed_by_organization_id=directory.organization_id,
        created_at=now,
        updated_at=now,
        deleted_at=now,
    )
    session.add(user)
    session.flush()
    return user


def is_claimed_elsewhere(session: Session, user_id: str, organization_id: str) -> bool:
    """Tell whether another organization has a person: as a member, or in its directory, active or not."""
    in_directory = select(
        exists().where(
            DirectoryUser.user_id == user_id,
            DirectoryUser.organization_id != organization_id,
            DirectoryUser.deleted_at.is_(None),
        )
    )
    return is_member_elsewhere(session, user_id, organization_id) or bool(session.scalar(in_directory))
