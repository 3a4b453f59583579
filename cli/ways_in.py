"""Organizations, and the ways in to their pages."""

import json
import os

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from blueprints.profile.passwords import hash_password
from cli.telling import bring_up_to_date, public_url, told_in_one_line
from database import db
from errors import Conflict, DomainError
from folding import fold
from organizations.audit import Actor, record_act
from organizations.members import find_provisioning_manager, find_user_by_email, get_membership
from organizations.organizations import (
    Bootstrapped,
    add_admin,
    bootstrap,
    get_organization,
    list_organizations,
)
from organizations.passwords import check_new_password, normal_password, remove_password, set_password
from organizations.sessions import end_all_sessions
from organizations.setup_links import DAY_SECONDS, make_setup_link
from organizations.sign_in import make_sign_in_link


@click.command("bootstrap")
@click.option("--organization", "name", required=True, metavar="NAME", help="What the organization is called.")
@click.option("--admin-email", metavar="ADDRESS", help="E-mail address of its first admin.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@with_appcontext
def bootstrap_command(*, name: str, admin_email: str | None, as_json: bool) -> None:
    """Make an organization, with all it takes to use it.

    Prints a secret key, a SCIM token and a one-time sign-in link. They are shown this once. The
    database is brought up to date first.
    """
    os.umask(0o077)
    with told_in_one_line():
        bring_up_to_date()
        made = _bootstrap(name, admin_email)
    if as_json:
        click.echo(json.dumps(_as_object(made)))
    else:
        click.echo(f"The organization {name.strip()!r} ({made.organization_id}) was made.\n")
        click.echo(secrets_text(made))


def _bootstrap(name: str, admin_email: str | None) -> Bootstrapped:
    try:
        with db.unit_of_work() as session:
            return bootstrap(session, name, admin_email=admin_email)
    except Conflict as error:
        if error.constraint != "uq_users_email_key":
            raise
        raise DomainError(
            "The e-mail address is taken.",
            long_message=f"{admin_email} is the address of another user. Give another --admin-email, or none.",
        ) from error


def _as_object(made: Bootstrapped) -> dict[str, str]:
    return {
        "organization_id": made.organization_id,
        "secret_key": made.secret_key,
        "scim_endpoint_url": f"{public_url()}/scim/v2/",
        "scim_token": made.scim_token,
        "sign_in_url": _sign_in_url(made.sign_in_token),
    }


def secrets_text(made: Bootstrapped) -> str:
    """Return the secrets of a new organization for a person to read, each with what to do with it."""
    shown = _as_object(made)
    api = f"{public_url()}/v1"
    return "\n".join(
        (
            "These are shown this once; keep them.\n",
            f"  SCIM base URL  {shown['scim_endpoint_url']}",
            "                 Paste it into the identity provider. In Okta: Provisioning, Integration, Base URL.",
            f"  SCIM token     {shown['scim_token']}",
            "                 Paste it beside the base URL. In Okta: API Token.",
            f"  Secret key     {shown['secret_key']}",
            f"                 Your backend sends it to {api} as: Authorization: Bearer sk_…",
            f"  Sign-in link   {shown['sign_in_url']}",
            "                 Open it in a browser to see Members and Directory sync. It works once, for 24 hours.",
        )
    )


@click.command("sign-in-link")
@click.option("--organization", "organization_id", metavar="ORG_ID", help="Needed when there are several.")
@click.option("--user", "user_id", metavar="USER_ID", help="The member who signs in.")
@click.option("--email", metavar="ADDRESS", help="The member who signs in, by e-mail address.")
@with_appcontext
def sign_in_link_command(*, organization_id: str | None, user_id: str | None, email: str | None) -> None:
    """Print a link that signs a member in once, within 24 hours.

    Without --user and --email it is for a member who may manage directory sync; when the
    organization has none left, an admin is added to it.
    """
    if user_id and email:
        raise click.UsageError("Give --user or --email, not both.")
    with told_in_one_line(), db.unit_of_work() as session:
        organization_id = organization_id or _only_organization(session)
        get_organization(session, organization_id)
        who = _who_signs_in(session, organization_id, user_id, email)
        link, token = make_sign_in_link(session, organization_id, who)
        record_act(
            session,
            Actor("command", None, "sign-in-link"),
            "sign_in_link.made",
            organization_id=organization_id,
            target_type="sign_in_link",
            target_id=link.id,
            details={"user_id": who},
        )
    click.echo(_sign_in_url(token))


@click.command("setup-link")
@click.option("--organization", "organization_id", metavar="ORG_ID", help="Needed when there are several.")
@click.option("--name", default="IT admin", show_default=True, metavar="NAME", help="Who will open it.")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True, help="How long it works.")
@with_appcontext
def setup_link_command(*, organization_id: str | None, name: str, days: int) -> None:
    """Print a link that opens Directory sync of one organization to its IT admin, who need not be a member."""
    with told_in_one_line(), db.unit_of_work() as session:
        organization_id = organization_id or _only_organization(session)
        get_organization(session, organization_id)
        link, token = make_setup_link(session, organization_id, name, lifetime_seconds=days * DAY_SECONDS)
        record_act(
            session,
            Actor("command", None, "setup-link"),
            "setup_link.made",
            organization_id=organization_id,
            target_type="setup_link",
            target_id=link.id,
            details={"name": link.name, "expires_at": link.expires_at},
        )
    click.echo(f"{public_url()}/setup/{token}")


@click.command("set-password")
@click.option("--email", required=True, metavar="ADDRESS", help="Whose password.")
@click.option("--remove", is_flag=True, help="Take the password away instead.")
@with_appcontext
def set_password_command(*, email: str, remove: bool) -> None:
    """Set or remove the password with which a member signs in. It is asked for, or read from standard input."""
    with told_in_one_line():
        with db.reading() as session:
            user = find_user_by_email(session, fold(email))
        if user is None or user.deleted_at is not None:
            raise click.ClickException(f"Nobody here has the e-mail address {email}.")
        if not remove:
            password = normal_password(click.prompt("New password", hide_input=True, confirmation_prompt=True))
            check_new_password(password, (user.email_address, user.first_name, user.last_name))
            password_hash = hash_password(password)
        with db.unit_of_work() as session:
            if remove:
                remove_password(session, user.id)
            else:
                set_password(session, user.id, password_hash)
            end_all_sessions(session, user.id)
            record_act(
                session,
                Actor("command", None, "set-password"),
                "password.removed" if remove else "password.set",
                organization_id=None,
                target_type="user",
                target_id=user.id,
            )
    click.echo(f"The password of {email} is {'removed' if remove else 'set'}. All of this person's sessions are ended.")


def _only_organization(session: Session) -> str:
    """Return the id of the one organization there is."""
    found = list_organizations(session, limit=20)
    if len(found) == 1:
        return found[0].id
    if not found:
        raise click.ClickException("There is no organization yet. Make one with: bootstrap --organization NAME")
    lines = "\n".join(f"  {organization.id}  {organization.name}" for organization in found)
    raise click.ClickException(
        f"Say which organization: make sign-in-link organization=ORG_ID, or --organization ORG_ID.\n{lines}"
    )


def _who_signs_in(session: Session, organization_id: str, user_id: str | None, email: str | None) -> str:
    """Return the id of the member for whom a link was asked."""
    if user_id is not None:
        return get_membership(session, organization_id, user_id).user_id
    if email is not None:
        user = find_user_by_email(session, fold(email))
        return get_membership(session, organization_id, user.id if user else "").user_id
    manager = find_provisioning_manager(session, organization_id)
    if manager is None:
        click.echo("No member is left who may manage directory sync, so an admin is added.", err=True)
        manager = add_admin(session, organization_id)
    return manager.user_id


def _sign_in_url(token: str) -> str:
    return f"{public_url()}/sign-in/{token}"
