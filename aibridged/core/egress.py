"""Egress policy of the AI Proxy: which destinations are allowed (SSRF protection).

Users of the proxy must not reach through it what only the proxy's machine can reach: its own
services, the networks behind it, the metadata service of its cloud. Names are parsed strictly, so
that no number in disguise (`0x7f.1`, `2130706433`) passes for one, and every address of a name is
checked by itself: the address that is dialled is one that was permitted.
"""

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTPS_PORT = 443

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
# What resolvers take for a number instead of a name, as the last label.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's special-purpose address registries (RFC 6890 and later), multicast, and the one public
# address that belongs to a cloud.
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata service is in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's WireServer
        "169.254.0.0/16",  # link-local, with most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # protocol assignments, with Teredo, which hides an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",
    )
)
# Nothing else of IPv6 is routed on the internet.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# An address in these is the IPv4 address in its last 32 bits, and is checked as that.
_TRANSLATED = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


class BadDestinationError(ValueError):
    """CONNECT's target isn't a host with a port. The message doesn't quote it."""


class Destination(msgspec.Struct, frozen=True):
    """A host, in lower case and without brackets, and a port; `address` if it isn't a name."""

    host: str
    port: int
    address: Address | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_destination(authority: str) -> Destination:
    """Parse the target of a CONNECT (RFC 9110, 9.3.6): `host:port`, `[address]:port`.

    Raises:
        BadDestinationError: there is no port, a user, a number in disguise, or a name that no DNS
            has.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise BadDestinationError("CONNECT needs a host and a port, such as api.example.com:443.")
    return host_destination(match["host"], int(match["port"]))


def host_destination(host: str, port: int) -> Destination:
    """The destination of a separate host and port; an IPv6 address is in brackets.

    Raises:
        BadDestinationError: the host is neither a name nor a complete address.
    """
    text = host.lower()
    try:
        if text.startswith("["):
            address: Address = IPv6Address(text.strip("[]"))
            return Destination(str(address), port, address)
        name = text.removesuffix(".")
        if _NUMBER.fullmatch(name.rpartition(".")[2]):
            address = IPv4Address(name)
            return Destination(name, port, address)
    except ValueError:
        raise BadDestinationError("The host is not an IP address in canonical form.") from None
    if _NAME.fullmatch(name) is None:
        raise BadDestinationError("The host is not a valid DNS name.")
    return Destination(name, port)


class Egress:
    """Decides which addresses are dialled; `allowed` are exceptions from the denied ones."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether this address, as a resolver wrote it, may be connected to."""
        try:
            read = ip_address(address)
        except ValueError:
            return False
        if isinstance(read, IPv6Address) and read.scope_id is not None:
            return False
        meant = _meant(read)
        if any(meant in network or read in network for network in self._allowed):
            return True
        if isinstance(meant, IPv6Address) and meant not in _GLOBAL_UNICAST:
            return False
        return not any(meant in network for network in _REFUSED)


def _meant(address: Address) -> Address:
    """The address that packets will go to."""
    if isinstance(address, IPv6Address) and any(address in prefix for prefix in _TRANSLATED):
        return IPv4Address(address.packed[-4:])
    return address
