"""Requests that somebody ends: each API's official client takes it as an end, and it is on record."""

import asyncio

import pytest
from loguru import logger

from aibridged.fake_provider import Script

LIVE = "/api/v2/aibridge/live"
NOTICE = "You have ended this request at the gateway."
TOOL = {"type": "object", "properties": {"path": {"type": "string"}}}
ASKED = [{"role": "user", "content": "Say a lot."}]


async def ask_messages(sdk, stream, **more):
    options = {"model": "m-1", "max_tokens": 64, "messages": ASKED, **more}
    if not stream:
        return await sdk.messages.create(**options)
    async with sdk.messages.stream(**options) as streaming:
        return await streaming.get_final_message()


async def ask_chat(sdk, stream, **more):
    options = {"model": "m-1", "messages": ASKED, **more}
    if not stream:
        return await sdk.chat.completions.create(**options)
    asked = {"stream_options": {"include_usage": True}}
    async with sdk.chat.completions.stream(**options, **asked) as streaming:
        return await streaming.get_final_completion()


async def ask_completions(sdk, stream, **more):
    options = {"model": "m-1", "prompt": "Say a lot.", **more}
    if not stream:
        return await sdk.completions.create(**options)
    chunks = [each async for each in await sdk.completions.create(**options, stream=True)]
    chunks[-1].choices[0].text = "".join(each.choices[0].text for each in chunks)
    return chunks[-1]


async def ask_responses(sdk, stream, **more):
    options = {"model": "m-1", "input": "Say a lot.", **more}
    if not stream:
        return await sdk.responses.create(**options)
    async with sdk.responses.stream(**options) as streaming:
        return await streaming.get_final_response()


ASK = {
    "messages": ask_messages,
    "chat": ask_chat,
    "completions": ask_completions,
    "responses": ask_responses,
}
TOOLS = {
    "messages": [{"name": "look", "input_schema": TOOL}],
    "chat": [{"type": "function", "function": {"name": "look", "parameters": TOOL}}],
    "responses": [{"type": "function", "name": "look", "parameters": TOOL, "strict": False}],
}
apis = pytest.mark.parametrize("api", ASK)


def text_of(api, answer):
    if api == "messages":
        assert answer.stop_reason == "end_turn"
        return "".join(block.text for block in answer.content if block.type == "text")
    if api == "responses":
        assert answer.status == "completed"
        return answer.output_text
    assert answer.choices[0].finish_reason == "stop"
    return answer.choices[0].message.content if api == "chat" else answer.choices[0].text


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{message} {extra}")
    yield lines
    logger.remove(sink)


class Scene:
    """A gateway, and an agent's request that waits for the provider."""

    def __init__(self, gateway, fake, client, connect_sdk):
        self.gateway, self.fake, self._client, self._connect = gateway, fake, client, connect_sdk
        self._tasks = []

    def ask(self, api, stream, **more):
        """The SDK's answer to come."""
        sdk = self._connect("anthropic" if api == "messages" else "openai", self.gateway.url)
        task = asyncio.ensure_future(ASK[api](sdk, stream, **more))  # noqa: TID251
        self._tasks.append(task)
        return task

    async def live(self):
        async with self._client.get(self.gateway.url + LIVE) as response:
            return (await response.json())["results"]

    async def running(self, fits):
        """The one request that runs, once it fits."""
        async with asyncio.timeout(10):
            while not ((found := await self.live()) and fits(found[0])):
                await asyncio.sleep(0.002)
        (only,) = found
        return only

    async def streaming(self, writes):
        """The one request, once the gateway has had so many events of the fake's."""
        received = await self.fake.received()
        return await self.running(lambda one: one["bytes"] >= received.sent > 0 or not writes)

    async def end(self, id):
        async with self._client.post(f"{self.gateway.url}{LIVE}/{id}/end") as response:
            return response.status, await response.json()

    async def over(self):
        async with asyncio.timeout(10):
            while await self.live():
                await asyncio.sleep(0.002)


@pytest.fixture
async def scene(start_gateway, fake, client, connect_sdk):
    scene = Scene(await start_gateway(), fake, client, connect_sdk)
    yield scene
    for task in scene._tasks:
        task.cancel()


async def stalled(scene, api, writes, **more):
    """A stream that has stopped after so many events, and what is said of it."""
    scene.fake.play(Script(stall_after=writes, **more.pop("script", {})))
    answer = scene.ask(api, True, **more)
    received = await scene.fake.received()
    async with asyncio.timeout(10):
        while True:
            found = await scene.live()
            if found and found[0]["bytes"] and found[0]["bytes"] == received.sent:
                return answer, found[0], received
            await asyncio.sleep(0.002)


@apis
@pytest.mark.parametrize("writes", range(1, 7))
async def test_a_stream_ends_wherever_it_is(scene, api, writes):
    answer, one, received = await stalled(scene, api, writes)
    assert one["state"] == "streaming"
    assert (await scene.end(one["id"]))[0] == 200
    assert text_of(api, await asyncio.wait_for(answer, 10)).endswith(NOTICE)
    await asyncio.wait_for(received.disconnected.wait(), 10)
    assert scene.fake.seen == 1


@apis
@pytest.mark.parametrize("stream", [False, True])
async def test_what_waits_for_the_provider_gets_an_answer(scene, api, stream):
    scene.fake.play(Script(silent=True))
    answer = scene.ask(api, stream)
    received = await scene.fake.received()
    one = await scene.running(lambda one: one["state"] == "provider")
    assert (await scene.end(one["interception_id"]))[0] == 200
    assert text_of(api, await asyncio.wait_for(answer, 10)) == NOTICE
    await asyncio.wait_for(received.disconnected.wait(), 10)
    assert scene.fake.seen == 1
