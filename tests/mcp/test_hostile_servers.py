"""A server that is dead, slow, huge, broken or hostile costs a warning, a metric, and its tools."""

import asyncio
import gzip
import re

import pytest
from aiohttp import web

from aibridged.config.secret import Secret
from aibridged.mcp import servers as servers_module
from tests.waiting import until

PATIENCE_S = 40.0
"""Until the gateway gives a server up; those that are waited for let it pass at once."""
LATE = f"within {PATIENCE_S:g} s"
TOKEN = "canary-0123456789"


def whole(body, content_type="application/json", status=200, **headers):
    async def answer(request, message):
        return web.Response(
            body=body, status=status, headers={"Content-Type": content_type, **headers}
        )

    return answer


def streamed(chunk, content_type="application/json", pause=0.001, times=10**9):
    """An answer that goes on and on."""

    async def answer(request, message):
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for _ in range(times):
            await response.write(chunk)
            await asyncio.sleep(pause)
        return response

    return answer


def result(value):
    async def answer(request, message):
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": value})

    return answer


def error(words):
    async def answer(request, message):
        error = {"code": 1, "message": words}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})

    return answer


async def never(request, message):
    await asyncio.Event().wait()


async def breaks_off(request, message):
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    response.content_type = "application/json"
    await response.prepare(request)
    await response.write(b'{"jsonrpc"')
    request.transport.abort()
    return response


async def garbage(request, message):
    request.transport.write(b"220 mail.example.com ESMTP\r\n")
    request.transport.close()


def pages(cursor):
    """A list that never ends."""
    count = 0

    async def answer(request, message):
        nonlocal count
        count += 1
        return web.json_response(
            {
                "jsonrpc": "2.0",
                "id": message["id"],
                "result": {"tools": [a_tool(f"t{count}")], "nextCursor": cursor.format(count)},
            }
        )

    return answer


def a_tool(name, **fields):
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


BOMB = gzip.compress(b" " * 2**28, 1)
MANY = [a_tool(f"tool-{number}") for number in range(10_000)]
DEEP = b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000
EVENT = (
    b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
)
HUGE_SCHEMA = {"type": "object", "description": "x" * 5_000_000}

# What it does, in which of its answers, and what is said of it.
HOSTILE = {
    "it never answers": ("server/discover", never, f"it didn't list its tools {LATE}"),
    "it never says hello": ("initialize", never, f"it didn't list its tools {LATE}"),
    "it never lists": ("tools/list", never, f"it didn't list its tools {LATE}"),
    "10 000 tools": ("tools/list", result({"tools": MANY}), "it offers 10000 tools, and 128 are"),
    "100 000 tools": ("tools/list", result({"tools": MANY * 10}), "larger than 10.* bytes"),
    "a schema of 5 MB": (
        "tools/list",
        result({"tools": [a_tool("a", inputSchema=HUGE_SCHEMA)]}),
        r"its response is larger than \d+ bytes",
    ),
    "a body without end": ("tools/list", streamed(b" " * 65536), "is larger than"),
    "a slow body without end": ("tools/list", streamed(b" ", pause=0.01), LATE),
    "events without end": (
        "tools/list",
        streamed(EVENT + b"\n\n", "text/event-stream", 0.01),
        LATE,
    ),
    "many events": ("tools/list", streamed(EVENT * 500 + b"\n\n", "text/event-stream", 0), "."),
    "an event without end": ("tools/list", streamed(b"x" * 65536, "text/event-stream"), "."),
    "events that end": (
        "tools/list",
        streamed(EVENT + b"\n\n", "text/event-stream", times=1),
        "ended without a response",
    ),
    "no JSON": ("tools/list", whole(b"{nonsense"), "its response violates the protocol"),
    "no UTF-8": ("tools/list", whole(b'{"a": "\xff"}'), "its response violates the protocol"),
    "deep JSON": ("tools/list", whole(DEEP), "its response violates the protocol"),
    "no JSON-RPC": ("tools/list", whole(b"[1]"), "its response violates the protocol"),
    "no list": ("tools/list", result({"tools": "none"}), "its response violates the protocol"),
    "no tools": ("tools/list", result({"tools": [{}]}), "can be offered: entry 1: inputSchema: Fi"),
    "HTML": ("*", whole(b"<html>", "text/html"), "Unexpected content type: text/html"),
    "an empty answer": ("tools/list", whole(b""), "its response violates the protocol"),
    "an error": ("tools/list", whole(b"down", "text/plain", 503), "it responded with 503"),
    "another version": (
        "initialize",
        result(
            {
                "protocolVersion": "1",
                "capabilities": {},
                "serverInfo": {"name": "bad", "version": "1"},
            }
        ),
        "its response violates the protocol",
    ),
    "no token": ("*", whole(b"{}", status=401), "it responded with 401: a token is missing"),
    "no such place": ("*", whole(b"", status=404), "it responded with 404: there is no MCP"),
    "a body that breaks off": ("tools/list", breaks_off, "its response was truncated"),
    "no HTTP": ("server/discover", garbage, "or sent one that is not HTTP"),
    "a gzip bomb": (
        "tools/list",
        whole(BOMB, **{"Content-Encoding": "gzip"}),
        "it responded in the content coding 'gzip', which was not requested",
    ),
    "one page for ever": ("tools/list", pages("same"), "its tool list has more than 100 pages"),
    "new pages for ever": ("tools/list", pages("p{}"), "its tool list has more than 100 pages"),
    "words for the log": (
        "tools/list",
        error("a\n2026 \x1b[31mb"),
        r"a 2026 \[31mb$",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_it_costs_its_tools(case, tiny, real_server, offer, warnings, monkeypatch, let_pass):
    monkeypatch.setattr(servers_module, "_PATIENCE_S", 2 * PATIENCE_S)  # both are waited for
    method, answer, reason = HOSTILE[case]
    tiny.answers[method] = answer
    servers = {"bad": {"url": tiny.url, "token": None}, "good": real_server.url}
    tools = offer(servers, mcp_init_timeout=PATIENCE_S)
    caller = tools.of("somebody")
    opening = asyncio.get_running_loop().create_task(caller.open())
    if LATE in reason:
        await until(lambda: "good" in caller._tools and method in tiny.methods(), 30)
        let_pass(PATIENCE_S)
    async with asyncio.timeout(30):
        box = await opening
    assert {tool.server for tool in box.tools} == {"good"}
    assert tools.failures == {"bad": 1}
    (warning,) = warnings
    said = warning.removeprefix("The tools of the MCP server bad are unavailable: ")
    assert said != warning
    assert re.search(reason, said), said
    assert said.isprintable()
    assert len(said) < 600
    sum_ = next(tool for tool in box.tools if tool.tool == "add")
    assert (await box.call(sum_, b'{"a": 1, "b": 2}')).text == "3"
    caller.close()
    await tools.close()
    await tiny.left()


async def test_a_dead_server(open_tools, warnings, real_server):
    box = await open_tools({"bad": "http://127.0.0.1:1/mcp", "good": real_server.url})
    assert {tool.server for tool in box.tools} == {"good"}
    assert warnings == [
        "The tools of the MCP server bad are unavailable: it can't be reached: connection refused"
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_token_follows_a_redirect_to_another_host(status, tiny, offer, warnings):
    met = []

    async def elsewhere(request):
        met.append(dict(request.headers))
        return web.Response()

    runner = web.ServerRunner(web.Server(elsewhere), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    other = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    tiny.answers["server/discover"] = whole(b"", status=status, Location=other)
    tiny.answers["initialize"] = whole(b"", status=status, Location=other)
    tools = offer({"bad": {"url": tiny.url, "token": Secret(TOKEN)}})
    assert await tools.of("somebody").open() is None
    await runner.cleanup()
    assert met == []
    assert "Redirect to http://127.0.0.1" in warnings[0]
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in tiny.received)


async def test_no_token_is_ever_told(tiny, offer, warnings):
    tiny.answers["tools/list"] = error("no")
    tools = offer(
        {
            "bad": {
                "url": f"{tiny.url}?key={TOKEN}",
                "token": Secret(TOKEN),
                "headers": (("X-A", Secret(TOKEN)),),
            }
        }
    )
    assert await tools.of("somebody").open() is None
    assert warnings == ["The tools of the MCP server bad are unavailable: no"]
    assert TOKEN not in repr(tools.__dict__)


async def test_a_server_that_quotes_its_token_is_not_quoted(tiny, open_tools, warnings):
    tiny.answers["tools/call"] = error(f"bad token {TOKEN}")
    bad = {"url": tiny.url, "token": Secret(TOKEN)}
    box = await open_tools({"bad": bad})
    told = [await box.call(box.tools[0], b"{}")]

    async def fail(request, message):
        content = [{"type": "text", "text": f"bad token {TOKEN}"}]
        return tiny.say(message, {"content": content, "isError": True})

    tiny.answers["tools/call"] = fail
    told.append(await box.call(box.tools[0], b"{}"))
    assert [each.is_error for each in told] == [True, True]
    tiny.answers["tools/list"] = error(f"bad token {TOKEN}")
    assert await open_tools({"bad": bad}) is None
    assert warnings == ["The tools of the MCP server bad are unavailable: bad token ****"]
    assert TOKEN not in str(told)
