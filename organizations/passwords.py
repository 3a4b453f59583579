"""Passwords of members: which ones are accepted, and which organizations one opens. Hashing is the caller's.

A password opens every organization of its person, unless it was set by somebody who had proven to be that person
to one organization only (``Password.organization_id``): another one must not be opened by that.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import normalize

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotAllowed
from folding import fold
from models import Organization, OrganizationMembership, Password, User
from organizations.sessions import SignedIn

PASSWORD = "password"  # noqa: S105  (how a session was proven)
MIN_LENGTH = 12
MAX_LENGTH = 200  # a hash of more costs the server, and protects nobody better
MAX_TYPED = 4 * MAX_LENGTH  # a keyboard may send a letter and its marks one by one
MIN_DIFFERENT = 5

# What the most common passwords of twelve characters and more are made of.
COMMON = """
password passwort passw0rd motdepasse contrasena qwerty qwertyuiop azerty letmein welcome willkommen admin administrator
root user login changeme secret iloveyou princess dragon monkey football baseball basketball superman batman starwars
pokemon sunshine master shadow whatever trustno test testing company january february march april june july august
september october november december summer winter spring autumn okta entra google microsoft scim authnscim
correcthorsebatterystaple
"""
COMMON_WORDS = frozenset(COMMON.split())
RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)
REPEATED = re.compile(r"(.{1,12}?)\1+.{0,5}", re.DOTALL)


@dataclass(frozen=True)
class Credential:
    """What a password is checked against. ``organization_id`` is the only organization it opens, or None for all."""

    user_id: str
    password_hash: str
    organization_id: str | None


def normal_password(typed: str) -> str:
    """Return a password in the one form in which it is hashed, however a keyboard composed its letters.

    Of more than any accepted password has, the beginning counts: to normalize all of it could take long.
    """
    return normalize("NFKC", typed[:MAX_TYPED])


def check_new_password(password: str, names: Iterable[str | None] = ()) -> None:
    """Refuse a password that is short, or that whoever guesses would try early; ``names`` are those of its person.

    :raises InvalidInput: With the reason, in words for the person.
    """
    reason = _weakness(password, names)
    if reason is not None:
        raise InvalidInput([DomainError(reason, code="weak_password", meta={"param": "password"})])


def _weakness(password: str, names: Iterable[str | None]) -> str | None:
    """Return what is wrong with a password, or None."""
    folded = fold(password)
    own = {_letters(part) for name in names if name for part in (fold(name), *re.split(r"[\s@.]+", fold(name)))}
    repeats = len(set(folded)) < MIN_DIFFERENT or REPEATED.fullmatch(folded)
    weaknesses = (
        (len(password) < MIN_LENGTH, f"Use {MIN_LENGTH} characters or more. Four words in a row make a good password."),
        (len(password) > MAX_LENGTH, f"Use {MAX_LENGTH} characters or fewer."),
        (repeats, "This password repeats itself. Use different characters."),
        (any(folded in run * 2 or folded in run[::-1] * 2 for run in RUNS), "This password is a row of the keyboard."),
        (_letters(folded) in COMMON_WORDS, "This password is among the most common ones."),
        (_letters(folded) in own - {""}, "This password is made of a name or address of yours."),
    )
    return next((reason for is_weak, reason in weaknesses if is_weak), None)


def _letters(folded: str) -> str:
    return re.sub(r"[\W\d_]+", "", folded)


def find_credential(session: Session, email_address: str) -> Credential | None:
    """Return what the password of an e-mail address is checked against, or None when the address has none."""
    query = (
        select(Password.user_id, Password.password_hash, Password.organization_id)
        .join(User, User.id == Password.user_id)
        .where(User.email_key == fold(email_address), User.deleted_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Credential(*row)


def find_credential_of(session: Session, who: SignedIn) -> Credential | None:
    """Return what the password of a signed-in member is checked against, if it opens this organization; else None."""
    query = select(Password.user_id, Password.password_hash, Password.organization_id).where(
        Password.user_id == who.user_id
    )
    row = session.execute(query).one_or_none()
    credential = None if row is None else Credential(*row)
    opens = credential is not None and credential.organization_id in (None, who.organization_id)
    return credential if opens else None


def is_current(session: Session, credential: Credential) -> bool:
    """Tell whether a password that was checked outside of a transaction is still the person's."""
    query = select(Password.password_hash).where(Password.user_id == credential.user_id)
    return session.scalar(query) == credential.password_hash


def organizations_opened_by(session: Session, credential: Credential) -> list[tuple[str, str]]:
    """Return id and name of the organizations that a password opens: those that its person is a member of."""
    query = (
        select(Organization.id, Organization.name)
        .join(OrganizationMembership, OrganizationMembership.organization_id == Organization.id)
        .join(User, User.id == OrganizationMembership.user_id)
        .where(
            OrganizationMembership.user_id == credential.user_id,
            OrganizationMembership.deleted_at.is_(None),
            Organization.deleted_at.is_(None),
            User.deleted_at.is_(None),
        )
        .order_by(OrganizationMembership.id)
    )
    if credential.organization_id is not None:
        query = query.where(Organization.id == credential.organization_id)
    return [(row[0], row[1]) for row in session.execute(query)]


def set_own_password(session: Session, who: SignedIn, password_hash: str) -> None:
    """Give the member who is signed in a password. It opens no more than the proof of this session speaks for.

    :raises NotAllowed: When a proof for one organization would replace a password that opens others too.
    """
    reach = who.organization_id if who.organization_bound else None
    before = session.get(Password, who.user_id)
    if before is not None and reach is not None and before.organization_id != reach:
        raise NotAllowed(
            "Your password opens other organizations too.",
            long_message="You signed in with a link for this organization alone. To change the password, sign in "
            "with it, or with a link from whoever runs this installation.",
            code="password_of_others",
        )
    set_password(session, str(who.user_id), password_hash, organization_id=reach)


def set_password(session: Session, user_id: str, password_hash: str, *, organization_id: str | None = None) -> None:
    """Give a person a password, in place of the one before."""
    session.merge(
        Password(user_id=user_id, password_hash=password_hash, organization_id=organization_id, set_at=now_ms())
    )
    session.flush()


def remove_password(session: Session, user_id: str) -> bool:
    """Take a person's password away, and tell whether there was one."""
    return bool(session.scalar(delete(Password).where(Password.user_id == user_id).returning(Password.user_id)))
