"""Setup links: they open Directory sync of an organization to its IT admin, who need not be a member."""

from typing import Annotated, Literal

from flask import current_app
from pydantic import Field
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation
from blueprints.management.requests import Body, Judged, Page, PageQuery, page
from models import SetupLink
from organizations.setup_links import (
    DEFAULT_LIFETIME_SECONDS,
    MAX_LIFETIME_SECONDS,
    MIN_LIFETIME_SECONDS,
    NAME_LENGTH,
    get_setup_link,
    link_name_problems,
    list_setup_links,
    make_setup_link,
    revoke_setup_link,
)
from webhooks.representations import Moment, ShownOnce

LINKS = "/organizations/<organization_id>/setup-links"


class NewSetupLink(Body):
    """Who will open the link, and for how long it works."""

    name: Annotated[
        str, Judged(link_name_problems, {"minLength": 1, "maxLength": NAME_LENGTH}), Field(examples=["Kim from IT"])
    ] = "IT admin"
    expires_in_seconds: Annotated[
        int, Field(ge=MIN_LIFETIME_SECONDS, le=MAX_LIFETIME_SECONDS, description="7 days unless given.")
    ] = DEFAULT_LIFETIME_SECONDS


class SetupLinkObject(TypedDict):
    """A link that opens Directory sync until it ends, in any number of browsers."""

    id: str
    object: Literal["setup_link"]
    organization_id: str
    name: str
    created_at: Moment
    expires_at: Moment
    last_used_at: Annotated[int | None, Field(description="When it last opened a session, in Unix milliseconds.")]
    revoked_at: Moment | None


class MadeSetupLinkObject(SetupLinkObject):
    """A setup link that was just made."""

    url: ShownOnce


@operation("list_setup_links", "GET", LINKS, tag="Setup links")
def list_links(session: Session, organization_id: str, query: PageQuery) -> Page[SetupLinkObject]:
    """List the setup links of an organization, ended ones too, newest first."""
    found = list_setup_links(session, organization_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, setup_link_object, lambda link: link.id)


@operation("make_setup_link", "POST", LINKS, tag="Setup links", status=201)
def make(session: Session, organization_id: str, body: NewSetupLink) -> MadeSetupLinkObject:
    """Make a setup link. This answer is the only one that holds its address."""
    link, token = make_setup_link(session, organization_id, body.name, lifetime_seconds=body.expires_in_seconds)
    shown = setup_link_object(link)
    audit(session, "setup_link.made", shown, expires_at=link.expires_at)
    return {**shown, "url": f"{current_app.config['PUBLIC_URL']}/setup/{token}"}


@operation("read_setup_link", "GET", f"{LINKS}/<link_id>", tag="Setup links")
def read(session: Session, organization_id: str, link_id: str) -> SetupLinkObject:
    """Return one setup link."""
    return setup_link_object(get_setup_link(session, organization_id, link_id))


@operation("revoke_setup_link", "POST", f"{LINKS}/<link_id>/revoke", tag="Setup links")
def revoke(session: Session, organization_id: str, link_id: str) -> SetupLinkObject:
    """End a setup link, and the sessions that it opened, at once."""
    shown = setup_link_object(revoke_setup_link(session, organization_id, link_id))
    audit(session, "setup_link.revoked", shown)
    return shown


def setup_link_object(link: SetupLink) -> SetupLinkObject:
    """Return a setup link, without its address."""
    return {
        "id": link.id,
        "object": "setup_link",
        "organization_id": link.organization_id,
        "name": link.name,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
        "last_used_at": link.last_used_at,
        "revoked_at": link.revoked_at,
    }
