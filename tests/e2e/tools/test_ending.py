"""Requests with tools of the gateway's, ended from outside, as the official clients see them."""

import asyncio

import pytest

from aibridged.fake_provider import Answer, Script, ToolCall

LIVE = "/api/v2/aibridge/live"
NOTICE = "You have ended this request at the gateway."
CALL = Answer(text="Let me look.", calls=(ToolCall("bmcp_files_read", '{"path":"a"}'),))


@pytest.fixture
async def gateway(with_tools):
    return await with_tools()


@pytest.fixture
def end(gateway, client):
    """Ends the one request that runs, once it fits."""

    async def end(fits):
        async with asyncio.timeout(10):
            while True:
                async with client.get(gateway.url + LIVE) as response:
                    found = (await response.json())["results"]
                if found and fits(found[0]):
                    break
                await asyncio.sleep(0.002)
        async with client.post(f"{gateway.url}{LIVE}/{found[0]['id']}/end") as response:
            assert response.status == 200
        return found[0]

    return end


def assert_ended(talk, answer):
    assert talk.text(answer).endswith(NOTICE)
    assert not talk.calls(answer)
    if talk.api == "messages":
        assert answer.stop_reason == "end_turn"
    elif talk.api == "chat":
        assert answer.choices[0].finish_reason == "stop"
    else:
        assert answer.status == "completed"


async def test_a_tool_that_runs_is_stopped(gateway, fake, toolbox, talk_to, end, api, way):
    toolbox.gate = asyncio.Event()
    fake.play(Script(answer=CALL))
    talk = talk_to(gateway, api, way)
    answer = asyncio.ensure_future(talk.say("look"))  # noqa: TID251
    seen = await end(lambda one: one["state"] == "tool")
    assert seen["tool"] == "bmcp_files_read"
    assert_ended(talk, await asyncio.wait_for(answer, 10))
    assert toolbox.cancelled.is_set()
    assert fake.seen == 1


async def test_a_later_turn_is_ended(gateway, fake, toolbox, talk_to, end, api, way):
    fake.play(Script(answer=CALL), Script(silent=True))
    talk = talk_to(gateway, api, way)
    answer = asyncio.ensure_future(talk.say("look"))  # noqa: TID251
    received = await fake.received(2)
    await end(lambda one: one["state"] == "provider")
    assert_ended(talk, await asyncio.wait_for(answer, 10))
    await asyncio.wait_for(received.disconnected.wait(), 10)


@pytest.mark.parametrize("writes", [1, 3])
async def test_the_stream_of_a_later_turn_is_ended_wherever_it_is(
    gateway, fake, toolbox, talk_to, end, api, writes
):
    fake.play(
        Script(answer=CALL),
        Script(answer=Answer(thinking="so", text="forty two"), stall_after=writes),
    )
    talk = talk_to(gateway, api, "streaming")
    answer = asyncio.ensure_future(talk.say("look"))  # noqa: TID251
    received = await fake.received(2)
    await end(
        lambda one: one["state"] == "streaming" and one["bytes"] and one["bytes"] == received.sent
    )
    assert_ended(talk, await asyncio.wait_for(answer, 10))
    assert talk.text(answer.result()).startswith("Let me look.")


@pytest.mark.parametrize("writes", [2, 4])
async def test_the_stream_of_the_first_turn_is_ended_wherever_it_is(
    gateway, fake, toolbox, talk_to, end, api, writes
):
    fake.play(Script(answer=CALL, stall_after=writes))
    talk = talk_to(gateway, api, "streaming")
    answer = asyncio.ensure_future(talk.say("look"))  # noqa: TID251
    received = await fake.received()
    await end(lambda one: one["bytes"] and one["bytes"] == received.sent)
    assert_ended(talk, await asyncio.wait_for(answer, 10))
    assert toolbox.called == []
