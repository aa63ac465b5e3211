"""The client's IP address behind trusted reverse proxies (X-Forwarded-For and the like)."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from multidict import MultiMapping

PROXIED_FOR = "X-Coder-Forwarded-For"
"""The header by which the AI Proxy passes the caller's address to the gateway. It may be trusted
like any such header; unlike others, it never comes from a caller, and never goes to a provider."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def client_ip(
    peer: str | None,
    headers: MultiMapping[str],
    trusted_headers: Sequence[str],
    trusted_origins: Sequence[Network],
) -> str | None:
    """The caller's IP address.

    A header is trusted only if the peer is a trusted origin. Of a list such as X-Forwarded-For, the
    right-most address counts that isn't itself a trusted origin: addresses further left were
    written by the caller.
    """
    address = _parse(peer or "")
    if address is None or not _trusted(address, trusted_origins):
        return peer
    for name in trusted_headers:
        chain = [part for value in headers.getall(name, ()) for part in value.split(",")]
        for part in reversed(chain):
            hop = _parse(part.strip())
            if hop is None:
                break
            if not _trusted(hop, trusted_origins):
                return str(hop)
    return peer


def is_trusted(peer: str | None, trusted_origins: Sequence[Network]) -> bool:
    """Whether the peer is a reverse proxy whose headers are trusted."""
    address = _parse(peer or "")
    return address is not None and _trusted(address, trusted_origins)


def rate_limit_key(ip: str | None) -> bytes:
    """The key of a caller's network: an IPv6 customer has a /64, which is one key."""
    address = _parse(ip or "")
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped.packed
        return address.packed[:8]
    return address.packed if address is not None else b""


def network_name(key: bytes) -> str:
    """A `rate_limit_key` as text, for people."""
    if len(key) == 4:
        return str(IPv4Address(key))
    return f"{IPv6Address(key + bytes(8))}/64" if key else "unknown"


def _parse(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _trusted(address: Address, origins: Sequence[Network]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in origins)
