"""Usage that isn't told as most servers do, from a provider's answer to the record."""

import json

import pytest

from aibridged.fake_provider import Script
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, UsageBy
from tests.viewers import EVERYTHING

MESSAGES, CHAT = "/anthropic/v1/messages", "/openai/v1/chat/completions"
ITERATIONS = [
    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
    {"type": "message", "input_tokens": 1000, "output_tokens": 50},
    {"type": "advisor_message", "model": "claude-big", "input_tokens": 800, "output_tokens": 70},
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 50, "iterations": ITERATIONS},
}
ROWS = [
    (None, 1000, 50, None),
    (None, 180_000, 3500, {"iteration": "compaction"}),
    ("claude-big", 800, 70, {"iteration": "advisor_message"}),
]


def stream(*events):
    """Server-sent events, Anthropic's with their names."""
    return tuple(
        (f"event: {event['type']}\n" if "type" in event else "").encode()
        + b"data: %b\n\n" % json.dumps(event).encode()
        for event in events
    )


STREAMED = stream(
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 9}}},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": MESSAGE["usage"],
    },
    {"type": "message_stop"},
)


@pytest.fixture
def ask(client, clock):
    async def ask(gateway, path, **changes):
        clock.advance(1)
        hello = [{"role": "user", "content": "hi"}]
        asked = {"model": "claude-x", "max_tokens": 9, "messages": hello, **changes}
        async with client.post(gateway.url + path, json=asked) as response:
            return response.status, await response.read()

    return ask


async def test_compactions_and_advisors_have_rows_of_their_own(recording, ask, fake):
    gateway = await recording.start()
    fake.play(Script(body=json.dumps(MESSAGE).encode()), Script(stream=STREAMED))
    assert (await ask(gateway, MESSAGES))[0] == 200
    assert await ask(gateway, MESSAGES, stream=True) == (200, b"".join(STREAMED))
    found = [
        (row["provider_model"], row["input_tokens"], row["output_tokens"], row["metadata"])
        for row in await recording.usages()
    ]
    assert found == ROWS * 2


async def test_the_usage_in_a_choice_is_recorded_and_passes_as_it_came(recording, ask, fake):
    gateway = await recording.start()
    told = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    moonshot = stream({"id": "c", "choices": [{**stop, "usage": {**told, "cached_tokens": 900}}]})
    groq = stream({"id": "c", "choices": [stop], "x_groq": {"id": "r", "usage": told}})
    done = b"data: [DONE]\n\n"
    fake.play(Script(stream=(*moonshot, done)), Script(stream=(*groq, done)))
    for sent in (moonshot, groq):
        seen = await ask(gateway, CHAT, stream=True)
        assert seen == (200, b"".join((*sent, done)))
    found = [
        (row["input_tokens"], row["output_tokens"], row["cache_read_input_tokens"])
        for row in await recording.usages()
    ]
    assert found == [(100, 50, 900), (1000, 50, 0)]


@pytest.mark.parametrize("count", [2**40, 2**40 + 1, 2**63 - 1])
async def test_a_count_of_any_size_leaves_the_reports_readable(recording, ask, fake, clock, count):
    gateway = await recording.start()
    huge = {**MESSAGE, "usage": {"input_tokens": count, "output_tokens": 50}}
    fake.play(*[Script(body=json.dumps(huge).encode())] * 3)
    for _ in range(3):
        assert (await ask(gateway, MESSAGES))[0] == 200
    counted = count if count == 2**40 else 0
    assert [(row["input_tokens"], row["output_tokens"]) for row in await recording.usages()] == [
        (counted, 50)
    ] * 3
    query = Query(recording.database.engine, clock, EVERYTHING)
    (usage,) = query.usage([UsageBy.USER], Filter())
    assert (usage.input_tokens, usage.output_tokens) == (3 * counted, 150)
    assert len(list(query.sessions(Filter()))) > 0
