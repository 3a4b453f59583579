"""Where a URL leads, and whether anything may be sent there. Whatever cannot be judged is refused: it fails closed."""

import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NewType
from urllib.parse import quote, urlsplit

import idna

from errors import DomainError, InvalidInput
from webhooks.addresses import Address, Network, is_public, may_be_sent_to

Resolver = Callable[[str, int], list[Address]]
# A URL that ``check_url`` found usable.
CheckedUrl = NewType("CheckedUrl", str)

MAX_URL_LENGTH = 2048
FIRST_UNPRIVILEGED_PORT = 1024
DEFAULT_PORTS = {"http": 80, "https": 443}
# How long saving an endpoint waits for the name server. The look-up that counts is the one when something is sent.
CHECK_SECONDS = 2.0
# Everything that may stand in a path and a query; the rest is percent-encoded.
SAFE = "/?:@!$&'()*+,;=-._~%"


class OutboundError(Exception):
    """Why a request was not sent or not answered, as a sentence for the person who runs the receiver."""


class NameNotResolved(OutboundError):
    """The name server knows no such host, or did not answer."""


@dataclass(frozen=True)
class OutboundPolicy:
    """What the settings allow beyond https to public addresses."""

    allow_http: bool = False
    allowed_networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Destination:
    """Where a URL leads. ``host`` is ASCII, ``authority`` what the Host header says, ``target`` the path and query."""

    secure: bool
    host: str
    port: int
    authority: str
    target: str


# -- URLs ---------------------------------------------------------------------


def check_url(policy: OutboundPolicy, url: str, resolve: Resolver | None = None) -> CheckedUrl:
    """Return the URL of an endpoint if it may be saved.

    It asks the name server, so call it before the unit of work. A host that
    cannot be resolved now is accepted, because the receiver may not be set up
    yet; whatever is sent is judged again, and then refused.

    :raises InvalidInput: When it can never be sent to; the message says what to do.
    """
    try:
        destination = destination_of(policy, url)
        judged_addresses(policy, destination, resolve or system_resolve, CHECK_SECONDS)
    except NameNotResolved:
        return CheckedUrl(url)
    except OutboundError as error:
        raise InvalidInput([_invalid_url(error)]) from error
    return CheckedUrl(url)


def url_problems(policy: OutboundPolicy, url: str) -> list[DomainError]:
    """Return what is wrong with the form of an endpoint's URL, without asking where it leads."""
    try:
        destination_of(policy, url)
    except OutboundError as error:
        return [_invalid_url(error)]
    return []


def _invalid_url(error: OutboundError) -> DomainError:
    return DomainError(str(error), code="invalid_url", meta={"param": "url"})


def destination_of(policy: OutboundPolicy, url: str) -> Destination:
    """Return where a URL leads.

    :raises OutboundError: When its form is refused.
    """
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or any(char.isspace() or char == "\\" for char in url):
        raise OutboundError(f"The URL must have at most {MAX_URL_LENGTH} characters, without spaces or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundError("The URL cannot be read. Give one such as https://example.com/webhooks.") from error
    if parts.scheme not in (("http", "https") if policy.allow_http else ("https",)):
        raise OutboundError("The URL must begin with https://.")
    if "@" in parts.netloc or "#" in url:
        raise OutboundError("The URL must not hold a user name, a password or a fragment.")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port == 0:
        raise OutboundError("The URL names port 0, which is no port.")
    host = _ascii_host(parts.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    return Destination(
        secure=parts.scheme == "https",
        host=host,
        port=port,
        authority=shown if port == DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}",
        target=quote(parts.path or "/", safe=SAFE) + (f"?{quote(parts.query, safe=SAFE)}" if parts.query else ""),
    )


def _ascii_host(host: str) -> str:
    """Return a host name in ASCII (IDNA 2008 with the mapping of UTS 46), in lower case."""
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        name = ""
    # A final dot would not match any certificate; a zone belongs to a link-local address.
    name = name.rstrip(".")
    if not name or "%" in name:
        raise OutboundError("The URL names no usable host. Give one such as https://example.com/webhooks.")
    return name


# -- Addresses ------------------------------------------------------------------


def system_resolve(host: str, port: int) -> list[Address]:
    """Return all addresses of a host, in the order in which the system would try them.

    :raises OSError: When there are none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


def judged_addresses(
    policy: OutboundPolicy, destination: Destination, resolve: Resolver, seconds: float
) -> list[Address]:
    """Return the addresses of a destination, resolved once, if every one of them may be sent to.

    :raises OutboundError: When there are none, or any may not. The address is
        not told: it would draw a map of the network for somebody who guesses names.
    """
    addresses = _resolve_within(resolve, destination, seconds)
    if not addresses:
        raise NameNotResolved(f"The host {destination.host} has no address.")
    if not all(may_be_sent_to(address, policy.allowed_networks) for address in addresses):
        raise OutboundError(
            f"The host {destination.host} has an address that is not public. Use a public one, "
            "or have its network allowed in WEBHOOK_ALLOWED_NETWORKS."
        )
    port = destination.port
    if port < FIRST_UNPRIVILEGED_PORT and port not in DEFAULT_PORTS.values() and any(map(is_public, addresses)):
        raise OutboundError(f"Port {port} is not for web servers. Use 443, 80, or one from {FIRST_UNPRIVILEGED_PORT}.")
    return addresses


def _resolve_within(resolve: Resolver, destination: Destination, seconds: float) -> list[Address]:
    """Return what the resolver finds in time. The system's has no limit of its own, so it runs in a thread."""
    results: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            results.put(resolve(destination.host, destination.port))
        except (OSError, ValueError) as error:
            results.put(error)

    threading.Thread(target=look_up, name="webhook host look-up", daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        raise NameNotResolved(f"The host {destination.host} was not resolved within {seconds:.0f} s.") from None
    if isinstance(result, Exception):
        raise NameNotResolved(f"The host {destination.host} cannot be resolved.") from result
    return result
