"""Whose words are on record, and in which thread: requests as Claude Code sends them."""

import json

import pytest

from aibridged.fake_provider.answer import Answer, ToolCall
from aibridged.fake_provider.script import Script

CLAUDE = {"User-Agent": "claude-cli/2.1.332 (external, cli)", "X-Claude-Code-Session-Id": "01-ab"}


@pytest.fixture
def say(client, clock):
    """Sends a conversation; returns it with the answer at its end."""

    async def say(gateway, *messages):
        clock.advance(1)
        body = {"model": "m", "max_tokens": 9, "messages": messages}
        body["tools"] = [{"name": "Agent", "input_schema": {"type": "object"}}]
        url = f"{gateway.url}/anthropic/v1/messages"
        async with client.post(url, data=json.dumps(body), headers=CLAUDE) as reply:
            assert reply.status == 200
            answer = {"role": "assistant", "content": (await reply.json())["content"]}
        return [*messages, answer]

    return say


def user(*texts):
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


async def test_what_the_agent_does_by_itself_is_no_prompt(recording, fake, say):
    gateway = await recording.start()
    await say(gateway, user("<session>\nHi\n</session>\n\nWrite the title in the user's language."))
    fake.play(Script(answer=Answer(calls=(ToolCall("Agent"),))))
    talk = await say(gateway, user("<system-reminder>date</system-reminder>", "Find it."))
    (call,) = [part["id"] for part in talk[-1]["content"] if part["type"] == "tool_use"]
    started = {"type": "tool_result", "tool_use_id": call, "content": "It runs."}
    talk = await say(gateway, *talk, {"role": "user", "content": [started]})
    ended = f"<task-notification>\n<tool-use-id>{call}</tool-use-id>\n</task-notification>"
    talk = await say(gateway, *talk, user(f"<system-reminder>{ended}</system-reminder>"))
    await say(gateway, *talk, user("Stop hook feedback:\nGo on."))
    rows = await recording.rows()
    prompts = [[prompt["prompt"] for prompt in row["aibridge_user_prompts"]] for row in rows]
    assert prompts == [[], ["Find it."], [], [], []]
    interceptions = [row["interception"] for row in rows]
    assert [row["metadata"] for row in interceptions] == [{"purpose": "title"}, *[None] * 4]
    assert [row["thread_root_id"] for row in interceptions] == [None, None, 1, 1, None]
    assert {row["session_id"] for row in interceptions} == {"01-ab"}
