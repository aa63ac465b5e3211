"""Factory of each caller's toolbox, from the current configuration.

The SDK is imported with the first server that is configured: most daemons have none.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from aibridged.clock import Clock
from aibridged.config.options import McpServerSettings, Settings
from aibridged.mcp.credentials import Credentials
from aibridged.mcp.limits import Limits
from aibridged.mcp.tools import CallerTools

if TYPE_CHECKING:
    from aibridged.mcp.health import ServerHealth

_TALKATIVE = ("mcp", "client", "httpx2", "httpcore2")
_CLOSING_S = 5.0


def silence_sdk() -> None:
    """Disable the logging of the SDK and its HTTP client: they quote requests to servers."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class McpTools:
    """Makes toolboxes, for one event loop.

    By server id, `failures` counts failed openings, and `ended` the sessions that servers ended.
    """

    def __init__(self, settings: Settings, clock: Clock, credentials: Credentials) -> None:
        self.failures: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self._clock = clock
        self._credentials = credentials
        self._shared: ServerHealth | None = None
        self._servers: Sequence[McpServerSettings] = ()
        self._limits = Limits.of(settings)
        self.configure(settings)

    def configure(self, settings: Settings) -> bool:
        """Apply the settings to new callers; returns whether anything has changed."""
        before = (self._servers, self._limits)
        self._servers, self._limits = settings.mcp_servers, Limits.of(settings)
        if self._servers and self._shared is None:
            # Completely: a caller's first request would wait for it, and all others as well.
            import httpcore2  # noqa: F401 - httpx2 loads it with its first client

            import aibridged.mcp.servers  # noqa: F401
            from aibridged.mcp.health import ServerHealth

            silence_sdk()
            self._shared = ServerHealth(self._clock, self._credentials, self.failures, self.ended)
        return before != (self._servers, self._limits)

    def failing(self) -> dict[str, tuple[int, str]]:
        """By the id of each server: for how many credentials it fails, and the latest reason."""
        if self._shared is None:
            return {}
        counts, reasons = self._shared.failing(), self._shared.last_reason
        return {
            each.id: (counts[each.id], reasons.get(each.id, "") if counts[each.id] else "")
            for each in self._servers
        }

    def of(self, initiator_id: str, granted: Collection[str] | None = None) -> CallerTools | None:
        """The caller's tools, not yet opened; None where no server is configured and granted.

        `granted` are the ids of the servers that the caller may use, None for all.
        """
        servers = self._servers
        if granted is not None:
            servers = [each for each in servers if each.id in granted]
        if self._shared is None or not servers:
            return None
        from aibridged.mcp.servers import ServerProxyManager

        return ServerProxyManager(initiator_id, servers, self._limits, self._shared)

    async def close(self) -> None:
        """Wait until the sessions of all callers, which are closed by now, have ended."""
        if self._shared is None:
            return
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self._shared.tasks.idle()
        except TimeoutError:
            await self._shared.tasks.cancel()
