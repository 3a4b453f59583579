"""Users: the people of the environment, whichever organizations they are in."""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.auth import require_reach
from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import (
    NAME,
    Body,
    EmailAddress,
    FirstName,
    Force,
    Judged,
    LastName,
    Page,
    PageQuery,
    Query,
    Words,
    YesOrNo,
    page,
)
from organizations.memberships import delete_user
from organizations.representations import UserObject, user_object
from organizations.users import UserFilter, change_user, get_user, list_users
from organizations.validation import text_problems

USERS = "/users"
USER = f"{USERS}/<user_id>"


class UserQuery(PageQuery):
    """Which users are wanted."""

    email_address: Annotated[str | None, Field(description="This address, whatever its case.")] = None
    external_id: Annotated[str | None, Field(description="Exactly this external id.")] = None
    username: Annotated[str | None, Field(description="Exactly this user name.")] = None
    organization_id: Annotated[str | None, Field(description="Only members of one organization.")] = None
    active: Annotated[YesOrNo | None, Field(description="Without it the active ones are listed.")] = None
    include: Annotated[Literal["deleted"] | None, Field(description="`deleted` shows the others too.")] = None
    q: Words = ""


class UserChange(Body):
    """What to change of a person; what is left out stays, and null removes it."""

    email_address: EmailAddress | None = None
    username: Annotated[str, Judged(partial(text_problems, "username"), NAME)] | None = None
    first_name: FirstName | None = None
    last_name: LastName | None = None
    external_id: Annotated[str, Judged(partial(text_problems, "external_id"), NAME)] | None = None
    public_metadata: Annotated[
        dict[str, Any],
        Field(description="A JSON merge patch (RFC 7396): members of it are added or replaced, null removes one."),
    ] = Field(default_factory=dict)


class UserDeletion(Query):
    """How to delete a person."""

    force: Force = False


@operation("list_users", "GET", USERS, tag="Users", errors={404: "There is no organization of this id."})
def list_all(session: Session, query: UserQuery) -> Page[UserObject]:
    """List users, oldest first.

    A key of one organization sees the people whom that organization knows, and
    of somebody whom another organization manages no more than the address.
    """
    if query.organization_id is not None:
        require_reach(query.organization_id)
    wanted = UserFilter(
        email_address=query.email_address,
        external_id=query.external_id,
        username=query.username,
        member_of=query.organization_id,
        active=query.active,
        include_deleted=query.include == "deleted",
        words=query.q,
    )
    own = own_organization()
    found = list_users(session, wanted, limit=query.limit + 1, after=query.cursor, seen_by=own)
    return page(found, query.limit, partial(user_object, seen_by=own), lambda user: user.id)


@operation("read_user", "GET", USER, tag="Users")
def read(session: Session, user_id: str) -> UserObject:
    """Return one user, a deleted one too."""
    own = own_organization()
    return user_object(get_user(session, user_id, seen_by=own), seen_by=own)


@operation(
    "change_user",
    "PATCH",
    USER,
    tag="Users",
    for_environment=True,
    errors={409: "A directory manages what was to be changed, or another user has the e-mail address."},
)
def change(session: Session, user_id: str, body: UserChange) -> UserObject:
    """Change the profile of a person whom no directory manages. It takes a secret key of the whole environment.

    Of a person whom a directory manages, the metadata that its mapping does not
    write can be changed. No event tells of it.
    """
    given = {name: getattr(body, name) for name in body.model_fields_set}
    shown = user_object(change_user(session, user_id, given))
    audit(session, "user.updated", shown, changed=sorted(given))
    return shown


@operation(
    "delete_user",
    "DELETE",
    USER,
    tag="Users",
    status=204,
    for_environment=True,
    errors={409: "Nobody else could manage provisioning in an organization of this person."},
)
def delete(session: Session, user_id: str, query: UserDeletion) -> None:
    """Delete a person: every membership and session ends. It takes a secret key of the whole environment.

    A directory that assigns or activates the person anew brings the same user back.
    """
    shown = user_object(delete_user(session, user_id, force=query.force))
    audit(session, "user.deleted", shown)
