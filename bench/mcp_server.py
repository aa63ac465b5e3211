"""An MCP server with one tool: the cost of having one, and of a call.

python -m bench.mcp_server HOST PORT
"""

import json
from typing import Any

from aiohttp import web

from bench.serving import serve

_TOOL = {
    "name": "read",
    "description": "Read a file.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
}


async def take(request: web.BaseRequest) -> web.Response:
    """Open a session, list the tool, or call it."""
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
    if method == "tools/call":
        return _result(message, {"content": [{"type": "text", "text": "It is sunny."}]})
    return web.Response(status=202)


def _result(message: dict[str, Any], result: dict[str, Any]) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


if __name__ == "__main__":
    serve(take)
