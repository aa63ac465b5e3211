"""Which proxy an outgoing request goes through, and what is asked directly (NO_PROXY)."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from aibridged.config.kinds import Network, is_loopback
from aibridged.config.proxy_url import PORTS, ProxyUrl


@dataclass(frozen=True)
class Exceptions:
    """What is asked directly: networks, and names with a port or None. `all` is `NO_PROXY=*`.

    A name stands for itself and its subdomains, and for these alone where it begins with a dot.
    """

    all: bool = False
    networks: tuple[Network, ...] = ()
    names: tuple[tuple[str, int | None], ...] = ()

    def cover(self, host: str, port: int) -> bool:
        """Whether this host is asked directly."""
        if self.all or is_loopback(host):
            return True
        try:
            address = ip_address(host)
        except ValueError:
            host = host.lower().rstrip(".")
        else:
            if any(address in network for network in self.networks):
                return True
        return any(
            (port_ is None or port_ == port) and (host == name or host.endswith(_dotted(name)))
            for name, port_ in self.names
        )


@dataclass(frozen=True)
class OutboundProxies:
    """The proxy for URLs of each scheme, None where they are asked directly; and the exceptions."""

    https: ProxyUrl | None = None
    http: ProxyUrl | None = None
    exceptions: Exceptions = Exceptions()

    def for_url(self, url: str) -> ProxyUrl | None:
        """The proxy for this http or https URL; None: it is asked directly."""
        split = urlsplit(url)
        proxy = self.https if split.scheme == "https" else self.http
        if proxy is None or split.hostname is None:
            return None
        port = split.port or PORTS[split.scheme]
        return None if self.exceptions.cover(split.hostname, port) else proxy


def _dotted(name: str) -> str:
    return name if name.startswith(".") else f".{name}"
