"""The commands of an installation: ``flask --app app --help`` lists them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import jobs
from blueprints.profile.passwords import hash_password
from clock import now_ms, to_rfc3339
from database import db
from errors import Conflict, DomainError
from folding import fold
from models import SecretKey
from organizations.audit import Actor, record_act
from organizations.members import find_provisioning_manager, find_user_by_email, get_membership
from organizations.organizations import (
    Bootstrapped,
    add_admin,
    bootstrap,
    get_organization,
    has_organizations,
    list_organizations,
)
from organizations.passwords import check_new_password, normal_password, remove_password, set_password
from organizations.secret_keys import Scope, list_secret_keys, make_secret_key, revoke_secret_key
from organizations.sessions import end_all_sessions
from organizations.setup_links import DAY_SECONDS, make_setup_link
from organizations.sign_in import make_sign_in_link
from serving import (
    CannotServe,
    check_address,
    claim_data_directory,
    counting_directory,
    programs,
    remember_address,
    served_address,
)
from simulator.commands import demo, simulate
from simulator.listening import Wishes, listen, web_address
from supervision import Supervisor
from webhooks.endpoints import reseal_secrets
from webhooks.events import SKIPPED_NUMBERS, skip_numbers

FIRST_ORGANIZATION = "My organization"
# How many endpoints one transaction of ``rotate-secrets`` holds.
RESEALED_AT_ONCE = 100


def init_app(app: Flask) -> None:
    """Register the commands."""
    for command in (
        bootstrap_command,
        sign_in_link_command,
        setup_link_command,
        set_password_command,
        rotate_secrets_command,
        after_restore_command,
        listen_command,
        serve_command,
        worker_command,
        sweep_command,
    ):
        app.cli.add_command(command)
    app.cli.add_command(secret_key)
    app.cli.add_command(simulate)
    app.cli.add_command(demo)


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what is refused, and a database that cannot be used, into one line on standard error and exit status 1."""
    try:
        yield
    except DomainError as error:
        raise click.ClickException(error.long_message) from error
    except CannotServe as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        raise click.ClickException(
            f"The database does not answer, or its tables are not up to date ({str(error.orig).strip()}). "
            "Check DATABASE_URL. If the database is there, run: .venv/bin/flask --app app db upgrade"
        ) from error


def bring_up_to_date() -> None:
    """Apply the migrations that the database has not seen."""
    from flask_migrate import upgrade  # noqa: PLC0415  (8 MiB that no web process needs)

    upgrade()


# -- Organizations and ways in ------------------------------------------------------


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
        click.echo(_secrets_text(made))


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
        "scim_endpoint_url": f"{_public_url()}/scim/v2/",
        "scim_token": made.scim_token,
        "sign_in_url": _sign_in_url(made.sign_in_token),
    }


def _secrets_text(made: Bootstrapped) -> str:
    """Return the secrets of a new organization for a person to read, each with what to do with it."""
    shown = _as_object(made)
    api = f"{_public_url()}/v1"
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
    click.echo(f"{_public_url()}/setup/{token}")


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
    return f"{_public_url()}/sign-in/{token}"


def _public_url() -> str:
    """Return the address of the server: of the one that runs on this data, if the environment does not say."""
    served = served_address(current_app.config["SETTINGS"].data_dir, os.environ)
    return served or str(current_app.config["PUBLIC_URL"])


# -- Secret keys --------------------------------------------------------------------


@click.group("secret-key")
def secret_key() -> None:
    """Make, list and revoke the keys with which a backend calls /v1."""


@secret_key.command("create")
@click.option("--name", required=True, help="What it is for, such as: Backend - Production.")
@click.option("--organization", "organization_id", metavar="ORG_ID", help="Opens this organization only.")
@click.option("--scope", type=click.Choice(["read", "write"]), default="write", show_default=True)
@click.option("--days", type=click.IntRange(1, 36_500), help="Ends after so many days.  [default: when revoked]")
@with_appcontext
def create_secret_key_command(*, name: str, organization_id: str | None, scope: Scope, days: int | None) -> None:
    """Print a new secret key. It is shown this once."""
    expires_at = None if days is None else now_ms() + days * 24 * 3600 * 1000
    with told_in_one_line(), db.unit_of_work() as session:
        if organization_id is not None:
            get_organization(session, organization_id)
        key, plaintext = make_secret_key(
            session, name, organization_id=organization_id, scope=scope, expires_at=expires_at
        )
        _record_key_act(session, "create", "secret_key.created", key)
    click.echo(plaintext)


@secret_key.command("list")
@with_appcontext
def list_secret_keys_command() -> None:
    """List the secret keys by prefix, newest first, with what they open and when they were last used."""
    with told_in_one_line(), db.reading() as session:
        for key in list_secret_keys(session, limit=10_000):
            used = "never used" if key.last_used_at is None else f"last used {to_rfc3339(key.last_used_at)[:10]}"
            ended = key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now_ms())
            opens = key.organization_id or "the whole environment"
            click.echo(f"{key.id}  {key.prefix}…  {'ended' if ended else key.scope:5}  {opens}  {used}  {key.name}")


@secret_key.command("revoke")
@click.argument("key_id")
@with_appcontext
def revoke_secret_key_command(*, key_id: str) -> None:
    """End a secret key at once, by its id."""
    with told_in_one_line(), db.unit_of_work() as session:
        key = revoke_secret_key(session, key_id)
        _record_key_act(session, "revoke", "secret_key.revoked", key)
    click.echo(f"The secret key {key.prefix}… is revoked.")


def _record_key_act(session: Session, command: str, action: str, key: SecretKey) -> None:
    record_act(
        session,
        Actor("command", None, f"secret-key {command}"),
        action,
        organization_id=key.organization_id,
        target_type="secret_key",
        target_id=key.id,
        details={"name": key.name, "prefix": key.prefix, "scope": key.scope},
    )


# -- A database that was put back ---------------------------------------------------


@click.command("after-restore")
@with_appcontext
def after_restore_command() -> None:
    """Let event numbers jump ahead of what receivers have seen. Run it on a restored database, before the server."""
    with told_in_one_line(), db.unit_of_work() as session:
        streams = skip_numbers(session)
    click.echo(f"The numbers of {streams} streams of events jumped ahead by {SKIPPED_NUMBERS:,}.")
    click.echo("Start the server, and then a full sync in each identity provider.")


# -- The secret key -----------------------------------------------------------------


@click.command("rotate-secrets")
@with_appcontext
def rotate_secrets_command() -> None:
    """Encrypt every webhook secret with the present SECRET_KEY, so that its fallbacks can be removed.

    Run it when every process of the installation has the new key. It can be run again at any time.
    """
    box, last, changed, looked_at = current_app.extensions["secret_box"], None, 0, 0
    unreadable: list[str] = []
    with told_in_one_line():
        while True:
            with db.unit_of_work() as session:
                done = reseal_secrets(session, box, last, RESEALED_AT_ONCE)
            changed, looked_at = changed + done.changed, looked_at + done.looked_at
            unreadable += done.unreadable
            last = done.last
            if last is None:
                break
    click.echo(f"{looked_at} webhook endpoints: the secrets of {changed} were encrypted anew.")
    if unreadable:
        raise click.ClickException(
            f"No key opens the secrets of {', '.join(unreadable)}. Give the SECRET_KEY of that time in "
            "SECRET_KEY_FALLBACKS and run this again, or rotate these secrets."
        )
    click.echo(
        "Webhooks need no SECRET_KEY_FALLBACKS any more; sign-ins from before the change do, for SESSION_HOURS at most."
    )


# -- For the developer of a backend ----------------------------------------------------


@click.command("listen")
@click.option("--port", type=click.IntRange(0, 65535), default=4400, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--secret-key", envvar="AUTHN_SCIM_SECRET_KEY", help="sk_…: registers an endpoint while this runs.")
@click.option(
    "--secret", envvar="AUTHN_SCIM_WEBHOOK_SECRET", help="whsec_…: verifies what comes to an endpoint of yours."
)
@click.option("--server", callback=web_address, help="Server to register at.  [default: the one on this data]")
@click.option("--url", callback=web_address, help="How that server reaches this one, through a tunnel for example.")
@click.option("--organization", "organization_id", metavar="ORG_ID", help="Only the events of one organization.")
@click.option("--events", "event_types", multiple=True, default=("*",), metavar="TYPE", help="Only these types.")
@click.option("--answer", type=click.IntRange(200, 599), default=204, show_default=True, help="500 makes it retry.")
@click.option("--forward", callback=web_address, metavar="URL", help="Pass events on and answer what comes back.")
@click.option("--json", "show_body", is_flag=True, help="Print each event whole.")
@with_appcontext
def listen_command(*, server: str | None, **options: Any) -> None:
    """Receive webhooks, verify them and print them, until Ctrl-C.

    Secrets are better given in AUTHN_SCIM_SECRET_KEY or AUTHN_SCIM_WEBHOOK_SECRET, or typed when
    asked: options are seen by other users of this machine.
    """
    listen(Wishes(server=server or _public_url(), **options))


# -- What runs ----------------------------------------------------------------------


@click.command("worker")
@with_appcontext
def worker_command() -> None:
    """Deliver webhooks, until it is stopped."""
    jobs.run_worker()


@click.command("sweep")
@with_appcontext
def sweep_command() -> None:
    """Find what is due and tell the workers, until it is stopped."""
    jobs.run_sweep(current_app.config["SETTINGS"].sweep_seconds)


@click.command("serve")
@with_appcontext
def serve_command() -> None:
    """Run everything on this machine, until Ctrl-C or SIGTERM.

    Brings the database up to date, makes a first organization in an empty one, and keeps running:
    the web server, the webhook workers, the sweep, and a Redis unless REDIS_URL names one.
    """
    os.umask(0o077)  # the database is for this user's eyes alone
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # or each thread keeps memory of its own, some MiB of it unused
    settings = current_app.config["SETTINGS"]
    with told_in_one_line():
        lock = claim_data_directory(settings.data_dir)
        check_address(settings.host, settings.port)
        bring_up_to_date()
    db.engine.dispose()
    remember_address(settings.data_dir, settings.public_url)
    if settings.metrics_token is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counting_directory(settings.data_dir))
    to_run = programs(
        host=settings.host,
        port=settings.port,
        web_processes=settings.web_concurrency,
        workers=settings.worker_concurrency,
        data_dir=settings.data_dir,
        redis_socket=settings.redis_socket if settings.embedded_redis else None,
    )
    Supervisor(
        to_run,
        announce=lambda: _greet(settings.data_dir, _first_organization()),
        farewell=lambda: click.echo("\nStopping …"),
        inherited=(lock,),
    ).run()
    click.echo("Stopped.")


def _first_organization() -> Bootstrapped | None:
    """Make a first organization in an empty environment; None in one that is in use."""
    try:
        with db.unit_of_work() as session:
            return None if has_organizations(session) else bootstrap(session, FIRST_ORGANIZATION, command="serve")
    except Conflict:
        return None  # another machine was first, at the same moment


def _greet(data_dir: Path, made: Bootstrapped | None) -> None:
    public_url = current_app.config["PUBLIC_URL"]
    click.echo(f"\nauthn-scim serves at {public_url}   Ctrl-C stops it. Its data is in {data_dir}\n")
    if made is not None:
        click.echo(f"It is new, so an organization was made: {FIRST_ORGANIZATION!r} ({made.organization_id}).")
        click.echo(_secrets_text(made) + "\n")
        return
    click.echo(f"  SCIM base URL  {current_app.config['SCIM_ENDPOINT_URL']}")
    click.echo("  Sign-in link   make sign-in-link   prints a new one\n")
