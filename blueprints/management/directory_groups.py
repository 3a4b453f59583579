"""The groups of an organization's directory, as the identity provider sent them."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import operation
from blueprints.management.requests import Page, PageQuery, Words, page
from directory.stored_resources import (
    ScimGroupMemberObject,
    ScimGroupObject,
    StoredGroupFilter,
    get_stored_group,
    list_stored_groups,
    list_stored_members,
    scim_group_objects,
)

GROUPS = "/organizations/<organization_id>/scim/groups"
GROUP = f"{GROUPS}/<group_id>"


class ScimGroupQuery(PageQuery):
    """Which groups are wanted."""

    display_name: Annotated[str | None, Field(description="This name, whatever its case.")] = None
    external_id: Annotated[str | None, Field(description="Exactly this external id.")] = None
    q: Words = ""


@operation("list_scim_groups", "GET", GROUPS, tag="Directory")
def list_all(session: Session, organization_id: str, query: ScimGroupQuery) -> Page[ScimGroupObject]:
    """List the groups that the identity provider pushed, oldest first."""
    wanted = StoredGroupFilter(display_name=query.display_name, external_id=query.external_id, words=query.q)
    found = list_stored_groups(session, organization_id, wanted, limit=query.limit + 1, after=query.cursor)
    shown = scim_group_objects(session, organization_id, found)
    return page(found, query.limit, lambda group: shown[group.id], lambda group: group.id)


@operation("read_scim_group", "GET", GROUP, tag="Directory")
def read(session: Session, organization_id: str, group_id: str) -> ScimGroupObject:
    """Return one group."""
    group = get_stored_group(session, organization_id, group_id)
    return scim_group_objects(session, organization_id, [group])[group_id]


@operation("list_scim_group_members", "GET", f"{GROUP}/members", tag="Directory")
def list_members(
    session: Session, organization_id: str, group_id: str, query: PageQuery
) -> Page[ScimGroupMemberObject]:
    """List the people in a group."""
    get_stored_group(session, organization_id, group_id)
    found = list_stored_members(session, organization_id, group_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, lambda member: member, lambda member: member["user_id"])
