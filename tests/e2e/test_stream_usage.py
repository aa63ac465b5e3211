"""The usage of Chat Completions streams: always recorded, relayed only on request."""

import gzip
import json

import pytest
import zstandard

from aibridged.fake_provider import Script

PATH = "/openai/v1/chat/completions"
BODY = (
    b'{ "model" : "m\\u00e9", '
    b'"messages":[{"role":"user","content":"from cache, \\"quoted\\"  \xe2\x82\xac"}],'
    b'"seed": 12345678901234567890123, "temperature": 1.0, "stream" :true, "x-unknown":[ 1.50 ]}'
)
ASKING = BODY[:-1] + b',"stream_options":{"include_usage":true,"include_obfuscation":false}}'
NOT_ASKING = BODY[:-1] + b',"stream_options":{"include_usage":false,"include_obfuscation":false}}'
PLAIN = BODY.replace(b'"stream" :true', b'"stream" :false')


@pytest.fixture
def post(client, clock):
    """Posts a body as it is; returns the body of the answer."""

    async def post(gateway, body, **headers):
        clock.advance(1)
        headers = {"Content-Type": "application/json", **headers}
        async with client.post(gateway.url + PATH, data=body, headers=headers) as response:
            assert response.status == 200
            return await response.read()

    return post


def chunks(stream):
    """The chunks of a stream; its last event is `[DONE]`."""
    *events, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def expected(fake):
    """What the fake told of the last requests, as it is to be recorded."""
    return [
        (told.input, told.output, told.cache_read, told.all_cache_write)
        for told in (request.usage for request in fake.requests)
    ]


def counts(usage):
    names = ("input", "output", "cache_read_input", "cache_write_input")
    return tuple(usage[f"{name}_tokens"] for name in names)


async def test_usage_is_recorded_and_only_shown_to_whoever_asked(recording, post, fake):
    gateway = await recording.start()
    for body in (BODY, NOT_ASKING):
        unasked = chunks(await post(gateway, body))
        assert all(chunk["choices"] for chunk in unasked)
        assert unasked[-1]["choices"][0]["finish_reason"] == "stop"
        assert not any(chunk.get("usage") for chunk in unasked)
    asked = chunks(await post(gateway, ASKING))
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == fake.requests[-1].usage.output
    assert len(asked) == len(unasked) + 1
    assert [counts(usage) for usage in await recording.usages()] == expected(fake)
    assert len(fake.requests) == 3


def raw_fields(body):
    """The fields of a JSON object with their values as they are written."""
    decoder, at, fields = json.JSONDecoder(), body.index("{") + 1, {}
    while True:
        at += len(body[at:]) - len(body[at:].lstrip(" ,:"))
        if body[at] == "}":
            return fields
        name, at = decoder.raw_decode(body, at)
        at += len(body[at:]) - len(body[at:].lstrip(" :"))
        _, end = decoder.raw_decode(body, at)
        fields[name], at = body[at:end], end


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_body_changes_in_nothing_else(recording, post, fake):
    gateway = await recording.start()
    await post(gateway, BODY)
    await post(gateway, NOT_ASKING)
    sent = raw_fields(BODY.decode())
    plain, with_options = (raw_fields(request.body.decode()) for request in fake.requests)
    assert plain == {**sent, "stream_options": '{"include_usage":true}'}
    both = '{"include_usage":true,"include_obfuscation":false}'
    assert with_options == {**sent, "stream_options": both}
    for body in (ASKING, PLAIN):
        await post(gateway, body)
        assert fake.requests[-1].body == body


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("coding", "compress"), [("zstd", zstandard.compress), ("gzip", gzip.compress)]
)
async def test_a_compressed_body_is_read_too(recording, post, fake, coding, compress):
    gateway = await recording.start()
    headers = {"Content-Encoding": coding}
    unasked = chunks(await post(gateway, compress(BODY), **headers))
    upstream = fake.requests[-1]
    assert upstream.header("Content-Encoding") is None
    assert upstream.header("Content-Length") == str(len(upstream.body))
    assert upstream.json() == {**json.loads(BODY), "stream_options": {"include_usage": True}}
    assert all(chunk["choices"] for chunk in unasked)
    for body in (ASKING, PLAIN):
        sent = compress(body)  # once: gzip says when
        await post(gateway, sent, **headers)
        assert fake.requests[-1].body == sent
        assert fake.requests[-1].header("Content-Encoding") == coding
    assert [counts(usage) for usage in await recording.usages()] == expected(fake)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "script", [Script(chunks=(1,)), Script(chunks=(13, 400)), Script(crlf=True)], ids=str
)
async def test_however_it_comes_the_rest_of_the_stream_is_untouched(recording, post, fake, script):
    gateway = await recording.start()
    fake.play(script)
    unasked = await post(gateway, BODY)
    end = b"\r\n\r\n" if script.crlf else b"\n\n"
    *events, done, rest = unasked.split(end)
    assert (done, rest) == (b"data: [DONE]", b"")
    assert b"finish_reason" in events[-1]
    assert b"prompt_tokens" not in unasked
    assert len(await recording.usages()) == 1
