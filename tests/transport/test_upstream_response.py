import asyncio

import aiohttp
import pytest

from aibridged.transport.upstream_response import HIGH_WATER, UpstreamResponse


class Source:
    """A connection that notes what is asked of it."""

    def __init__(self):
        self.asked = []

    def pause(self):
        self.asked.append("pause")

    def resume(self):
        self.asked.append("resume")

    def give_up(self, answer):
        self.asked.append("give up")


@pytest.fixture
def source():
    return Source()


def with_headers(*headers):
    return UpstreamResponse(200, b"OK", headers, Source())


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (b"text/event-stream", "text/event-stream"),
        (b"Application/JSON ; charset=utf-8", "application/json"),
        (b"\xff", "\udcff"),
        (b"", ""),
    ],
)
def test_the_media_type_is_read_without_its_parameters(value, media_type):
    assert with_headers((b"CONTENT-type", value)).content_type == media_type
    assert with_headers().content_type == ""


@pytest.mark.parametrize(
    ("value", "coding"), [(b" GZip ", "gzip"), (b"identity", None), (b"", None)]
)
def test_identity_is_no_coding(value, coding):
    assert with_headers((b"Content-Encoding", value)).content_coding == coding
    assert with_headers().content_coding is None


def test_of_two_headers_the_first_counts():
    answer = with_headers((b"X-Other", b"0"), (b"X-A", b"1"), (b"x-a", b"2"))
    assert answer.header(b"x-a") == "1"
    assert answer.header(b"x-b") is None


async def test_what_has_come_is_read_at_once_and_then_what_comes(answer):
    answer.feed(b"one ", whole=False)
    answer.feed(b"two", whole=False)
    assert await answer.read() == b"one two"
    reading = asyncio.get_running_loop().create_task(answer.read())
    await asyncio.sleep(0)
    assert not reading.done()
    answer.feed(b"three", whole=True)
    assert await reading == b"three"
    assert await answer.read() == b""
    assert await answer.read() == b""


async def test_who_waits_for_more_hears_of_the_end_and_of_a_failure(answer, source):
    reading = asyncio.get_running_loop().create_task(answer.read())
    await asyncio.sleep(0)
    answer.feed(b"", whole=True)
    assert await reading == b""
    failing = UpstreamResponse(200, b"OK", [], source)
    reading = asyncio.get_running_loop().create_task(failing.read())
    await asyncio.sleep(0)
    failing.fail(aiohttp.ClientPayloadError("broken"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await reading


async def test_who_was_cancelled_while_waiting_misses_nothing(answer):
    reading = asyncio.get_running_loop().create_task(answer.read())
    await asyncio.sleep(0)
    answer.feed(b"one", whole=False)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await answer.read() == b"one"


async def test_what_came_before_a_failure_is_read_first(answer):
    answer.feed(b"half", whole=False)
    answer.fail(aiohttp.ClientPayloadError("broken"))
    assert await answer.read() == b"half"
    for _ in range(2):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


def test_the_provider_is_stopped_while_much_waits_to_be_read(answer, source):
    answer.feed(b"x" * (HIGH_WATER - 1), whole=False)
    assert source.asked == []
    answer.feed(b"x", whole=False)
    assert source.asked == ["pause"]
    assert len(answer.take()) == HIGH_WATER
    assert source.asked == ["pause", "resume"]
    assert answer.take() == b""
    answer.feed(b"x" * (HIGH_WATER - 1), whole=False)
    assert source.asked == ["pause", "resume"]


def test_an_answer_that_is_whole_asks_nothing_of_its_connection(answer, source):
    answer.feed(b"x" * HIGH_WATER, whole=True)
    answer.pause()
    answer.take()
    answer.resume()
    answer.close()
    assert source.asked == []


def test_a_sink_gets_each_piece_and_the_end(answer, source):
    got = []
    answer.sink = got.append
    answer.feed(b"x" * HIGH_WATER, whole=False)
    answer.feed(b"", whole=True)
    assert (list(map(len, got)), answer.is_whole, answer.take()) == ([HIGH_WATER, 0], True, b"")
    assert source.asked == []


def test_a_sink_hears_of_a_failure_once_it_can_be_asked_for(answer):
    got = []
    answer.sink = lambda piece: got.append((piece, answer.error))
    error = aiohttp.ClientPayloadError("broken")
    answer.fail(error)
    assert got == [(b"", error)]


def test_giving_up_is_said_where_there_is_something_to_give_up(answer, source):
    answer.sink = pytest.fail
    answer.close()
    answer.feed(b"late", whole=False)
    assert source.asked == ["give up"]
    failed = UpstreamResponse(200, b"OK", [], source)
    failed.fail(aiohttp.ClientPayloadError("broken"))
    failed.close()
    assert source.asked == ["give up"]
