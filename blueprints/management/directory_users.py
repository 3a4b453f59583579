"""The people of an organization's directory, as the identity provider sent them."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import operation
from blueprints.management.requests import Page, PageQuery, Words, YesOrNo, page
from directory.person_explanation import PersonExplanation, explain_person
from directory.stored_resources import (
    ScimUserObject,
    StoredUserFilter,
    get_stored_user,
    list_stored_users,
    scim_user_objects,
)

USERS = "/organizations/<organization_id>/scim/users"
USER = f"{USERS}/<user_id>"


class ScimUserQuery(PageQuery):
    """Which people are wanted."""

    user_name: Annotated[str | None, Field(description="This `userName`, whatever its case.")] = None
    external_id: Annotated[str | None, Field(description="Exactly this `externalId`.")] = None
    email_address: Annotated[str | None, Field(description="One of `emails` is this, whatever its case.")] = None
    active: YesOrNo | None = None
    q: Words = ""


@operation("list_scim_users", "GET", USERS, tag="Directory")
def list_all(session: Session, organization_id: str, query: ScimUserQuery) -> Page[ScimUserObject]:
    """List the people whom the identity provider pushed, oldest first, inactive ones too."""
    wanted = StoredUserFilter(query.user_name, query.external_id, query.email_address, query.active, query.q)
    found = list_stored_users(session, organization_id, wanted, limit=query.limit + 1, after=query.cursor)
    shown = scim_user_objects(session, organization_id, found)
    return page(found, query.limit, lambda user: shown[user.user_id], lambda user: user.user_id)


@operation("read_scim_user", "GET", USER, tag="Directory")
def read(session: Session, organization_id: str, user_id: str) -> ScimUserObject:
    """Return one person."""
    user = get_stored_user(session, organization_id, user_id)
    return scim_user_objects(session, organization_id, [user])[user_id]


@operation("explain_directory_user", "GET", f"{USER}/explanation", tag="Directory")
def explain(session: Session, organization_id: str, user_id: str) -> PersonExplanation:
    """Tell where each field and the role of a person come from.

    For each: the path, the raw value, the expression, the result, and when.
    """
    return explain_person(session, organization_id, user_id)
