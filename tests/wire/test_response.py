"""The right reader for a response, and no reader that raises."""

import gzip
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire import response
from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi
from aibridged.wire.response import open_reader

ERROR = b'{"error":{"type":"api_error","message":"m"}}'
STREAMS = {
    WireApi.MESSAGES: "messages_thinking_and_parallel_tools",
    WireApi.CHAT_COMPLETIONS: "chat_parallel_tools",
    WireApi.RESPONSES: "responses_reasoning_and_tools",
}


def read(
    api: WireApi, content_type: str | None, coding: str | None, *chunks: bytes
) -> tuple[str | None, ResponseFacts]:
    reader = open_reader(api, content_type, coding)
    for chunk in chunks:
        for _ in reader.feed(chunk) or ():
            pass
    return reader.verdict, reader.finish(complete=True)


@pytest.mark.parametrize("api", STREAMS)
def test_a_stream_and_a_body_get_their_reader(
    api: WireApi, transcript: Callable[[str], bytes]
) -> None:
    stream = transcript(STREAMS[api])
    verdict, facts = read(api, "Text/Event-Stream; charset=utf-8", None, stream)
    assert verdict == "ok"
    assert len(facts.tool_calls) >= 2
    for content_type in ("application/json", None):
        verdict, facts = read(api, content_type, "identity", ERROR[:7], ERROR[7:])
        assert verdict == "ok"
        assert facts.error is not None
        assert facts.error.message == "m"


@pytest.mark.parametrize("api", STREAMS)
def test_compressed_responses(api: WireApi, transcript: Callable[[str], bytes]) -> None:
    stream = transcript(STREAMS[api])
    expected = read(api, "text/event-stream", None, stream)
    for coding, coded in (("gzip", gzip.compress(stream)), ("zstd", zstandard.compress(stream))):
        chunks = [coded[i : i + 5] for i in range(0, len(coded), 5)]
        assert read(api, "text/event-stream", coding, *chunks) == expected
    assert read(api, None, "gzip", gzip.compress(ERROR)) == read(api, None, None, ERROR)


def test_a_coding_that_is_not_spoken_is_counted() -> None:
    verdict, facts = read(WireApi.MESSAGES, "text/event-stream", "br", b"\x00")
    assert verdict == "ok"
    assert facts == ResponseFacts(anomalies={"unsupported_coding": 1})


def test_a_broken_coding_keeps_what_came_before(transcript: Callable[[str], bytes]) -> None:
    coded = gzip.compress(transcript("messages_server_tools"), 0)  # stored, so that parts come out
    broken = coded[:1500] + b"\xff" * 50 + coded[1550:]
    _, facts = read(WireApi.MESSAGES, "text/event-stream", "gzip", broken[:1500], broken[1500:])
    assert facts.response_id == "msg_01Search"
    assert not facts.complete
    assert facts.anomalies.get("malformed_coding") == 1


def test_a_broken_coding_is_no_orderly_end(transcript: Callable[[str], bytes]) -> None:
    stream, _, _ = transcript("messages_server_tools").partition(b"event: message_stop")
    coded = gzip.compress(stream)
    data, checksum = coded[:-8], coded[-8:]
    for end, complete in ((checksum, True), (bytes(8), False)):
        _, facts = read(WireApi.MESSAGES, "text/event-stream", "gzip", data, end)
        assert facts.usage == TokenUsage(10682, 510, extra={"web_search_requests": 1})
        assert facts.complete is complete


def test_a_compressed_response_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "MAX_DECODED_BYTES", 100_000)
    bomb = gzip.compress(b": comment\n\n" * 100_000)
    _, facts = read(WireApi.MESSAGES, "text/event-stream", "gzip", bomb)
    assert facts == ResponseFacts(anomalies={"oversized_body": 1})


FRAGMENTS = [
    b"event: message_start\n",
    b"event: error\n",
    b"event: response.output_item.done\n",
    b"data: ",
    b'{"type":"',
    b"content_block_start",
    b"content_block_delta",
    b"response.output_item.added",
    b"response.completed",
    b'","index":0,"output_index":0,',
    b'"content_block":{"type":"tool_use","input":',
    b'"delta":{"partial_json":"{"}',
    b'"delta":"x"',
    b'"item":{"type":"web_search_call","action":"\xff"}',
    b'"item":{"type":"reasoning","summary":{"a":1}}',
    b'"item":{"type":"shell_call","environment":7}',
    b'"response":{"output":[{"type":"function_call","arguments":3}]}',
    b'"choices":[{"delta":{"tool_calls":[{}]}}]',
    b'"usage":{"input_tokens":1e400,"output_tokens":true}',
    b'"usage":[]',
    b'"error":7',
    b",",
    b"}",
    b"}\n\n",
    b"\n\n",
    b"\xff\x00",
]


@given(
    st.sampled_from(WireApi),
    st.sampled_from(["text/event-stream", "application/json"]),
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=10), max_size=30),
)
def test_no_reader_ever_raises(api: WireApi, content_type: str, chunks: list[bytes]) -> None:
    _, facts = read(api, content_type, None, *chunks)
    assert "reader_failed" not in facts.anomalies


def test_decoding_takes_a_step_even_where_nothing_comes_of_it() -> None:
    """Of many empty members, say."""
    reader = open_reader(WireApi.MESSAGES, "text/event-stream", "gzip")
    steps = reader.feed(gzip.compress(b"") * 50)
    assert steps is not None
    assert len(list(steps)) >= 50
