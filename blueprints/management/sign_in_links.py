"""Sign-in links: they sign a member in to the pages, once."""

from typing import Literal

from flask import current_app
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import Body, Page, PageQuery, page
from models import SignInLink
from organizations.sign_in import get_sign_in_link, list_sign_in_links, make_sign_in_link, revoke_sign_in_link
from webhooks.representations import Moment, ShownOnce

LINKS = "/organizations/<organization_id>/sign-in-links"


class NewSignInLink(Body):
    """Whom the link signs in: an active member."""

    user_id: str


class SignInLinkObject(TypedDict):
    """A link that signs a member in once."""

    id: str
    object: Literal["sign_in_link"]
    organization_id: str
    user_id: str
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None
    revoked_at: Moment | None


class MadeSignInLinkObject(SignInLinkObject):
    """A sign-in link that was just made."""

    url: ShownOnce


@operation("list_sign_in_links", "GET", LINKS, tag="Sign-in links")
def list_links(session: Session, organization_id: str, query: PageQuery) -> Page[SignInLinkObject]:
    """List the sign-in links of an organization, used ones too, newest first."""
    found = list_sign_in_links(session, organization_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, sign_in_link_object, lambda link: link.id)


@operation("make_sign_in_link", "POST", LINKS, tag="Sign-in links", status=201)
def make(session: Session, organization_id: str, body: NewSignInLink) -> MadeSignInLinkObject:
    """Make a link that signs an active member in once, within 24 hours.

    A link made with a key of one organization opens nothing of another one, however the member goes on from there.
    """
    bound = own_organization() is not None
    link, token = make_sign_in_link(session, organization_id, body.user_id, organization_bound=bound)
    shown = sign_in_link_object(link)
    audit(session, "sign_in_link.made", shown, user_id=link.user_id)
    return {**shown, "url": f"{current_app.config['PUBLIC_URL']}/sign-in/{token}"}


@operation("read_sign_in_link", "GET", f"{LINKS}/<link_id>", tag="Sign-in links")
def read(session: Session, organization_id: str, link_id: str) -> SignInLinkObject:
    """Return one sign-in link."""
    return sign_in_link_object(get_sign_in_link(session, organization_id, link_id))


@operation("revoke_sign_in_link", "POST", f"{LINKS}/<link_id>/revoke", tag="Sign-in links")
def revoke(session: Session, organization_id: str, link_id: str) -> SignInLinkObject:
    """Make a link useless that was not used yet. Whoever signed in with it stays signed in."""
    shown = sign_in_link_object(revoke_sign_in_link(session, organization_id, link_id))
    audit(session, "sign_in_link.revoked", shown, user_id=shown["user_id"])
    return shown


def sign_in_link_object(link: SignInLink) -> SignInLinkObject:
    """Return a sign-in link, without its address."""
    return {
        "id": link.id,
        "object": "sign_in_link",
        "organization_id": link.organization_id,
        "user_id": link.user_id,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
        "used_at": link.used_at,
        "revoked_at": link.revoked_at,
    }
