"""The HTTP to a server by itself: what is sent, and how much may come back for how long."""

import asyncio
import json
import ssl

import httpx2
import pytest
from aiohttp import web

from aibridged.mcp.http import ServerTransport

MESSAGE = {"jsonrpc": "2.0", "id": 1, "method": "any"}


@pytest.fixture
async def connect(tiny, clock):
    """A client of the tiny server: `connect(max_bytes=…)`."""
    made = []

    def connect(*, seconds=5.0, max_bytes=1000, max_total=10_000):
        transport = ServerTransport(
            ssl.create_default_context(),
            clock,
            seconds=seconds,
            max_bytes=max_bytes,
            max_total=max_total,
        )
        client = httpx2.AsyncClient(transport=transport, trust_env=False, timeout=5.0)
        made.append(client)
        return client, transport

    yield connect
    for client in made:
        await client.aclose()


def sends(body, **headers):
    async def answer(request, message):
        return web.Response(body=body, content_type="application/json", headers=headers)

    return answer


def said(response):
    return response.json()["error"]["message"]


async def test_what_is_within_bounds_passes_untouched(tiny, connect):
    client, transport = connect()
    body = json.dumps("x" * 998).encode()
    tiny.answers["*"] = sends(body, **{"X-Any": "thing"})
    for _ in range(2):
        response = await client.post(tiny.url, json=MESSAGE)
        assert (response.status_code, response.headers["X-Any"]) == (200, "thing")
        assert response.content == body
        transport.opened()


async def test_tools_are_taken_out_until_the_session_is_open(tiny, connect):
    client, transport = connect()
    body = b'{"result":{"tools":[1]}}'
    tiny.answers["*"] = sends(body)
    response = await client.post(tiny.url, json=MESSAGE)
    assert (response.content, transport.listing.entries) == (b'{"result":{"tools":[]}}', [b"1"])
    transport.opened()
    assert (await client.post(tiny.url, json=MESSAGE)).content == body


async def test_an_answer_may_not_be_larger(tiny, connect):
    client, _ = connect()
    tiny.answers["*"] = sends(b"x" * 1001)
    with pytest.raises(httpx2.StreamError, match="its response is larger than 1000 bytes"):
        await client.post(tiny.url, json=MESSAGE)


async def test_all_answers_together_are_bounded_until_the_session_is_open(tiny, connect):
    client, transport = connect(max_total=2500)
    tiny.answers["*"] = sends(b"x" * 1000)
    for _ in range(2):
        await client.post(tiny.url, json=MESSAGE)
    with pytest.raises(httpx2.StreamError, match="its response is larger than 500 bytes"):
        await client.post(tiny.url, json=MESSAGE)
    transport.opened()
    for _ in range(5):
        await client.post(tiny.url, json=MESSAGE)


async def test_an_answer_in_another_coding_is_not_read(tiny, connect):
    client, _ = connect()
    tiny.answers["*"] = sends(b"no gzip at all", **{"Content-Encoding": "gzip"})
    response = await client.post(tiny.url, json=MESSAGE)
    assert response.status_code == 400
    assert said(response) == "it responded in the content coding 'gzip', which was not requested"


async def test_a_head_that_does_not_come_is_given_up(tiny, connect):
    async def never(request, message):
        await asyncio.Event().wait()

    client, _ = connect(seconds=0.05)
    tiny.answers["*"] = never
    assert said(await client.post(tiny.url, json=MESSAGE)) == "it didn't respond in time"
    await tiny.left()


async def test_a_body_that_does_not_end_is_given_up(tiny, connect, clock):
    async def drips(request, message):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            clock.advance(1)
            await asyncio.sleep(0)

    client, _ = connect(seconds=5)
    tiny.answers["*"] = drips
    with pytest.raises(httpx2.StreamError, match="it didn't respond in time"):
        await client.post(tiny.url, json=MESSAGE)
    await tiny.left()


async def test_no_connection_is_kept(tiny, connect):
    client, _ = connect()
    await client.post(tiny.url, json=MESSAGE)
    await tiny.left()


async def test_a_server_is_not_listened_to_unasked_but_an_answer_is_taken_up_again(tiny, connect):
    client, _ = connect()
    assert (await client.get(tiny.url)).status_code == 405
    assert tiny.gets == 0
    await client.get(tiny.url, headers={"Last-Event-ID": "7"})
    assert tiny.gets == 1


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (500, "text/plain", "it responded with 500"),
        (401, "application/json", "it responded with 401: a token is missing or wrong"),
        (403, "text/html", "it responded with 403: a token is missing or wrong"),
        (404, "text/html", "it responded with 404: there is no MCP server at this URL"),
    ],
)
async def test_refusals_are_told_in_words(tiny, connect, status, kind, sentence):
    async def refuse(request, message):
        return web.Response(status=status, body=b"{}", content_type=kind)

    client, _ = connect()
    tiny.answers["*"] = refuse
    response = await client.post(tiny.url, json=MESSAGE)
    assert (response.status_code, said(response)) == (status, sentence)


@pytest.mark.parametrize("headers", [{}, {"Mcp-Session-Id": "1"}])
async def test_errors_in_json_are_the_sdks_to_read(tiny, connect, headers):
    async def refuse(request, message):
        return web.json_response({"its": "own"}, status=400)

    client, _ = connect()
    tiny.answers["*"] = refuse
    response = await client.post(tiny.url, json=MESSAGE, headers=headers)
    assert response.json() == {"its": "own"}


async def test_the_end_of_a_session_has_a_mark_that_no_server_knows(tiny, connect):
    async def refuse(request, message):
        return web.json_response({"its": "own"}, status=404)

    tiny.answers["*"] = refuse
    marks = set()
    for _ in range(2):
        client, transport = connect()
        response = await client.post(tiny.url, json=MESSAGE, headers={"Mcp-Session-Id": "1"})
        assert said(response) == "the server has ended the session"
        assert response.json()["error"]["data"] == transport.ended
        marks.add(transport.ended)
    assert len(marks) == 2


async def test_a_complaint_about_a_session_is_bounded(tiny, connect):
    async def refuse(request, message):
        return web.Response(text="session" * 1000, status=400)

    tiny.answers["*"] = refuse
    client, _ = connect()
    response = await client.post(tiny.url, json=MESSAGE, headers={"Mcp-Session-Id": "1"})
    assert said(response) == "it responded with 400"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:1/", "it can't be reached: connection refused"),
        (
            "https://{}/",
            "it can't be reached: it does not speak TLS at that port (check",
        ),
        ("http://name.invalid/", "it can't be reached: "),
    ],
)
async def test_a_server_that_cannot_be_reached(tiny, connect, url, sentence):
    client, _ = connect()
    place = tiny.url.removeprefix("http://").removesuffix("/mcp")
    response = await client.post(url.format(place), json=MESSAGE)
    assert said(response).startswith(sentence)
