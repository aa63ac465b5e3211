"""A stream with odd events says the same, however it is cut: to client, model and record."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from aibridged.wire.chat_completions.reader import ChatCompletionsReader
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.dialogue import Result
from aibridged.wire.injection.inject import open_dialogue
from aibridged.wire.messages.reader import MessagesReader
from aibridged.wire.responses.reader import ResponsesReader
from aibridged.wire.splice import Fields
from aibridged.wire.sse import SseSplitter

OURS = "bmcp_files_read"
READERS = {
    WireApi.MESSAGES: MessagesReader,
    WireApi.CHAT_COMPLETIONS: ChatCompletionsReader,
    WireApi.RESPONSES: ResponsesReader,
}
TEXTS = ("", "hi", "text_delta", '"text_delta"', "content_block_delta", "a\r\n\nb", "é\U0001f600")
ARGUMENTS = ('{"path":"a"}', "{}", "", "null", '{"path":', "text_delta")


def _messages_block(draw, index):
    kind = draw(st.sampled_from(["text", "thinking", "ours", "own"]))
    named = {"type": "tool_use", "id": f"tu_{index}", "input": {}}
    block, delta, field, said = {
        "text": ({"type": "text", "text": ""}, "text_delta", "text", TEXTS),
        "thinking": ({"type": "thinking", "thinking": ""}, "thinking_delta", "thinking", TEXTS),
        "ours": ({**named, "name": OURS}, "input_json_delta", "partial_json", ARGUMENTS),
        "own": ({**named, "name": "text_delta"}, "input_json_delta", "partial_json", ARGUMENTS),
    }[kind]
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for piece in draw(st.lists(st.sampled_from([*said, 5, None]), max_size=3)):
        at = draw(st.sampled_from([index] * 8 + [index + 1, None]))
        yield {
            "type": "content_block_delta",
            "index": at,
            "delta": {"type": delta, field: piece},
        }
    yield {"type": "content_block_stop", "index": index}


def _messages(draw):
    yield {"type": "message_start", "message": {"id": "m1", "usage": {"input_tokens": 3}}}
    for index in range(draw(st.integers(0, 3))):
        yield from _messages_block(draw, index)
    reason = draw(st.sampled_from(["tool_use", "end_turn", None]))
    yield {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def _chat(draw):
    def chunk(delta, reason=None):
        return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    for text in draw(st.lists(st.sampled_from(TEXTS), max_size=3)):
        yield chunk({"content": text})
    for index in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from([OURS, "own"]))
        call = {"index": index, "id": f"t{index}", "function": {"name": name, "arguments": ""}}
        yield chunk({"tool_calls": [call]})
        piece = {"index": index, "function": {"arguments": draw(st.sampled_from(ARGUMENTS))}}
        yield chunk({"tool_calls": [piece]})
    yield chunk({}, draw(st.sampled_from(["tool_calls", "stop", None])))
    yield {"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    yield "[DONE]"


def _responses_item(draw, index):
    kind = draw(st.sampled_from(["message", "commentary", "reasoning", "ours", "own"]))
    call = {"type": "function_call", "id": f"i{index}", "call_id": f"c{index}", "arguments": ""}
    item = {
        "message": {"type": "message", "id": f"i{index}", "content": []},
        "commentary": {"type": "message", "id": f"i{index}", "phase": "commentary", "content": []},
        "reasoning": {"type": "reasoning", "id": f"i{index}", "summary": []},
        "ours": {**call, "name": OURS},
        "own": {**call, "name": "own"},
    }[kind]
    yield {"type": "response.output_item.added", "output_index": index, "item": item}
    if kind in ("ours", "own"):
        item = {**item, "arguments": draw(st.sampled_from(ARGUMENTS))}
    else:
        family = "reasoning_summary_text" if kind == "reasoning" else "output_text"
        for text in draw(st.lists(st.sampled_from(TEXTS), max_size=3)):
            yield {"type": f"response.{family}.delta", "output_index": index, "delta": text}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _responses(draw):
    response = {"id": "r1", "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": response}
    for index in range(draw(st.integers(0, 3))):
        yield from _responses_item(draw, index)
    end = draw(st.sampled_from(["completed", "incomplete"]))
    usage = {"input_tokens": 3, "output_tokens": 4}
    yield {"type": f"response.{end}", "response": {**response, "status": end, "usage": usage}}


SAY = {
    WireApi.MESSAGES: _messages,
    WireApi.CHAT_COMPLETIONS: _chat,
    WireApi.RESPONSES: _responses,
}


def _event(draw, said):
    """The bytes of an event, in a shape that is odd now and then."""
    data = said if isinstance(said, str) else json.dumps(said, separators=draw(SPACES))
    odd = draw(st.sampled_from(["", "", "", "", "cut", "no name", "turned", "comment", "crlf"]))
    if odd == "cut":
        data = data[: -draw(st.integers(1, 30))]
    name = said.get("type") if isinstance(said, dict) else None
    lines = [f"event: {name}"] if name and odd != "no name" else []
    lines.append(f"data: {data}")
    if odd == "turned":
        lines.reverse()
    if odd == "comment":
        lines.append(': "type":"text_delta"')
    end = "\r\n" if odd == "crlf" else "\n"
    return (end.join(lines) + end + end).encode()


SPACES = st.sampled_from([(",", ":"), (", ", ": ")])


@st.composite
def odd_streams(draw, api):
    """The events of a stream, some of them odd and some missing."""
    events = [_event(draw, each) for each in SAY[api](draw)]
    missing = draw(st.sets(st.integers(0, len(events) - 1), max_size=1))
    return [each for number, each in enumerate(events) if number not in missing]


@st.composite
def pieces(draw, events):
    """The stream in pieces that are cut at the events' ends, or anywhere."""
    if draw(st.booleans()):
        joints = draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
        return re.split(
            rb"\0", b"".join(e + b"\0" * j for e, j in zip(events, joints, strict=True))
        )
    stream = b"".join(events)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def outcome(api, given_pieces):
    """The events the client sees, the calls, the next request, the facts, how to continue.

    A blank line more between events says nothing: half a CRLF of an event that is changed passes.
    """
    request = Fields(b'{"input":[]}' if api is WireApi.RESPONSES else b'{"messages":[]}')
    dialogue = open_dialogue(api, request, {OURS})
    dialogue.begin_turn(last=False)
    seen = b"".join(map(dialogue.feed, given_pieces)) + dialogue.end_stream()
    if OURS.encode() not in b"".join(given_pieces):
        assert seen == b"".join(given_pieces)
    splitter = SseSplitter()
    events = [*splitter.feed(seen), *splitter.flush()]
    facts = dialogue.reader.finish(complete=True)
    calls, dropped = dialogue.calls, dialogue.dropped
    results = [Result(call, "ok", is_error=False) for call in calls]
    answer = dialogue.answer(results) if calls else None
    return events, calls, dropped, answer, facts, dialogue.continuation


@pytest.mark.parametrize("api", READERS)
@limits(max_examples=150)
@given(data=st.data())
def test_an_odd_stream_means_the_same_however_it_is_cut(api, data):
    events = data.draw(odd_streams(api))
    whole = outcome(api, [b"".join(events)])
    assert outcome(api, events) == whole
    assert outcome(api, data.draw(pieces(events))) == whole
    if not (whole[1] or whole[2]):
        facts = whole[4]
        for chunks in (events, [b"".join(events)]):
            reader = READERS[api]()
            for chunk in chunks:
                reader.feed(chunk)
            assert reader.finish(complete=True) == facts
