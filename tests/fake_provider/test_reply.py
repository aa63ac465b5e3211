"""From a request and a script to a reply, without sockets."""

import asyncio
import gzip
import json

import pytest
import zstandard

from aibridged.fake_provider.received import Received
from aibridged.fake_provider.reply import Replier, Reply
from aibridged.fake_provider.script import Script

ANTHROPIC_KEY = ((b"X-Api-Key", b"k"),)
OPENAI_KEY = ((b"Authorization", b"Bearer k"),)
MESSAGE = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
STREAM = MESSAGE.replace(b'"m"', b'"m","stream":true')


def reply(
    body: bytes = MESSAGE,
    script: Script | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/messages",
    headers: tuple[tuple[bytes, bytes], ...] = ANTHROPIC_KEY,
    default: Script | None = None,
) -> Reply:
    received = Received(method, path, headers, "", body)
    return Replier(default or Script()).reply(received, script, "0001")


def body(made: Reply) -> bytes:
    return b"".join(made.pieces)


def test_whole_answers_have_a_length_and_streams_have_none():
    made = reply()
    assert made.headers["content-type"] == "application/json"
    assert made.length == len(body(made))
    made = reply(STREAM)
    assert made.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert made.length is None
    assert len(made.pieces) > 5


@pytest.mark.parametrize("asked", [MESSAGE, STREAM])
def test_ids_are_fresh(asked):
    made = reply(asked)
    assert b"msg_fake0001" in body(made)
    assert b"nonce" not in body(made)
    assert made.headers["request-id"] == "req_fake0001"


@pytest.mark.parametrize(
    ("path", "headers", "vendor_header"),
    [
        ("/v1/messages", ANTHROPIC_KEY, "request-id"),
        ("/v1/models", ANTHROPIC_KEY, "request-id"),
        ("/v1/models/x", ((b"Anthropic-Version", b"1"), *OPENAI_KEY), "request-id"),
        ("/v1/models", OPENAI_KEY, "x-request-id"),
        ("/v1/responses", OPENAI_KEY, "x-request-id"),
        ("/responses", OPENAI_KEY, "x-request-id"),
        ("/elsewhere", ANTHROPIC_KEY, "x-request-id"),
    ],
)
def test_whose_request_it_is(path, headers, vendor_header):
    assert vendor_header in reply(path=path, headers=headers).headers


def test_without_a_key():
    made = reply(headers=())
    assert made.status == 401
    assert json.loads(body(made))["error"]["type"] == "authentication_error"
    assert reply(path="/v1/responses", headers=ANTHROPIC_KEY).status == 401
    assert reply(path="/api/event_logging/batch", headers=()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/files", 404),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/models", 200),
        ("GET", "/models", 200),
        ("GET", "/models/gpt-fake-large", 200),
        ("GET", "/chat/completions", 405),
        ("GET", "/messages", 404),
    ],
)
def test_routes(method, path, status):
    assert reply(method=method, path=path, headers=OPENAI_KEY).status == status


def test_what_cannot_be_read_is_refused_with_the_reason():
    made = reply(b'{"model": 7}')
    assert made.status == 400
    assert "model" in json.loads(body(made))["error"]["message"]


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [(b"gzip", gzip.compress), (b"zstd", zstandard.ZstdCompressor().compress)],
)
def test_compressed_requests_are_read(encoding, encode):
    headers = (*ANTHROPIC_KEY, (b"Content-Encoding", encoding))
    assert b"You said: hi" in body(reply(encode(MESSAGE), headers=headers))


def test_a_script_goes_before_the_model_and_the_model_before_the_default():
    troubled = MESSAGE.replace(b'"m"', b'"fake-status-429"')
    default = Script(status=500)
    assert reply(troubled, Script(status=529), default=default).status == 529
    assert reply(troubled, default=default).status == 429
    assert reply(default=default).status == 500


def test_a_script_needs_no_valid_request():
    assert reply(b"", Script(status=529), headers=()).status == 529
    made = reply(b"", Script(status=201, body=b"hi @nonce@"), headers=())
    assert (made.status, body(made), made.length) == (201, b"hi @nonce@", 10)
    made = reply(b"", Script(stream=(b"a", b"b")), headers=())
    assert (made.pieces, made.length) == ((b"a", b"b"), None)


def test_headers_of_a_script_replace_and_repeat():
    headers = (("Request-Id", "mine"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"))
    made = reply(script=Script(headers=headers))
    assert made.headers.getall("request-id") == ["mine"]
    assert made.headers.getall("set-cookie") == ["a=1", "b=2"]
    assert made.headers["content-type"] == "application/json"


def test_an_error_in_a_stream():
    made = reply(STREAM, Script(error="overloaded_error", error_after=2))
    assert made.status == 200
    assert len(made.pieces) == 3
    assert made.pieces[2].startswith(b"event: error\n")
    assert reply(MESSAGE, Script(error="overloaded_error")).status == 529


def test_deltas():
    made = reply(STREAM, default=Script(deltas=300))
    assert body(made).count(b"text_delta") == 300
    assert made.usage is not None
    assert made.usage.output == 300


def test_a_cut_body_keeps_the_length_of_the_whole():
    whole = reply()
    made = reply(script=Script(cut_after=10))
    assert body(made) == body(whole)[:10]
    assert made.length == whole.length


def test_gzip_is_told():
    made = reply(STREAM, Script(gzip=True))
    assert made.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body(made)) == body(reply(STREAM))


@pytest.mark.parametrize(
    ("asked", "script", "at_once"),
    [
        (MESSAGE, Script(), True),
        (MESSAGE, Script(chunks=(9,)), False),
        (MESSAGE, Script(cut_after=9), False),
        (MESSAGE, Script(cut_after=0), False),
        (MESSAGE, Script(stall_after=0), False),
        (MESSAGE, Script(before_write={0: asyncio.Event()}), False),
        (STREAM, Script(), False),
    ],
)
def test_whole_answers_go_out_at_once_unless_they_are_paced(asked, script, at_once):
    assert reply(asked, script).at_once == at_once
