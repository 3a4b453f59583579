"""What the IdP sent, as the management API lists it: the stored resources of one directory, found by what people know.

Lists are in the order of ids, so a page begins after the last id of the page before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from directory.directories import Directory
from directory.group_membership import groups_of_each
from directory.resources import load
from errors import NotFound
from folding import fold
from models import DirectoryGroup, DirectoryGroupMember, DirectoryUser, DirectoryUserEmail
from webhooks.representations import Moment

SEARCHED_WORDS = 5
StoredResource = Annotated[dict[str, Any], Field(description="The SCIM resource as it was sent, without passwords.")]
Version = Annotated[int, Field(description='Grows with each change; `W/"3"` in SCIM is version 3.')]


class JoinedGroupObject(TypedDict):
    """A group in which somebody is."""

    id: str
    display_name: str
    external_id: str | None


class ScimUserObject(TypedDict):
    """A SCIM User of an organization's directory."""

    id: Annotated[str, Field(description="The id in SCIM, and of the user.")]
    object: Literal["scim_user"]
    organization_id: str
    user_name: str
    external_id: str | None
    active: Annotated[bool, Field(description="Whether the directory lets the person in, as the mapping reads it.")]
    resource: StoredResource
    groups: Annotated[list[JoinedGroupObject], Field(description="In the order of joining.")]
    version: Version
    created_at: Moment
    updated_at: Moment


class ScimGroupObject(TypedDict):
    """A SCIM Group of an organization's directory."""

    id: str
    object: Literal["scim_group"]
    organization_id: str
    display_name: str
    external_id: str | None
    resource: StoredResource
    member_count: int
    version: Version
    created_at: Moment
    updated_at: Moment


class ScimGroupMemberObject(TypedDict):
    """Somebody in a SCIM Group."""

    object: Literal["scim_group_member"]
    user_id: str
    user_name: str
    display_name: str | None
    active: bool
    joined_at: Moment


@dataclass(frozen=True)
class StoredUserFilter:
    """Which people of a directory are wanted; what is None is not asked for. Names and addresses ignore case."""

    user_name: str | None = None
    external_id: str | None = None
    email_address: str | None = None
    active: bool | None = None
    words: str = ""


@dataclass(frozen=True)
class StoredGroupFilter:
    """Which groups of a directory are wanted; what is None is not asked for. Names ignore case."""

    display_name: str | None = None
    external_id: str | None = None
    words: str = ""


# -- People -----------------------------------------------------------------------


def list_stored_users(
    session: Session, organization_id: str, wanted: StoredUserFilter, *, limit: int, after: str | None = None
) -> Sequence[DirectoryUser]:
    """Return one page of the people of a directory; ``after`` is the id of the last one of the page before."""
    row = DirectoryUser
    query = select(row).where(row.organization_id == organization_id, row.deleted_at.is_(None))
    if wanted.user_name is not None:
        query = query.where(row.user_name_key == fold(wanted.user_name))
    if wanted.external_id is not None:
        query = query.where(row.external_id == wanted.external_id)
    if wanted.active is not None:
        query = query.where(row.active == wanted.active)
    if wanted.email_address is not None:
        address = DirectoryUserEmail
        having = select(address.user_id).where(
            address.organization_id == organization_id, address.value_key == fold(wanted.email_address)
        )
        query = query.where(row.user_id.in_(having))
    for word in wanted.words.split()[:SEARCHED_WORDS]:
        texts = (row.user_name_key, row.display_name_key, row.email_key)
        query = query.where(or_(*(text.contains(fold(word), autoescape=True) for text in texts)))
    if after is not None:
        query = query.where(row.user_id > after)
    return session.scalars(query.order_by(row.user_id).limit(limit)).all()


def get_stored_user(session: Session, organization_id: str, user_id: str) -> DirectoryUser:
    """Return a user of a directory.

    :raises NotFound: When the directory has no such user, or only a tombstone.
    """
    query = select(DirectoryUser).where(
        DirectoryUser.organization_id == organization_id,
        DirectoryUser.user_id == user_id,
        DirectoryUser.deleted_at.is_(None),
    )
    row = session.scalar(query)
    if row is None:
        raise NotFound("No such user in this directory.", code="scim_user_not_found")
    return row


def scim_user_objects(
    session: Session, organization_id: str, rows: Sequence[DirectoryUser]
) -> dict[str, ScimUserObject]:
    """Return people of a directory as the JSON API shows them, by their ids."""
    groups = groups_of_each(session, Directory(organization_id), [row.user_id for row in rows])
    return {row.user_id: _user_object(row, groups[row.user_id]) for row in rows}


def _user_object(row: DirectoryUser, groups: list[dict[str, Any]]) -> ScimUserObject:
    return {
        "id": row.user_id,
        "object": "scim_user",
        "organization_id": row.organization_id,
        "user_name": row.user_name,
        "external_id": row.external_id,
        "active": row.active,
        "resource": load(row.document),
        "groups": [{"id": g["id"], "display_name": g["value"], "external_id": g["externalId"]} for g in groups],
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.last_modified_at,
    }


# -- Groups -----------------------------------------------------------------------


def list_stored_groups(
    session: Session, organization_id: str, wanted: StoredGroupFilter, *, limit: int, after: str | None = None
) -> Sequence[DirectoryGroup]:
    """Return one page of the groups of a directory; ``after`` is the id of the last one of the page before."""
    row = DirectoryGroup
    query = select(row).where(row.organization_id == organization_id)
    if wanted.display_name is not None:
        query = query.where(row.display_name_key == fold(wanted.display_name))
    if wanted.external_id is not None:
        query = query.where(row.external_id == wanted.external_id)
    for word in wanted.words.split()[:SEARCHED_WORDS]:
        query = query.where(row.display_name_key.contains(fold(word), autoescape=True))
    if after is not None:
        query = query.where(row.id > after)
    return session.scalars(query.order_by(row.id).limit(limit)).all()


def get_stored_group(session: Session, organization_id: str, group_id: str) -> DirectoryGroup:
    """Return a group of a directory.

    :raises NotFound: When the directory has no such group.
    """
    query = select(DirectoryGroup).where(
        DirectoryGroup.organization_id == organization_id, DirectoryGroup.id == group_id
    )
    row = session.scalar(query)
    if row is None:
        raise NotFound("No such group in this directory.", code="scim_group_not_found")
    return row


def scim_group_objects(
    session: Session, organization_id: str, rows: Sequence[DirectoryGroup]
) -> dict[str, ScimGroupObject]:
    """Return groups of a directory as the JSON API shows them, by their ids."""
    member = DirectoryGroupMember
    query = (
        select(member.group_id, func.count())
        .where(member.organization_id == organization_id, member.group_id.in_([row.id for row in rows]))
        .group_by(member.group_id)
    )
    counts: dict[str, int] = {group_id: count for group_id, count in session.execute(query)}
    return {row.id: _group_object(row, counts.get(row.id, 0)) for row in rows}


def _group_object(row: DirectoryGroup, member_count: int) -> ScimGroupObject:
    return {
        "id": row.id,
        "object": "scim_group",
        "organization_id": row.organization_id,
        "display_name": row.display_name,
        "external_id": row.external_id,
        "resource": load(row.document),
        "member_count": member_count,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.last_modified_at,
    }


def list_stored_members(
    session: Session, organization_id: str, group_id: str, *, limit: int, after: str | None = None
) -> Sequence[ScimGroupMemberObject]:
    """Return one page of the people in a group; ``after`` is the id of the last one of the page before."""
    member, user = DirectoryGroupMember, DirectoryUser
    query = (
        select(user.user_id, user.user_name, user.display_name, user.active, member.joined_at)
        .join(user, (user.organization_id == member.organization_id) & (user.user_id == member.user_id))
        .where(member.organization_id == organization_id, member.group_id == group_id)
    )
    if after is not None:
        query = query.where(member.user_id > after)
    return [
        {
            "object": "scim_group_member",
            "user_id": user_id,
            "user_name": user_name,
            "display_name": display_name,
            "active": active,
            "joined_at": joined_at,
        }
        for user_id, user_name, display_name, active, joined_at in session.execute(
            query.order_by(member.user_id).limit(limit)
        )
    ]
