"""People, and which organization sees whom: a person is one row for the environment, in any number of organizations."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from sqlalchemy import ColumnElement, Select, bindparam, case, exists, func, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from clock import now_ms
from errors import Conflict, DomainError, InvalidInput, NotFound
from folding import fold
from models import DirectoryUser, OrganizationMembership, User
from organizations.validation import address_problems, problem, text_problems
from prepared import Prepared

SEARCHED_WORDS = 5
METADATA_BYTES = 16 * 1024
NAMES = ("first_name", "last_name", "username", "external_id")
_ELSEWHERE = aliased(OrganizationMembership)  # so that who asks about a membership can ask this with it
IS_MEMBER_ELSEWHERE = exists().where(
    _ELSEWHERE.user_id == bindparam("user"),
    _ELSEWHERE.organization_id != bindparam("organization"),
    _ELSEWHERE.deleted_at.is_(None),
)
MEMBER_ELSEWHERE = Prepared(select(IS_MEMBER_ELSEWHERE))


def is_member_elsewhere(session: Session, user_id: str, organization_id: str) -> bool:
    """Tell whether a person is an active member of another organization."""
    named = {"user": user_id, "organization": organization_id}
    [(is_member,)] = MEMBER_ELSEWHERE.rows(session, named)
    return bool(is_member)


def lock_user(session: Session, user_id: str) -> User:
    """Return a person whose row is held until the end of the transaction, as it is now.

    Whoever changes a person, or decides by the person's groups, holds this lock
    first, so that two requests about one person follow each other.
    """
    return session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def is_known_to(organization_id: str) -> ColumnElement[bool]:
    """Return the condition that an organization knows a user: as a member, a former one too, or from its directory."""
    members = select(OrganizationMembership.user_id).where(OrganizationMembership.organization_id == organization_id)
    in_directory = select(DirectoryUser.user_id).where(
        DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None)
    )
    return User.id.in_(union_all(members, in_directory))


def get_user(session: Session, user_id: str, *, seen_by: str | None = None) -> User:
    """Return a user, soft-deleted or not; for ``seen_by`` only somebody whom that organization knows.

    :raises NotFound: When there is no such user, or the organization does not know this one.
    """
    query = select(User).where(User.id == user_id)
    user = session.scalar(query if seen_by is None else query.where(is_known_to(seen_by)))
    if user is None:
        raise NotFound("No such user.", code="user_not_found")
    return user


# -- Lists ------------------------------------------------------------------------


@dataclass(frozen=True)
class UserFilter:
    """Which users a list shows; what is None is not asked for.

    ``active`` None shows the active ones, unless ``include_deleted`` shows all.
    ``member_of`` is an organization; with ``include_deleted`` its former members count.
    """

    email_address: str | None = None
    external_id: str | None = None
    username: str | None = None
    member_of: str | None = None
    active: bool | None = None
    include_deleted: bool = False
    words: str = ""


def list_users(
    session: Session, wanted: UserFilter, *, limit: int, after: str | None = None, seen_by: str | None = None
) -> Sequence[User]:
    """Return one page of users, oldest first; ``after`` is the id of the last one of the page before.

    :param seen_by: Only users whom this organization knows, found only by what it may see of them.
    """
    query = select(User) if seen_by is None else select(User).where(is_known_to(seen_by))
    query = _narrowed(query, wanted)
    if wanted.email_address is not None:
        query = query.where(User.email_key == fold(wanted.email_address))
    visible = _visible(seen_by)
    for name, value in (("external_id", wanted.external_id), ("username", wanted.username)):
        if value is not None:
            query = query.where(visible[name] == value)
    for word in wanted.words.split()[:SEARCHED_WORDS]:
        query = query.where(mentions(word, (*visible.values(), User.email_address)))
    if after is not None:
        query = query.where(User.id > after)
    return session.scalars(query.order_by(User.id).limit(limit)).all()


def _narrowed(query: Select[User], wanted: UserFilter) -> Select[User]:
    if wanted.member_of is not None:
        members = select(OrganizationMembership.user_id).where(
            OrganizationMembership.organization_id == wanted.member_of
        )
        if not wanted.include_deleted:
            members = members.where(OrganizationMembership.deleted_at.is_(None))
        query = query.where(User.id.in_(members))
    if wanted.active is not None:
        return query.where(User.active == wanted.active)
    return query if wanted.include_deleted else query.where(User.deleted_at.is_(None))


def _visible(seen_by: str | None) -> Mapping[str, ColumnElement[str | None]]:
    """Return the texts of a profile as far as an organization sees them: of whom another one manages, nothing."""
    columns: dict[str, ColumnElement[str | None]] = {name: getattr(User, name) for name in NAMES}
    if seen_by is None:
        return columns
    own = func.coalesce(User.managed_by_organization_id, seen_by) == seen_by
    return {name: case((own, column), else_=None) for name, column in columns.items()}


def mentions(word: str, fields: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that one of these texts contains a word, whatever its case."""
    text: ColumnElement[str] = func.coalesce(fields[0], "")
    for field in fields[1:]:
        text = text + " " + func.coalesce(field, "")
    composed = normalize("NFC", word)
    # SQLite ignores the case of ASCII letters only, so other letters are looked for in each of their usual forms.
    forms = {composed} if composed.isascii() else {composed, composed.lower(), composed.upper(), composed.title()}
    return or_(*(text.icontains(form, autoescape=True) for form in sorted(forms)))


# -- Changes by hand ----------------------------------------------------------------


def change_user(session: Session, user_id: str, changes: Mapping[str, Any]) -> User:
    """Change the profile of a person whom no directory manages, and of others the metadata that no directory writes.

    :param changes: Of ``NAMES`` and ``email_address``, texts or None; and ``public_metadata``, a JSON merge patch
        (RFC 7396) of what is there.
    :raises NotFound: When there is no such user.
    :raises InvalidInput: When a value cannot be accepted.
    :raises Conflict: ``managed_by_directory``, naming the organization; or ``email_address_taken``.
    """
    user = lock_user(session, get_user(session, user_id).id)
    problems: list[DomainError] = []
    for name in NAMES:
        if changes.get(name) is not None:
            problems += text_problems(name, changes[name])
    address = changes.get("email_address")
    if address is not None:
        problems += address_problems("email_address", address)
    metadata = _merged(user.public_metadata, changes.get("public_metadata") or {})
    if len(json.dumps(metadata).encode()) > METADATA_BYTES:
        message = f"public_metadata would be larger than {METADATA_BYTES} bytes."
        problems.append(problem("public_metadata", message))
    if problems:
        raise InvalidInput(problems)
    _require_own(user, changes)
    _write(session, user, changes, metadata)
    return user


def _write(session: Session, user: User, changes: Mapping[str, Any], metadata: dict[str, Any]) -> None:
    if "email_address" in changes:
        key = fold(changes["email_address"]) if changes["email_address"] else None
        if key is not None and session.scalar(select(exists().where(User.email_key == key, User.id != user.id))):
            advice = (
                "An address belongs to one user of the environment. GET /v1/users?email_address= finds whose it is."
            )
            raise Conflict("Another user has this e-mail address.", long_message=advice, code="email_address_taken")
        user.email_address, user.email_key = changes["email_address"], key
    for name in NAMES:
        if name in changes:
            setattr(user, name, changes[name])
    user.public_metadata, user.updated_at = metadata, now_ms()
    session.flush()


def _require_own(user: User, changes: Mapping[str, Any]) -> None:
    """Return unless a change is of something that a directory writes."""
    managing = user.managed_by_organization_id
    if managing is None:
        return
    theirs = [path.split(".") for path in user.directory_metadata_paths]
    taken = [name for name in ("email_address", *NAMES) if name in changes]
    for path in _paths(changes.get("public_metadata") or {}):
        if any(path[: len(one)] == one or one[: len(path)] == path for one in theirs):
            taken.append(".".join(["public_metadata", *path]))
    if taken:
        raise Conflict(
            f"The directory of {managing} manages this person: {', '.join(taken)} cannot be changed by hand.",
            long_message="Change it in the identity provider, or in the attribute mapping of that organization.",
            code="managed_by_directory",
            meta={"organization_id": managing, "params": taken},
        )


def _paths(patch: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the places that a merge patch writes."""
    for key, value in patch.items():
        if isinstance(value, dict) and value:
            yield from ([key, *rest] for rest in _paths(value))
        else:
            yield [key]


def _merged(target: Any, patch: Any) -> Any:
    """Return what a JSON merge patch makes of a value (RFC 7396 §2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
