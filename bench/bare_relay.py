"""The smallest relay with aiohttp's server and client: the cost of this stack by itself.

python -m bench.bare_relay HOST PORT UPSTREAM_URL
"""

import asyncio
import sys
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from aibridged.daemon.runtime import loop_factory

_NOT_COPIED = frozenset({"host", "content-length", "transfer-encoding", "connection"})


async def main(host: str, port: int, upstream: str) -> None:
    """Relay every request, until the process ends."""
    async with aiohttp.ClientSession(
        auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
    ) as session:

        async def relay(request: web.BaseRequest) -> web.StreamResponse:
            async with session.request(
                request.method,
                upstream + request.raw_path,
                headers=_copied(request.headers),
                data=await request.content.read(),
            ) as answer:
                response = web.StreamResponse(status=answer.status, headers=_copied(answer.headers))
                response.content_length = answer.content_length
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        server = web.Server(relay, access_log=None)
        await asyncio.get_running_loop().create_server(server, host, port)
        await asyncio.Event().wait()


def _copied(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in _NOT_COPIED]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
