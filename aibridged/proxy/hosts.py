"""Hosts that are intercepted (MITM), and the gateway routes of their requests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from aibridged.core.egress import HTTPS_PORT, BadDestinationError, Destination, host_destination
from aibridged.core.targets import folded_path
from aibridged.errors import ROUTE_NOT_SUPPORTED, GatewayError
from aibridged.providers import Provider

_READ = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL of a provider; `base_path` is its path without a trailing slash."""

    provider: Provider
    base_path: str

    def gateway_path(self, method: str, path: str) -> str | None:
        """The gateway's path for a path at this host, or None if the gateway has no such path."""
        if not path.startswith(self.base_path + "/"):
            return None
        below = self.provider.prefix + path[len(self.base_path) :]
        if self.provider.route(method, below) is None:
            return None
        return f"/{self.provider.name}{below}"

    def may_be_read_as_bridged(self, folded: str) -> bool:
        """Whether a lenient server may take a normalized path for one that has to be recorded."""
        base = self.base_path.lower()
        return folded.startswith(base) and self.provider.may_be_bridged(folded[len(base) :])


class Hosts:
    """Finds the endpoints behind a CONNECT's destination.

    These are the https base URLs of the configured providers, and the hosts that the vendors' own
    clients use: each of these belongs to the first provider of that type.
    """

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._endpoints: dict[tuple[str, int], list[Endpoint]] = {}
        configured = list(providers)
        for provider in configured:
            self._add(provider.base_url, provider)
        for url, provider in _public(configured):
            self._add(url, provider)

    def find(self, destination: Destination) -> list[Endpoint]:
        """The endpoints at that host and port; none means that it isn't intercepted."""
        return self._endpoints.get((destination.host, destination.port), [])

    def __iter__(self) -> Iterator[str]:
        """The hosts' names, for people."""
        return iter(sorted({host for host, _ in self._endpoints}))

    def _add(self, url: str, provider: Provider) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None:
            return
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        try:
            found = host_destination(host, parts.port or HTTPS_PORT)
        except BadDestinationError:
            return  # no CONNECT can name it
        endpoints = self._endpoints.setdefault((found.host, found.port), [])
        endpoints.append(Endpoint(provider, parts.path.rstrip("/")))


def _public(providers: Iterable[Provider]) -> Iterator[tuple[str, Provider]]:
    """Each vendor's own URLs with the first provider of that type."""
    seen: set[str] = set()
    for provider in providers:
        if provider.type not in seen:
            seen.add(provider.type)
            yield from ((url, provider) for url in provider.public_urls)


def gateway_path(endpoints: Iterable[Endpoint], method: str, path: str) -> str | None:
    """The gateway's path of a request; None where the gateway doesn't serve it.

    Raises:
        GatewayError: the provider might take the path for one that has to be recorded, though it is
            spelled differently: no such request may bypass the record.
    """
    for endpoint in endpoints:
        if (found := endpoint.gateway_path(method, path)) is not None:
            return found
    folded = folded_path(path)
    if method not in _READ and any(each.may_be_read_as_bridged(folded) for each in endpoints):
        raise GatewayError(ROUTE_NOT_SUPPORTED)
    return None
