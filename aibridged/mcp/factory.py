"""Factory of each caller's toolbox, from the current configuration.

The SDK is loaded with the first server that is configured: most daemons have none.
"""

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.mcp.credentials import Credentials
from aibridged.mcp.tools import CallerTools

if TYPE_CHECKING:
    from aibridged.mcp.health import Shared

_TALKATIVE = ("mcp", "client", "httpx2", "httpcore2")
_CLOSING_S = 5.0


def silence_sdk() -> None:
    """Keep the SDK and its HTTP client from logging: they quote what is said to servers."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class McpTools:
    """Belongs to one event loop. `failures` counts, by the servers' ids, openings that failed."""

    def __init__(self, settings: Settings, clock: Clock, credentials: Credentials) -> None:
        self.failures: Counter[str] = Counter()
        self._clock = clock
        self._credentials = credentials
        self._shared: Shared | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Offer what these settings say to the callers that come from now on."""
        self._settings = settings
        if settings.mcp_servers and self._shared is None:
            from aibridged.mcp.health import Shared

            silence_sdk()
            self._shared = Shared(self._clock, self._credentials, self.failures)

    def of(self, initiator_id: str) -> CallerTools | None:
        """The caller's tools, not yet opened; None where no server is configured."""
        if self._shared is None or not self._settings.mcp_servers:
            return None
        from aibridged.mcp.limits import Limits
        from aibridged.mcp.servers import ServerProxyManager

        servers, limits = self._settings.mcp_servers, Limits.of(self._settings)
        return ServerProxyManager(initiator_id, servers, limits, self._shared)

    async def close(self) -> None:
        """Wait until the sessions of all callers, which are closed by now, have ended."""
        if self._shared is None:
            return
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self._shared.tasks.idle()
        except TimeoutError:
            await self._shared.tasks.cancel()
