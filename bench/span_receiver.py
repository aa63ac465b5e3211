"""Receives spans over OTLP by HTTP, and discards them.

python -m bench.span_receiver HOST PORT
"""

import asyncio
import sys

from aiohttp import web


async def take(request: web.BaseRequest) -> web.Response:
    """Respond like a collector."""
    await request.read()
    return web.Response(content_type="application/x-protobuf")


async def main() -> None:
    """Listen until the process ends."""
    host, port = sys.argv[1:]
    await asyncio.get_running_loop().create_server(web.Server(take), host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
