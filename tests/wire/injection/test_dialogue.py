"""What holds in every API."""

import json
import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.fake_provider import Answer, ToolCall, Usage
from aibridged.wire.collector import MAX_ITEMS
from aibridged.wire.facts import WireApi
from aibridged.wire.injection import dialogue as dialogue_module
from aibridged.wire.injection.dialogue import OverrunError
from aibridged.wire.injection.inject import MAX_TOOLS

OURS = "bmcp_files_read"
TEXT = Answer(text="It is done.")
OUR_CALL = ToolCall(OURS, '{"path":"a"}')
OWN_CALL = ToolCall("weather", '{"city":"Bern"}')
CALL = Answer(text="Let me look.", thinking="Where is it?", calls=(OUR_CALL,))
BOTH = Answer(text="Both.", calls=(OUR_CALL, OWN_CALL))


def without_ids(text):
    return json.loads(json.dumps(text).replace("1", "N").replace("2", "N"))


def test_an_answer_without_calls_of_ours_is_the_providers(scene):
    for said in (TEXT, Answer(text="I see.", calls=(OWN_CALL,))):
        body = scene.body(said)
        assert scene.read(body) is body
        stream = scene.stream(said)
        for size in (1, 7, 100_000):
            assert scene.feed(stream, size) == stream
        assert not scene.dialogue.calls
        assert not scene.dialogue.dropped


def test_odd_streams_pass_as_they_are(scene):
    for stream in (
        b": hello\n\n",
        b"data: no json\n\n",
        b'event: error\ndata: {"type":"error","error":{"type":"x","message":"y"}}\n\n',
        b'data: {"choices":7,"type":[],"output_index":"x"}\n\n',
        scene.stream(TEXT).replace(b"\n", b"\r\n"),
        scene.stream(TEXT)[:-20],
    ):
        assert scene.feed(stream, 5) == stream
    for body in (b"", b"[]", b"{}", b'{"error":{}}', b'{"content":7,"choices":7,"output":7}'):
        assert scene.read(body) is body


def test_a_call_of_ours_is_to_be_run_and_its_result_told(scene):
    scene.read(scene.body(CALL))
    (wanted,) = scene.dialogue.calls
    assert (wanted.name, json.loads(wanted.arguments)) == (OURS, {"path": "a"})
    streamed = type(scene)(scene.api)
    streamed.feed(streamed.stream(CALL), 3)
    assert streamed.dialogue.calls == (wanted,)
    assert without_ids(streamed.answer()) == without_ids(scene.answer())
    assert scene.dialogue.calls == ()


def test_however_a_stream_is_cut_the_client_sees_the_same(scene):
    def both_turns(size):
        fresh = type(scene)(scene.api)
        seen = fresh.feed(fresh.stream(CALL), size)
        fresh.answer()
        return seen + fresh.feed(fresh.stream(TEXT, 2), size)

    expected = both_turns(None)
    assert OURS.encode() not in expected
    assert b"bmcp" not in expected
    for size in (1, 2, 5, 17, 100):
        assert both_turns(size) == expected


SAID = st.builds(
    Answer,
    text=st.sampled_from(["", "It is done.", "a\n\nb"]),
    thinking=st.sampled_from([None, "Where is it?"]),
    calls=st.lists(st.sampled_from([OUR_CALL, OWN_CALL]), max_size=3).map(tuple),
)


@pytest.mark.parametrize("api", MAX_TOOLS)
@given(said=st.lists(SAID, min_size=1, max_size=3), data=st.data())
def test_chunks_of_one_event_are_treated_as_any_others(make_scene, api, said, data):
    """Whichever events come by themselves, the client sees the same, and the same is run."""
    cut, in_pieces = make_scene(api), make_scene(api)
    for turn, each in enumerate(said, 1):
        stream = cut.stream(each, turn)
        events = re.findall(rb".*?\n\n", stream, re.DOTALL)
        assert b"".join(events) == stream
        joints = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
        cut.dialogue.begin_turn(last=False)
        seen, held = b"", b""
        for event, alone in zip(events, joints, strict=True):
            held += event
            if alone:
                seen += cut.dialogue.feed(held)
                held = b""
        seen += cut.dialogue.feed(held) + cut.dialogue.end_stream()
        assert seen == in_pieces.feed(stream, 7)
        assert cut.dialogue.calls == in_pieces.dialogue.calls
        assert cut.dialogue.dropped == in_pieces.dialogue.dropped
        if not cut.dialogue.calls:
            break
        assert cut.answer() == in_pieces.answer()


def test_all_that_came_before_the_call_is_passed_on_untouched(scene):
    stream = scene.stream(CALL)
    seen = scene.feed(stream, 10)
    assert seen
    assert stream.startswith(seen)


def test_a_call_beside_the_clients_own_is_never_seen_and_not_run(scene, events):
    body = scene.read(scene.body(BOTH))
    assert OURS.encode() not in body
    assert b"weather" in body
    assert scene.dialogue.calls == ()
    assert [call.name for call in scene.dialogue.dropped] == [OURS]
    streamed = type(scene)(scene.api)
    seen = streamed.feed(streamed.stream(BOTH), 9)
    assert OURS.encode() not in seen
    assert b"weather" in seen
    assert streamed.dialogue.calls == ()
    assert streamed.dialogue.dropped


def test_in_the_last_turn_no_call_is_run(scene):
    body = scene.read(scene.body(CALL), last=True)
    assert OURS.encode() not in body
    assert b"tool_use" not in body
    assert b'"tool_calls"' not in body
    assert scene.dialogue.calls == ()
    assert scene.dialogue.dropped
    streamed = type(scene)(scene.api)
    seen = streamed.feed(streamed.stream(CALL), 9, last=True)
    assert OURS.encode() not in seen
    assert b'"tool_use"' not in seen
    assert b'"tool_calls"' not in seen
    assert streamed.dialogue.dropped


def test_a_client_that_wants_no_usage_sees_none(make_scene):
    scene = make_scene(WireApi.CHAT_COMPLETIONS, withhold_usage=True)
    seen = scene.feed(scene.stream(CALL), 9)
    scene.answer()
    seen += scene.feed(scene.stream(TEXT, 2), 9)
    assert b"prompt_tokens" not in seen
    assert seen.endswith(b"data: [DONE]\n\n")


def test_three_turns_are_added_up(scene):
    used = Usage(input=10, output=5, cache_read=3, reasoning=1)
    for turn in (1, 2):
        scene.read(scene.body(CALL, turn, used))
        scene.answer()
    usage = json.loads(scene.read(scene.body(TEXT, 3, used)))["usage"]
    once = json.loads(scene.body(TEXT, 3, used))["usage"]

    def tripled(value):
        if isinstance(value, dict):
            return {key: tripled(inner) for key, inner in value.items()}
        return value * 3 if isinstance(value, int) else value

    assert usage == tripled(once)


def grown(scene, count, field="text"):
    """A turn whose first block, message or item grows by so many pieces of ten bytes."""
    piece = "0123456789"
    begun, deltas = {
        WireApi.MESSAGES: (
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            {"type": "content_block_delta", "index": 0, "delta": {field: piece}},
        ),
        WireApi.CHAT_COMPLETIONS: (
            {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
            {"choices": [{"delta": {field if field != "text" else "content": piece}}]},
        ),
        WireApi.RESPONSES: (
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_text.delta", "output_index": 0, "delta": piece},
        ),
    }[scene.api]
    yield f"data: {json.dumps(begun)}\n\n".encode()
    whole = f"data: {json.dumps(deltas)}\n\n".encode()
    for _ in range(count):
        yield whole


def test_a_long_answer_costs_as_much_more_as_it_is_longer(scene):
    scene.dialogue.begin_turn(last=False)
    began = time.process_time()
    for piece in grown(scene, 150_000):
        assert scene.dialogue.feed(piece) == piece
    assert time.process_time() - began < 10, "with each piece copied it takes minutes"


def fed_until_overrun(scene, pieces):
    """How many pieces are taken before it is too much."""
    for count, piece in enumerate(pieces):
        try:
            scene.dialogue.feed(piece)
        except OverrunError:
            return count
    raise AssertionError("it is never too much")


def test_a_turn_has_an_end(scene, monkeypatch):
    monkeypatch.setattr(dialogue_module, "MAX_TURN_BYTES", 1000)
    scene.dialogue.begin_turn(last=False)
    assert fed_until_overrun(scene, grown(scene, 1000)) < 100
    scene.dialogue.begin_turn(last=False)
    scene.dialogue.feed(b": another turn\n\n")


def numbered(api, number):
    """An event that begins a block, a call or an item of that number."""
    call = {"index": number, "id": f"call_{number}", "function": {"name": "f"}}
    return {
        WireApi.MESSAGES: {
            "type": "content_block_start",
            "index": number,
            "content_block": {"type": "tool_use", "id": f"call_{number}", "name": "f"},
        },
        WireApi.CHAT_COMPLETIONS: {"choices": [{"delta": {"tool_calls": [call]}}]},
        WireApi.RESPONSES: {
            "type": "response.output_item.added",
            "output_index": number,
            "item": {"type": "function_call", "call_id": f"call_{number}", "name": "f"},
        },
    }[api]


def test_a_turn_has_so_many_items_and_no_more(scene):
    scene.dialogue.begin_turn(last=False)
    events = (json.dumps(numbered(scene.api, number)) for number in range(1000))
    stream = (f"event: response.output_item.added\ndata: {each}\n\n".encode() for each in events)
    assert MAX_ITEMS <= fed_until_overrun(scene, stream) <= MAX_ITEMS + 1


def test_what_has_too_many_elements_passes_unread(scene):
    crowd = b",".join([b"{}"] * 100_000)
    name = {
        WireApi.MESSAGES: b"content",
        WireApi.CHAT_COMPLETIONS: b"choices",
        WireApi.RESPONSES: b"output",
    }
    body = b'{"type":"response.completed","%b":[%b]}' % (name[scene.api], crowd)
    event = b"event: response.completed\ndata: %b\n\n" % body
    tracemalloc.start()
    try:
        assert scene.read(body) is body
        scene.dialogue.begin_turn(last=False)
        assert scene.dialogue.feed(event) == event
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(body)


@pytest.mark.parametrize("api", [WireApi.MESSAGES, WireApi.CHAT_COMPLETIONS])
def test_fields_that_nobody_knows_are_not_kept_without_end(make_scene, api):
    """Of Responses nothing but whole items is kept."""
    scene = make_scene(api)
    scene.dialogue.begin_turn(last=False)
    tracemalloc.start()
    try:
        for number in range(8_000):
            for piece in grown(scene, 1, field=f"field_{number}"):
                if number == 0 or b"content_block_start" not in piece:
                    scene.dialogue.feed(piece)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 400_000
