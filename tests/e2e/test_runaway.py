"""Sessions that run away, through the whole gateway: agents are warned, or told the end."""

import gzip
import json

import openai
import pytest
from loguru import logger

from aibridged.config.kinds import Address
from aibridged.config.options import PolicySettings, SessionSettings
from aibridged.core.runaway import SESSION_S
from aibridged.fake_provider import Script
from aibridged.fake_provider.answer import Answer, ToolCall, Usage

CLAUDE = {"User-Agent": "claude-cli/2.1.332", "X-Claude-Code-Session-Id": "s-1"}
CODEX = {"User-Agent": "codex_exec/0.171.0", "session-id": "s-1"}
KILO = {"User-Agent": "kilo-code/7.7", "X-KILOCODE-TASKID": "s-1"}
TEXT = (
    "The gateway has ended this session, because it has made 1 request, which is its limit. "
    "Nothing of it is sent to the model any more. Please start a new session, or ask the operator "
    "of the gateway."
)
MESSAGES = [{"role": "user", "content": "hi"}]


def limited(**limits):
    return (PolicySettings(session=SessionSettings(**limits)),)


@pytest.fixture
def sdks(start_gateway, connect_sdk):
    """Both SDKs in front of a gateway whose policy has these limits."""

    async def start(**limits):
        gateway = await start_gateway(policies=limited(**limits))
        return connect_sdk("anthropic", gateway.url), connect_sdk("openai", gateway.url)

    return start


def messages(claude, session=CLAUDE, **more):
    return claude.messages.create(
        **{"model": "claude-x", "max_tokens": 9, "messages": MESSAGES, **more},
        extra_headers=session,
    )


async def test_messages(sdks, fake):
    claude, _ = await sdks(ends=True, max_requests=1)
    await messages(claude)
    said = await messages(claude)
    assert [block.text for block in said.content] == [TEXT]
    assert (said.stop_reason, said.usage.input_tokens, said.model) == ("end_turn", 0, "claude-x")
    raw = await claude.messages.with_raw_response.create(
        model="claude-x", max_tokens=9, messages=MESSAGES, extra_headers=CLAUDE
    )
    assert raw.headers["X-Aibridge-Reason"] == "session_ended"
    assert raw.headers["X-Aibridge-Request-Id"]
    async with claude.messages.stream(
        model="claude-x", max_tokens=9, messages=MESSAGES, extra_headers=CLAUDE
    ) as stream:
        assert "".join([text async for text in stream.text_stream]) == TEXT
        final = await stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.id != said.id
    # Another session goes on, and so do requests of none.
    await messages(claude, {**CLAUDE, "X-Claude-Code-Session-Id": "s-2"})
    await messages(claude, {})
    assert len(fake.requests) == 3


async def test_chat_completions(sdks, fake):
    _, gpt = await sdks(ends=True, max_requests=1)
    ask = {"model": "gpt-x", "messages": MESSAGES, "extra_headers": KILO}
    await gpt.chat.completions.create(**ask)
    said = await gpt.chat.completions.create(**ask)
    assert said.choices[0].message.content == TEXT
    assert (said.choices[0].finish_reason, said.usage.total_tokens) == ("stop", 0)
    for options in ({}, {"stream_options": {"include_usage": True}}):
        chunks = [
            chunk
            async for chunk in await gpt.chat.completions.create(stream=True, **ask, **options)
        ]
        told = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert "".join(choice.delta.content or "" for choice in told) == TEXT
        assert told[-1].finish_reason == "stop"
        assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [0] * len(options)
    assert len(fake.requests) == 1


async def test_responses(sdks, fake):
    _, gpt = await sdks(ends=True, max_requests=1)
    ask = {"model": "gpt-x", "input": "hi", "extra_headers": CODEX}
    await gpt.responses.create(**ask)
    said = await gpt.responses.create(**ask)
    assert (said.output_text, said.status, said.usage.total_tokens) == (TEXT, "completed", 0)
    async with gpt.responses.stream(**ask) as stream:
        numbers = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()
    assert numbers == sorted(set(numbers))
    assert final.output_text == TEXT
    # What runs in the background would have to be fetched.
    with pytest.raises(openai.BadRequestError, match="has ended this session") as raised:
        await gpt.responses.create(**ask, background=True)
    assert raised.value.response.headers["X-Aibridge-Reason"] == "session_ended"
    assert raised.value.response.headers["X-Should-Retry"] == "false"
    assert len(fake.requests) == 1


async def post(client, gateway, body, headers=CLAUDE):
    async with client.post(
        f"{gateway.url}/anthropic/v1/messages", json=body, headers=headers
    ) as response:
        return response, json.loads(await response.read())


def body(*results, **more):
    content = [{"type": "tool_result", "tool_use_id": id, "content": "x"} for id in results]
    said = [{"role": "assistant", "content": "."}, {"role": "user", "content": content}]
    return {
        "model": "claude-x",
        "max_tokens": 9,
        "messages": MESSAGES + (said if results else []),
        **more,
    }


CALL = Script(times=9, answer=Answer(calls=(ToolCall("Bash", '{"command":"make"}'),)))


async def loop(client, gateway, turns, clock):
    """An agent whose model makes the same call again and again; the last response."""
    ids = []
    for _ in range(turns):
        clock.advance(1)
        response, said = await post(client, gateway, body(*ids))
        ids = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
    return response, said


async def test_a_loop_is_ended_by_what_the_agent_shows(client, fake, recording, clock):
    lines = []
    sink = logger.add(lambda line: lines.append(line.record), level="WARNING")
    gateway = await recording.start(
        policies=limited(ends=True, repeated_calls=3),
        prometheus_enable=True,
        prometheus_address=Address("127.0.0.1", 0),
    )
    fake.play(CALL)
    response, said = await loop(client, gateway, 4, clock)
    assert response.status == 200
    assert "has made the same tool calls 3 times in a row" in said["content"][0]["text"]
    assert len(fake.requests) == 3
    # It stays ended, whatever is asked then.
    _, said = await post(client, gateway, body())
    assert said["stop_reason"] == "end_turn"
    assert len(fake.requests) == 3
    async with client.get(gateway.metrics_urls[0]) as response:
        counted = gzip.decompress(await response.read()).decode()
    noticed = [row["interception"]["metadata"] for row in await recording.rows()]
    assert noticed == [None, None, {"runaway": "repeated_calls", "runaway_action": "end"}]
    logger.remove(sink)
    (line,) = [line for line in lines if line["message"].startswith("A session of ")]
    assert line["message"].endswith("has made the same tool calls 3 times in a row: it is ended")
    assert line["extra"]["interception_id"]
    assert 'aibridged_runaway_sessions_total{action="end",limit="repeated_calls"} 1.0' in counted
    assert 'aibridged_rejections_total{reason="session_ended"} 2.0' in counted


async def test_a_loop_is_warned_of_in_a_header(start_gateway, client, fake, clock):
    gateway = await start_gateway(policies=limited(repeated_calls=3))
    fake.play(CALL)
    response, _ = await loop(client, gateway, 3, clock)
    assert "X-Aibridge-Warning" not in response.headers
    response, _ = await post(client, gateway, body())
    assert response.headers["X-Aibridge-Warning"] == (
        "repeated_calls: this session has made the same tool calls 3 times in a row"
    )
    assert len(fake.requests) == 4


async def test_tokens_within_a_minute_without_those_of_the_cache(start_gateway, client, fake):
    gateway = await start_gateway(policies=limited(tokens_per_minute=100))
    cheap = Usage(input=10, output=10, cache_read=10_000)
    fake.play(Script(answer=Answer(text="x", usage=cheap)))
    await post(client, gateway, body())
    fake.play(Script(answer=Answer(text="x", usage=Usage(input=20, output=20, cache_write=50))))
    response, _ = await post(client, gateway, body())
    assert "X-Aibridge-Warning" not in response.headers
    response, _ = await post(client, gateway, body())
    assert response.headers["X-Aibridge-Warning"].startswith("tokens_per_minute: this session has")


COMPACT = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nSum it up."


async def test_compaction_after_compaction(start_gateway, client, fake, clock):
    gateway = await start_gateway(policies=limited(ends=True, compactions=3))
    compaction = body(messages=[*MESSAGES, {"role": "user", "content": COMPACT}])
    for number in range(4):
        clock.advance(1)
        # Agents of their own have their own.
        other = {**CLAUDE, "X-Claude-Code-Agent-Id": f"a-{number}"}
        _, said = await post(client, gateway, compaction, other)
        assert "has ended" not in said["content"][0]["text"]
    for _ in range(4):
        clock.advance(1)
        _, said = await post(client, gateway, compaction)
    assert "compacted its context 3 times with no progress" in said["content"][0]["text"]
    assert len(fake.requests) == 4 + 3


async def test_what_a_session_has_cost(start_gateway, client, fake):
    gateway = await start_gateway(policies=limited(ends=True, max_cost=2_000_000_000))
    usage = Usage(input=100_000, output=20_000)  # of a model at $5 and $25 a million: $1
    fake.play(Script(times=3, answer=Answer(text="x", usage=usage)))
    for _ in range(3):
        _, said = await post(client, gateway, body(model="claude-opus-4-8"))
    assert "because it has cost $2.00, which is its limit." in said["content"][0]["text"]
    assert len(fake.requests) == 2


async def test_an_ended_session_is_forgotten_after_a_day(start_gateway, client, fake, clock):
    gateway = await start_gateway(policies=limited(ends=True, max_requests=1))
    await post(client, gateway, body())
    clock.advance(SESSION_S - 1)
    _, said = await post(client, gateway, body())
    assert said["content"][0]["text"] == TEXT
    clock.advance(SESSION_S)
    await post(client, gateway, body())
    assert len(fake.requests) == 2


async def test_what_a_policy_doesnt_limit_is_not_watched(start_gateway, client, fake):
    gateway = await start_gateway(policies=(PolicySettings(),))
    await post(client, gateway, body())
    assert len(gateway.components.sessions) == 0
