"""What a request leaves in the five tables, row for row: each SDK and API, whole and streamed."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.identity.anonymous import LOCAL_ACTOR

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAMES = ("weather", "news")
CALL = ToolCall("weather", '{"city":"a city"}')
BOTH = (CALL, ToolCall("news", '{"city":"a city"}'))
TYPES = {
    400: "bad_request",
    401: "unauthorized",
    429: "rate_limited",
    500: "server_error",
    529: "overloaded",
}
ANTHROPIC_CODES = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
OPENAI_CODES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    429: "rate_limit_exceeded",
    500: "server_error",
    529: "server_error",
}
ALL = "think hard from cache use the tools weather and news"


class Messages:
    """Anthropic's Messages, asked through its SDK."""

    sdk = "anthropic"
    id_prefix = "msg_fake"
    call_prefix = "toolu_fake"
    item_prefix = None
    source = "thinking"
    codes = ANTHROPIC_CODES
    overloaded = ("overloaded", "overloaded_error")  # in a stream
    limited = "rate_limit_error"
    path = "/v1/messages"

    def body(self, *items, **options):
        tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
        return {
            "model": "some-model",
            "max_tokens": 100,
            "messages": list(items),
            "tools": tools,
            **options,
        }

    async def ask(self, claude, *items, stream):
        body = self.body(*items)
        if not stream:
            return (await claude.messages.create(**body)).id
        async with claude.messages.stream(**body) as events:
            return (await events.get_final_message()).id

    def answering(self, *call_ids):
        """The model's calls and the results of its tools."""
        calls = [{"type": "tool_use", "id": id, "name": "weather", "input": {}} for id in call_ids]
        results = [{"type": "tool_result", "tool_use_id": id, "content": "Sun."} for id in call_ids]
        return {"role": "assistant", "content": calls}, {"role": "user", "content": results}

    def details(self, usage):
        return {
            "cache_ephemeral_5m_input": usage.cache_write,
            "cache_ephemeral_1h_input": usage.cache_write_1h,
            "output_thinking": usage.reasoning,
        }

    def told_before_the_end(self, usage):
        """What the beginning of a stream tells of the tokens: the input, and one of output."""
        return Usage(
            input=usage.input,
            output=1,
            cache_read=usage.cache_read,
            cache_write=usage.cache_write,
            cache_write_1h=usage.cache_write_1h,
        )


class Chat:
    """OpenAI's Chat Completions, asked through its SDK."""

    sdk = "openai"
    id_prefix = "chatcmpl-fake"
    call_prefix = "call_fake"
    item_prefix = None
    source = None  # it shows no thoughts
    codes = OPENAI_CODES
    overloaded = ("overloaded", "server_overloaded")
    limited = "rate_limit_exceeded"
    path = "/v1/chat/completions"

    def body(self, *items, **options):
        tools = [
            {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES
        ]
        return {"model": "some-model", "messages": list(items), "tools": tools, **options}

    async def ask(self, gpt, *items, stream):
        body = self.body(*items)
        if not stream:
            return (await gpt.chat.completions.create(**body)).id
        async with gpt.chat.completions.stream(**body) as events:
            return (await events.get_final_completion()).id

    def answering(self, *call_ids):
        calls = [
            {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            for id in call_ids
        ]
        return (
            {"role": "assistant", "tool_calls": calls},
            *({"role": "tool", "tool_call_id": id, "content": "Sun."} for id in call_ids),
        )

    def details(self, usage):
        return {"completion_reasoning": usage.reasoning}

    def told_before_the_end(self, usage):
        return None


class Responses:
    """OpenAI's Responses, asked through its SDK."""

    sdk = "openai"
    id_prefix = "resp_fake"
    call_prefix = "call_fake"
    item_prefix = "fc_fake"
    source = "reasoning_summary"
    codes = OPENAI_CODES
    overloaded = ("server_error", "server_error")  # it has no word for that
    limited = "rate_limit_exceeded"
    path = "/v1/responses"

    def body(self, *items, **options):
        tools = [
            {"type": "function", "name": name, "parameters": SCHEMA, "strict": False}
            for name in NAMES
        ]
        return {"model": "some-model", "input": list(items), "tools": tools, **options}

    async def ask(self, gpt, *items, stream):
        body = self.body(*items)
        if not stream:
            return (await gpt.responses.create(**body)).id
        async with gpt.responses.stream(**body) as events:
            return (await events.get_final_response()).id

    def answering(self, *call_ids):
        return [
            item
            for id in call_ids
            for item in (
                {"type": "function_call", "call_id": id, "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": id, "output": "Sun."},
            )
        ]

    def details(self, usage):
        return {"output_reasoning": usage.reasoning}

    def told_before_the_end(self, usage):
        return None


@pytest.fixture(params=[Messages, Chat, Responses], ids=["messages", "chat", "responses"])
def api(request):
    return request.param()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


@pytest.fixture
def ask(api, stream, recording, connect_sdk, fake, clock):
    """Asks through the SDK: returns the id of the answer, and the tokens that the fake told of."""

    async def ask(gateway, *items):
        clock.advance(1)
        sdk = connect_sdk(api.sdk, gateway.url)
        id = await api.ask(sdk, *items, stream=stream)
        return id, fake.requests[-1].usage

    return ask


def user(text):
    return {"role": "user", "content": text}


def left(
    api: Messages | Chat | Responses,
    place: int,
    *,
    prompt: str | None = None,
    id: str = "",
    usage: Usage | None = None,
    calls: Sequence[ToolCall] = (),
    thoughts: Sequence[str] = (),
    partial: bool = False,
    **different: object,
):
    """What one request leaves, if nothing else is said: a good answer without tools."""
    nonce = id.removeprefix(api.id_prefix)
    mark = {"partial": True} if partial else {}
    interception = {
        "initiator_id": LOCAL_ACTOR.id,
        "username": "local",
        "api_key_id": None,
        "provider": api.sdk,
        "provider_name": api.sdk,
        "model": "some-model",
        "client": "Unknown",
        "client_session_id": None,
        "session_id": place,
        "credential_kind": "centralized",
        "credential_hint": "****",
        "correlating_tool_call_id": None,
        "thread_parent_id": None,
        "thread_root_id": None,
        "metadata": None,
        "status_code": 200,
        "outcome": "completed",
        "usage_partial": False,
        "time_to_first_byte_ms": 0,
        "background_status": None,
        "error_type": None,
        "error_source": None,
        "error_code": None,
        **different,
    }
    details = usage and {
        **api.details(usage),
        "cache_read_input": usage.cache_read,
        "cache_creation_input": usage.all_cache_write,
    }
    tokens = usage and {
        "provider_response_id": id,
        "provider_model": None,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_input_tokens": usage.cache_read,
        "cache_write_input_tokens": usage.all_cache_write,
        "metadata": {name: n for name, n in details.items() if n} or None,
    }
    tools = [
        {
            "provider_response_id": id,
            "server_url": None,
            "tool": call.name,
            "input": call.arguments,
            "injected": False,
            "invocation_error": None,
            "provider_tool_call_id": f"{api.call_prefix}{nonce}{number}",
            "provider_item_id": api.item_prefix and f"{api.item_prefix}{nonce}{number}",
            "metadata": mark or None,
        }
        for number, call in enumerate(calls)
    ]
    return {
        "interception": interception,
        "aibridge_token_usages": [tokens] if tokens else [],
        "aibridge_user_prompts": (
            [{"provider_response_id": id, "prompt": prompt, "metadata": None}] if prompt else []
        ),
        "aibridge_tool_usages": tools,
        "aibridge_model_thoughts": [
            {"content": text, "metadata": {"source": api.source}} for text in thoughts if api.source
        ],
    }


def without_agents(rows):
    """The rows without the SDK's own User-Agent, which changes with its version.

    And without an error's message, which is there if its type is.
    """
    for row in rows:
        agent = row["interception"].pop("user_agent")
        assert agent is None or "Python" in agent
        message = row["interception"].pop("error_message")
        assert (message is None) == (row["interception"]["error_type"] is None)
    return rows


def failed(kind: str, source: str, code: str | None, **different: object) -> dict[str, object]:
    """How an interception ended that failed for that reason."""
    why = {"error_type": kind, "error_source": source, "error_code": code}
    return {"outcome": "failed", **why, **different}


ABORTED = failed("server_error", "provider", "response_aborted", usage_partial=True)


async def test_answers_leave_exactly_their_rows(api, ask, recording):
    gateway = await recording.start()
    told = {}
    for text in ("good morning", "think hard", "from cache", "use the tool weather", ALL):
        told[text] = await ask(gateway, user(text))
    rows = without_agents(await recording.rows())
    plain, thinking, cached, one_call, everything = told.items()
    for place, (prompt, (id, usage)) in enumerate((plain, thinking, cached, one_call, everything)):
        thoughts = (
            [f"I was asked this: {prompt} I think that I know."] if "think hard" in prompt else []
        )
        calls = {"use the tool weather": [CALL], ALL: BOTH}.get(prompt, ())
        expected = left(
            api, place, prompt=prompt, id=id, usage=usage, thoughts=thoughts, calls=calls
        )
        assert rows[place] == expected, prompt
    assert len(rows) == len(told)
    # As numbers, lest the fake and the readers agree on something wrong.
    assert plain[1][1].input == 2
    cached_row = rows[2]["aibridge_token_usages"][0]
    assert (cached_row["input_tokens"], cached_row["cache_read_input_tokens"]) == (2, 1024)
    assert cached_row["cache_write_input_tokens"] == 320


async def test_an_answer_to_a_tool_call_belongs_to_the_thread_of_the_call(
    api, stream, ask, recording, fake
):
    """Two rounds of tools after one prompt, and then a prompt that starts a thread of its own."""
    gateway = await recording.start()
    question = user("use the tools weather and news")
    first, first_usage = await ask(gateway, question)
    calls = [f"{api.call_prefix}{first.removeprefix(api.id_prefix)}{number}" for number in (0, 1)]
    fake.play(Script(answer=Answer(text="Once more.", calls=(CALL,))))
    items = [question, *api.answering(*calls)]
    second, second_usage = await ask(gateway, *items)
    again = f"{api.call_prefix}{second.removeprefix(api.id_prefix)}0"
    items += api.answering(again)
    third, third_usage = await ask(gateway, *items)
    items += [{"role": "assistant", "content": "The sun shines."}, user("thanks")]
    fourth, fourth_usage = await ask(gateway, *items)
    in_thread = {"thread_root_id": 0, "session_id": 0}
    assert without_agents(await recording.rows()) == [
        left(api, 0, prompt=question["content"], id=first, usage=first_usage, calls=BOTH),
        left(
            api,
            1,
            id=second,
            usage=second_usage,
            calls=[CALL],
            correlating_tool_call_id=calls[-1],
            thread_parent_id=0,
            **in_thread,
        ),
        left(
            api,
            2,
            id=third,
            usage=third_usage,
            correlating_tool_call_id=again,
            thread_parent_id=1,
            **in_thread,
        ),
        left(api, 3, prompt="thanks", id=fourth, usage=fourth_usage),
    ]


@pytest.fixture
def ask_in_vain(ask):
    """Asks for an answer that turns out to be an error."""

    async def ask_in_vain(gateway, text):
        try:
            await ask(gateway, user(text))
        except Exception:  # noqa: BLE001 - the SDKs let pass what their HTTP client raises
            return
        pytest.fail("the SDK took it for an answer")

    return ask_in_vain


def told_id(api, row):
    """The id of an answer that no client has got whole, as it is recorded where it was told."""
    ids = {
        each["provider_response_id"]
        for table in ("aibridge_token_usages", "aibridge_tool_usages", "aibridge_user_prompts")
        for each in row[table]
    }
    assert all(id.startswith(api.id_prefix) for id in ids)
    assert len(ids) <= 1
    return next(iter(ids), "")


async def test_errors_leave_a_row_that_says_how_it_ended(api, ask_in_vain, recording, fake):
    gateway = await recording.start()
    fake.play(*(Script(status=status) for status in TYPES))
    for _ in TYPES:
        await ask_in_vain(gateway, "hello")
    fake.play(Script(close=True))
    await ask_in_vain(gateway, "hello")
    assert without_agents(await recording.rows()) == [
        *(
            left(
                api,
                place,
                prompt="hello",
                **failed(kind, "provider", api.codes[status], status_code=status),
            )
            for place, (status, kind) in enumerate(TYPES.items())
        ),
        left(
            api,
            len(TYPES),
            prompt="hello",
            **failed("server_error", "gateway", "upstream_unreachable"),
            status_code=502,
            time_to_first_byte_ms=None,
            usage_partial=True,  # the provider had the request
        ),
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_a_provider_that_was_not_reached_has_used_no_tokens(api, ask_in_vain, recording):
    key = Secret("sk-of-the-organisation")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = "http://{}:{}".format(*unused.getsockname())
        providers = tuple(
            ProviderSettings(name, name, key, url) for name in ("anthropic", "openai")
        )
        await ask_in_vain(await recording.start(providers=providers), "hello")
    [row] = without_agents(await recording.rows())
    unreached = failed("server_error", "gateway", "upstream_unreachable", status_code=502)
    assert row == left(api, 0, prompt="hello", time_to_first_byte_ms=None, **unreached)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_a_provider_that_stays_silent_leaves_a_timeout(api, ask_in_vain, recording, fake):
    gateway = await recording.start(upstream_idle_timeout=0.1)
    fake.play(Script(silent=True))
    await ask_in_vain(gateway, "hello")
    [row] = without_agents(await recording.rows())
    silent = failed("timeout", "gateway", "upstream_timeout", status_code=504, usage_partial=True)
    assert row == left(api, 0, prompt="hello", time_to_first_byte_ms=None, **silent)


@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_an_error_in_a_stream_leaves_what_was_told_before_it(
    api, ask_in_vain, recording, fake
):
    gateway = await recording.start()
    fake.play(Script(error="overloaded_error", error_after=3), Script(error="rate_limit_error"))
    await ask_in_vain(gateway, "from cache")
    told = api.told_before_the_end(fake.requests[-1].usage)
    await ask_in_vain(gateway, "hello")
    late, early = without_agents(await recording.rows())
    assert late == left(
        api,
        0,
        prompt="from cache",
        id=told_id(api, late),
        usage=told,
        **failed(api.overloaded[0], "provider", api.overloaded[1], usage_partial=True),
    )
    limited = failed("rate_limited", "provider", api.limited, usage_partial=True)
    assert early == left(api, 1, prompt="hello", **limited)


@pytest.mark.parametrize("stream", [False], indirect=True)
async def test_a_whole_answer_that_is_cut_leaves_no_facts(api, ask_in_vain, recording, fake):
    gateway = await recording.start()
    fake.play(Script(cut_after=60))
    await ask_in_vain(gateway, "hello")
    [row] = without_agents(await recording.rows())
    assert row == left(api, 0, prompt="hello", **ABORTED)


async def streamed(api, fake, client, body):
    """All bytes of the stream that the provider itself answers with."""
    headers = {"X-Api-Key": "sk", "Authorization": "Bearer sk"}
    async with client.post(fake.base_url + api.path, json=body, headers=headers) as response:
        return await response.read()


async def in_the_middle_of_the_arguments(api, fake, client, text):
    """The number of bytes after which the second half of the first call's arguments comes."""
    return (await streamed(api, fake, client, api.body(user(text), stream=True))).index(
        rb'"\"a city'
    )


@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_a_stream_that_is_cut_leaves_its_partial_call(
    api, ask_in_vain, recording, fake, client
):
    gateway = await recording.start()
    text = "use the tool weather"
    cut_after = await in_the_middle_of_the_arguments(api, fake, client, text)
    fake.play(Script(cut_after=cut_after))
    await ask_in_vain(gateway, text)
    [row] = without_agents(await recording.rows())
    half = ToolCall("weather", CALL.arguments[: len(CALL.arguments) // 2])
    assert row == left(
        api,
        0,
        prompt=text,
        id=told_id(api, row),
        usage=api.told_before_the_end(fake.requests[-1].usage),
        calls=[half],
        partial=True,
        **ABORTED,
    )


@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_a_client_that_leaves_is_said_to_have_left(api, ask, recording, fake):
    gateway = await recording.start()
    text = "use the tool weather"
    for script in (Script(stall_after=3), Script(silent=True)):
        fake.play(script)
        asking = asyncio.get_running_loop().create_task(ask(gateway, user(text)))
        upstream = await fake.received(fake.seen + 1)
        while script.stall_after and upstream.sent == 0:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await upstream.disconnected.wait()
    in_the_middle, before_the_head = without_agents(await recording.rows())
    closed = {"prompt": text, "outcome": "client_closed", "usage_partial": True}
    usage = api.told_before_the_end(fake.requests[0].usage)
    assert in_the_middle == left(api, 0, id=told_id(api, in_the_middle), usage=usage, **closed)
    nothing_came = {"status_code": None, "time_to_first_byte_ms": None}
    assert before_the_head == left(api, 1, **closed, **nothing_came)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_client_that_leaves_at_the_last_event_has_the_whole(api, recording, fake, client):
    """Codex doesn't wait for the end of the body."""
    gateway = await recording.start()
    asks_for_usage = {"stream_options": {"include_usage": True}} if isinstance(api, Chat) else {}
    body = api.body(user("Hi"), stream=True, **asks_for_usage)
    whole = await streamed(api, fake, client, body)
    fake.play(Script(stall_after=whole.count(b"\n\n")))
    async with client.post(f"{gateway.url}/{api.sdk}{api.path}", json=body) as response:
        await response.content.readexactly(len(whole))
        response.close()
    await fake.requests[-1].disconnected.wait()
    [row] = without_agents(await recording.rows())
    assert row == left(api, 0, prompt="Hi", id=told_id(api, row), usage=fake.requests[-1].usage)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stream", [True], indirect=True)
async def test_however_it_is_delivered_an_answer_leaves_the_same_rows(api, ask, recording, fake):
    gateway = await recording.start()
    deliveries = (
        Script(crlf=True),
        Script(gzip=True),
        Script(chunks=(1, 700)),
        Script(chunks=(11,), crlf=True),
        Script(trailing=b": a comment\n\n"),
    )
    fake.play(*deliveries)
    told = [await ask(gateway, user(ALL)) for _ in deliveries]
    thoughts = [f"I was asked this: {ALL} I think that I know."]
    assert without_agents(await recording.rows()) == [
        left(api, place, prompt=ALL, id=id, usage=usage, calls=BOTH, thoughts=thoughts)
        for place, (id, usage) in enumerate(told)
    ]
