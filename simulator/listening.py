"""The command ``listen``: a receiver for the developer of a backend, registered for as long as it runs."""

import base64
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from simulator.backend import ProductBackend
from simulator.exchange import JsonObject, Misbehaviour
from simulator.listener import Forwarding, Listener
from simulator.receiver import DeliveryServer

DESCRIPTION = "flask listen"
HINT = (
    "A receiver on your own machine needs a server that was started for it: "
    "WEBHOOK_ALLOW_HTTP=1 WEBHOOK_ALLOWED_NETWORKS=127.0.0.0/8 make run"
)


@dataclass(frozen=True)
class Wishes:
    """What the options ask for. Of ``secret`` and ``secret_key`` one is given."""

    server: str
    host: str
    port: int
    secret: str | None
    secret_key: str | None
    organization_id: str | None
    event_types: tuple[str, ...]
    url: str | None
    answer: int
    forward: str | None
    show_body: bool


def listen(wishes: Wishes) -> None:
    """Receive deliveries until Ctrl-C, and leave no endpoint behind.

    :raises click.ClickException: When it cannot listen, or the server refuses the endpoint.
    """
    secret, secret_key = credentials(wishes.secret, wishes.secret_key)
    listener = Listener(
        secret,
        say=lambda line, colour: click.secho(line, fg=colour),
        answer=wishes.answer,
        forwarding=Forwarding(wishes.forward) if wishes.forward else None,
        show_body=wishes.show_body,
    )
    with ExitStack() as stack:
        stack.enter_context(ended_in_order())
        server = bound(wishes.host, wishes.port, listener)
        if secret_key is not None:
            listener.secret = stack.enter_context(registered(wishes, secret_key, wishes.url or server.url))
        stack.enter_context(server)
        click.echo(f"Listening at {server.url}   Ctrl-C ends it.")
        with stopped_by_ctrl_c():
            signal.pause()
        click.echo()
    click.echo(f"{listener.events} events, {listener.copies} copies, {listener.refused} refused.")


def credentials(secret: str | None, secret_key: str | None) -> tuple[str, str | None]:
    """Return the signing secret, empty until the endpoint is registered, and the secret key to do that with.

    :raises click.ClickException: When there are both, or one that is none.
    """
    if secret and secret_key:
        raise click.UsageError("Give --secret or --secret-key, not both.")
    if not secret and not secret_key:
        asked = "Signing secret of an endpoint (whsec_…), or secret key of the server (sk_…)"
        given = click.prompt(asked, hide_input=True, err=True).strip()
        secret, secret_key = (None, given) if given.startswith("sk_") else (given, None)
    if secret_key:
        return "", secret_key
    assert secret is not None
    try:
        usable = secret.startswith("whsec_") and base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        usable = False
    if not usable:
        raise click.UsageError("That is no signing secret: it begins with whsec_, and base64 follows.")
    return secret, None


def bound(host: str, port: int, listener: Listener) -> DeliveryServer:
    """Return a server that is bound to its port and answers when it is entered.

    :raises click.ClickException: When nothing can listen there.
    """
    try:
        return DeliveryServer(host, port, listener.take)
    except OSError as error:
        message = f"Nothing can listen on port {port} of {host}: {error.strerror}. Give another --port."
        raise click.ClickException(message) from error


@contextmanager
def registered(wishes: Wishes, secret_key: str, url: str) -> Iterator[str]:
    """Register an endpoint at the server, yield its signing secret, and remove it.

    :raises click.ClickException: When the server refuses, or cannot be reached.
    """
    backend = ProductBackend(wishes.server, secret_key)
    # An end that comes while the answer is on its way waits for it: the endpoint would be left behind.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with told_in_words():
            # This process has the port now, so who registered this address before was killed.
            for endpoint_id in backend.remove_left_over(url, DESCRIPTION):
                click.echo(f"Removed {endpoint_id}, which was left behind.")
            endpoint = backend.register_receiver(
                wishes.organization_id, url, description=DESCRIPTION, event_types=wishes.event_types
            )
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            tell_of(endpoint, wishes)
            yield endpoint["signing_secret"]
        finally:
            with told_in_words():
                backend.remove_receiver(endpoint["id"])
            click.echo(f"Removed {endpoint['id']}.")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        backend.close()


def tell_of(endpoint: JsonObject, wishes: Wishes) -> None:
    """Print what was registered."""
    click.echo(f"Registered {endpoint['id']} at {wishes.server} for {', '.join(wishes.event_types)}, until this ends.")
    if wishes.forward:
        click.echo(f"Its signing secret, with which your handler verifies: {endpoint['signing_secret']}")


@contextmanager
def told_in_words() -> Iterator[None]:
    """Turn a refusal of the management API into its own words, and what to do about it."""
    try:
        yield
    except Misbehaviour as misbehaviour:
        words = misbehaviour.complaint
        exchange = misbehaviour.exchange
        try:
            error = json.loads(exchange.text)["errors"][0] if exchange is not None else {}
        except (ValueError, KeyError, IndexError, TypeError):
            error = {}
        words = error.get("long_message", words)
        if error.get("code") == "invalid_url":
            words = f"{words} {HINT}"
        raise click.ClickException(words) from misbehaviour


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end it as an exit does, so that the endpoint is removed then, too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopped_by_ctrl_c() -> Iterator[None]:
    """End the block at Ctrl-C. A second one must not keep the endpoint from being removed."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def web_address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return an option's value if it is a web address.

    :raises click.BadParameter: When it is not.
    """
    if value is not None:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.BadParameter(f"{value!r} is no web address such as http://127.0.0.1:3000/webhooks.")
    return value
