"""The commands: ``simulate okta`` and others against a running server, and ``demo``, which brings its own."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from simulator.backend import ProductBackend
from simulator.client import Client
from simulator.exchange import Misbehaviour
from simulator.narrator import Narrator
from simulator.own_server import OwnServer
from simulator.providers import PROVIDERS, Provider
from simulator.push_groups import admins_mapping
from simulator.receiver import WebhookReceiver
from simulator.stage import Product, Stage
from simulator.story import tell_story

FEWEST_PEOPLE = 10

LEFT_BEHIND = (
    "The invented people stay in the directory. Webhooks to this machine need WEBHOOK_ALLOW_HTTP=1 and"
    " WEBHOOK_ALLOWED_NETWORKS on the server. Ends with status 1 when the server misbehaves."
)


@dataclass(frozen=True)
class Wishes:
    """What the options ask for; ``way`` is one of the provider's ways of speaking, or None for its first."""

    provider: Provider
    way: str | None
    people: int
    receiver_host: str
    map_roles: bool


people_option = click.option(
    "--people", type=click.IntRange(FEWEST_PEOPLE), default=200, show_default=True, help="Size of the back-fill."
)
receiver_option = click.option(
    "--receiver-host", default="127.0.0.1", show_default=True, help="Where the webhook receiver listens."
)


@click.group()
def simulate() -> None:
    """Play an identity provider against a running server."""


def simulate_command(idp: str, provider: Provider) -> click.Command:
    """Return the command that plays one identity provider."""
    client = provider.client

    @click.command(idp, help=f"Drive a directory as {client.name} does.\n\n{client.introduction}\n\n{LEFT_BEHIND}")
    @click.option("--base-url", required=True, help="SCIM base URL, as it is pasted into the identity provider.")
    @click.option("--token", required=True, envvar="AUTHN_SCIM_TOKEN", help="SCIM token, pasted beside it.")
    @click.option("--secret-key", envvar="AUTHN_SCIM_SECRET_KEY", help="Lets the story see the product's side too.")
    @click.option(
        "--map-roles",
        is_flag=True,
        help="For the length of the story, replace the attribute mapping by one of groups to roles.",
    )
    @click.option(
        provider.option,
        "way",
        type=click.Choice(list(client.ways)),
        default=next(iter(client.ways)),
        show_default=True,
        help=f"How {client.name} speaks.",
    )
    @people_option
    @receiver_option
    def command(
        *,
        base_url: str,
        token: str,
        secret_key: str | None,
        map_roles: bool,
        way: str,
        people: int,
        receiver_host: str,
    ) -> None:
        with failing_loudly():
            play(base_url, token, secret_key, Wishes(provider, way, people, receiver_host, map_roles))

    return command


for _idp, _provider in PROVIDERS.items():
    simulate.add_command(simulate_command(_idp, _provider))


@click.command()
@click.option("--idp", type=click.Choice(list(PROVIDERS)), default="okta", show_default=True, help="Whom to play.")
@click.option("--way", help="How it speaks: a kind of app, a dialect, a setting; see “simulate IDP --help”.")
@click.option(
    "--base-url", envvar="AUTHN_SCIM_DEMO_URL", help="SCIM base URL of a running server, instead of one of its own."
)
@click.option("--token", envvar="AUTHN_SCIM_DEMO_TOKEN", help="SCIM token for that server.")
@click.option("--secret-key", envvar="AUTHN_SCIM_DEMO_SECRET_KEY", help="Secret key for that server.")
@click.option("--keep", is_flag=True, help="Leave the server running until Ctrl-C.")
@people_option
@receiver_option
def demo(
    *,
    idp: str,
    way: str | None,
    base_url: str | None,
    token: str | None,
    secret_key: str | None,
    keep: bool,
    people: int,
    receiver_host: str,
) -> None:
    """Start a server, play an identity provider and the product against it, and leave nothing behind."""
    provider = PROVIDERS[idp]
    if way is not None and way not in provider.client.ways:
        raise click.BadParameter(f"{provider.client.name} speaks as {', '.join(provider.client.ways)}.")
    wishes = Wishes(provider, way, people, receiver_host, map_roles=base_url is None)
    with failing_loudly():
        if base_url is None:
            play_on_own_server(wishes, keep=keep)
        elif token is None:
            raise click.UsageError("With --base-url, --token is needed too.")
        else:
            play(base_url, token, secret_key, wishes)


@contextmanager
def failing_loudly() -> Iterator[None]:
    """Turn a misbehaviour of the server into its description and exit status 1."""
    try:
        yield
    except Misbehaviour as misbehaviour:
        click.echo()
        for complaint in all_complaints(misbehaviour):
            click.secho(f"MISBEHAVIOUR: {complaint}\n", fg="red", err=True)
        raise SystemExit(1) from misbehaviour


def all_complaints(last: BaseException | None) -> list[str]:
    """Return the text of a misbehaviour after those of earlier ones: what went wrong while tidying up comes last."""
    if last is None:
        return []
    earlier = all_complaints(last.__context__)
    return [*earlier, str(last)] if isinstance(last, Misbehaviour) else earlier


def play_on_own_server(wishes: Wishes, *, keep: bool) -> None:
    """Play the story on a server that exists only for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server is stopped then, too
    click.echo("Starting a server with an empty database …")
    with OwnServer() as server:
        made = server.bootstrap("Acme")
        click.echo(f"It serves at {server.url}. Look at Members while the story runs, with this one-time link:")
        click.secho(made["sign_in_url"], bold=True)
        play(made["scim_endpoint_url"], made["scim_token"], made["secret_key"], wishes)
        if keep:
            click.echo(f"\nThe server stays at {server.url} until Ctrl-C.")
            wait_for_interrupt()
        click.echo("\nStopping the server …")
    click.echo("It is gone, and so are its data.")


def wait_for_interrupt() -> None:
    """Wait until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def play(base_url: str, token: str, secret_key: str | None, wishes: Wishes) -> None:
    """Play the story against a server.

    :raises Misbehaviour: At the first thing that is not as it must be.
    """
    narrator = Narrator()
    base_url = scim_base_url(base_url)
    with ExitStack() as stack:
        kind = wishes.provider.client
        client = kind(base_url, token, way=wishes.way, observer=narrator.observer(kind.name))
        stack.callback(client.close)
        product = None
        if secret_key is not None:
            backend = ProductBackend(base_url.removesuffix("/scim/v2"), secret_key, narrator.observer("Product"))
            stack.callback(backend.close)
            product = stack.enter_context(product_side(backend, client, token, narrator, wishes))
        tell_story(Stage(client, narrator, wishes.people, product), wishes.provider.chapters)
        click.echo()
        click.secho("The server behaved.", fg="green", bold=True)


@contextmanager
def product_side(
    backend: ProductBackend, client: Client, token: str, narrator: Narrator, wishes: Wishes
) -> Iterator[Product]:
    """Register a webhook receiver and map roles if wished; afterwards, undo both."""
    with WebhookReceiver(wishes.receiver_host) as receiver, ExitStack() as stack:
        with narrator.muted():
            organization = backend.find_organization_of(token)
            if organization is None:
                raise Misbehaviour("No organization that the secret key opens has issued this SCIM token.")
            organization_id = organization["id"]
            admins_group = None
            if wishes.map_roles and client.pushes_groups:
                admins_group = client.free_group_name("Admins")
                stack.callback(
                    backend.set_attribute_mapping, organization_id, backend.attribute_mapping(organization_id)
                )
                backend.set_attribute_mapping(organization_id, admins_mapping(admins_group))
            endpoint = backend.register_receiver(organization_id, receiver.url)
            stack.callback(backend.remove_receiver, endpoint["id"])
            receiver.trust(endpoint["signing_secret"])
        narrator.say(f"The product of {organization['name']} listens at {receiver.url}")
        yield Product(backend, receiver, organization_id, organization["name"], admins_group)


def scim_base_url(given: str) -> str:
    """Return the SCIM base URL without its last slash; an address without any path is completed.

    :raises click.BadParameter: When it is no such address.
    """
    parts = urlsplit(given.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/scim/v2"):
        raise click.BadParameter(
            f"{given!r} is no SCIM base URL such as https://acme.authn.sh/scim/v2/.", param_hint="--base-url"
        )
    return f"{parts.scheme}://{parts.netloc}/scim/v2"
