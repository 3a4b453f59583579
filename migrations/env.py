"""How Alembic reaches the database: over the application's engine, all of an upgrade in one transaction."""

import sqlite3

from alembic import context
from alembic.operations import MigrationScript
from flask import current_app
from sqlalchemy import Connection, text

# Any number that no other application of the same PostgreSQL server uses as an advisory lock.
MIGRATION_LOCK = 7643_7644


def leave_out_empty(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
    """Write no migration where the models have not changed."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives.clear()


def run(connection: Connection) -> None:
    """Bring the database to the revision that was asked for, all of it or nothing."""
    migrate = current_app.extensions["migrate"]
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        process_revision_directives=leave_out_empty,
        transactional_ddl=True,  # SQLite can do it as well, since database.py begins the transactions itself
        **migrate.configure_args,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Another migration may take as long as it takes. A table in use is not waited for without an end: whoever
            # comes after would wait as well.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            connection.execute(text("SET LOCAL lock_timeout = '20s'"))
        context.run_migrations()


def set_foreign_keys(connection: Connection, enforced: bool) -> None:
    """Switch SQLite's foreign keys: a batch migration drops tables, which would cascade to their children."""
    driver_connection = connection.connection.dbapi_connection
    if isinstance(driver_connection, sqlite3.Connection):
        driver_connection.execute(f"PRAGMA foreign_keys = {'ON' if enforced else 'OFF'}")


if context.is_offline_mode():
    raise SystemExit("Migrations run against a database only; --sql is not supported.")

with current_app.extensions["migrate"].db.engine.connect() as connection:
    set_foreign_keys(connection, False)
    try:
        run(connection)
    finally:
        connection.rollback()
        set_foreign_keys(connection, True)
