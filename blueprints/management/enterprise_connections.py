"""Enterprise connections: the SSO applications that SCIM is layered on."""

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation
from blueprints.management.requests import NAME, Body, Judged, Page, PageQuery, page
from organizations.enterprise_connections import (
    MAX_DOMAINS,
    change_connection,
    connection_name_problems,
    create_connection,
    delete_connection,
    domain_problems,
    get_connection,
    list_connections,
)
from organizations.representations import EnterpriseConnectionObject, enterprise_connection_object

CONNECTIONS = "/organizations/<organization_id>/enterprise-connections"
CONNECTION = f"{CONNECTIONS}/<connection_id>"
TAG = "Enterprise connections"
TAKEN = {409: "Another connection has one of the domains."}
Protocol = Literal["saml", "oidc"]
Name = Annotated[str, Judged(connection_name_problems, NAME)]
Domains = Annotated[list[str], Judged(domain_problems, {"maxItems": MAX_DOMAINS})]


class NewConnection(Body):
    """The connection to add."""

    protocol: Protocol
    name: Annotated[Name, Field(examples=["Okta"])]
    domains: Annotated[Domains, Field(examples=[["acme.com"]], description="Each belongs to one connection only.")] = (
        Field(default_factory=list)
    )
    enabled: bool = True


class ConnectionChange(Body):
    """What to change of a connection; what is left out stays."""

    protocol: Protocol | None = None
    name: Name | None = None
    domains: Domains | None = None
    enabled: bool | None = None


@operation("list_enterprise_connections", "GET", CONNECTIONS, tag=TAG)
def list_all(session: Session, organization_id: str, query: PageQuery) -> Page[EnterpriseConnectionObject]:
    """List the connections of an organization, oldest first."""
    found = list_connections(session, organization_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, enterprise_connection_object, lambda connection: connection.id)


@operation("create_enterprise_connection", "POST", CONNECTIONS, tag=TAG, status=201, errors=TAKEN)
def create(session: Session, organization_id: str, body: NewConnection) -> EnterpriseConnectionObject:
    """Add a connection."""
    connection = create_connection(
        session,
        organization_id,
        protocol=body.protocol,
        name=body.name,
        domains=body.domains,
        enabled=body.enabled,
    )
    shown = enterprise_connection_object(connection)
    audit(session, "enterprise_connection.created", shown, domains=shown["domains"])
    return shown


@operation("read_enterprise_connection", "GET", CONNECTION, tag=TAG)
def read(session: Session, organization_id: str, connection_id: str) -> EnterpriseConnectionObject:
    """Return one connection."""
    return enterprise_connection_object(get_connection(session, organization_id, connection_id))


@operation("change_enterprise_connection", "PATCH", CONNECTION, tag=TAG, errors=TAKEN)
def change(
    session: Session, organization_id: str, connection_id: str, body: ConnectionChange
) -> EnterpriseConnectionObject:
    """Change a connection."""
    connection = get_connection(session, organization_id, connection_id)
    given = body.model_dump(exclude_none=True)
    change_connection(session, connection, **given)
    shown = enterprise_connection_object(connection)
    audit(session, "enterprise_connection.updated", shown, changed=sorted(given))
    return shown


@operation("delete_enterprise_connection", "DELETE", CONNECTION, tag=TAG, status=204)
def delete(session: Session, organization_id: str, connection_id: str) -> None:
    """Delete a connection. SCIM tokens of it go on working, for no connection."""
    connection = get_connection(session, organization_id, connection_id)
    shown = enterprise_connection_object(connection)
    delete_connection(session, connection)
    audit(session, "enterprise_connection.deleted", shown)
