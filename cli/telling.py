"""What the commands share: what they say when they cannot, and where the server is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import current_app
from sqlalchemy.exc import DBAPIError

from errors import DomainError
from serving import (
    CannotServe,
    served_address,
)


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


def public_url() -> str:
    """Return the address of the server: of the one that runs on this data, if the environment does not say."""
    served = served_address(current_app.config["SETTINGS"].data_dir, os.environ)
    return served or str(current_app.config["PUBLIC_URL"])
