"""An MCP server with one tool that is never called: the cost of having one.

python -m bench.mcp_server HOST PORT
"""

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

_TOOL = {
    "name": "read",
    "description": "Read a file.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
}


async def take(request: web.BaseRequest) -> web.Response:
    """Open a session, and list the tool."""
    if request.method != "POST":
        return web.Response(status=405)
    message = json.loads(await request.read())
    method = message["method"]
    if method == "initialize":
        return _result(
            message,
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "bench", "version": "1"},
            },
        )
    if method == "tools/list":
        return _result(message, {"tools": [_TOOL]})
    return web.Response(status=202)


def _result(message: dict[str, Any], result: dict[str, Any]) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


async def main() -> None:
    """Listen until the process ends."""
    host, port = sys.argv[1:]
    await asyncio.get_running_loop().create_server(web.Server(take), host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
