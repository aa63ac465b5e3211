"""What can go wrong around the gateway's tools, and what must not notice that there are any."""

import asyncio
import gzip
import json
import re

import aiohttp
import anthropic
import openai
import pytest
import zstandard
from loguru import logger

from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.pipeline.tool_loop import loop as tool_loop

OURS = ToolCall("bmcp_files_read", '{"path":"a"}')
OWN = ToolCall("weather", '{"city":"Bern"}')
CALL = Answer(text="Let me look.", calls=(OURS,))

PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}
CUT = (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)


def body(api, text="use the tool", **fields):
    hello = [{"role": "user", "content": text}]
    asked = {"model": "m", **({"input": hello} if api == "responses" else {"messages": hello})}
    return {**asked, **({"max_tokens": 9} if api == "messages" else {}), **fields}


@pytest.fixture
def post(client):
    """Sends a request: status and body of the answer."""

    async def post(gateway, api, raw=None, headers=None, **fields):
        sent = json.dumps(body(api, **fields)).encode() if raw is None else raw
        url = gateway.url + PATHS[api]
        async with client.post(url, data=sent, headers=headers) as response:
            return response.status, await response.read()

    return post


@pytest.fixture
def said():
    """All that is logged."""
    lines = []
    sink = logger.add(lines.append)
    yield lines
    logger.remove(sink)


def without_ids(answer):
    """The answer without the ids that the fake makes for each."""
    status, content = answer
    return status, re.sub(rb"fake[0-9a-f]{16}", b"fake", content)


def stream_of(way):
    return {"stream": True} if way == "streaming" else {}


class TestUntouched:
    """Requests and answers that have nothing to do with the tools."""

    @pytest.mark.parametrize(
        "script",
        [
            Script(answer=Answer(text="Hello there.", thinking="Hm.", calls=(OWN,))),
            Script(chunks=(1,)),
            Script(crlf=True, trailing=b": bye\n\n", chunks=(7,)),
            Script(stream=(b"data: {}\r\r", b'data: {"x"', b": 1}")),
            Script(body=b'{ "made": "up" }\n'),
            Script(body=b"no json", headers=(("content-type", "text/plain"),)),
            Script(status=529),
            Script(status=400),
        ],
        ids=range(8),
    )
    async def test_an_answer_without_calls_of_ours_is_passed_on(
        self, with_tools, start_gateway, fake, toolbox, post, way, script, api
    ):
        plain, tools = await start_gateway(), await with_tools()
        fake.play(script)
        expected = await post(plain, api, **stream_of(way), text="hello")
        fake.play(script)
        seen = await post(tools, api, **stream_of(way), text="hello")
        assert without_ids(seen) == without_ids(expected)
        assert [b"bmcp" in request.body for request in fake.requests] == [False, True]

    async def test_the_head_is_the_providers(self, with_tools, fake, toolbox, client, api, way):
        gateway = await with_tools()
        fake.play(Script(headers=(("X-Two", "a"), ("X-Two", "b"), ("Server", "theirs"))))
        sent = json.dumps(body(api, text="hello", **stream_of(way)))
        async with client.post(gateway.url + PATHS[api], data=sent) as response:
            assert response.headers.getall("X-Two") == ["a", "b"]
            assert response.headers["Server"] == "theirs"
            if way == "blocking":
                assert int(response.headers["Content-Length"]) == len(await response.read())

    async def test_requests_that_want_none_are_sent_as_they_came(
        self, with_tools, fake, toolbox, post, api
    ):
        gateway = await with_tools()
        none = {"type": "none"} if api == "messages" else "none"
        offered = {"messages": "claude"}.get(api, "gpt")
        sent = json.dumps(body(api, tool_choice=none, model=offered)).encode()
        await post(gateway, api, raw=sent)
        assert fake.requests[-1].body == sent
        assert toolbox.opened == 0

    async def test_claude_codes_small_model_gets_none(self, with_tools, fake, toolbox, post):
        gateway = await with_tools()
        sent = json.dumps(body("messages", model="claude-haiku-4-5")).encode()
        claude = {"User-Agent": "claude-cli/2.1.0"}
        await post(gateway, "messages", raw=sent, headers=claude)
        assert fake.requests[-1].body == sent
        assert toolbox.opened == 0
        await post(gateway, "messages", raw=sent, headers={"User-Agent": "other"})
        assert b"bmcp" in fake.requests[-1].body

    async def test_a_caller_without_tools_is_as_ever(
        self, with_tools, fake, toolbox, post, api, monkeypatch
    ):
        toolbox.tools = []
        gateway = await with_tools()
        sent = json.dumps(body(api)).encode()
        await post(gateway, api, raw=sent)
        assert fake.requests[-1].body == sent


class TestCodings:
    async def test_compressed_requests(self, with_tools, fake, toolbox, post, api, way):
        gateway = await with_tools()
        sent = json.dumps(body(api, **stream_of(way))).encode()
        for coding, raw in (
            ("gzip", gzip.compress(sent)),
            ("zstd", zstandard.ZstdCompressor().compress(sent)),
        ):
            status, seen = await post(gateway, api, raw=raw, headers={"Content-Encoding": coding})
            assert status == 200
            assert b"forty-two" in seen or b"forty" in seen
        assert all(request.header("content-encoding") is None for request in fake.requests)
        assert len(fake.requests) == 4

    async def test_compressed_answers(self, with_tools, talk_to, fake, toolbox, api, way):
        fake.play(Script(gzip=True, chunks=(5,), times=2))
        talk = talk_to(await with_tools(), api, way)
        answer = await talk.say("Use the tool.")
        assert talk.text(answer) == "Let me use the tool.\n\nThe tool answered: forty-two"

    async def test_a_compressed_blocking_answer_without_calls_stays_so(
        self, with_tools, fake, toolbox, client, api
    ):
        fake.play(Script(gzip=True))
        gateway = await with_tools()
        sent = json.dumps(body(api, text="hello"))
        async with client.post(gateway.url + PATHS[api], data=sent) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert b"hello" in gzip.decompress(await response.read())

    async def test_a_coding_that_nobody_speaks_is_passed_on(
        self, with_tools, fake, toolbox, post, api, way
    ):
        script = {"stream": (b"x" * 9,)} if way == "streaming" else {"body": b"x" * 9}
        fake.play(Script(headers=(("content-encoding", "br"),), **script))
        gateway = await with_tools()
        assert await post(gateway, api, **stream_of(way)) == (200, b"x" * 9)

    async def test_a_broken_coding_breaks_the_stream_off(
        self, with_tools, fake, toolbox, post, api
    ):
        gzipped = (("content-encoding", "gzip"),)
        fake.play(Script(headers=gzipped, stream=(b"not gzip at all",)))
        gateway = await with_tools()
        with pytest.raises(CUT):
            await post(gateway, api, stream=True)

    async def test_streams_in_single_bytes(self, with_tools, talk_to, fake, toolbox, api):
        fake.play(Script(chunks=(1,), times=2))
        talk = talk_to(await with_tools(), api, "streaming")
        answer = await talk.say("Use the tool and think hard.")
        assert talk.text(answer) == "Let me use the tool.\n\nThe tool answered: forty-two"


class TestUsage:
    """Of Chat Completions streams whose client asks for no usage."""

    async def test_it_is_asked_for_and_withheld(self, with_tools, fake, toolbox, post):
        gateway = await with_tools()
        _, seen = await post(gateway, "chat", stream=True)
        assert b"prompt_tokens" not in seen
        assert seen.endswith(b"data: [DONE]\n\n")
        assert all(b"include_usage" in request.body for request in fake.requests)


class TestWaiting:
    async def test_a_stream_hears_pings_while_a_tool_runs(
        self, with_tools, fake, toolbox, client, api, monkeypatch
    ):
        monkeypatch.setattr(tool_loop, "PING_S", 0.01)
        toolbox.gate = asyncio.Event()
        gateway = await with_tools()
        sent = json.dumps(body(api, stream=True))
        ping = b"event: ping" if api == "messages" else b": ping\n\n"
        async with client.post(gateway.url + PATHS[api], data=sent) as response:
            seen = b""
            while seen.count(ping) < 3:
                seen += await response.content.readany()
            toolbox.gate.set()
            rest = await response.read()
        assert b"answered" in rest

    async def test_who_leaves_stops_the_tool(self, with_tools, fake, toolbox, post, api, way):
        toolbox.gate = asyncio.Event()
        gateway = await with_tools()
        asking = asyncio.get_running_loop().create_task(post(gateway, api, **stream_of(way)))
        await toolbox.running.wait()
        asking.cancel()
        await toolbox.cancelled.wait()
        assert len(fake.requests) == 1


@pytest.fixture
def lingering(client, fake):
    """Makes scripts for a Responses stream whose end comes after its last event, at a word."""

    async def lingering(answer):
        fake.play(Script(answer=answer))
        url, sent = f"{fake.base_url}/v1/responses", body("responses", text="hi", stream=True)
        async with client.post(url, json=sent) as response:
            events = (await response.read()).count(b"\n\n")
        gate = asyncio.Event()
        return Script(answer=answer, trailing=b": bye\n\n", before_write={events: gate}), gate

    return lingering


class TestLingering:
    """An answer is whole with its last event; a provider may keep the connection for longer."""

    async def test_a_client_may_go_on_at_once_and_leave(
        self, with_tools, fake, toolbox, client, post, lingering
    ):
        gateway = await with_tools()
        script, _ = await lingering(Answer(text="Done."))
        fake.play(Script(answer=CALL), script)
        url, sent = gateway.url + PATHS["responses"], body("responses", stream=True)
        async with client.post(url, json=sent) as response:
            seen = await response.content.readuntil(b"response.completed")
            (shown,) = set(re.findall(rb'"(resp_\w+)"', seen))
            going_on = {"text": "hello", "previous_response_id": shown.decode()}
            assert (await post(gateway, "responses", **going_on))[0] == 200
            response.close()
        assert (await post(gateway, "responses", **going_on))[0] == 200
        assert fake.requests[-1].json()["previous_response_id"] != shown.decode()

    async def test_a_conversation_has_gone_on_once(
        self, with_tools, fake, toolbox, client, post, lingering
    ):
        gateway = await with_tools()
        script, gate = await lingering(Answer(calls=(OURS, OWN)))
        fake.play(script)
        talk = {"conversation": "conv_1"}
        url = gateway.url + PATHS["responses"]
        async with client.post(url, json=body("responses", stream=True, **talk)) as response:
            seen = await response.content.readuntil(b"response.completed")
            (name,) = set(re.findall(rb'"call_id":"(\w+)"', seen))
            result = {"type": "function_call_output", "call_id": name.decode(), "output": "sun"}
            assert (await post(gateway, "responses", input=[result], **talk))[0] == 200
            gate.set()
            await response.read()
        assert (await post(gateway, "responses", text="hello", **talk))[0] == 200


class TestLaterTurns:
    """What the provider does wrong after a tool has been run."""

    async def refused(self, talk, kind):
        with pytest.raises(kind) as caught:
            await talk.say("Use the tool.")
        return caught.value

    async def test_an_error_of_the_providers_blocking(self, with_tools, fake, toolbox, post, api):
        fake.play(Script(answer=CALL), Script(status=529, headers=(("retry-after", "7"),)))
        gateway = await with_tools()
        status, seen = await post(gateway, api)
        assert status == 529
        assert "error" in json.loads(seen)
        assert len(fake.requests) == 2

    @pytest.mark.parametrize(
        "script",
        [Script(status=529), Script(status=500, body=b"<html>"), Script(close=True)],
        ids=["error", "no json", "no answer"],
    )
    async def test_an_error_of_the_providers_in_a_stream(
        self, with_tools, talk_to, fake, toolbox, api, script
    ):
        fake.play(Script(answer=CALL), script)
        talk = talk_to(await with_tools(), api, "streaming")
        if api == "messages":
            error = await self.refused(talk, anthropic.APIStatusError)
            assert error.body["error"]["message"]
        elif api == "chat":
            error = await self.refused(talk, openai.APIError)
            assert error.message
        else:
            async with talk.sdk.responses.stream(model="m", input="use the tool") as stream:
                events = [event async for event in stream]
            assert events[-1].type == "response.failed"
            assert events[-1].response.error.message
            numbers = [event.sequence_number for event in events]
            assert numbers == list(range(len(numbers)))

    async def test_an_error_without_end_is_cut_off(
        self, with_tools, fake, toolbox, post, api, monkeypatch
    ):
        monkeypatch.setattr(tool_loop, "MAX_VALUE", 100)
        fake.play(Script(answer=CALL), Script(status=500, stream=(b"x" * 200,), stall_after=1))
        async with asyncio.timeout(5):
            status, seen = await post(await with_tools(), api, stream=True)
        assert status == 200
        assert b"The provider" in seen

    async def test_no_answer_blocking(self, with_tools, fake, toolbox, post, api):
        fake.play(Script(answer=CALL), Script(close=True))
        status, seen = await post(await with_tools(), api)
        assert status == 502
        assert json.loads(seen)["error"]["code"] == "upstream_unreachable"

    async def test_an_answer_that_breaks_off(self, with_tools, fake, toolbox, post, way, api):
        fake.play(Script(answer=CALL), Script(cut_after=300))
        gateway = await with_tools()
        if way == "blocking":
            status, _ = await post(gateway, api)
            assert status == 502
        else:
            with pytest.raises(CUT):
                await post(gateway, api, stream=True)

    async def test_an_answer_that_falls_silent(self, with_tools, fake, toolbox, post, way, api):
        fake.play(Script(answer=CALL), Script(stall_after=0 if way == "blocking" else 2))
        gateway = await with_tools(upstream_idle_timeout=0.2)
        if way == "blocking":
            status, seen = await post(gateway, api)
            assert status == 504
            assert json.loads(seen)["error"]["code"] == "upstream_timeout"
        else:
            with pytest.raises(CUT):
                await post(gateway, api, stream=True)

    async def test_an_error_event_in_the_stream_is_its_end(self, with_tools, fake, toolbox, post):
        fake.play(Script(answer=CALL), Script(error="overloaded_error", error_after=2))
        status, seen = await post(await with_tools(), "messages", stream=True)
        assert status == 200
        assert b"event: error" in seen
        assert b"message_stop" not in seen


OPENS_AT_ONCE = {"circuit_breaker_enabled": True, "circuit_breaker_failure_threshold": 1}


class TestBreaker:
    async def test_a_failure_in_a_later_turn_counts(self, with_tools, fake, toolbox, post, api):
        gateway = await with_tools(**OPENS_AT_ONCE)
        fake.play(Script(answer=CALL), Script(status=529))
        assert (await post(gateway, api))[0] == 529
        assert (await post(gateway, api))[0] == 503
        assert len(fake.requests) == 2

    async def test_a_circuit_that_has_opened_meanwhile_is_respected(
        self, with_tools, fake, toolbox, post, way, api
    ):
        gateway = await with_tools(**OPENS_AT_ONCE)
        toolbox.gate = asyncio.Event()
        fake.play(Script(answer=CALL), Script(status=529))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(post(gateway, api, **stream_of(way)))
            await toolbox.running.wait()
            assert (await post(gateway, api))[0] == 529
            toolbox.gate.set()
        status, seen = waiting.result()
        assert status == (503 if way == "blocking" else 200)
        assert b"circuit breaker is open" in seen
        assert len(fake.requests) == 2

    async def test_no_whole_answer_is_a_failure(self, with_tools, fake, toolbox, post):
        gateway = await with_tools(**OPENS_AT_ONCE)
        fake.play(Script(cut_after=50))
        assert (await post(gateway, "messages"))[0] == 502
        assert (await post(gateway, "messages"))[0] == 503

    async def test_who_leaves_in_a_later_turn_gives_the_probes_place_back(
        self, with_tools, fake, toolbox, post, clock
    ):
        gateway = await with_tools(**OPENS_AT_ONCE, circuit_breaker_max_requests=2)
        fake.play(Script(status=529), Script(answer=CALL), Script(silent=True))
        assert (await post(gateway, "messages"))[0] == 529
        clock.advance(30.0)
        asking = asyncio.get_running_loop().create_task(post(gateway, "messages"))
        await fake.received(3)
        asking.cancel()
        await fake.requests[2].disconnected.wait()
        assert (await post(gateway, "messages", text="hello"))[0] == 200

    async def test_each_turn_gives_its_probes_place_back(
        self, with_tools, fake, toolbox, post, api
    ):
        gateway = await with_tools(**OPENS_AT_ONCE, circuit_breaker_max_requests=1)
        for _ in range(3):
            assert (await post(gateway, api))[0] == 200


class TestLimits:
    async def test_what_there_is_no_room_for_is_told_once(
        self, with_tools, fake, toolbox, post, said
    ):
        template = toolbox.tools[0]
        toolbox.tools = [
            type(template)(
                f"bmcp_files_t{number}",
                template.server,
                template.server_url,
                f"t{number}",
                "",
                template.input_schema,
            )
            for number in range(130)
        ]
        gateway = await with_tools()
        for _ in range(2):
            status, _ = await post(gateway, "chat", text="hello")
            assert status == 200
        sent = fake.requests[-1].json()["tools"]
        assert [tool["function"]["name"] for tool in sent] == [
            f"bmcp_files_t{number}" for number in range(128)
        ]
        assert "".join(said).count("bmcp_files_t128, bmcp_files_t129") == 1

    async def test_an_answer_that_is_too_large_to_read_is_relayed(
        self, with_tools, fake, toolbox, post, api, monkeypatch
    ):
        monkeypatch.setattr(tool_loop, "MAX_BODY_BYTES", 100)
        fake.play(Script(body=b"x" * 1000, chunks=(60,)))
        assert await post(await with_tools(), api) == (200, b"x" * 1000)

    async def test_the_tools_do_not_count_against_the_clients_size(
        self, with_tools, fake, toolbox, post, api
    ):
        gateway = await with_tools(max_request_bytes=300)
        status, _ = await post(gateway, api)
        assert status == 200
        assert len(fake.requests[-1].body) > 300


async def test_dumps_show_every_turn(with_tools, fake, toolbox, post, tmp_path, way):
    gateway = await with_tools(dump_dir=tmp_path, shutdown_timeout=5.0)
    await post(gateway, "messages", **stream_of(way))
    await gateway.stop()
    dumped = sorted((tmp_path / "anthropic").iterdir(), key=lambda path: path.stat().st_size)
    requests = [path.read_bytes() for path in dumped if path.name.endswith(".req.txt")]
    answers = [path.read_bytes() for path in dumped if path.name.endswith(".resp.txt")]
    assert len(requests) == len(answers) == 2
    assert all(sent.endswith(r.body) for sent, r in zip(requests, fake.requests, strict=True))
    assert sum(b"tool_use" in answer for answer in answers) == 1


async def test_the_daemon_cuts_a_tool_off_that_runs_too_long(with_tools, toolbox, client, api):
    gateway = await with_tools(shutdown_timeout=0.0)
    toolbox.gate = asyncio.Event()
    sent = json.dumps(body(api))
    async with asyncio.TaskGroup() as group:

        async def ask():
            with pytest.raises(aiohttp.ClientError):
                await client.post(gateway.url + PATHS[api], data=sent)

        group.create_task(ask())
        await toolbox.running.wait()
        await gateway.stop()
    assert toolbox.cancelled.is_set()


async def test_a_draining_daemon_lets_the_loop_end(with_tools, toolbox, post, api):
    gateway = await with_tools(shutdown_timeout=5.0)
    toolbox.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(post(gateway, api))
        await toolbox.running.wait()
        stopping = group.create_task(gateway.stop())
        await asyncio.sleep(0)
        toolbox.gate.set()
        await stopping
    status, seen = asking.result()
    assert status == 200
    assert b"forty-two" in seen


@pytest.mark.parametrize("place", ["before", "behind"])
async def test_what_the_provider_refuses_to_be_asked_is_asked_in_no_later_turn(
    with_tools, toolbox, fake, client, place
):
    """Whether `stream_options` is the gateway's, or the client's and behind what grows."""
    gateway = await with_tools()
    error = b'{"error":{"message":"unknown field: stream_options"}}'
    fake.play(
        Script(status=400, body=error),
        Script(answer=Answer(text="First.", calls=(OURS,))),
        Script(answer=Answer(text="Second.", calls=(OURS,))),
        Script(answer=Answer(text="Third.")),
    )
    own = {"stream_options": {"include_usage": False}} if place == "behind" else {}
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Go."}], **own}
    async with client.post(gateway.url + "/openai/v1/chat/completions", json=body) as response:
        assert response.status == 200
        stream = await response.read()
    assert b"Third." in stream
    assert toolbox.called == [("read", {"path": "a"})] * 2
    asked, *later = [request.json() for request in fake.requests]
    assert asked["stream_options"] == {"include_usage": True}
    assert [each.get("stream_options") for each in later] == [own.get("stream_options")] * 3
    assert [len(each["messages"]) for each in later] == [1, 3, 5]
