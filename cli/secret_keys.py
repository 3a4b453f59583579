"""The keys with which a backend calls ``/v1``."""

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from cli.telling import told_in_one_line
from clock import now_ms, to_rfc3339
from database import db
from models import SecretKey
from organizations.audit import Actor, record_act
from organizations.organizations import (
    get_organization,
)
from organizations.secret_keys import Scope, list_secret_keys, make_secret_key, revoke_secret_key


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
