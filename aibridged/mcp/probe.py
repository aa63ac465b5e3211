"""Probe that lists the tools of each MCP server once, for `check-config --connect`."""

import asyncio
import ssl
from dataclasses import dataclass

from aibridged.clock import Clock
from aibridged.config.options import McpServerSettings, Settings
from aibridged.mcp.health import Access
from aibridged.mcp.limits import Limits
from aibridged.mcp.schemas import Schemas
from aibridged.mcp.selection import Selection, select
from aibridged.mcp.session import ServerFailedError, StreamableHTTPServerProxy
from aibridged.tasks import Tasks


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The outcome for a server; None for one that each user needs an own token for."""

    server: McpServerSettings
    selection: Selection | None


async def probe_all(settings: Settings, clock: Clock) -> list[ProbeResult]:
    """Probe all servers of the settings in parallel, with the servers' own tokens; in order."""
    limits, tls = Limits.of(settings), ssl.create_default_context()
    reaching = (_reach(each, limits, tls, clock) for each in settings.mcp_servers)
    selections = await asyncio.gather(*reaching)
    return [ProbeResult(*each) for each in zip(settings.mcp_servers, selections, strict=True)]


async def _reach(
    server: McpServerSettings, limits: Limits, tls: ssl.SSLContext, clock: Clock
) -> Selection | None:
    if server.user_credentials == "required":
        return None
    tasks = Tasks()
    proxy = StreamableHTTPServerProxy(Access(server, server.token), limits, tls, clock)
    try:
        listed = await proxy.open(tasks)
    except ServerFailedError as error:
        return Selection(error=str(error))
    finally:
        proxy.close()
        await tasks.idle()
    return select(server, listed, Schemas(), limits.max_tools)
