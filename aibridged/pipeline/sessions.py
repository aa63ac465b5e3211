"""The connections to the providers, which outlive configurations and are outlived by requests."""

from collections.abc import Callable, Iterable

import aiohttp

from aibridged.config.options import Settings
from aibridged.pipeline.in_flight import InFlight
from aibridged.tasks import Tasks

# What tells sessions apart: name and base URL of the provider, and how long connecting may take.
_Key = tuple[str, str, float]


class Sessions:
    """One client session for each provider; `make` makes it, from the name and the last number."""

    def __init__(
        self, in_flight: InFlight, make: Callable[[str, float], aiohttp.ClientSession]
    ) -> None:
        self._in_flight = in_flight
        self._make = make
        self._latest: dict[_Key, aiohttp.ClientSession] = {}
        self._retired: set[aiohttp.ClientSession] = set()
        self._retirements = Tasks()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._latest) + len(self._retired)

    def for_providers(self, settings: Settings) -> dict[str, aiohttp.ClientSession]:
        """By name, the session that each provider has, or a new one if it is to go elsewhere.

        What isn't needed any more is closed once the last request has ended that may use it.
        """
        before, self._latest = self._latest, {}
        for each in settings.providers:
            key = (each.name, each.base_url, settings.upstream_connect_timeout)
            kept = before.pop(key, None)
            self._latest[key] = kept or self._make(each.name, settings.upstream_connect_timeout)
        if before:
            self._retired.update(before.values())
            self._retirements.start(self._retire(before.values()), "closing connections")
        return {name: session for (name, _, _), session in self._latest.items()}

    async def _retire(self, sessions: Iterable[aiohttp.ClientSession]) -> None:
        await self._in_flight.earlier_idle()
        for session in sessions:
            self._retired.discard(session)
            await session.close()

    async def close(self) -> None:
        """Close all of them now."""
        await self._retirements.cancel()
        for session in (*self._latest.values(), *self._retired):
            await session.close()
