"""Relays telemetry to the configured destinations; those who send it never wait for them."""

from collections.abc import Sequence

import aiohttp

from aibridged.clock import Clock
from aibridged.config.options import TelemetrySettings
from aibridged.tasks import Tasks
from aibridged.telemetry.destination import REQUEST_S, Batch, Counts, Destination
from aibridged.wire.telemetry import Signal

DRAIN_S = 2.0
"""How long the last batches may take at the end, or when a destination is removed."""


class TelemetryRelay:
    """The destinations in force. It is for the event loop."""

    def __init__(self, clock: Clock) -> None:
        self.counts = Counts()
        self._clock = clock
        self._destinations: dict[TelemetrySettings, Destination] = {}
        self._session: aiohttp.ClientSession | None = None
        self._retiring = Tasks()

    def configure(self, wanted: Sequence[TelemetrySettings]) -> None:
        """Put these destinations in force; those that were there before go on."""
        before = self._destinations
        self._destinations = {each: before.get(each) or self._make(each) for each in wanted}
        for settings, destination in before.items():
            if settings not in self._destinations:
                self._retiring.start(destination.close(DRAIN_S), "last telemetry")

    def wants(self, signal: Signal) -> bool:
        """Whether there is a destination for it."""
        return any(signal in each.signals for each in self._destinations.values())

    def put(self, batch: Batch) -> None:
        """Queue a batch for each destination that wants it; or drop it, which is counted."""
        for destination in self._destinations.values():
            if batch.signal in destination.signals:
                destination.put(batch)

    async def close(self) -> None:
        """Send what can be sent in a moment, and drop the rest."""
        self.configure(())
        await self._retiring.idle()
        if self._session is not None:
            await self._session.close()

    def _make(self, settings: TelemetrySettings) -> Destination:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # each destination has its senders
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            )
        return Destination(settings, self._session, self._clock, self.counts)
