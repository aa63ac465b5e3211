"""A session with one server: opened, used from any task, and ended, with real servers."""

import asyncio
import json

import pytest
from aiohttp import web

from aibridged.config.secret import Secret
from aibridged.mcp import session as session_module
from aibridged.mcp.session import ServerFailedError
from tests.waiting import until


async def test_a_server_of_the_official_sdk(session, real_server):
    proxy = session(real_server.url)
    assert not proxy.is_open
    listed = await proxy.open(session.tasks)
    assert {json.loads(each)["name"] for each in listed.entries} >= {"add", "fail", "wait"}
    assert proxy.is_open
    result = await proxy.call("add", {"a": 2, "b": 3})
    assert (result.content[0].text, result.is_error) == ("5", False)
    failed = await proxy.call("fail", {})
    assert failed.is_error
    assert "out of paper" in failed.content[0].text


async def test_a_server_that_is_not_ours(session, foreign_server):
    proxy = session(foreign_server.url)
    listed = [json.loads(each) for each in (await proxy.open(session.tasks)).entries]
    told = {tool["name"]: tool["description"] for tool in listed}
    assert told == {"shout": "Say it louder.", "fail": "Fail."}
    assert (await proxy.call("shout", {"text": "hello"})).content[0].text == "HELLO"
    failed = await proxy.call("fail", {})
    assert failed.is_error
    assert "out of paper" in failed.content[0].text
    with pytest.raises(ServerFailedError):
        await proxy.call("nothing", {})


async def test_a_server_with_sessions_is_told_when_one_ends(session, tiny):
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    assert tiny.methods() == [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/list",
    ]
    assert tiny.sessions == {"session-1"}
    await tiny.left()
    proxy.close()
    await session.tasks.idle()
    assert tiny.sessions == set()
    assert tiny.gets == 0
    with pytest.raises(ServerFailedError, match="the session has ended"):
        await proxy.call("echo", {})


async def test_a_server_without_sessions(session, speaking_modern):
    proxy = session(speaking_modern.url)
    await proxy.open(session.tasks)
    assert speaking_modern.methods() == ["server/discover", "tools/list"]


OLD_WAYS = {
    "an error": (200, "application/json", {"code": -32601, "message": "Method not found"}),
    "an error and a status": (
        400,
        "application/json",
        {"code": -32000, "message": "Bad Request: Server not initialized"},
    ),
    "a status in JSON": (400, "application/json", None),
    "a status": (400, "text/plain", None),
    "not found": (404, "text/html", None),
    "not allowed": (405, "text/plain", None),
    "a bug": (500, "text/html", None),
    "nothing": (202, "text/plain", None),
    "nonsense": (200, "text/html", None),
}


@pytest.mark.parametrize("way", OLD_WAYS)
async def test_a_server_that_knows_only_sessions_may_say_so_in_its_own_way(session, tiny, way):
    status, kind, error = OLD_WAYS[way]

    async def refuse(request, message):
        body = {"jsonrpc": "2.0", "id": message["id"], "error": error} if error else {}
        return web.Response(status=status, text=json.dumps(body), content_type=kind)

    tiny.answers["server/discover"] = refuse
    proxy = session(tiny.url)
    assert len((await proxy.open(session.tasks)).entries) == 1


async def test_what_is_sent(session, tiny):
    token, header = Secret("t0k3n"), ("X-Team", Secret("core"))
    proxy = session(f"{tiny.url}?tools=all", token=token, headers=(header,))
    await proxy.open(session.tasks)
    for _, headers in tiny.received:
        assert headers["Authorization"] == "Bearer t0k3n"
        assert headers["X-Team"] == "core"
        assert headers["Accept-Encoding"] == "identity"
        assert headers["User-Agent"].startswith("aibridged/")


async def test_many_calls_at_once_are_told_apart(session, tiny):
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    results = await asyncio.gather(*(proxy.call("echo", {"n": n}) for n in range(20)))
    assert [each.content[0].text for each in results] == [f'{{"n": {n}}}' for n in range(20)]


@pytest.mark.parametrize("way", ["times out", "is left"])
async def test_a_call_that_nobody_waits_for_is_cancelled_at_the_server(session, real_server, way):
    real_server.happened.clear()
    proxy = session(real_server.url, mcp_call_timeout=0.3 if way == "times out" else 60.0)
    await proxy.open(session.tasks)
    call = asyncio.get_running_loop().create_task(proxy.call("wait", {}))
    await until(lambda: real_server.happened == ["waiting"])
    if way == "is left":
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    else:
        with pytest.raises(ServerFailedError, match=r"it took longer than 0\.3 s"):
            await call
    await until(lambda: real_server.happened == ["waiting", "cancelled"])
    assert (await proxy.call("add", {"a": 1, "b": 1})).content[0].text == "2"


async def test_a_server_with_sessions_gets_a_notification_of_it(session, tiny):
    async def never(request, message):
        await asyncio.Event().wait()

    tiny.answers["tools/call"] = never
    proxy = session(tiny.url, mcp_call_timeout=0.1)
    await proxy.open(session.tasks)
    with pytest.raises(ServerFailedError):
        await proxy.call("echo", {})
    await until(lambda: tiny.methods()[-1] == "notifications/cancelled")
    call = next(message for message, _ in tiny.received if message["method"] == "tools/call")
    assert tiny.received[-1][0]["params"]["requestId"] == call["id"]


def _error(sentence, id=None):
    return {"jsonrpc": "2.0", "id": id, "error": {"code": -32001, "message": sentence}}


NO_SUCH_SESSION = {
    "an error": (404, _error("Session not found")),
    "an error about the call": (404, _error("No such thing", 3)),
    "an error of another kind": (404, _error("Method not found", 3)),
    "an object": (404, {}),
    "a text": (404, "Not Found"),
    "nothing": (404, ""),
    "a bad request": (400, _error("Bad Request: No valid session ID provided")),
    "a bad request in a text": (400, "Invalid session id\n"),
    "a server that was not told hello": (400, _error("Bad Request: Server not initialized")),
}
OTHERWISE = {
    "a bad request about another thing": (400, _error("Invalid params", 3)),
    "a bad request that says it late": (400, _error(" " * 5000 + "session")),
    "a broken server": (500, _error("Session not found")),
    "a tool's words": (200, _error("Session not found", 3)),
}


def says(status, body):
    async def answer(request, message):
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response({**body, "id": body.get("id") and message["id"]}, status=status)

    return answer


@pytest.mark.parametrize("way", NO_SUCH_SESSION)
async def test_a_server_that_forgot_the_session_has_done_nothing(session, tiny, way):
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    tiny.answers["tools/call"] = says(*NO_SUCH_SESSION[way])
    with pytest.raises(ServerFailedError, match="the server has ended the session") as caught:
        await proxy.call("echo", {})
    assert caught.value.session_ended


@pytest.mark.parametrize("way", OTHERWISE)
async def test_other_errors_do_not_say_that_nothing_was_done(session, tiny, way):
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    tiny.answers["tools/call"] = says(*OTHERWISE[way])
    with pytest.raises(ServerFailedError) as caught:
        await proxy.call("echo", {})
    assert not caught.value.session_ended


async def test_a_server_without_sessions_can_not_end_one(session, speaking_modern):
    proxy = session(speaking_modern.url)
    await proxy.open(session.tasks)
    speaking_modern.answers["tools/call"] = says(404, _error("Session not found"))
    with pytest.raises(ServerFailedError, match="there is no MCP server at this URL") as caught:
        await proxy.call("echo", {})
    assert not caught.value.session_ended


async def test_an_error_of_http_does_not_end_the_session(session, tiny):
    proxy = session(tiny.url)
    await proxy.open(session.tasks)

    async def breaks_off(request, message):
        request.transport.abort()

    tiny.answers["tools/call"] = breaks_off
    with pytest.raises(ServerFailedError, match="closed the connection without") as caught:
        await proxy.call("echo", {})
    assert not caught.value.session_ended
    del tiny.answers["tools/call"]
    assert proxy.is_open
    assert (await proxy.call("echo", {})).content[0].text == "{}"


async def test_a_schema_of_the_servers_is_not_run_over_its_results(session, tiny):
    """A regular expression in it could take forever."""
    pattern = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    tiny.tools = [{"name": "evil", "inputSchema": {"type": "object"}, "outputSchema": pattern}]

    async def answer(request, message):
        return tiny.say(message, {"content": [], "structuredContent": {"a": "a" * 40 + "!"}})

    tiny.answers["tools/call"] = answer
    proxy = session(tiny.url, mcp_call_timeout=2.0)
    await proxy.open(session.tasks)
    assert (await proxy.call("evil", {})).structured_content == {"a": "a" * 40 + "!"}


async def test_closing_does_not_wait_for_a_server_that_is_silent(monkeypatch, session, tiny):
    async def never(request, message):
        await asyncio.Event().wait()

    monkeypatch.setattr(session_module, "_CLOSING_S", 0.1)
    tiny.answers["DELETE"] = never
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    proxy.close()
    async with asyncio.timeout(10):
        await session.tasks.idle()
    await tiny.left()


async def test_closing_ends_an_opening(session, tiny):
    async def never(request, message):
        await asyncio.Event().wait()

    tiny.answers["*"] = never
    proxy = session(tiny.url)
    opening = asyncio.get_running_loop().create_task(proxy.open(session.tasks))
    await until(lambda: tiny.received)
    proxy.close()
    with pytest.raises(ServerFailedError, match="it was cancelled"):
        await opening
    await session.tasks.idle()
    await tiny.left()
