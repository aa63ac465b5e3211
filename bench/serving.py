"""The HTTP server of the small programs beside the daemon."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def serve(handler: Handler) -> None:
    """Serve at the host and port of the command line until the process ends."""
    host, port = sys.argv[1:]
    asyncio.run(_serve(handler, host, int(port)))


async def _serve(handler: Handler, host: str, port: int) -> None:
    await asyncio.get_running_loop().create_server(web.Server(handler), host, port)
    await asyncio.Event().wait()
