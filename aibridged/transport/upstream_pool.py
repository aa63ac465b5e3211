"""Upstream clients by provider, kept across reloads, closed once no request uses them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aibridged.config.options import Settings
from aibridged.config.proxy_url import ProxyUrl
from aibridged.tasks import Tasks
from aibridged.transport.in_flight import InFlight
from aibridged.transport.upstream import Upstream


class Key(NamedTuple):
    """What tells them apart: the provider's name, where it is and which way, and how long
    connecting may take and an idle connection is kept, in seconds."""

    provider: str
    base_url: str
    proxy: ProxyUrl | None
    connect_timeout: float
    keepalive_timeout: float


class Upstreams:
    """One `Upstream` per key; `make` creates it."""

    def __init__(self, in_flight: InFlight, make: Callable[[Key], Upstream]) -> None:
        self._in_flight = in_flight
        self._make = make
        self._latest: dict[Key, Upstream] = {}
        self._retired: set[Upstream] = set()
        self._retirements = Tasks()

    def __len__(self) -> int:
        """The number of open upstreams."""
        return len(self._latest) + len(self._retired)

    def for_providers(self, settings: Settings) -> dict[str, Upstream]:
        """By name, the upstream of each provider, a new one where its key has changed.

        Unused ones are closed once the last request has ended that may use them.
        """
        before, self._latest = self._latest, {}
        for each in settings.providers:
            kept_for = each.keepalive_timeout
            key = Key(
                each.name,
                each.base_url,
                each.proxy,
                settings.upstream_connect_timeout,
                settings.upstream_keepalive_timeout if kept_for is None else kept_for,
            )
            kept = before.pop(key, None)
            self._latest[key] = kept or self._make(key)
        if before:
            self._retired.update(before.values())
            self._retirements.start(self._retire(before.values()), "closing connections")
        return {key.provider: upstream for key, upstream in self._latest.items()}

    async def _retire(self, upstreams: Iterable[Upstream]) -> None:
        await self._in_flight.earlier_idle()
        for upstream in upstreams:
            self._retired.discard(upstream)
            await upstream.close()

    async def close(self) -> None:
        """Close all of them now."""
        await self._retirements.cancel()
        for upstream in (*self._latest.values(), *self._retired):
            await upstream.close()
