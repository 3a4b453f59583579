"""A database that was put back, and another secret key."""

from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from cli.telling import told_in_one_line
from database import db
from organizations.audit import Actor, record_act
from webhooks.endpoints import reseal_secrets
from webhooks.events import SKIPPED_NUMBERS, skip_numbers

# How many endpoints one transaction of ``rotate-secrets`` holds.
RESEALED_AT_ONCE = 100


@click.command("after-restore")
@with_appcontext
def after_restore_command() -> None:
    """Let event numbers jump ahead of what receivers have seen. Run it on a restored database, before the server."""
    with told_in_one_line(), db.unit_of_work() as session:
        streams = skip_numbers(session)
        _record_act(session, "after-restore", "events.numbers_skipped", streams=streams, numbers=SKIPPED_NUMBERS)
    click.echo(f"The numbers of {streams} streams of events jumped ahead by {SKIPPED_NUMBERS:,}.")
    click.echo("Start the server, and then a full sync in each identity provider.")


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
        with db.unit_of_work() as session:
            counts = {"endpoints": looked_at, "changed": changed, "unreadable": unreadable}
            _record_act(session, "rotate-secrets", "webhook_secrets.encrypted_anew", **counts)
    click.echo(f"{looked_at} webhook endpoints: the secrets of {changed} were encrypted anew.")
    if unreadable:
        raise click.ClickException(
            f"No key opens the secrets of {', '.join(unreadable)}. Give the SECRET_KEY of that time in "
            "SECRET_KEY_FALLBACKS and run this again, or rotate these secrets."
        )
    click.echo(
        "Webhooks need no SECRET_KEY_FALLBACKS any more; sign-ins from before the change do, for SESSION_HOURS at most."
    )


def _record_act(session: Session, command: str, action: str, **details: Any) -> None:
    record_act(
        session,
        Actor("command", None, command),
        action,
        organization_id=None,
        target_type="environment",
        target_id="environment",
        details=details,
    )
