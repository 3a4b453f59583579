"""Which network addresses may be sent to. Pure: nothing is resolved here.

An address is judged as a number, never as text, and so is every IPv4 address
that an IPv6 address carries inside it (mapped, compatible, 6to4, NAT64, Teredo):
a translator on the way would otherwise turn a public address into a private one.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAPPED = IPv6Network("::ffff:0:0/96")
COMPATIBLE = IPv6Network("::/96")
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056
TEREDO = IPv6Network("2001::/32")  # RFC 4380
GLOBAL_UNICAST = IPv6Network("2000::/3")
# Special-purpose networks (RFC 6890 and its registries) that ``is_global`` of some Python releases lets pass.
SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)


def may_be_sent_to(address: Address, allowed: Iterable[Network]) -> bool:
    """Tell whether a request may go to an address: it is public, or in a network that the settings allow."""
    networks = tuple(allowed)
    carried = carried_addresses(address)
    if _in_any(address, networks):
        return True
    if carried:
        return all(may_be_sent_to(inner, networks) for inner in carried)
    return is_public(address)


def carried_addresses(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address carries; none for any other address."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address in MAPPED or address in COMPATIBLE or address in NAT64:
        return (last,)
    if address in SIX_TO_FOUR:
        return (IPv4Address((number >> 80) & 0xFFFFFFFF),)
    if address in TEREDO:
        # The client's address stands inverted in the last 32 bits, the server's in bits 32 to 63.
        return (IPv4Address((number >> 64) & 0xFFFFFFFF), IPv4Address(~int(last) & 0xFFFFFFFF))
    return ()


def is_public(address: Address) -> bool:
    """Tell whether an address is a unicast address of the public Internet."""
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not _in_any(address, SPECIAL)


def _in_any(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
