"""Members of an organization, as the product and its pages see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session, joinedload

from errors import NotFound
from models import DirectoryUser, OrganizationMembership, Role, User
from organizations.roles import PROVISIONING_MANAGE, role_ids_with

SEARCHED_WORDS = 5


def memberships_of(organization_id: str, *, include_deleted: bool = False) -> Select[OrganizationMembership]:
    """Return the query of an organization's memberships, oldest first, with their users and roles."""
    query = (
        select(OrganizationMembership)
        .where(OrganizationMembership.organization_id == organization_id)
        .options(joinedload(OrganizationMembership.user), joinedload(OrganizationMembership.role))
        .order_by(OrganizationMembership.id)
    )
    return query if include_deleted else query.where(OrganizationMembership.deleted_at.is_(None))


def list_memberships(
    session: Session, organization_id: str, *, limit: int, after: str | None = None, include_deleted: bool = False
) -> Sequence[OrganizationMembership]:
    """Return one page of memberships; ``after`` is the id of the last one of the page before."""
    query = memberships_of(organization_id, include_deleted=include_deleted)
    if after is not None:
        query = query.where(OrganizationMembership.id > after)
    return session.scalars(query.limit(limit)).all()


def find_membership(session: Session, organization_id: str, user_id: str) -> OrganizationMembership | None:
    """Return the active membership of a user in an organization, or None."""
    return session.scalar(memberships_of(organization_id).where(OrganizationMembership.user_id == user_id))


def get_membership(session: Session, organization_id: str, user_id: str) -> OrganizationMembership:
    """Return the active membership of a user in an organization.

    :raises NotFound: When the user is no active member of it.
    """
    membership = find_membership(session, organization_id, user_id)
    if membership is None:
        raise NotFound("No such member in this organization.", code="membership_not_found")
    return membership


def find_provisioning_manager(session: Session, organization_id: str) -> OrganizationMembership | None:
    """Return the longest-standing active member who may manage directory sync, or None when nobody may."""
    managing = role_ids_with(session, PROVISIONING_MANAGE)
    query = memberships_of(organization_id).where(OrganizationMembership.role_id.in_(managing))
    return session.scalar(query.limit(1))


def find_user_by_email(session: Session, email_key: str) -> User | None:
    """Return the user of a folded e-mail address, soft-deleted ones included, or None."""
    return session.scalar(select(User).where(User.email_key == email_key))


@dataclass(frozen=True)
class Member:
    """An active member, as a list shows one; ``since`` in Unix milliseconds."""

    membership_id: str
    user_id: str
    first_name: str | None
    last_name: str | None
    email_address: str | None
    username: str | None
    role_key: str
    role_name: str
    role_source: str
    since: int
    in_directory: bool
    managed_by_organization_id: str | None

    @property
    def full_name(self) -> str:
        """The name, or what comes closest to one."""
        names = [name for name in (self.first_name, self.last_name) if name]
        return " ".join(names) or self.username or self.email_address or "No name"

    @property
    def address(self) -> str | None:
        """The e-mail address, or the user name of somebody without one."""
        return self.email_address or self.username


@dataclass(frozen=True)
class MemberPage:
    """One page of members, the latest first; ``newer_than`` and ``older_than`` ask for the pages beside it, if any."""

    members: Sequence[Member]
    newer_than: str | None
    older_than: str | None


def search_members(
    session: Session,
    organization_id: str,
    *,
    words: str = "",
    limit: int,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> MemberPage:
    """Return one page of the active members in whom each of the words is found, the latest first.

    ``older_than`` and ``newer_than`` are membership ids, of which at most one is heeded.
    """
    query = _members_of(organization_id)
    for word in words.split()[:SEARCHED_WORDS]:
        query = query.where(_mentions(word, organization_id))
    column = OrganizationMembership.id
    if newer_than is not None:
        rows = session.execute(query.where(column > newer_than).order_by(column).limit(limit + 1)).all()
        members = [Member(*row) for row in reversed(rows[:limit])]
        has_newer, has_older = len(rows) > limit, True
    else:
        query = query if older_than is None else query.where(column < older_than)
        rows = session.execute(query.order_by(column.desc()).limit(limit + 1)).all()
        members = [Member(*row) for row in rows[:limit]]
        has_newer, has_older = older_than is not None, len(rows) > limit
    return MemberPage(
        members,
        newer_than=members[0].membership_id if members and has_newer else None,
        older_than=members[-1].membership_id if members and has_older else None,
    )


def _members_of(organization_id: str) -> Select[*tuple[Any, ...]]:
    """Return the query of an organization's active members, in the columns of ``Member``."""
    return (
        select(
            OrganizationMembership.id,
            User.id,
            *_names(organization_id)[:2],
            User.email_address,
            _names(organization_id)[2],
            Role.key,
            Role.name,
            OrganizationMembership.role_source,
            OrganizationMembership.created_at,
            DirectoryUser.user_id.is_not(None),
            User.managed_by_organization_id,
        )
        .join(User, User.id == OrganizationMembership.user_id)
        .join(Role, Role.id == OrganizationMembership.role_id)
        .outerjoin(
            DirectoryUser,
            (DirectoryUser.organization_id == OrganizationMembership.organization_id)
            & (DirectoryUser.user_id == OrganizationMembership.user_id)
            & DirectoryUser.deleted_at.is_(None),
        )
        .where(OrganizationMembership.organization_id == organization_id, OrganizationMembership.deleted_at.is_(None))
    )


def _names(organization_id: str) -> tuple[ColumnElement[str | None], ...]:
    """Return first name, last name and user name as an organization may see them.

    Of somebody whom another organization manages, that is what the own
    directory calls the person.
    """
    own = func.coalesce(User.managed_by_organization_id, organization_id) == organization_id
    return (
        case((own, User.first_name), else_=DirectoryUser.display_name),
        case((own, User.last_name), else_=None),
        case((own, User.username), else_=DirectoryUser.user_name),
    )


def _mentions(word: str, organization_id: str) -> ColumnElement[bool]:
    """Return the condition that a name, address or user name contains a word, whatever its case."""
    fields = (*_names(organization_id), User.email_address, DirectoryUser.user_name)
    text: ColumnElement[str] = func.coalesce(fields[0], "")
    for field in fields[1:]:
        text = text + " " + func.coalesce(field, "")
    composed = normalize("NFC", word)
    # SQLite ignores the case of ASCII letters only, so other letters are looked for in each of their usual forms.
    forms = {composed} if composed.isascii() else {composed, composed.lower(), composed.upper(), composed.title()}
    return or_(*(text.icontains(form, autoescape=True) for form in sorted(forms)))
