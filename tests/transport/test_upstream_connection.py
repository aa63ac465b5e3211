"""One connection to a provider, over real sockets; the provider's end is moved by hand."""

import asyncio

import aiohttp
import pytest

from aibridged.transport.upstream_connection import MAX_HEAD_BYTES, InvalidResponseError
from aibridged.transport.upstream_response import HIGH_WATER
from tests.socket_fixtures import CHUNKED, LARGE, OK, whole


async def served_anew(upstream, provider, ask):
    """The next request gets its own answer, over another connection."""
    before = len(provider.peers)
    asking = ask(upstream, "GET", b"")
    peer = await provider.peer()
    assert len(provider.peers) == before + 1
    await peer.head()
    await peer.say(b"HTTP/1.1 201 Anew\r\nContent-Length: 0\r\n\r\n")
    return (await asking).status == 201


KEPT = {
    "by its length": (OK, (200, b"OK", b"hi")),
    "no body": (b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n", (201, b"Made", b"")),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", (404, b"", b"")),
    "a reason of any bytes": (
        b"HTTP/1.1 429 Zu viele \xfc\r\nContent-Length: 0\r\n\r\n",
        (429, b"Zu viele \xfc", b""),
    ),
    "an odd status": (b"HTTP/1.1 999 ?\r\nContent-Length: 1\r\n\r\nx", (999, b"?", b"x")),
    "in chunks": (CHUNKED + b"2\r\nhi\r\n3\r\n ho\r\n0\r\n\r\n", (200, b"OK", b"hi ho")),
    "chunk extensions": (CHUNKED + b'2;a="b";c\r\nhi\r\n0;d\r\n\r\n', (200, b"OK", b"hi")),
    "spaces after a chunk's size": (CHUNKED + b"2 \r\nhi\r\n0 \r\n\r\n", (200, b"OK", b"hi")),
    "trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n", (200, b"OK", b"hi")),
    "lines without a CR": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", (200, b"OK", b"hi")),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"No Content", b"")),
    "204 with a length": (b"HTTP/1.1 204 -\r\nContent-Length: 9\r\n\r\n", (204, b"-", b"")),
    "304 with a length": (b"HTTP/1.1 304 -\r\nContent-Length: 9\r\n\r\n", (304, b"-", b"")),
    "304 in chunks": (
        b"HTTP/1.1 304 -\r\nTransfer-Encoding: chunked\r\n\r\n",
        (304, b"-", b""),
    ),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"OK", b"hi")),
    "103 before, twice": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + OK,
        (200, b"OK", b"hi"),
    ),
    "an interim of the future": (b"HTTP/1.1 142 -\r\n\r\n" + OK, (200, b"OK", b"hi")),
    "empty lines before": (b"\r\n\r\n" + OK, (200, b"OK", b"hi")),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        (200, b"OK", b"hi"),
    ),
    "an offer to upgrade": (
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
        (200, b"OK", b"hi"),
    ),
}
CLOSED = {
    "that says it closes": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        (200, b"OK", b"hi"),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", (200, b"OK", b"hi")),
}
UNTIL_THE_END = {
    "without a length": (b"HTTP/1.1 200 OK\r\n\r\nhi", (200, b"OK", b"hi")),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhi", (200, b"OK", b"hi")),
}


@pytest.mark.parametrize("in_bytes", [False, True])
@pytest.mark.parametrize("case", KEPT)
async def test_an_answer_after_which_the_connection_is_kept(upstream, asked, ask, case, in_bytes):
    raw, expected = KEPT[case]
    asking, peer = asked
    await peer.say(*([bytes([byte]) for byte in raw] if in_bytes else [raw]))
    answer = await asking
    assert (answer.status, answer.reason, await whole(answer)) == expected
    assert upstream.connections == (0, 1)
    again = ask(upstream)
    await peer.head()
    await peer.say(b"HTTP/1.1 202 Again\r\nContent-Length: 0\r\n\r\n")
    assert (await again).status == 202


@pytest.mark.parametrize("case", CLOSED)
async def test_an_answer_that_is_the_connections_last(upstream, provider, asked, ask, case):
    raw, expected = CLOSED[case]
    asking, peer = asked
    await peer.say(raw)
    answer = await asking
    assert (answer.status, answer.reason, await whole(answer)) == expected
    assert upstream.connections == (0, 0)
    await peer.gone()
    assert await served_anew(upstream, provider, ask)


@pytest.mark.parametrize("ending", ["leave", "half"])
@pytest.mark.parametrize("case", UNTIL_THE_END)
async def test_a_body_that_ends_with_the_connection(upstream, provider, asked, ask, case, ending):
    raw, expected = UNTIL_THE_END[case]
    asking, peer = asked
    await peer.say(raw)
    answer = await asking
    peer.leave() if ending == "leave" else peer.writer.write_eof()
    assert (answer.status, answer.reason, await whole(answer)) == expected
    assert upstream.connections == (0, 0)
    assert await served_anew(upstream, provider, ask)


async def test_such_a_body_that_is_cut_off_by_a_reset_is_not_whole(asked):
    asking, peer = asked
    await peer.say(b"HTTP/1.1 200 OK\r\n\r\nhi")
    answer = await asking
    assert await answer.read() == b"hi"
    peer.reset()
    with pytest.raises(aiohttp.ClientError):
        await answer.read()


async def test_header_bytes_are_kept_and_trailers_are_none(asked):
    asking, peer = asked
    await peer.say(
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nx-A:  caf\xc3\xa9\xff \t\r\n"
        b"X-Empty:\r\nX-Folded: a\r\n\tb\r\nx-a: tab\there\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = await asking
    headers = [
        (b"x-A", b"caf\xc3\xa9\xff"),
        (b"X-Empty", b""),
        (b"X-Folded", b"a\tb"),
        (b"x-a", b"tab\there"),
        (b"Transfer-Encoding", b"chunked"),
    ]
    assert answer.headers == headers
    await peer.say(b"2\r\nhi\r\n0\r\nContent-Encoding: gzip\r\n\r\n")
    assert await whole(answer) == b"hi"
    assert answer.headers == headers


async def test_an_answer_to_head_has_a_length_and_no_body(upstream, provider, ask):
    asking = ask(upstream, "HEAD", b"")
    peer = await provider.peer()
    await peer.head()
    await peer.say(b"HTTP/1.1 100 -\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    answer = await asking
    assert (answer.status, answer.header(b"content-length")) == (200, "2")
    assert await whole(answer) == b""
    assert await served_anew(upstream, provider, ask)


def head(*lines):
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b"hi"])


NO_ANSWER = {
    "not HTTP": b"220 mail.example ESMTP\r\n",
    "TLS": b"\x15\x03\x03\x00\x02\x02\x46",
    "another protocol": b"HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + OK,
    "another protocol, unnamed": b"HTTP/1.1 101 -\r\n\r\n" + OK,
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of nothing": b"HTTP/1.1 000 -\r\n\r\n" + OK,
    "a status below all": b"HTTP/1.1 099 -\r\n\r\n" + OK,
    "an interim with a body": b"HTTP/1.1 142 -\r\nContent-Length: 1\r\n\r\nx" + OK,
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 2"),
    "a list of lengths": head(b"Content-Length: 2, 2"),
    "a negative length": head(b"Content-Length: -2"),
    "a length that overflows": head(b"Content-Length: 99999999999999999999"),
    "a folded length": head(b"Content-Length: 2", b" 3"),
    "a length and chunks": head(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "chunks and a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 2"),
    "gzip, then chunks": head(b"Transfer-Encoding: gzip, chunked"),
    "gzip and chunks, apart": head(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    "chunks behind a vertical tab": head(b"Transfer-Encoding: \x0bchunked"),
    "gzip to the end": head(b"Transfer-Encoding: gzip"),
    "a NUL in a header": head(b"X: a\0b", b"Content-Length: 2"),
    "a CR in a header": head(b"X: a\rY: b", b"Content-Length: 2"),
    "a space before the colon": head(b"Content-Length : 2"),
    "a line without a colon": head(b"Content-Length 2"),
    "no chunk's size": CHUNKED + b"zz\r\n",
    "a chunk's size that overflows": CHUNKED + b"fffffffffffffffff\r\n",
    "a head that is too long": head(b"X: " + b"x" * MAX_HEAD_BYTES, b"Content-Length: 2"),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_HEAD_BYTES // 6),
    "a line without end": b"HTTP/1.1 200 " + b"x" * MAX_HEAD_BYTES,
    "interim answers without end": b"HTTP/1.1 102 -\r\n\r\n" * (MAX_HEAD_BYTES // 18 + 1),
}


@pytest.mark.parametrize("case", NO_ANSWER)
async def test_what_is_no_answer(upstream, provider, asked, ask, case):
    asking, peer = asked
    await peer.say(NO_ANSWER[case])
    with pytest.raises(aiohttp.ClientPayloadError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()
    assert await served_anew(upstream, provider, ask)


SENTENCES = {
    "not HTTP": "Expected HTTP/, RTSP/ or ICE/",
    "chunks and a length": "Content-Length can't be present with Transfer-Encoding",
    "a length and chunks": "Transfer-Encoding can't be present with Content-Length",
    "gzip, then chunks": "its Transfer-Encoding is not supported, only chunked is",
    "gzip to the end": "its Transfer-Encoding is not supported, only chunked is",
    "another protocol": "an upgrade to another protocol",
    "a head that is too long": "its head is too large",
    "a head without end": "its head is too large",
    "an interim with a body": "an interim response with a body",
}


@pytest.mark.parametrize("case", SENTENCES)
async def test_it_is_said_why_it_is_none(asked, case):
    asking, peer = asked
    await peer.say(NO_ANSWER[case])
    with pytest.raises(InvalidResponseError) as raised:
        await asking
    assert str(raised.value) == SENTENCES[case]


async def test_a_long_head_that_is_not_too_long(asked, connections):
    asking, peer = asked
    value = b"x" * (MAX_HEAD_BYTES - 100)
    await peer.say(head(b"X: " + value, b"Transfer-Encoding: chunked")[:-2])
    answer = await asking
    assert answer.header(b"x") == value.decode()
    connections[0].data_received(b"2;" + b"x" * 200)  # what it has used up counts no more
    await peer.say(b"\r\nhi\r\n0\r\n\r\n")
    assert await whole(answer) == b"hi"


async def test_a_body_that_comes_with_the_head_counts_for_none_of_it(asked):
    asking, peer = asked
    body = b"x" * (MAX_HEAD_BYTES - 60)
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert await whole(await asking) == body


CUT_OFF = {
    "short of its length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
    "before the last chunk": CHUNKED + b"2\r\nhi\r\n",
    "in a chunk": CHUNKED + b"3\r\nhi",
    "in the trailers": CHUNKED + b"2\r\nhi\r\n0\r\nX-T: 1\r\n",
}


@pytest.mark.parametrize("case", CUT_OFF)
async def test_a_body_that_is_cut_off_arrives_as_far_as_it_came(upstream, asked, case):
    asking, peer = asked
    await peer.say(CUT_OFF[case])
    answer = await asking
    peer.leave()
    assert await answer.read() == b"hi"
    with pytest.raises(aiohttp.ClientError):
        await answer.read()
    assert upstream.connections == (0, 0)


MALFORMED = {
    "no chunk's size": b"2\r\nhi\r\nzz\r\n",
    "a chunk longer than its size": b"2\r\nhip\r\n",
    "a length in the trailers": b"2\r\nhi\r\n0\r\nContent-Length: 5\r\n\r\n",
    "trailers without end": b"2\r\nhi\r\n0\r\nX-T: " + b"x" * (MAX_HEAD_BYTES + (1 << 19)),
    "an extension without end": b"2\r\nhi\r\n2;x" + b"x" * (MAX_HEAD_BYTES + (1 << 19)),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_body_that_goes_wrong_arrives_as_far_as_it_was_right(upstream, asked, case):
    asking, peer = asked
    await peer.say(CHUNKED)
    answer = await asking
    peer.writer.write(MALFORMED[case])
    assert await answer.read() == b"hi"
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_framing_that_comes_by_itself_adds_up_to_nothing(asked, connections):
    asking, peer = asked
    await peer.say(CHUNKED)
    answer = await asking
    for _ in range(MAX_HEAD_BYTES // 3 + 1):
        connections[0].data_received(b"1\r\n")
        connections[0].data_received(b"x\r\n")
    await peer.say(b"0\r\n\r\n")
    assert len(await whole(answer)) == MAX_HEAD_BYTES // 3 + 1


SURPLUS = {
    "another answer": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a farewell": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    "anything": b"x",
}


@pytest.mark.parametrize("answered", [OK, CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"])
@pytest.mark.parametrize("case", SURPLUS)
async def test_what_nobody_asked_for_is_no_answer_to_the_next(
    upstream, provider, asked, ask, case, answered
):
    asking, peer = asked
    await peer.say(answered + SURPLUS[case])
    assert await whole(await asking) == b"hi"
    assert upstream.connections == (0, 0)
    await peer.gone()
    assert await served_anew(upstream, provider, ask)


@pytest.mark.parametrize("case", SURPLUS)
async def test_what_comes_over_an_idle_connection_ends_it(upstream, provider, asked, ask, case):
    asking, peer = asked
    await peer.say(OK)
    assert await whole(await asking) == b"hi"
    await peer.say(SURPLUS[case])
    await peer.gone()
    assert await served_anew(upstream, provider, ask)


async def test_a_large_body_arrives_at_a_slow_reader_and_waits_in_pieces(
    upstream, provider, ask, connections
):
    asking = ask(upstream, body=LARGE)
    peer = await provider.peer()
    assert b"Content-Length: %d\r\n" % len(LARGE) in await peer.head()
    received, waiting = bytearray(), 0
    while len(received) < len(LARGE):
        received += await peer.reader.read(10_000)
        waiting = max(waiting, connections[0].transport.get_write_buffer_size())
    assert received == LARGE
    assert 0 < waiting <= 512 * 1024
    await peer.say(OK)
    assert await whole(await asking) == b"hi"
    assert upstream.connections == (0, 1)


@pytest.mark.parametrize("size", [len(LARGE), 1 << 20])
async def test_an_answer_before_the_body_has_been_sent(upstream, provider, ask, connections, size):
    asking = ask(upstream, body=LARGE[:size])
    peer = await provider.peer()
    await peer.head()
    await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    answer = await asking
    assert (answer.status, await whole(answer)) == (413, b"no")
    assert upstream.connections == (0, 0)
    await connections[0].until_lost()  # although the provider reads no more
    await upstream._sending.idle()
    assert await peer.gone() < size
    assert await served_anew(upstream, provider, ask)


async def test_a_stream_begins_before_the_body_has_been_sent(upstream, provider, ask):
    """Half an answer doesn't end the request."""
    asking = ask(upstream, body=LARGE)
    peer = await provider.peer()
    await peer.head()
    await peer.say(CHUNKED + b"2\r\nhi\r\n")
    answer = await asking
    assert await answer.read() == b"hi"
    assert await peer.reader.readexactly(len(LARGE)) == LARGE
    await peer.say(b"0\r\n\r\n")
    assert await whole(answer) == b""
    assert upstream.connections == (0, 1)


@pytest.mark.parametrize("ending", ["leave", "half", "reset"])
async def test_a_provider_that_leaves_while_the_body_is_sent(
    upstream, provider, ask, connections, ending
):
    asking = ask(upstream, body=LARGE)
    peer = await provider.peer()
    await peer.head()
    {"leave": peer.leave, "half": peer.writer.write_eof, "reset": peer.reset}[ending]()
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await asking
    await connections[0].until_lost()
    await upstream._sending.idle()
    assert len(provider.peers) == 1


async def test_an_answer_is_given_up_in_the_middle(upstream, asked):
    asking, peer = asked
    await peer.say(CHUNKED + b"2\r\nhi\r\n")
    answer = await asking
    answer.close()
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_an_answer_that_is_whole_has_no_say_any_more(upstream, asked, ask):
    """Its connection serves another."""
    asking, peer = asked
    await peer.say(OK)
    first = await asking
    asking = ask(upstream)
    await peer.head()
    await peer.say(CHUNKED)
    second = await asking
    first.pause()
    first.close()
    await peer.say(b"2\r\nho\r\n0\r\n\r\n")
    assert await whole(second) == b"ho"
    assert await whole(first) == b"hi"
    assert upstream.connections == (0, 1)


async def test_what_nobody_reads_stops_the_provider(upstream, asked, connections):
    asking, peer = asked
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
    answer = await asking
    peer.writer.write(LARGE)
    async with asyncio.timeout(10):
        await connections[0].paused.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    taken = answer.take()
    assert HIGH_WATER <= len(taken) <= 2 * HIGH_WATER
    assert taken + await whole(answer) == LARGE
    assert upstream.connections == (0, 1)
