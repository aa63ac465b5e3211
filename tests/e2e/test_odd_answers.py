"""Answers that are odd, or that could not be read: how they end on record and at the breaker."""

import pytest

from aibridged.fake_provider import Script

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
MESSAGES, CHAT = "/anthropic/v1/messages", "/openai/v1/chat/completions"
JSON, STREAM = (("Content-Type", "application/json"),), (("Content-Type", "text/event-stream"),)
TYPES = pytest.mark.parametrize("headers", [STREAM, JSON, ()], ids=["stream", "as JSON", "no type"])
MESSAGE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg","model":"m",'
    b'"usage":{"input_tokens":1000,"output_tokens":1}}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":50}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
OVERLOADED = b'data: {"error": {"code": 503, "message": "busy"}}\n\n'


@pytest.fixture
def ask(client):
    async def ask(gateway, path):
        asked = {"model": "m", "max_tokens": 9, "stream": True}
        asked["messages"] = [{"role": "user", "content": "hi"}]
        async with client.post(gateway.url + path, json=asked) as answer:
            return answer.status, await answer.read()

    return ask


@SQLITE
@TYPES
async def test_a_stream_is_read_whatever_its_media_type(recording, fake, ask, headers):
    fake.play(Script(stream=(MESSAGE[:3], MESSAGE[3:]), headers=headers))
    assert await ask(await recording.start(), MESSAGES) == (200, MESSAGE)
    (found,) = await recording.rows()
    (usage,) = found["aibridge_token_usages"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (1000, 50)
    assert found["interception"]["outcome"] == "completed"
    assert found["interception"]["metadata"] is None


@TYPES
async def test_an_overload_counts_for_the_breaker_whatever_its_media_type(
    start_gateway, fake, ask, headers
):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=2)
    fake.play(Script(stream=(OVERLOADED,), headers=headers, times=2))
    for _ in range(2):
        assert await ask(gateway, CHAT) == (200, OVERLOADED)
    assert (await ask(gateway, CHAT))[0] == 503


@SQLITE
@pytest.mark.parametrize(
    ("body", "unread"),
    [
        (b"<html>hello</html>", "unreadable_body"),
        (b'{"choices":[],"usage":[1]}', "unreadable_usage"),
        (b'{"id":7,"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":NaN}}', None),
    ],
)
async def test_an_answer_that_could_not_be_read_is_completed(recording, fake, ask, body, unread):
    fake.play(Script(body=body, headers=JSON))
    assert await ask(await recording.start(), CHAT) == (200, body)
    found = (await recording.rows())[0]["interception"]
    assert (found["outcome"], found["status_code"]) == ("completed", 200)
    assert found["metadata"] == ({"unread": unread} if unread else None)


@SQLITE
@pytest.mark.parametrize(
    ("script", "told"),
    [
        (Script(body=b'{"object":"error","message":"boom","code":500}', headers=JSON), "boom"),
        (Script(stream=(OVERLOADED,), headers=STREAM), "busy"),
        (Script(body=b"", headers=JSON), None),
        (Script(stream=(b'data: {"choices":[{"finish_reason":""}]}\n\n',), headers=STREAM), None),
    ],
    ids=["an error's object", "an overload", "nothing", "no reason to stop"],
)
async def test_a_failure_under_200_is_one(recording, fake, ask, script, told):
    fake.play(script)
    assert (await ask(await recording.start(), CHAT))[0] == 200
    found = (await recording.rows())[0]["interception"]
    assert found["outcome"] == "failed"
    assert (found["metadata"] or {}).get("unread") is None
    if told is not None:
        assert found["error_message"] == told
