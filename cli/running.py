"""What runs: everything on one machine, or one program of it; and a receiver for developers."""

import os
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

import jobs
from cli.telling import bring_up_to_date, public_url, told_in_one_line
from cli.ways_in import secrets_text
from database import db
from errors import Conflict
from organizations.organizations import (
    Bootstrapped,
    bootstrap,
    has_organizations,
)
from serving import (
    check_address,
    claim_data_directory,
    counting_directory,
    programs,
    remember_address,
)
from simulator.listening import Wishes, listen, web_address
from supervision import Supervisor

FIRST_ORGANIZATION = "My organization"


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
    listen(Wishes(server=server or public_url(), **options))


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
        click.echo(secrets_text(made) + "\n")
        return
    click.echo(f"  SCIM base URL  {current_app.config['SCIM_ENDPOINT_URL']}")
    click.echo("  Sign-in link   make sign-in-link   prints a new one\n")
