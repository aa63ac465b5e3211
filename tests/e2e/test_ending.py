"""Requests ended from outside: each API's official client takes it as an end, and records tell."""

import asyncio
import json

import aiohttp
import httpx2
import pytest
from loguru import logger

from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.identity import tables
from aibridged.pipeline import ending
from aibridged.records import schema

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

    async def until(self, fits):
        """What runs, once that fits."""
        async with asyncio.timeout(10):
            while True:
                found = await self.live()
                if fits(found):
                    return found
                await asyncio.sleep(0.002)

    async def waiting(self, state):
        """The one request, once it waits for this."""
        (only,) = await self.until(lambda found: found and found[0]["state"] == state)
        return only

    async def stalled(self, api, writes, script=None, **more):
        """A stream that has stopped after so many events, and what is said of it."""
        self.fake.play(Script(stall_after=writes, **(script or {})))
        answer = self.ask(api, True, **more)
        received = await self.fake.received()
        (only,) = await self.until(
            lambda found: found and found[0]["bytes"] and found[0]["bytes"] == received.sent
        )
        return answer, only, received

    async def end(self, id):
        async with self._client.post(f"{self.gateway.url}{LIVE}/{id}/end") as response:
            return response.status, await response.json()


@pytest.fixture
async def scene(start_gateway, fake, client, connect_sdk):
    scene = Scene(await start_gateway(), fake, client, connect_sdk)
    yield scene
    for task in scene._tasks:
        task.cancel()


@apis
@pytest.mark.parametrize("writes", [1, 2, 4, 6])
async def test_a_stream_ends_wherever_it_is(scene, api, writes):
    answer, one, received = await scene.stalled(api, writes)
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
    one = await scene.waiting("provider")
    assert (await scene.end(one["interception_id"]))[0] == 200
    assert text_of(api, await asyncio.wait_for(answer, 10)) == NOTICE
    await asyncio.wait_for(received.disconnected.wait(), 10)
    assert scene.fake.seen == 1


async def test_a_second_time_is_harmless_and_what_has_ended_is_not_there(scene):
    answer, one, _ = await scene.stalled("messages", 3)
    first, second = await asyncio.gather(scene.end(one["id"]), scene.end(one["interception_id"]))
    assert first[0] == 200
    assert second[0] in (200, 404, 409)
    await asyncio.wait_for(answer, 10)
    await scene.until(lambda found: not found)
    status, body = await scene.end(one["id"])
    assert status == 404
    assert body["error"]["code"] == "request_not_running"


@pytest.mark.parametrize("api", TOOLS)
async def test_a_call_that_the_model_still_writes_stays_unfinished(scene, api):
    call = Answer(calls=(ToolCall("look", '{"path":"/tmp/not-all-of-it"}'),))
    writes = {"messages": 3, "chat": 3, "responses": 4}[api]
    answer, one, _ = await scene.stalled(api, writes, {"answer": call}, tools=TOOLS[api])
    await scene.end(one["id"])
    told = await asyncio.wait_for(answer, 10)
    assert text_of(api, told).endswith(NOTICE)
    if api == "responses":
        (called,) = (item for item in told.output if item.type == "function_call")
        assert called.status == "incomplete"
        with pytest.raises(json.JSONDecodeError):
            json.loads(called.arguments)


PARTS = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"m-1","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":7,"output_tokens":1}}}\n\n',
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\nda',
    b'ta: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"whole"}}\n',
    b'\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" and more"}}\n\n',
)


async def test_an_event_that_is_under_way_comes_to_its_end(scene):
    gates = {2: asyncio.Event(), 3: asyncio.Event()}
    scene.fake.play(Script(stream=PARTS, before_write=gates))
    answer = scene.ask("messages", True)
    size = sum(map(len, PARTS[:2]))
    (one,) = await scene.until(lambda found: found and found[0]["bytes"] == size)
    await scene.end(one["id"])
    gates[2].set()
    await scene.until(lambda found: found[0]["bytes"] > size)
    gates[3].set()
    assert text_of("messages", await asyncio.wait_for(answer, 10)) == f"whole\n\n{NOTICE}"


async def test_one_whose_provider_stops_within_an_event_is_cut_off(scene, monkeypatch):
    monkeypatch.setattr(ending, "EVENT_S", 0.01)
    answer, one, received = await scene.stalled("messages", 2, {"stream": PARTS})
    await scene.end(one["id"])
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(answer, 10)
    await asyncio.wait_for(received.disconnected.wait(), 10)


async def test_one_of_a_length_that_was_told_is_cut_off(scene):
    headers = (("content-type", "text/event-stream"),)
    script = {"body": b"".join(PARTS), "headers": headers, "chunks": (len(PARTS[0]),)}
    answer, one, _ = await scene.stalled("messages", 1, script)
    await scene.end(one["id"])
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(answer, 10)


async def test_a_compressed_stream_is_cut_off(scene):
    answer, one, _ = await scene.stalled("messages", 3, {"gzip": True})
    await scene.end(one["id"])
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(answer, 10)


async def test_so_is_one_of_which_nothing_has_come(scene):
    scene.fake.play(Script(stall_after=0, gzip=True))
    answer = scene.ask("messages", True)
    one = await scene.waiting("streaming")
    await scene.end(one["id"])
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(answer, 10)


@apis
async def test_of_a_stream_with_a_head_alone_the_end_is_all(scene, api):
    scene.fake.play(Script(stall_after=0))
    answer = scene.ask(api, True)
    one = await scene.waiting("streaming")
    await scene.end(one["id"])
    assert text_of(api, await asyncio.wait_for(answer, 10)) == NOTICE


async def test_the_rest_of_a_response_that_is_no_stream_is_cut_off(scene):
    answer, one, _ = await scene.stalled("messages", 1, {"body": b'{"id":', "chunks": (3,)})
    await scene.end(one["id"])
    with pytest.raises(httpx2.RemoteProtocolError):
        await asyncio.wait_for(answer, 10)


async def test_a_passthrough_route_is_cut_off(scene, client):
    scene.fake.play(Script(silent=True))
    path = "/anthropic/v1/messages/count_tokens"
    asking = client.post(scene.gateway.url + path, json={"model": "m-1", "messages": ASKED})
    asked = asyncio.ensure_future(asking)  # noqa: TID251
    one = await scene.waiting("provider")
    assert one["interception_id"] is None
    assert (await scene.end(one["id"]))[0] == 200
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asked


async def test_an_api_without_text_gets_an_error_that_is_not_repeated(scene, client):
    scene.fake.play(Script(silent=True))
    body = {"model": "m-1", "input": "one"}
    asked = client.post(scene.gateway.url + "/openai/v1/embeddings", json=body)
    asking = asyncio.ensure_future(asked)  # noqa: TID251
    one = await scene.waiting("provider")
    await scene.end(one["id"])
    async with await asking as response:
        assert response.status == 400
        assert response.headers["X-Aibridge-Reason"] == "request_ended"
        assert response.headers["X-Should-Retry"] == "false"


def note_connection(connections):
    async def note(response):
        stream = response.extensions["network_stream"]
        connections.add(stream.get_extra_info("client_addr"))

    return note


async def test_one_that_still_sends_its_body_is_ended(scene, log):
    host, port = scene.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
    writer.write(head + b"{")
    one = await scene.waiting("receiving")
    await scene.end(one["id"])
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await scene.until(lambda found: not found)
    assert any("'outcome': 'interrupted'" in line for line in log)


async def test_the_connection_of_an_agent_serves_on(scene):
    """The stream has ended in order, so that the next request may come over the same one."""
    connections = set()
    sdk = scene._connect("anthropic", scene.gateway.url)
    hooks = sdk._client.event_hooks
    hooks["response"].append(note_connection(connections))
    sdk._client.event_hooks = hooks
    scene.fake.play(Script(stall_after=3))
    asking = asyncio.ensure_future(ask_messages(sdk, True))  # noqa: TID251
    one = await scene.waiting("streaming")
    await scene.end(one["id"])
    await asyncio.wait_for(asking, 10)
    again = await ask_messages(sdk, False)
    assert again.stop_reason == "end_turn"
    assert len(connections) == 1


async def test_a_client_that_leaves_meanwhile_takes_nothing_along(scene):
    answer, one, received = await scene.stalled("messages", 3)
    asking = asyncio.ensure_future(scene.end(one["id"]))  # noqa: TID251
    answer.cancel()
    assert (await asking)[0] in (200, 404, 409)
    await asyncio.wait_for(received.disconnected.wait(), 10)
    await scene.until(lambda found: not found)


async def test_record_log_and_audit_log_say_who_has_ended_it(
    recording, fake, client, connect_sdk, log
):
    scene = Scene(await recording.start(), fake, client, connect_sdk)
    answer, one, _ = await scene.stalled("messages", 4)
    assert one["tokens_estimated"]
    assert one["output_tokens"] > 0
    await scene.end(one["id"])
    await asyncio.wait_for(answer, 10)
    await scene.until(lambda found: not found)
    (row,) = await recording.rows()
    told = row["interception"]
    assert (told["outcome"], told["status_code"]) == ("interrupted", 200)
    assert told["metadata"]["ended_by"] == told["initiator_id"]
    (usage,) = row[schema.token_usages.name]
    assert usage["input_tokens"] > 0
    ((cost, parts),) = await recording.costs()
    assert cost[1] == parts[0][1]
    (audited,) = recording.database.rows(tables.audit)
    assert audited["action"] == "request.end"
    assert audited["target"] == one["interception_id"]
    (line,) = (line for line in log if "POST /anthropic/v1/messages" in line)
    assert "'outcome': 'interrupted'" in line
    assert "'ended_by'" in line


async def test_what_waits_is_on_record_with_the_answer_that_it_got(
    recording, fake, client, connect_sdk
):
    scene = Scene(await recording.start(), fake, client, connect_sdk)
    fake.play(Script(silent=True))
    answer = scene.ask("chat", False)
    await fake.received()
    one = await scene.waiting("provider")
    await scene.end(one["id"])
    await asyncio.wait_for(answer, 10)
    (row,) = await recording.rows()
    told = row["interception"]
    assert (told["outcome"], told["status_code"]) == ("interrupted", 200)
    assert told["metadata"]["ended_by"] == told["initiator_id"]
