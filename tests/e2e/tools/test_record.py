"""What is recorded, counted and traced of a request whose tools the gateway runs."""

import asyncio
import json
from contextlib import suppress
from decimal import Decimal

import aiohttp
import pytest

from aibridged.config.kinds import Address
from aibridged.config.options import McpServerSettings, PriceSettings
from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.mcp.tools import ToolResult
from aibridged.observe.spans import SpanName
from aibridged.pipeline import bridge
from aibridged.pipeline.tool_loop import calls as tool_calls
from aibridged.records import schema
from tests.e2e.spend_limits import is_balanced, ledger, set_limit

OURS = ToolCall("bmcp_files_read", '{"path":"a"}')
OWN = ToolCall("weather", '{"city":"Bern"}')
USED = Usage(input=10, output=5, cache_read=3)
CALL = Answer(text="Let me look.", thinking="Hm.", calls=(OURS,), usage=USED)
TEXT = Answer(text="Done.", usage=USED)
SERVERS = (McpServerSettings("files", "http://files/mcp"),)
ONE_API = pytest.mark.parametrize("api", ["messages"])
PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}


@pytest.fixture
def start(recording, toolbox):
    async def start(**changes):
        return await recording.start(mcp_servers=SERVERS, **changes)

    return start


@pytest.fixture
def ask(client, way):
    async def ask(gateway, api, text="hi"):
        hello = [{"role": "user", "content": text}]
        asked = {"model": "m", "stream": way == "streaming"}
        asked |= {"input": hello} if api == "responses" else {"messages": hello}
        asked |= {"max_tokens": 9} if api == "messages" else {}
        async with client.post(gateway.url + PATHS[api], data=json.dumps(asked)) as response:
            return response.status, await response.read()

    return ask


def rows_of(rows):
    """The only interception, and of its other rows what this is about."""
    (found,) = rows
    tokens = [
        (row["input_tokens"], row["output_tokens"], row["cache_read_input_tokens"])
        for row in found["aibridge_token_usages"]
    ]
    tools = [
        (
            row["tool"],
            row["input"],
            row["injected"],
            row["server_url"],
            row["invocation_error"],
            row["metadata"],
        )
        for row in found["aibridge_tool_usages"]
    ]
    return found, tokens, tools


def ours(error=None, **metadata):
    return ("read", OURS.arguments, True, "http://files/mcp", error, metadata or None)


async def test_one_interception_with_the_tokens_and_tools_of_every_turn(
    start, ask, recording, fake, toolbox, clock, api, way
):
    toolbox.answers = [ToolResult("x"), ToolResult("no such file", is_error=True)]
    call, toolbox.call = toolbox.call, None

    async def slow(*arguments):
        clock.advance(1.5)
        return await call(*arguments)

    toolbox.call = slow
    fake.play(Script(answer=CALL, times=2), Script(answer=TEXT))
    assert (await ask(await start(), api))[0] == 200
    found, tokens, tools = rows_of(await recording.rows())
    assert found["interception"]["outcome"] == "completed"
    assert found["interception"]["status_code"] == 200
    assert not found["interception"]["usage_partial"]
    assert tokens == [(10, 5, 3)] * 3
    assert tools == [ours(duration_ms=1500), ours("no such file", duration_ms=1500)]
    ids = [row["provider_response_id"] for row in found["aibridge_token_usages"]]
    assert len(set(ids)) == 3
    assert ids[0] == found["aibridge_tool_usages"][0]["provider_response_id"]
    assert ids[0] == found["aibridge_user_prompts"][0]["provider_response_id"]
    first_byte = found["interception"]["time_to_first_byte_ms"]
    assert first_byte == (3000 if way == "blocking" else 0)
    thoughts = [row["content"] for row in found["aibridge_model_thoughts"]]
    assert thoughts == ([] if api == "chat" else ["Hm.", "Hm."])


@ONE_API
async def test_calls_that_are_never_run_are_on_record_as_such(
    start, ask, recording, fake, toolbox, api, way
):
    fake.play(Script(answer=Answer(calls=(OURS, OWN), usage=USED)))
    await ask(await start(), api)
    _, tokens, tools = rows_of(await recording.rows())
    assert tokens == [(10, 5, 3)]
    assert tools == [ours(bridge.NOT_RUN), (OWN.name, OWN.arguments, False, None, None, None)]


@pytest.mark.parametrize("api", ["chat"])
async def test_a_turn_whose_usage_is_not_told_is_guessed_and_counts(
    start, ask, recording, fake, database, clock, api, way
):
    """So a spend limit ends such turns, too."""
    call = {"id": "call_1", "function": {"name": OURS.name, "arguments": OURS.arguments}}
    said = {"content": "x" * 8000, "tool_calls": [{"index": 0, "type": "function", **call}]}
    name = "message" if way == "blocking" else "delta"
    choice = {"index": 0, "finish_reason": "tool_calls", name: said}
    told = json.dumps({"id": "c", "model": "m", "choices": [choice]})
    if way == "streaming":
        told = f"data: {told}\n\ndata: [DONE]\n\n"
    kind = "text/event-stream" if way == "streaming" else "application/json"
    fake.play(Script(body=told.encode(), headers=(("Content-Type", kind),), times=9))
    # A token of the input costs a cent. The tools are more input than the client has sent.
    prices = (PriceSettings(model="m", input=Decimal(10_000), output=Decimal(0)),)
    set_limit(database.engine, clock, 35)
    assert (await ask(await start(prices=prices), api))[0] == 200
    found, _, _ = rows_of(await recording.rows())
    assert found["interception"]["usage_partial"]
    sizes = [len(request.body) // 4 for request in fake.requests]
    output = len(told) // (4 if way == "blocking" else 250)
    notes = [row["metadata"] for row in database.rows(schema.token_usages)]
    guessed = [(each["estimated_input"], each["estimated_output"]) for each in notes]
    assert sorted(guessed) == [(size, output) for size in sorted(sizes)]
    assert len(sizes) == 2
    assert ledger(database.engine) == (sum(sizes), 0)
    assert is_balanced(database.engine)


@ONE_API
async def test_who_leaves_while_a_tool_runs_leaves_no_token_uncounted(
    start, ask, recording, fake, toolbox, api, way
):
    toolbox.gate = asyncio.Event()
    fake.play(Script(answer=CALL))
    asking = asyncio.get_running_loop().create_task(ask(await start(), api))
    await toolbox.running.wait()
    asking.cancel()
    await toolbox.cancelled.wait()
    found, tokens, tools = rows_of(await recording.rows())
    assert found["interception"]["outcome"] == "client_closed"
    assert found["interception"]["status_code"] == (200 if way == "streaming" else None)
    assert not found["interception"]["usage_partial"]
    first_byte = found["interception"]["time_to_first_byte_ms"]
    assert first_byte == (0 if way == "streaming" else None)
    assert tokens == [(10, 5, 3)]
    assert tools == [ours(tool_calls.ABANDONED, duration_ms=0)]


@ONE_API
async def test_a_call_that_nobody_waits_for_any_more_is_the_gateways_all_the_same(
    start, ask, recording, fake, toolbox, api, way
):
    toolbox.gate = asyncio.Event()
    fake.play(Script(answer=Answer(calls=(OURS, OURS), usage=USED)))
    asking = asyncio.get_running_loop().create_task(ask(await start(), api))
    await toolbox.running.wait()
    asking.cancel()
    await toolbox.cancelled.wait()
    _, _, tools = rows_of(await recording.rows())
    assert tools == [ours(tool_calls.ABANDONED, duration_ms=0), ours(bridge.NOT_RUN)]


@ONE_API
async def test_who_leaves_while_the_model_goes_on_leaves_tokens_uncounted(
    start, ask, recording, fake, toolbox, api, way
):
    fake.play(Script(answer=CALL), Script(silent=True))
    asking = asyncio.get_running_loop().create_task(ask(await start(), api))
    await fake.received(2)
    asking.cancel()
    await fake.requests[1].disconnected.wait()
    found, tokens, tools = rows_of(await recording.rows())
    assert found["interception"]["outcome"] == "client_closed"
    assert found["interception"]["usage_partial"]
    assert tokens == [(10, 5, 3)]
    assert tools == [ours(duration_ms=0)]


@ONE_API
@pytest.mark.parametrize(
    ("script", "status", "code", "code_in_stream"),
    [
        (Script(status=529), 529, "overloaded_error", "overloaded_error"),
        (Script(close=True), 502, "upstream_unreachable", "upstream_unreachable"),
        (Script(cut_after=200), 502, "upstream_unreachable", "response_aborted"),
    ],
    ids=["refused", "no answer", "broken off"],
)
async def test_a_failure_in_a_later_turn_is_the_requests(
    start, ask, recording, fake, toolbox, api, way, script, status, code, code_in_stream
):
    fake.play(Script(answer=CALL), script)
    gateway = await start()
    with suppress(aiohttp.ClientPayloadError):
        await ask(gateway, api)
    found, tokens, tools = rows_of(await recording.rows())
    assert found["interception"]["outcome"] == "failed"
    assert found["interception"]["status_code"] == (200 if way == "streaming" else status)
    told = found["interception"]["error_code"]
    assert told == (code_in_stream if way == "streaming" else code)
    assert tokens[0] == (10, 5, 3)
    assert tools == [ours(duration_ms=0)]


async def test_tools_are_counted_as_run_and_not_as_selected(
    with_tools, ask, fake, toolbox, client, api
):
    gateway = await with_tools(prometheus_enable=True, prometheus_address=Address("127.0.0.1", 0))
    metrics = gateway.components.metrics
    fake.play(Script(answer=CALL), Script(answer=Answer(calls=(OWN,), usage=USED)))
    await ask(gateway, api)
    provider = "anthropic" if api == "messages" else "openai"
    counted = {reading.row.name: reading.values for reading in metrics.readings() if reading.values}
    assert counted["coder_ai_gateway_injected_tool_invocations_total"] == {
        (provider, "m", "files", OURS.name): 1
    }
    assert counted["coder_ai_gateway_non_injected_tool_selections_total"] == {
        (provider, "m", OWN.name): 1
    }
    tokens = counted["coder_ai_gateway_tokens_total"]
    assert {labels[2]: value for labels, value in tokens.items()}["output"] == 10


@ONE_API
async def test_each_call_has_a_span(with_tools, ask, toolbox, fake, spans, api):
    toolbox.answers = [ToolResult("canary"), ToolResult("canary", is_error=True)]
    fake.play(Script(answer=CALL, times=2))
    gateway = await with_tools(trace=True, shutdown_timeout=5.0)
    await ask(gateway, api)
    await gateway.stop()
    (process,) = (span for span in spans if span.name == SpanName.PROCESS_REQUEST)
    calls = [span for span in spans if span.name == SpanName.TOOL_CALL]
    told = [{each.key: each.value.string_value for each in span.attributes} for span in calls]
    server = {
        "mcp_proxy_name": "files",
        "mcp_server_name": "files",
        "mcp_server_url": "http://files/mcp",
        "mcp_tool_name": "read",
    }
    assert told == [server, {**server, "error.type": "tool_error"}]
    assert {span.parent_span_id for span in calls} == {process.span_id}
    recorded = [span for span in spans if span.name == SpanName.RECORD_TOOL_USAGE]
    assert len(recorded) == 2
    assert all(span.start_time_unix_nano >= process.start_time_unix_nano for span in recorded)
    assert "canary" not in str(spans)


@ONE_API
@pytest.mark.parametrize("way", ["streaming"])
async def test_every_turn_is_on_the_bill(recording, start, ask, fake, api, clock):
    """Also the one that nobody has read to its end: by its last figures, or the size of it."""
    rates = PriceSettings(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"))
    gateway = await start(prices=(rates,))
    fake.play(*(Script(answer=answer) for answer in (CALL, CALL, TEXT)))
    assert (await ask(gateway, api))[0] == 200
    clock.advance(1)
    fake.play(Script(answer=CALL), Script(answer=TEXT, cut_after=500))
    with suppress(aiohttp.ClientError):
        await ask(gateway, api)
    turn = (10 * 3 + 5 * 15) * 1000 + 3 * 300
    whole, broken = await recording.costs()
    assert whole == ((3 * turn, "exact"), [(turn, "exact", "prices[0]")] * 3)
    cost, turns = broken
    [guess] = [each for each in turns if each[1] == "estimated"]
    assert sorted(turns) == sorted([guess, (turn, "exact", "prices[0]")])
    assert cost == (turn + guess[0], "estimated")
