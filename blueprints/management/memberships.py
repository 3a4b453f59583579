"""The members of an organization, and links that sign them in to the pages."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import (
    Body,
    EmailAddress,
    FirstName,
    Force,
    LastName,
    Page,
    PageQuery,
    Query,
    page,
)
from organizations.members import get_membership, list_memberships
from organizations.memberships import NewMember, add_member, change_role, end_membership
from organizations.representations import OrganizationMembershipObject, membership_object

MEMBERSHIPS = "/organizations/<organization_id>/memberships"
# A person has one membership in an organization, so the user's id names it.
MEMBERSHIP = f"{MEMBERSHIPS}/<user_id>"
LAST_ADMIN = {409: "Nobody else could manage provisioning."}


class MembershipQuery(PageQuery):
    """Which memberships are wanted."""

    role: Annotated[str | None, Field(description="Only those with this role, such as `org:admin`.")] = None
    role_source: Annotated[
        Literal["default", "mapping", "manual"] | None, Field(description="Only those who have their role from there.")
    ] = None
    include: Annotated[Literal["deleted"] | None, Field(description="`deleted` shows the ended memberships too.")] = (
        None
    )


class AddedMember(Body):
    """Whom to make a member: a user by id, or whoever has an e-mail address, who is made where nobody has it."""

    user_id: str | None = None
    email_address: EmailAddress | None = None
    first_name: Annotated[FirstName | None, Field(description="Of somebody new; it changes nobody who is there.")] = (
        None
    )
    last_name: Annotated[LastName | None, Field(description="Of somebody new; it changes nobody who is there.")] = None
    role: Annotated[str | None, Field(examples=["org:member"], description="Without it the default role.")] = None


class MembershipChange(Body):
    """The role that a member gets by hand."""

    role: Annotated[str, Field(examples=["org:admin"])]


class MembershipEnd(Query):
    """How to end a membership."""

    force: Force = False


@operation("list_memberships", "GET", MEMBERSHIPS, tag="Memberships")
def list_members(session: Session, organization_id: str, query: MembershipQuery) -> Page[OrganizationMembershipObject]:
    """List the active memberships, oldest first."""
    found = list_memberships(
        session,
        organization_id,
        limit=query.limit + 1,
        after=query.cursor,
        include_deleted=query.include == "deleted",
        role=query.role,
        role_source=query.role_source,
    )
    show = partial(membership_object, seen_by=own_organization())
    return page(found, query.limit, show, lambda membership: membership.id)


@operation(
    "add_member",
    "POST",
    MEMBERSHIPS,
    tag="Memberships",
    status=201,
    errors={404: "There is no such user.", 409: "The person is a member, or was deactivated by the directory."},
)
def add(session: Session, organization_id: str, body: AddedMember) -> OrganizationMembershipObject:
    """Make somebody a member by hand. A former member gets the same membership again."""
    new = NewMember(body.user_id, body.email_address, body.first_name, body.last_name, body.role)
    own = own_organization()
    shown = membership_object(add_member(session, organization_id, new, seen_by=own), seen_by=own)
    audit(session, "organization_membership.created", shown, user_id=shown["user"]["id"], role=shown["role"])
    return shown


@operation("read_membership", "GET", MEMBERSHIP, tag="Memberships")
def read(session: Session, organization_id: str, user_id: str) -> OrganizationMembershipObject:
    """Return the active membership of a user."""
    return membership_object(get_membership(session, organization_id, user_id), seen_by=own_organization())


@operation("change_membership", "PATCH", MEMBERSHIP, tag="Memberships", errors=LAST_ADMIN)
def change(
    session: Session, organization_id: str, user_id: str, body: MembershipChange
) -> OrganizationMembershipObject:
    """Give a member a role by hand. It stays until the directory changes what it says of the person's role."""
    former = get_membership(session, organization_id, user_id).role.key
    membership = change_role(session, organization_id, user_id, body.role)
    shown = membership_object(membership, seen_by=own_organization())
    changed = {"user_id": user_id, "role": shown["role"], "former_role": former}
    audit(session, "organization_membership.updated", shown, **changed)
    return shown


@operation("end_membership", "DELETE", MEMBERSHIP, tag="Memberships", status=204, errors=LAST_ADMIN)
def end(session: Session, organization_id: str, user_id: str, query: MembershipEnd) -> None:
    """End a membership by hand, with the person's sessions there; a person without another membership is deleted.

    Whom the directory assigns stays out until it deactivates and activates the person, or somebody adds them again.
    """
    shown = membership_object(end_membership(session, organization_id, user_id, force=query.force))
    audit(session, "organization_membership.deleted", shown, user_id=user_id, role=shown["role"])
