"""Enterprise connections: the SSO applications that SCIM is layered on, and the domains that are theirs alone."""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress

import idna
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from clock import now_ms
from errors import Conflict, DomainError, InvalidInput, NotFound
from ids import new_id
from models import EnterpriseConnection, EnterpriseConnectionDomain
from organizations.validation import name_problems, problem

PROTOCOLS = ("saml", "oidc")
MAX_DOMAINS = 100


def list_connections(
    session: Session, organization_id: str, *, limit: int, after: str | None = None
) -> Sequence[EnterpriseConnection]:
    """Return one page of an organization's connections, oldest first; ``after`` is the id of the last one before."""
    query = select(EnterpriseConnection).where(EnterpriseConnection.organization_id == organization_id)
    if after is not None:
        query = query.where(EnterpriseConnection.id > after)
    return session.scalars(query.order_by(EnterpriseConnection.id).limit(limit)).all()


def get_connection(session: Session, organization_id: str, connection_id: str) -> EnterpriseConnection:
    """Return a connection of an organization.

    :raises NotFound: When the organization has no such connection.
    """
    query = select(EnterpriseConnection).where(
        EnterpriseConnection.organization_id == organization_id, EnterpriseConnection.id == connection_id
    )
    connection = session.scalar(query)
    if connection is None:
        message = "No such enterprise connection in this organization."
        raise NotFound(message, code="enterprise_connection_not_found")
    return connection


def create_connection(
    session: Session,
    organization_id: str,
    *,
    protocol: str,
    name: str,
    domains: Sequence[str] = (),
    enabled: bool = True,
) -> EnterpriseConnection:
    """Add a connection.

    :raises InvalidInput: When a value cannot be accepted.
    :raises Conflict: ``domain_taken``, when a connection of this environment has one of the domains.
    """
    given = _checked(protocol, name, domains)
    now = now_ms()
    connection = EnterpriseConnection(
        id=new_id("entcon"),
        organization_id=organization_id,
        protocol=protocol,
        name=name.strip(),
        domains=given,
        enabled=enabled,
        created_at=now,
        updated_at=now,
    )
    session.add(connection)
    session.flush()
    _take_domains(session, connection.id, given)
    return connection


def change_connection(
    session: Session,
    connection: EnterpriseConnection,
    *,
    protocol: str | None = None,
    name: str | None = None,
    domains: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given of a connection.

    :raises InvalidInput: When a value cannot be accepted.
    :raises Conflict: ``domain_taken``, when another connection of this environment has one of the domains.
    """
    given = _checked(
        connection.protocol if protocol is None else protocol,
        connection.name if name is None else name,
        connection.domains if domains is None else domains,
    )
    session.refresh(connection, with_for_update={"key_share": True})
    connection.protocol = protocol or connection.protocol
    connection.name = connection.name if name is None else name.strip()
    connection.enabled = connection.enabled if enabled is None else enabled
    connection.updated_at = now_ms()
    if domains is not None:
        connection.domains = given
        _take_domains(session, connection.id, given)
    session.flush()


def delete_connection(session: Session, connection: EnterpriseConnection) -> None:
    """Delete a connection. Its SCIM tokens go on working, for none."""
    session.delete(connection)
    session.flush()


def _take_domains(session: Session, connection_id: str, domains: Sequence[str]) -> None:
    """Make these the domains of a connection; the database sees to it that no two have the same."""
    mine = EnterpriseConnectionDomain.connection_id == connection_id
    session.execute(delete(EnterpriseConnectionDomain).where(mine))
    of_others = select(EnterpriseConnectionDomain.domain).where(EnterpriseConnectionDomain.domain.in_(domains))
    taken = sorted(session.scalars(of_others))
    if taken:
        raise Conflict(
            f"{', '.join(taken)}: another enterprise connection has this domain.",
            long_message="A domain belongs to one enterprise connection. Take it out there first.",
            code="domain_taken",
            meta={"param": "domains", "domains": taken},
        )
    # In order, so that two who take the same ones wait for each other instead of blocking each other.
    rows = [{"domain": domain, "connection_id": connection_id} for domain in sorted(domains)]
    if rows:
        session.execute(insert(EnterpriseConnectionDomain), rows)


def _checked(protocol: str, name: str, domains: Sequence[str]) -> list[str]:
    """Return the domains as they are stored, if all values can be accepted."""
    problems = connection_name_problems(name) + domain_problems(domains)
    if protocol not in PROTOCOLS:
        problems.append(problem("protocol", "protocol must be saml or oidc."))
    if problems:
        raise InvalidInput(problems)
    return list(dict.fromkeys(filter(None, map(canonical_domain, domains))))


def connection_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of a connection."""
    return name_problems("name", name, "The enterprise connection needs a name.", example="“Okta”")


def domain_problems(domains: Sequence[str]) -> list[DomainError]:
    """Return what is wrong with the domains of a connection, each with its place, such as ``domains.1``."""
    if len(domains) > MAX_DOMAINS:
        return [problem("domains", f"There are more than {MAX_DOMAINS} domains.")]
    advice = "Give a domain such as example.com, without a scheme or a path."
    return [
        problem(f"domains.{position}", f"{domain[:100]!r} is no domain.", advice)
        for position, domain in enumerate(domains)
        if canonical_domain(domain) is None
    ]


def canonical_domain(text: str) -> str | None:
    """Return a domain as the network writes it (IDNA 2008, small letters), or None for what is none."""
    with suppress(ValueError):
        ipaddress.ip_address(text)
        return None
    try:
        domain = idna.encode(text.strip().removesuffix("."), uts46=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return None
    labels = domain.split(".")
    return domain if len(labels) > 1 and not labels[-1].isdigit() else None
