"""Messages are changed one by one, in JSON and in a stream, and all else of a response is kept."""

import threading

import httpx2
import pytest

from aibridged.mcp.json_rpc import changed, media_type


def upper(message):
    return message.upper()


async def read(content, kind, change=upper):
    request = httpx2.Request("POST", "http://docs/mcp")
    headers = {"content-type": kind, "mcp-session-id": "7"}
    response = changed(
        httpx2.Response(200, headers=headers, content=content, request=request), change
    )
    assert response.headers["mcp-session-id"] == "7"
    return await response.aread()


async def test_json_is_changed_as_a_whole():
    assert await read(b'{"a": 1}', "application/json; charset=utf-8") == b'{"A": 1}'


async def test_events_are_changed_one_by_one():
    stream = b": hi\n\ndata: {a\ndata: }\nid: 7\nretry: 9\n\nevent: x\ndata: b\n\ndata:\nid: 8\n\n"
    assert await read(stream, "text/event-stream") == (
        b"event: message\ndata: {A\ndata: }\nid: 7\nretry: 9\n\nevent: x\ndata: B\nid: 7\n\n"
        b"event: message\ndata: \nid: 8\n\n"
    )


async def test_anything_else_stays_as_it_is():
    assert await read(b"a", "text/html") == b"a"


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_a_long_message_is_changed_in_a_thread(kind):
    threads = []

    def note(message):
        threads.append(threading.current_thread())
        return message

    for size in (10, 10_000):
        content = b"x" * size
        await read(content if "json" in kind else b"data: %b\n\n" % content, kind, note)
    assert threads[0] is threading.current_thread()
    assert threads[1] is not threading.current_thread()


def test_a_media_type_has_no_parameters():
    assert media_type({"content-type": "Text/HTML; charset=x"}) == "text/html"
    assert media_type({}) == ""
