"""Organizations, and the first things one needs to be used."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from clock import now_ms
from errors import DomainError, InvalidInput, NotFound
from folding import fold
from ids import new_id
from models import DirectoryList, Organization, OrganizationMembership, User
from organizations.audit import Actor, record_act
from organizations.representations import membership_object
from organizations.roles import ADMIN, get_role, seed_roles
from organizations.scim_tokens import issue_scim_token
from organizations.secret_keys import make_secret_key
from organizations.sign_in import make_sign_in_link
from organizations.users import SEARCHED_WORDS, mentions
from organizations.validation import name_problems
from webhooks.events import record_event


@dataclass(frozen=True)
class Bootstrapped:
    """A new organization with all it takes to be used; the plaintexts exist only here."""

    organization_id: str
    user_id: str
    secret_key: str
    scim_token: str
    sign_in_token: str


def make_organization(session: Session, name: str) -> Organization:
    """Add an organization.

    :raises InvalidInput: When the name is empty or too long.
    """
    _check_name(name)
    now = now_ms()
    organization = Organization(id=new_id("org"), name=name.strip(), created_at=now, updated_at=now)
    session.add(organization)
    session.flush()
    session.add_all(DirectoryList(organization_id=organization.id, resource_type=kind) for kind in ("Group", "User"))
    session.flush()
    return organization


def rename_organization(session: Session, organization_id: str, name: str) -> Organization:
    """Give an organization another name.

    :raises NotFound: When there is no such organization.
    :raises InvalidInput: When the name is empty or too long.
    """
    _check_name(name)
    organization = get_organization(session, organization_id)
    organization.name, organization.updated_at = name.strip(), now_ms()
    session.flush()
    return organization


def organization_name_problems(name: str) -> list[DomainError]:
    """Return what is wrong with the name of an organization."""
    return name_problems("name", name, "The organization needs a name.")


def _check_name(name: str) -> None:
    problems = organization_name_problems(name)
    if problems:
        raise InvalidInput(problems)


def get_organization(session: Session, organization_id: str) -> Organization:
    """Return an organization.

    :raises NotFound: When there is none of this id.
    """
    query = select(Organization).where(Organization.id == organization_id, Organization.deleted_at.is_(None))
    organization = session.scalar(query)
    if organization is None:
        raise NotFound("No such organization.", code="organization_not_found")
    return organization


def list_organizations(
    session: Session, *, limit: int, after: str | None = None, only: str | None = None, words: str = ""
) -> Sequence[Organization]:
    """Return one page of organizations, oldest first; ``after`` is the id of the last one of the page before.

    :param only: The one organization that may be shown.
    :param words: Each of them is found in the name.
    """
    query = select(Organization).where(Organization.deleted_at.is_(None)).order_by(Organization.id).limit(limit)
    if only is not None:
        query = query.where(Organization.id == only)
    for word in words.split()[:SEARCHED_WORDS]:
        query = query.where(mentions(word, (Organization.name,)))
    return session.scalars(query if after is None else query.where(Organization.id > after)).all()


def has_organizations(session: Session) -> bool:
    """Tell whether the environment holds any organization at all."""
    return bool(session.scalar(select(func.count()).select_from(Organization)))


def add_admin(session: Session, organization_id: str, email_address: str | None = None) -> OrganizationMembership:
    """Add a person who administers the organization: the first way in. No directory manages this person."""
    now = now_ms()
    user = User(
        id=new_id("user"),
        username="admin",
        email_address=email_address,
        email_key=fold(email_address) if email_address else None,
        first_name="First",
        last_name="Admin",
        created_at=now,
        updated_at=now,
    )
    membership = OrganizationMembership(
        id=new_id("orgmem"),
        organization_id=organization_id,
        user=user,
        role=get_role(session, ADMIN),
        role_source="manual",
        created_at=now,
        updated_at=now,
    )
    session.add(membership)
    session.flush()
    record_event(session, "organizationMembership.created", organization_id, membership_object(membership))
    return membership


def bootstrap(
    session: Session, name: str, *, admin_email: str | None = None, command: str = "bootstrap"
) -> Bootstrapped:
    """Make an organization with an admin, a secret key for the environment, a SCIM token and a sign-in link.

    :param command: Under whose name that stands in the audit log.
    :raises InvalidInput: When the name is empty or too long.
    """
    seed_roles(session)
    organization = make_organization(session, name)
    admin = add_admin(session, organization.id, admin_email)
    key, secret_key = make_secret_key(session, f"{organization.name} — first key")
    token, scim_token = issue_scim_token(session, organization.id, "First token")
    link, sign_in_token = make_sign_in_link(session, organization.id, admin.user_id)
    for action, target_id, details in (
        ("organization.created", organization.id, {"name": organization.name}),
        ("organization_membership.created", admin.id, {"user_id": admin.user_id}),
        ("secret_key.created", key.id, {"name": key.name, "prefix": key.prefix, "scope": key.scope}),
        ("scim_token.issued", token.id, {"name": token.name, "prefix": token.prefix}),
        ("sign_in_link.made", link.id, {"user_id": admin.user_id}),
    ):
        target_type = action.partition(".")[0]
        record_act(
            session,
            Actor("command", None, command),
            action,
            organization_id=None if target_type == "secret_key" else organization.id,
            target_type=target_type,
            target_id=target_id,
            details=details,
        )
    return Bootstrapped(organization.id, admin.user_id, secret_key, scim_token, sign_in_token)
