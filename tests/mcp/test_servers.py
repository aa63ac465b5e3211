"""A caller's tools: opened once, waited for a little, in a stable order, and run from anywhere."""

import asyncio

import pytest

from aibridged.config.secret import Secret
from aibridged.mcp import servers as servers_module
from aibridged.mcp.tools import ToolResult
from tests.waiting import until


def names(box):
    return [] if box is None else [tool.name for tool in box.tools]


def named(box, name):
    return next(tool for tool in box.tools if tool.tool == name)


@pytest.fixture
def hold(tiny):
    """Keeps the tiny server from answering one method until the event is set."""

    def hold(method):
        go_on = asyncio.Event()

        async def wait(request, message):
            await go_on.wait()
            return await tiny.usual(request, message)

        tiny.answers[method] = wait
        return go_on

    return hold


async def test_servers_come_in_their_order_and_tools_by_name(open_tools, tiny, foreign_server):
    tiny.tools = [{**tiny.tools[0], "name": name} for name in ("b", "a", "c")]
    box = await open_tools({"z": tiny.url, "a": foreign_server.url})
    assert names(box) == ["bmcp_z_a", "bmcp_z_b", "bmcp_z_c", "bmcp_a_fail", "bmcp_a_shout"]


async def test_a_hundred_requests_open_one_session(offer, tiny):
    caller = offer({"docs": tiny.url}).of("somebody")
    boxes = await asyncio.gather(*(caller.open() for _ in range(100)))
    assert len(set(map(id, boxes))) == 1
    assert tiny.methods().count("initialize") == 1
    caller.close()


async def test_a_server_without_tools_is_no_toolbox(open_tools, tiny, warnings):
    tiny.tools = []
    assert await open_tools({"docs": tiny.url}) is None
    assert warnings == []


async def test_who_has_waited_long_enough_goes_on_and_what_is_late_joins_once(
    monkeypatch, offer, tiny, real_server, foreign_server, hold
):
    monkeypatch.setattr(servers_module, "_PATIENCE_S", 0.3)
    go_on = hold("tools/list")
    tools = offer({"late": tiny.url, "dead": "http://127.0.0.1:1", "real": real_server.url})
    caller = tools.of("somebody")
    first = await caller.open()
    assert {tool.server for tool in first.tools} == {"real"}
    assert await caller.open() is first
    go_on.set()
    await caller._opening
    second = await caller.open()
    assert names(second) == ["bmcp_late_echo", *names(first)]
    assert await caller.open() is second
    # A request that has begun with the first ends with it.
    assert await first.call(named(first, "add"), b'{"a": 1, "b": 2}') == ToolResult("3")
    caller.close()


async def test_a_server_that_failed_its_last_caller_is_not_waited_for(
    offer, tiny, real_server, hold
):
    tools = offer({"slow": tiny.url, "real": real_server.url}, mcp_init_timeout=0.2)
    hold("tools/list")
    first = tools.of("somebody")
    assert {tool.server for tool in (await first.open()).tools} == {"real"}
    go_on = hold("tools/list")
    second = tools.of("somebody else")
    assert {tool.server for tool in (await second.open()).tools} == {"real"}
    assert not second._opening.done()
    go_on.set()
    await second._opening
    assert {tool.server for tool in (await second.open()).tools} == {"real", "slow"}
    go_on = hold("tools/list")
    third = tools.of("a third")
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert {tool.server for tool in (await third.open()).tools} == {"real", "slow"}
    for each in (first, second, third):
        each.close()


async def test_a_request_that_leaves_leaves_the_opening_to_others(offer, tiny, hold):
    go_on = hold("tools/list")
    caller = offer({"docs": tiny.url}).of("somebody")
    request = asyncio.get_running_loop().create_task(caller.open())
    await until(lambda: "tools/list" in tiny.methods())
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    go_on.set()
    assert names(await caller.open()) == ["bmcp_docs_echo"]
    caller.close()


async def test_a_bridge_that_closes_meanwhile_ends_the_opening(offer, tiny, hold):
    hold("tools/list")
    tools = offer({"docs": tiny.url})
    caller = tools.of("somebody")
    request = asyncio.get_running_loop().create_task(caller.open())
    await until(lambda: "tools/list" in tiny.methods())
    caller.close()
    assert await request is None
    await tools.close()
    await tiny.left()


@pytest.mark.parametrize(
    ("arguments", "text"), [(b'{"text": "a"}', '{"text": "a"}'), (b"{}", "{}"), (b"", "{}")]
)
async def test_a_tool_is_run_with_the_models_arguments(open_tools, tiny, arguments, text):
    box = await open_tools({"docs": tiny.url})
    assert await box.call(box.tools[0], arguments) == ToolResult(text)


@pytest.mark.parametrize(
    "arguments", [b"[]", b"nonsense", b'"a"', b"null", b"[" * 100_000, b'{"a":"\xff"}']
)
async def test_arguments_that_are_none_are_told_to_the_model(open_tools, tiny, arguments):
    box = await open_tools({"docs": tiny.url})
    result = await box.call(box.tools[0], arguments)
    assert result == ToolResult("The tool was not run: its arguments are not a JSON object.", True)
    assert "tools/call" not in tiny.methods()


async def test_whatever_fails_is_a_result(open_tools, real_server, tiny):
    box = await open_tools({"real": real_server.url, "tiny": tiny.url}, mcp_call_timeout=0.2)
    failed = await box.call(named(box, "fail"), b"{}")
    assert failed.is_error
    assert "out of paper" in failed.text
    assert await box.call(named(box, "wait"), b"{}") == ToolResult(
        "The tool wait of the MCP server real failed: it took longer than 0.2 s.", True
    )

    async def refuse(request, message):
        return await tiny.usual(request, {**message, "method": "no/such"})

    tiny.answers["tools/call"] = refuse
    assert await box.call(named(box, "echo"), b"{}") == ToolResult(
        "The tool echo of the MCP server tiny failed: Method not found.", True
    )


async def test_a_large_result_is_cut_and_a_larger_one_refused(open_tools, real_server):
    box = await open_tools({"real": real_server.url}, mcp_result_bytes=1000)
    large = named(box, "large")
    assert await box.call(large, b'{"count": 1000}') == ToolResult("x" * 1000)
    cut = await box.call(large, b'{"count": 100000}')
    assert cut.text.startswith("x" * 1000 + "\n\n[Cut here: the result has 100000 bytes")
    refused = await box.call(large, b'{"count": 5000000}')
    assert refused.is_error
    assert len(refused.text) < 500
    assert await box.call(large, b'{"count": 1}') == ToolResult("x")


async def test_a_server_that_was_restarted_gets_another_session(open_tools, tiny):
    box = await open_tools({"docs": tiny.url})
    tiny.sessions.clear()
    results = await asyncio.gather(*(box.call(box.tools[0], b'{"n": 1}') for _ in range(5)))
    assert results == [ToolResult('{"n": 1}')] * 5
    assert tiny.methods().count("initialize") == 2


async def test_a_session_that_was_reopened_meanwhile_is_used(offer, tiny, hold):
    tools = offer({"docs": tiny.url})
    caller = tools.of("ann")
    box = await caller.open()
    tiny.sessions.clear()
    go_on = hold("initialize")

    async def call(number):
        return await box.call(box.tools[0], b'{"n": %d}' % number)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(call(1))
        await until(lambda: tiny.methods().count("initialize") == 2)
        second = group.create_task(call(2))
        await asyncio.sleep(0)
        go_on.set()
    assert (first.result(), second.result()) == (ToolResult('{"n": 1}'), ToolResult('{"n": 2}'))
    assert tiny.methods().count("initialize") == 2
    assert tools.ended == {"docs": 1}
    caller.close()


async def test_a_server_that_hangs_keeps_no_other_from_another_session(open_tools, tiny, hold):
    other = type(tiny)()
    await other.start()
    box = await open_tools({"docs": tiny.url, "others": other.url}, mcp_init_timeout=5.0)
    tiny.sessions.clear()
    other.sessions.clear()
    go_on = hold("initialize")
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(box.call(box.tools[0], b"{}"))
        await until(lambda: tiny.methods().count("initialize") == 2)
        async with asyncio.timeout(3):
            assert await box.call(box.tools[1], b"{}") == ToolResult("{}")
        assert not hanging.done()
        go_on.set()
    assert hanging.result() == ToolResult("{}")
    await other.stop()


async def test_many_blocks_and_half_a_character_are_told(open_tools, tiny):
    async def answer(request, message):
        blocks = [{"type": "text", "text": "a\ud83d"}, *[{"type": "text", "text": "b"}] * 9_999]
        return tiny.say(message, {"content": blocks})

    tiny.answers["tools/call"] = answer
    box = await open_tools({"docs": tiny.url})
    assert await box.call(box.tools[0], b"{}") == ToolResult("a\ufffd" + 9_999 * "\nb")


async def test_a_server_that_is_gone_is_told_to_the_model_and_found_again(open_tools, tiny):
    box = await open_tools({"docs": tiny.url})
    usual, url = tiny.url, tiny.url
    await tiny.stop()
    gone = await box.call(box.tools[0], b"{}")
    assert gone == ToolResult(
        "The tool echo of the MCP server docs failed: it can't be reached: connection refused.",
        True,
    )
    tiny.sessions.clear()
    await tiny.start(int(url.split(":")[2].split("/")[0]))
    assert tiny.url == usual
    assert await box.call(box.tools[0], b"{}") == ToolResult("{}")


async def test_callers_own_tokens_take_the_place_of_the_servers(offer, tiny):
    async def credentials(initiator_id):
        return {"mine": Secret(f"token-of-{initiator_id}")} if initiator_id != "eve" else {}

    servers = {
        "mine": {"url": tiny.url, "user_credentials": "required"},
        "ours": {"url": tiny.url, "token": Secret("shared")},
    }
    tools = offer(servers, credentials)
    seen = {}
    for initiator in ("ann", "bob", "eve"):
        tiny.received.clear()
        caller = tools.of(initiator)
        box = await caller.open()
        caller.close()
        seen[initiator] = (
            {tool.server for tool in box.tools},
            {headers["Authorization"] for _, headers in tiny.received},
        )
    assert seen == {
        "ann": ({"mine", "ours"}, {"Bearer token-of-ann", "Bearer shared"}),
        "bob": ({"mine", "ours"}, {"Bearer token-of-bob", "Bearer shared"}),
        "eve": ({"ours"}, {"Bearer shared"}),
    }
