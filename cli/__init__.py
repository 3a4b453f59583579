"""The commands of an installation: ``flask --app app --help`` lists them."""

from flask import Flask

from cli.running import listen_command, serve_command, sweep_command, worker_command
from cli.secret_keys import secret_key
from cli.upkeep import after_restore_command, rotate_secrets_command
from cli.ways_in import bootstrap_command, set_password_command, setup_link_command, sign_in_link_command
from simulator.commands import demo, simulate


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
