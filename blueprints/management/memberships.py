"""The members of an organization, and links that sign them in to the pages."""

from functools import partial
from typing import Annotated, Literal

from flask import current_app
from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import Body, Page, PageQuery, page
from organizations.members import list_memberships
from organizations.representations import OrganizationMembershipObject, membership_object
from organizations.sign_in import make_sign_in_link
from webhooks.representations import Moment, ShownOnce


class MembershipQuery(PageQuery):
    """Which memberships are wanted."""

    include: Annotated[Literal["deleted"] | None, Field(description="`deleted` shows the ended memberships too.")] = (
        None
    )


class NewSignInLink(Body):
    """Whom the link signs in: an active member."""

    user_id: str


class SignInLinkObject(TypedDict):
    """A link that signs a member in once."""

    id: str
    object: Literal["sign_in_link"]
    organization_id: str
    user_id: str
    url: ShownOnce
    created_at: Moment
    expires_at: Moment


@operation("list_memberships", "GET", "/organizations/<organization_id>/memberships", tag="Memberships")
def list_members(session: Session, organization_id: str, query: MembershipQuery) -> Page[OrganizationMembershipObject]:
    """List the active memberships, oldest first."""
    found = list_memberships(
        session,
        organization_id,
        limit=query.limit + 1,
        after=query.cursor,
        include_deleted=query.include == "deleted",
    )
    show = partial(membership_object, seen_by=own_organization())
    return page(found, query.limit, show, lambda membership: membership.id)


@operation(
    "make_sign_in_link",
    "POST",
    "/organizations/<organization_id>/sign-in-links",
    tag="Memberships",
    status=201,
)
def create_sign_in_link(session: Session, organization_id: str, body: NewSignInLink) -> SignInLinkObject:
    """Make a link that signs an active member in once, within 24 hours."""
    link, token = make_sign_in_link(session, organization_id, body.user_id)
    shown: SignInLinkObject = {
        "id": link.id,
        "object": "sign_in_link",
        "organization_id": organization_id,
        "user_id": link.user_id,
        "url": f"{current_app.config['PUBLIC_URL']}/sign-in/{token}",
        "created_at": link.created_at,
        "expires_at": link.expires_at,
    }
    audit(session, "sign_in_link.made", shown, user_id=link.user_id)
    return shown
