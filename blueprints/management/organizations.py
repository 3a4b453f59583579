"""Organizations, and the address of their SCIM endpoint."""

from flask import current_app
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import Body, Page, PageQuery, page
from organizations.organizations import get_organization, list_organizations, make_organization
from organizations.representations import OrganizationObject, organization_object


class NewOrganization(Body):
    """The organization to make."""

    name: str


class ScimEndpointObject(TypedDict):
    """Where an identity provider finds SCIM."""

    endpoint_url: str


@operation("list_organizations", "GET", "/organizations", tag="Organizations")
def list_all(session: Session, query: PageQuery) -> Page[OrganizationObject]:
    """List the organizations that this secret key opens, oldest first."""
    own = own_organization()
    if own is not None:
        found = [get_organization(session, own)]
    else:
        found = [*list_organizations(session, limit=query.limit + 1, after=query.cursor)]
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


@operation("read_scim_endpoint", "GET", "/organizations/<organization_id>/scim/endpoint", tag="Directory")
def endpoint(_session: Session, organization_id: str) -> ScimEndpointObject:  # noqa: ARG001  (that it exists was seen to)
    """Return the SCIM base URL. It is the same for all organizations: the token alone decides."""
    return {"endpoint_url": current_app.config["SCIM_ENDPOINT_URL"]}
