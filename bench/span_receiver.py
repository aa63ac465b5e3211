"""Takes spans over OTLP by HTTP, and looks at none of them.

python -m bench.span_receiver HOST PORT
"""

import asyncio
import sys

from aiohttp import web


async def take(request: web.BaseRequest) -> web.Response:
    """Say that all went well, as a collector does."""
    await request.read()
    return web.Response(content_type="application/x-protobuf")


async def main() -> None:
    """Listen until the process ends."""
    host, port = sys.argv[1:]
    await asyncio.get_running_loop().create_server(web.Server(take), host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
