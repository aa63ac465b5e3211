"""What a client gets of what the stages raise, over real sockets."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from loguru import logger

from aibridged.errors import AT_CAPACITY, BYOK_DISABLED, UNAUTHENTICATED, GatewayError
from aibridged.observe.scope import Scope
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.errors import stage
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.upstream_response import UpstreamResponse

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def exchange(server, open_connection):
    """What comes back of a request whose stages do `inner`, as head and body."""

    async def exchange(inner, request=REQUEST):
        errors = stage(SimpleNamespace(), lambda context: inner(context.request))

        async def handler(request):
            context = RequestContext(request)
            context.scope = Scope("id-1")
            return await errors(context)

        server.handler = handler
        reader, writer = await open_connection()
        writer.write(request)
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return head, body

    return exchange


@pytest.fixture
def logged():
    lines = []
    number = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(number)


async def test_a_refusal_is_answered_with_its_reason_and_the_requests_id(exchange):
    async def refuse(request):
        raise GatewayError(AT_CAPACITY)

    head, body = await exchange(refuse)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"X-Aibridge-Reason: at_capacity" in head
    assert b"X-Aibridge-Request-Id: id-1" in head
    assert json.loads(body)["error"]["code"] == "at_capacity"


HELPER = b"Authorization: Bearer t\r\nX-Api-Key: t\r\n"


@pytest.mark.parametrize(
    ("kind", "headers", "is_final"),
    [
        (UNAUTHENTICATED, b"", True),
        (UNAUTHENTICATED, b"Authorization: Bearer t\r\n", True),
        (UNAUTHENTICATED, b"X-Api-Key: t\r\n", True),
        (UNAUTHENTICATED, HELPER, False),
        (UNAUTHENTICATED, HELPER + b"X-Coder-Token: t\r\n", True),
        (BYOK_DISABLED, HELPER, True),
        (AT_CAPACITY, b"", False),
    ],
)
async def test_only_a_token_of_a_helpers_may_be_another_one_the_next_time(
    exchange, kind, headers, is_final
):
    """Claude Code asks its `apiKeyHelper` again before a retry, and only then."""

    async def refuse(request):
        raise GatewayError(kind)

    head, _ = await exchange(refuse, REQUEST.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n"))
    assert (b"\r\nX-Should-Retry: false\r\n" in head) is is_final


async def test_a_bug_is_logged_and_answered_without_a_word_of_it(exchange, logged):
    async def fail(request):
        raise RuntimeError("sk-secret")

    head, body = await exchange(fail)
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"sk-secret" not in body
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert logged == ["A request failed inside the gateway"]


async def test_a_bug_in_the_middle_of_an_answer_breaks_it_off(exchange, logged):
    """A second head would be a part of the body, as far as the client can tell."""

    async def fail(request):
        response = DownstreamResponse(
            UpstreamResponse(200, b"OK", [(b"Content-Length", b"1000")], source=None)
        )
        await response.prepare(request)
        await response.write(b"half")
        raise RuntimeError("a bug")

    head, body = await exchange(fail)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b"half"
    assert logged == ["A request failed inside the gateway"]


async def test_a_client_that_is_gone_is_no_bug(exchange, logged):
    async def lose(request):
        raise ConnectionResetError

    assert await exchange(lose) == (b"", b"")
    assert logged == []
