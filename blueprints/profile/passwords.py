"""Checking passwords: hashed by scrypt, the same work whether an account is there or not, attempts limited."""

from functools import cache
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

from flask import current_app, g
from flask_limiter.util import get_remote_address
from limits import parse as parse_rate
from werkzeug.security import check_password_hash, generate_password_hash

from blueprints.limits import limiter
from folding import fold
from organizations.passwords import Credential, normal_password

TRIES_FROM_ONE_ADDRESS = 5  # times those for one account: several people may share an address


def hash_password(password: str) -> str:
    """Return the salted hash of a password."""
    return generate_password_hash(normal_password(password))


@cache
def hash_of_nobody() -> str:
    """Return a hash that no password has, to be checked where there is no account: that takes as long."""
    return generate_password_hash("\0")


def rate_for_account() -> str:
    """Return how many passwords may be tried for one account."""
    return str(current_app.config["PASSWORD_RATE_LIMIT"])


def rate_for_address() -> str:
    """Return how many passwords may be tried from one network address."""
    rate = parse_rate(rate_for_account())
    return f"{rate.amount * TRIES_FROM_ONE_ADDRESS} per {rate.multiples} {rate.GRANULARITY.name}"


def network_of_caller() -> str:
    """Return from where a request comes: an IPv4 address, or the network of an IPv6 one, which is one subscriber's."""
    address = get_remote_address()
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:  # of a Unix socket, or what a proxy made up
        return address
    if isinstance(known, IPv6Address):
        mapped = known.ipv4_mapped
        return str(mapped or IPv6Network((int(known) >> 64 << 64, 64)))
    return address


@limiter.shared_limit(rate_for_address, scope="password-address", key_func=network_of_caller)
@limiter.shared_limit(rate_for_account, scope="password-account", key_func=lambda: g.password_account)
def _count_attempt() -> None:
    """Count a try, before the password is looked at, so that tries at the same moment are all counted."""


def matches(credential: Credential | None, email_address: str, password: str) -> bool:
    """Tell whether a password is that of an account; it takes as long where there is no account.

    :raises RateLimitExceeded: When too many were tried for this account, or from this network address.
    """
    g.password_account = sha256(fold(email_address).encode()).hexdigest()
    _count_attempt()
    nobody = hash_of_nobody()  # for everybody, since the first call of a process makes it
    known = credential.password_hash if credential is not None else nobody
    fits = check_password_hash(known, normal_password(password))
    return fits and credential is not None
