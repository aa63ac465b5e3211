"""Both official SDKs, unchanged, through the real process."""

import asyncio
import json
from contextlib import AsyncExitStack

import anthropic
import openai
import pytest
import pytest_asyncio

from aibridged.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFIXES = ("", "/api/v2/aibridge", "/api/v2/ai-gateway")
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CLAUDE_TOOLS = [
    {"name": name, "description": "Tells of a city.", "input_schema": WEATHER}
    for name in ("weather", "news")
]
CHAT_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": WEATHER}}
    for name in ("weather", "news")
]
RESPONSES_TOOLS = [
    {"type": "function", "name": name, "parameters": WEATHER, "strict": False}
    for name in ("weather", "news")
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider():
    fake = FakeProvider()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(provider, daemon_in_front_of):
    """One for everyday use with two providers more, and one that is strict."""
    async with AsyncExitStack() as running:
        kind = await running.enter_async_context(
            daemon_in_front_of(
                provider.base_url,
                CODER_AIBRIDGE_ANTHROPIC_BASE_URL="",
                CODER_AIBRIDGE_ANTHROPIC_KEY="",
                CODER_AIBRIDGE_OPENAI_BASE_URL="",
                CODER_AIBRIDGE_OPENAI_KEY="",
                **listed(
                    ("anthropic", "anthropic", provider.base_url),
                    ("anthropic", "claude-eu", provider.base_url),
                    ("openai", "openai", provider.openai_url),
                    ("openai", "gpt-eu", provider.openai_url),
                ),
            )
        )
        strict = await running.enter_async_context(
            daemon_in_front_of(
                provider.base_url,
                CODER_AIBRIDGE_RATE_LIMIT="1",
                CODER_AIBRIDGE_ALLOW_BYOK="false",
                CODER_AIBRIDGE_MAX_REQUEST_BYTES="10000",
                CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED="true",
                CODER_AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD="1",
            )
        )
        yield {"kind": kind, "strict": strict}


def listed(*providers):
    return {
        f"CODER_AIBRIDGE_PROVIDER_{number}_{field}": value
        for number, (type_, name, url) in enumerate(providers)
        for field, value in (("TYPE", type_), ("NAME", name), ("KEY", "sk"), ("BASE_URL", url))
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdks():
    """One client a kind: each loads all of the system's certificates, which takes its time."""
    kinds = (anthropic.Anthropic, anthropic.AsyncAnthropic, openai.OpenAI, openai.AsyncOpenAI)
    made = {kind: kind(api_key="gateway-token", max_retries=0) for kind in kinds}
    yield made
    for client in made.values():
        closing = client.close()
        if closing is not None:
            await closing


@pytest.fixture
def connect(daemons, provider, sdks):
    """Points an SDK at a daemon: `connect(anthropic.AsyncAnthropic, "/anthropic", ...)`."""
    provider.reset()

    def point(sdk, path, *, daemon="kind", **options):
        return sdks[sdk].with_options(base_url=daemons[daemon].url + path, **options)

    return point


@pytest.fixture
def claude(connect):
    return connect(anthropic.AsyncAnthropic, "/anthropic")


@pytest.fixture
def gpt(connect):
    return connect(openai.AsyncOpenAI, "/openai/v1")


def ask(text="hello", **options):
    """A request to either of the APIs that take messages."""
    return {
        "model": "some-model",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        **options,
    }


@pytest.mark.parametrize("name", ["anthropic", "claude-eu"])
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_claude_answers_under_every_prefix_and_name(connect, provider, prefix, name):
    claude = connect(anthropic.AsyncAnthropic, f"{prefix}/{name}")
    message = await claude.messages.create(**ask("good morning"))
    assert message.stop_reason == "end_turn"
    assert "good morning" in message.content[0].text
    assert message.usage.output_tokens == provider.requests[-1].usage.output
    async with claude.messages.stream(**ask("good night")) as stream:
        text = "".join([piece async for piece in stream.text_stream])
    assert "good night" in text
    assert {request.raw_path for request in provider.requests} == {"/v1/messages"}


@pytest.mark.parametrize("name", ["openai", "gpt-eu"])
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_gpt_answers_under_every_prefix_and_name(connect, provider, prefix, name):
    gpt = connect(openai.AsyncOpenAI, f"{prefix}/{name}/v1")
    completion = await gpt.chat.completions.create(**ask("good morning"))
    assert "good morning" in completion.choices[0].message.content
    response = await gpt.responses.create(model="some-model", input="good day")
    assert "good day" in response.output_text
    chunks = await gpt.chat.completions.create(
        **ask("good night", stream=True, stream_options={"include_usage": True})
    )
    seen = [chunk async for chunk in chunks]
    assert "good night" in "".join(
        chunk.choices[0].delta.content or "" for chunk in seen if chunk.choices
    )
    assert seen[-1].usage.completion_tokens == provider.requests[-1].usage.output
    events = await gpt.responses.create(model="some-model", input="sleep well", stream=True)
    *_, last = [event async for event in events]
    assert last.type == "response.completed"
    assert "sleep well" in last.response.output_text
    assert [request.raw_path for request in provider.requests] == [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/responses",
    ]


@pytest.mark.parametrize(("word", "count"), [("tool", 1), ("tools", 2)])
async def test_claude_calls_tools_alone_and_in_parallel(claude, word, count):
    question = ask(f"use the {word} weather and news", tools=CLAUDE_TOOLS)
    whole = await claude.messages.create(**question)
    async with claude.messages.stream(**question) as stream:
        streamed = await stream.get_final_message()
    for message in (whole, streamed):
        calls = [part for part in message.content if part.type == "tool_use"]
        assert message.stop_reason == "tool_use"
        assert [call.name for call in calls] == ["weather", "news"][:count]
        assert all(call.input == {"city": "a city"} for call in calls)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."} for call in calls
    ]
    question["messages"] += [
        {"role": "assistant", "content": [part.to_dict() for part in streamed.content]},
        {"role": "user", "content": results},
    ]
    answer = await claude.messages.create(**question)
    assert "It rains." in answer.content[0].text


@pytest.mark.parametrize(("word", "count"), [("tool", 1), ("tools", 2)])
async def test_chat_completions_call_tools_alone_and_in_parallel(gpt, word, count):
    question = ask(f"use the {word} weather and news", tools=CHAT_TOOLS)
    whole = await gpt.chat.completions.create(**question)
    async with gpt.chat.completions.stream(**question) as stream:
        streamed = await stream.get_final_completion()
    for completion in (whole, streamed):
        calls = completion.choices[0].message.tool_calls
        assert completion.choices[0].finish_reason == "tool_calls"
        assert [call.function.name for call in calls] == ["weather", "news"][:count]
        assert all(json.loads(call.function.arguments) == {"city": "a city"} for call in calls)
    question["messages"].append(whole.choices[0].message.to_dict())
    for call in whole.choices[0].message.tool_calls:
        question["messages"].append(
            {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
        )
    answer = await gpt.chat.completions.create(**question)
    assert "It rains." in answer.choices[0].message.content


@pytest.mark.parametrize(("word", "count"), [("tool", 1), ("tools", 2)])
async def test_responses_call_tools_alone_and_in_parallel(gpt, word, count):
    question = {
        "model": "some-model",
        "input": [{"role": "user", "content": f"use the {word} weather and news"}],
        "tools": RESPONSES_TOOLS,
    }
    whole = await gpt.responses.create(**question)
    async with gpt.responses.stream(**question) as stream:
        streamed = await stream.get_final_response()
    for response in (whole, streamed):
        calls = [item for item in response.output if item.type == "function_call"]
        assert [call.name for call in calls] == ["weather", "news"][:count]
        assert all(json.loads(call.arguments) == {"city": "a city"} for call in calls)
    question["input"] += [item.to_dict() for item in whole.output]
    question["input"] += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "It rains."}
        for item in whole.output
        if item.type == "function_call"
    ]
    answer = await gpt.responses.create(**question)
    assert "It rains." in answer.output_text


async def test_what_stands_beside_messages(claude):
    assert (await claude.messages.count_tokens(model="m", messages=ask()["messages"])).input_tokens
    assert [model.id async for model in await claude.models.list()]
    assert (await claude.models.retrieve("claude-fake-small")).id == "claude-fake-small"


async def test_what_stands_beside_responses(gpt):
    assert [model.id async for model in await gpt.models.list()]
    assert (await gpt.models.retrieve("gpt-fake-small")).id == "gpt-fake-small"
    assert (await gpt.responses.retrieve("resp_1")).id == "resp_1"
    assert (await gpt.responses.cancel("resp_1")).status == "cancelled"
    assert (await gpt.responses.input_items.list("resp_1")).data
    await gpt.responses.delete("resp_1")
    conversation = await gpt.conversations.create()
    assert (await gpt.conversations.retrieve(conversation.id)).id == conversation.id
    assert (await gpt.conversations.items.list(conversation.id)).data
    assert (await gpt.conversations.delete(conversation.id)).deleted


CLAUDE_ERRORS = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    413: anthropic.RequestTooLargeError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    503: anthropic.ServiceUnavailableError,
    529: anthropic.OverloadedError,
}
GPT_ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@pytest.mark.parametrize("status", CLAUDE_ERRORS)
async def test_claude_raises_the_providers_error_as_its_own(claude, provider, status):
    provider.play(Script(status=status))
    with pytest.raises(CLAUDE_ERRORS[status]) as caught:
        await claude.messages.create(**ask())
    assert type(caught.value) is CLAUDE_ERRORS[status]
    assert caught.value.request_id.startswith("req_fake")
    assert "x-aibridge-reason" not in caught.value.response.headers


@pytest.mark.parametrize("status", GPT_ERRORS)
async def test_gpt_raises_the_providers_error_as_its_own(gpt, provider, status):
    for api in (
        lambda: gpt.chat.completions.create(**ask()),
        lambda: gpt.responses.create(model="m", input="hi", stream=True),
    ):
        provider.play(Script(status=status))
        with pytest.raises(GPT_ERRORS[status]) as caught:
            await api()
        assert type(caught.value) is GPT_ERRORS[status]
        assert caught.value.request_id.startswith("req_fake")


async def test_an_error_inside_a_stream_is_raised_too(claude, gpt, provider):
    provider.play(Script(error="overloaded_error", error_after=2))
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        async with claude.messages.stream(**ask()) as stream:
            await stream.get_final_message()
    provider.play(Script(error="rate_limit_error", error_after=2))
    with pytest.raises(openai.APIError, match="Rate limit error"):
        async for _ in await gpt.chat.completions.create(**ask(stream=True)):
            pass


async def test_a_stream_that_breaks_off_is_an_error(claude, gpt, provider):
    provider.play(Script(cut_after=300, times=2))
    with pytest.raises(Exception, match=r"peer closed|Connection error"):
        async with claude.messages.stream(**ask()) as stream:
            await stream.get_final_message()
    with pytest.raises(Exception, match=r"peer closed|Connection error"):
        async for _ in await gpt.chat.completions.create(**ask(stream=True)):
            pass


def refusals(caller):
    """How the strict gateway itself refuses, each in another's name: what to send, what it says."""
    for token, request, status, reason in (
        ("large", ask("x" * 10_001), 413, "request_too_large"),
        ("modelless", ask(model=7), 400, "invalid_request"),
        ("unlucky", ask(model="fake-status-529"), 529, None),
        ("late", ask(model="fake-status-529"), 503, "circuit_open"),
    ):
        yield {"api_key": caller + token}, request, status, reason
    own_key = {"X-Coder-Token": caller}
    yield {"default_headers": own_key}, ask(), 403, "byok_disabled"


async def refusal(awaitable, kind):
    with pytest.raises(kind) as caught:
        await awaitable
    error = caught.value
    reason = error.response.headers.get("x-aibridge-reason")
    if reason is not None:
        assert error.response.json()["message"] in error.message
    is_final = reason is not None and error.status_code < 500
    assert error.response.headers.get("x-should-retry") == ("false" if is_final else None)
    return type(error), error.status_code, reason


async def test_claude_raises_the_gateways_refusals_as_its_own(connect):
    for options, request, status, reason in refusals("c"):
        claude = connect(anthropic.AsyncAnthropic, "/anthropic", daemon="strict", **options)
        said = await refusal(claude.messages.create(**request), anthropic.APIStatusError)
        assert said == (CLAUDE_ERRORS[status], status, reason)


async def test_gpt_raises_the_gateways_refusals_as_its_own(connect):
    kinds = {**GPT_ERRORS, 413: openai.APIStatusError, 529: openai.InternalServerError}
    for options, request, status, reason in refusals("g"):
        gpt = connect(openai.AsyncOpenAI, "/openai/v1", daemon="strict", **options)
        said = await refusal(gpt.chat.completions.create(**request), openai.APIStatusError)
        assert said == (kinds[status], status, reason)


async def test_a_malformed_token_is_an_authentication_error(connect, provider):
    claude = connect(anthropic.AsyncAnthropic, "/anthropic", api_key="two words")
    said = await refusal(claude.messages.create(**ask()), anthropic.AuthenticationError)
    assert said == (anthropic.AuthenticationError, 401, "unauthenticated")
    gpt = connect(openai.AsyncOpenAI, "/openai/v1", api_key="two words")
    said = await refusal(gpt.responses.create(model="m", input="x"), openai.AuthenticationError)
    assert said == (openai.AuthenticationError, 401, "unauthenticated")
    assert provider.seen == 0


async def test_the_sdks_repeat_nothing_that_they_are_told_not_to(connect, provider):
    """What the gateway's own refusals count on: 503 would be repeated without the header."""
    for sdk, path, kind in (
        (anthropic.AsyncAnthropic, "/anthropic", anthropic.APIStatusError),
        (openai.AsyncOpenAI, "/openai/v1", openai.APIStatusError),
    ):
        client = connect(sdk, path, max_retries=2)
        provider.play(Script(status=503, headers=(("X-Should-Retry", "false"),)))
        with pytest.raises(kind):
            await (client.messages if path == "/anthropic" else client.chat.completions).create(
                **ask()
            )
        assert provider.seen == 1
        provider.reset()


async def test_a_route_that_is_not_served_is_not_found(claude, gpt, provider):
    for call, kind in (
        (claude.messages.batches.list(), anthropic.NotFoundError),
        (claude.beta.files.list(), anthropic.NotFoundError),
        (gpt.files.list(), openai.NotFoundError),
        (gpt.fine_tuning.jobs.list(), openai.NotFoundError),
    ):
        assert await refusal(call, kind) == (kind, 404, "route_not_supported")
    assert provider.seen == 0


async def test_too_many_requests_are_a_rate_limit_error(connect):
    claude = connect(anthropic.AsyncAnthropic, "/anthropic", daemon="strict", api_key="hasty-c")
    gpt = connect(openai.AsyncOpenAI, "/openai/v1", daemon="strict", api_key="hasty-o")
    for create, kind in (
        (claude.messages.create, anthropic.RateLimitError),
        (gpt.chat.completions.create, openai.RateLimitError),
    ):
        answers = await asyncio.gather(*(create(**ask()) for _ in range(3)), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        assert errors
        for error in errors:
            assert type(error) is kind
            assert error.response.headers["retry-after"] == "1"
            assert error.response.headers["x-aibridge-reason"] == "rate_limited"


async def test_the_blocking_sdks_get_through_too(connect):
    claude = connect(anthropic.Anthropic, "/anthropic")
    gpt = connect(openai.OpenAI, "/openai/v1")

    def converse():
        assert "hello" in claude.messages.create(**ask()).content[0].text
        with claude.messages.stream(**ask()) as stream:
            assert "hello" in "".join(stream.text_stream)
        assert "hello" in gpt.responses.create(model="m", input="hello").output_text
        chunks = list(gpt.chat.completions.create(**ask(stream=True)))
        assert "hello" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        with pytest.raises(anthropic.NotFoundError):
            claude.messages.batches.list()
        with pytest.raises(openai.NotFoundError):
            gpt.files.list()

    await asyncio.to_thread(converse)
