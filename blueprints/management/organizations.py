"""Organizations, and the address of their SCIM endpoint."""

from typing import Annotated

from flask import current_app
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import NAME, Body, Judged, Page, PageQuery, Words, page
from organizations.deletion import delete_organization
from organizations.organizations import (
    get_organization,
    list_organizations,
    make_organization,
    organization_name_problems,
    rename_organization,
)
from organizations.representations import OrganizationObject, organization_object

Name = Annotated[str, Judged(organization_name_problems, NAME)]


class NewOrganization(Body):
    """The organization to make."""

    name: Name


class ScimEndpointObject(TypedDict):
    """Where an identity provider finds SCIM."""

    endpoint_url: str


class OrganizationQuery(PageQuery):
    """Which organizations are wanted."""

    q: Words = ""


class OrganizationChange(Body):
    """What to change of an organization."""

    name: Name


@operation("list_organizations", "GET", "/organizations", tag="Organizations")
def list_all(session: Session, query: OrganizationQuery) -> Page[OrganizationObject]:
    """List the organizations that this secret key opens, oldest first."""
    found = list_organizations(
        session, limit=query.limit + 1, after=query.cursor, only=own_organization(), words=query.q
    )
    return page(found, query.limit, organization_object, lambda item: item.id)


@operation("create_organization", "POST", "/organizations", tag="Organizations", status=201, for_environment=True)
def create(session: Session, body: NewOrganization) -> OrganizationObject:
    """Make an organization. It takes a secret key of the whole environment."""
    shown = organization_object(make_organization(session, body.name))
    audit(session, "organization.created", shown)
    return shown


@operation("read_organization", "GET", "/organizations/<organization_id>", tag="Organizations")
def read(session: Session, organization_id: str) -> OrganizationObject:
    """Return one organization."""
    return organization_object(get_organization(session, organization_id))


@operation("change_organization", "PATCH", "/organizations/<organization_id>", tag="Organizations")
def change(session: Session, organization_id: str, body: OrganizationChange) -> OrganizationObject:
    """Give an organization another name."""
    former = get_organization(session, organization_id).name
    shown = organization_object(rename_organization(session, organization_id, body.name))
    audit(session, "organization.updated", shown, former_name=former)
    return shown


@operation(
    "delete_organization",
    "DELETE",
    "/organizations/<organization_id>",
    tag="Organizations",
    status=204,
    for_environment=True,
)
def delete(session: Session, organization_id: str) -> None:
    """Delete an organization. It takes a secret key of the whole environment, and cannot be undone.

    Its memberships, directory, connections, webhook endpoints, tokens, keys,
    links and sessions end; people who are in no other organization are
    deleted. `organization.deleted` tells of it, once.
    """
    shown = organization_object(delete_organization(session, organization_id))
    audit(session, "organization.deleted", shown)


@operation("read_scim_endpoint", "GET", "/organizations/<organization_id>/scim/endpoint", tag="Directory")
def endpoint(_session: Session, organization_id: str) -> ScimEndpointObject:  # noqa: ARG001  (that it exists was seen to)
    """Return the SCIM base URL. It is the same for all organizations: the token alone decides."""
    return {"endpoint_url": current_app.config["SCIM_ENDPOINT_URL"]}
