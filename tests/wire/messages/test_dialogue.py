import json
import re

import pytest

from aibridged.fake_provider import Answer, ToolCall, Usage
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.sse_events import sse

OURS = "bmcp_files_read"
CALL = Answer(text="Let me look.", thinking="Where?", calls=(ToolCall(OURS, '{"path":"a"}'),))
OWN = ToolCall("weather", '{"city":"Bern"}')
TEXT = Answer(text="It is done.")


@pytest.fixture
def scene(make_scene):
    return make_scene(WireApi.MESSAGES)


def of_type(events, kind):
    return [event for event in events if event["type"] == kind]


def test_the_next_request_holds_the_whole_answer_and_the_result(scene):
    body = json.loads(scene.body(CALL))
    scene.read(json.dumps(body).encode())
    request = scene.answer("the file")
    assert request["max_tokens"] == 9
    first, assistant, user = request["messages"]
    assert first == {"role": "user", "content": "hi"}
    assert assistant == {"role": "assistant", "content": body["content"]}
    assert assistant["content"][0]["signature"]
    result = {
        "type": "tool_result",
        "tool_use_id": body["content"][2]["id"],
        "content": "the file",
    }
    assert user == {"role": "user", "content": [result]}


def test_a_failed_tool_is_an_error_result(scene):
    scene.read(scene.body(CALL))
    (result,) = scene.answer("no such file", is_error=True)["messages"][-1]["content"]
    assert result["is_error"] is True
    assert result["content"] == "no such file"


def test_the_conversation_grows_turn_by_turn(scene):
    for turn in (1, 2):
        scene.read(scene.body(CALL, turn))
        request = scene.answer()
    roles = [message["role"] for message in request["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_bodies_become_one_message(scene):
    scene.read(scene.body(CALL, 1))
    scene.answer()
    body = scene.body(Answer(text="Done.", calls=(OWN,)), 2)
    message = json.loads(scene.read(body))
    assert message["id"] == "msg_fake1"
    assert [block["type"] for block in message["content"]] == [
        "thinking",
        "text",
        "text",
        "tool_use",
    ]
    assert message["stop_reason"] == "tool_use"
    same = ("content", "id", "usage")
    assert {key: message[key] for key in message if key not in same} == {
        key: value for key, value in json.loads(body).items() if key not in same
    }


def test_streams_become_one_message(scene, events):
    seen = scene.feed(scene.stream(CALL, 1))
    scene.answer()
    seen += scene.feed(scene.stream(Answer(text="Done.", calls=(OWN,)), 2))
    told = events(seen)
    (start,) = of_type(told, "message_start")
    assert start["message"]["id"] == "msg_fake1"
    begun = of_type(told, "content_block_start")
    assert [event["index"] for event in begun] == [0, 1, 2, 3]
    assert [event["content_block"]["type"] for event in begun] == [
        "thinking",
        "text",
        "text",
        "tool_use",
    ]
    assert [event["index"] for event in of_type(told, "content_block_stop")] == [0, 1, 2, 3]
    deltas = of_type(told, "content_block_delta")
    assert [event["index"] for event in deltas] == sorted(event["index"] for event in deltas)
    assert [event["type"] for event in told[-2:]] == ["message_delta", "message_stop"]
    assert len(of_type(told, "message_delta")) == 1
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


def test_the_usage_of_a_stream_is_told_at_its_end_for_all_turns(scene, events):
    used = Usage(input=10, output=5, cache_read=3, cache_write=2)
    scene.feed(scene.stream(CALL, 1, used))
    scene.answer()
    told = events(scene.feed(scene.stream(TEXT, 2, used)))
    assert told[-2]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 6,
        "output_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 0},
    }


def test_usage_that_only_the_first_event_told_counts_too(scene, events):
    """Older streams tell of the input in their first event alone."""
    short = b'"usage":{"output_tokens":5}'

    def older(stream):
        head, _, tail = stream.partition(b'"message_delta"')
        usage = tail[tail.index(b'"usage"') : tail.index(b"}}\n") + 1]
        return head + b'"message_delta"' + tail.replace(usage, short, 1)

    scene.feed(older(scene.stream(CALL, 1)))
    scene.answer()
    usage = events(scene.feed(older(scene.stream(TEXT, 2))))[-2]["usage"]
    assert usage["input_tokens"] == 20
    assert usage["output_tokens"] == 10


def test_what_only_an_earlier_turn_told_is_told_at_the_end(scene, events):
    scene.feed(scene.stream(CALL, 1, Usage(input=10, output=5, reasoning=4)))
    scene.answer()
    details = b',"output_tokens_details":{"thinking_tokens":0}'
    stream = scene.stream(TEXT, 2)
    assert details in stream
    usage = events(scene.feed(stream.replace(details, b"")))[-2]["usage"]
    assert usage["output_tokens_details"] == {"thinking_tokens": 4}


COMPACTED = b',"iterations":[{"type":"compaction","input_tokens":90,"output_tokens":7}]'
PLAIN = {
    "type": "message",
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
}


@pytest.mark.parametrize("turn", [1, 2])
def test_iterations_of_one_turn_are_told_for_all(scene, events, turn):
    """Clients that add up the iterations would miss the turn that told none."""

    def compacted(answer, number):
        if number != turn:
            return answer
        head, end, tail = answer.rpartition(b'"output_tokens":5')
        assert end
        return head + end + COMPACTED + tail

    compaction = {"type": "compaction", "input_tokens": 90, "output_tokens": 7}
    expected = [compaction, PLAIN] if turn == 1 else [PLAIN, compaction]
    scene.feed(compacted(scene.stream(CALL, 1), 1))
    scene.answer()
    told = events(scene.feed(compacted(scene.stream(TEXT, 2), 2)))[-2]["usage"]
    shown = [{key: each[key] for key in PLAIN if key in each} for each in told["iterations"]]
    assert shown == expected
    assert told["input_tokens"] == 20


def test_a_zero_at_the_end_of_a_turn_takes_nothing_back(scene, events):
    def zeroed(stream):
        head, _, tail = stream.rpartition(b'"input_tokens":10')
        return head + b'"input_tokens":0' + tail

    scene.feed(zeroed(scene.stream(CALL, 1)))
    scene.answer()
    usage = events(scene.feed(zeroed(scene.stream(TEXT, 2))))[-2]["usage"]
    assert usage["input_tokens"] == 20


def test_iterations_of_bodies_are_those_of_all_turns(scene):
    body = scene.body(CALL, 1).replace(b'"output_tokens":5', b'"output_tokens":5' + COMPACTED)
    scene.read(body)
    scene.answer()
    usage = json.loads(scene.read(scene.body(TEXT, 2)))["usage"]
    assert [each["type"] for each in usage["iterations"]] == ["compaction", "message"]


def test_a_call_that_is_cut_off_is_not_run(scene, events):
    cut = scene.stream(CALL).replace(b'"stop_reason":"tool_use"', b'"stop_reason":"max_tokens"')
    told = events(scene.feed(cut))
    assert scene.dialogue.calls == ()
    assert told[-2]["delta"]["stop_reason"] == "max_tokens"
    assert OURS not in json.dumps(told)


def test_without_its_call_the_last_turn_has_ended_by_itself(scene, events):
    told = events(scene.feed(scene.stream(CALL), last=True))
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    body = json.loads(scene.read(scene.body(CALL), last=True))
    assert body["stop_reason"] == "end_turn"
    mixed = Answer(calls=(CALL.calls[0], OWN))
    assert json.loads(scene.read(scene.body(mixed), last=True))["stop_reason"] == "tool_use"


@pytest.mark.parametrize("first", [True, False])
def test_the_clients_call_keeps_its_place_beside_ours(make_scene, events, first):
    calls = (OWN, CALL.calls[0]) if first else (CALL.calls[0], OWN)
    scene = make_scene(WireApi.MESSAGES)
    told = events(scene.feed(scene.stream(Answer(text="Both.", calls=calls))))
    begun = of_type(told, "content_block_start")
    assert [(event["index"], event["content_block"]["type"]) for event in begun] == [
        (0, "text"),
        (1, "tool_use"),
    ]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


def test_arguments_that_are_no_json_are_told_as_they_are_and_sent_back_empty(scene):
    stream = scene.stream(CALL).replace(b'{\\"path', b"{path")
    scene.feed(stream)
    assert scene.dialogue.calls[0].arguments == '{path":"a"}'
    assert scene.answer()["messages"][1]["content"][2]["input"] == {}


def test_no_arguments_are_an_empty_object(scene):
    scene.feed(scene.stream(Answer(calls=(ToolCall(OURS, ""),))))
    assert scene.dialogue.calls[0].arguments == "{}"


@pytest.mark.parametrize("by_event", [False, True])
def test_blocks_of_every_kind_are_put_together_from_their_deltas(scene, by_event):
    def block(index, begun, *deltas):
        yield sse(
            b"content_block_start",
            json.dumps(
                {"type": "content_block_start", "index": index, "content_block": begun}
            ).encode(),
        )
        for delta in deltas:
            event = {"type": "content_block_delta", "index": index, "delta": delta}
            yield sse(b"content_block_delta", json.dumps(event).encode())
        stop = {"type": "content_block_stop", "index": index}
        yield sse(b"content_block_stop", json.dumps(stop).encode())

    citation = {"type": "char_location", "cited_text": "x"}
    pieces = [
        *block(0, {"type": "redacted_thinking", "data": "xyz"}),
        *block(
            1,
            {"type": "text", "text": "", "citations": []},
            {"type": "text_delta", "text": "a"},
            {"type": "citations_delta", "citation": citation},
            {"type": "text_delta", "text": "b"},
        ),
        *block(2, {"type": "text", "text": ""}),
        *block(3, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        *block(4, {"type": "compaction"}, {"type": "compaction_delta", "content": "c"}),
    ]
    stream = scene.stream(CALL)
    before, tail = stream.split(b"event: content_block_start", 1)
    _, stop = tail.split(b"event: message_delta", 1)
    ours = b"".join(
        block(
            5,
            {"type": "tool_use", "id": "t", "name": OURS, "input": {}},
            {"type": "input_json_delta", "partial_json": '{"path": 1.50}'},
        )
    )
    told = before + b"".join(pieces) + ours + b"event: message_delta" + stop
    scene.dialogue.begin_turn(last=False)
    for chunk in [event + b"\n\n" for event in told.split(b"\n\n")[:-1]] if by_event else [told]:
        scene.dialogue.feed(chunk)
    assert scene.answer()["messages"][1]["content"] == [
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "ab", "citations": [citation]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "compaction", "content": "c"},
        {"type": "tool_use", "id": "t", "name": OURS, "input": {"path": 1.5}},
    ]


def test_pings_of_any_turn_pass_and_errors_are_events(scene):
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    assert ping == scene.dialogue.PING
    scene.feed(scene.stream(CALL))
    scene.answer()
    assert scene.feed(ping) == ping
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}'
    assert scene.dialogue.error(error) == b"event: error\ndata: " + error + b"\n\n"


def test_an_event_is_what_its_data_says_whatever_its_name(scene):
    """By its name alone it would pass at a glance, as text."""
    stream = scene.stream(CALL)
    renamed = re.sub(rb"event: [a-z_]+", b"event: content_block_delta", stream)
    scene.dialogue.begin_turn(last=False)
    seen = b"".join(scene.dialogue.feed(event + b"\n\n") for event in renamed.split(b"\n\n")[:-1])
    assert OURS.encode() not in seen
    assert [call.name for call in scene.dialogue.calls] == [OURS]


def test_text_that_passed_at_a_glance_is_told_to_the_model(scene):
    events = scene.stream(CALL).split(b"\n\n")[:-1]
    scene.dialogue.begin_turn(last=False)
    for event in events:
        scene.dialogue.feed(event + b"\n\n")
    thinking, text, _ = scene.answer()["messages"][1]["content"]
    assert (thinking["thinking"], text["text"]) == ("Where?", "Let me look.")


def test_text_of_any_length_that_passed_at_a_glance_is_told_to_the_model(scene):
    piece = "ab\r\n" * 2_000
    scene.dialogue.begin_turn(last=False)
    for event in scene.stream(CALL).split(b"\n\n")[:-1]:
        times = 40 if b"Let" in event else 1
        for _ in range(times):
            written = event.replace(b"Let", json.dumps(piece)[1:-1].encode())
            scene.dialogue.feed(written + b"\n\n")
    told = scene.answer()["messages"][1]["content"][1]["text"]
    assert told == 40 * piece + " me look."


def test_text_of_blocks_that_are_open_together_is_told_in_its_own(scene):
    """The API sends one after the other; those that imitate it needn't."""

    def event(kind, index, **fields):
        data = {"type": f"content_block_{kind}", "index": index, **fields}
        return sse(f"content_block_{kind}".encode(), json.dumps(data).encode())

    def text(index, piece):
        return event("delta", index, delta={"type": "text_delta", "text": piece})

    block = {"type": "text", "text": ""}
    pieces = [event("start", 0, content_block=block), text(0, "a"), text(0, "b")]
    pieces += [event("start", 1, content_block=block), text(0, "c"), text(1, "x"), text(0, "d")]
    pieces += [event("stop", 0), text(1, "y"), event("stop", 1)]
    call = {"type": "tool_use", "id": "t", "name": OURS, "input": {}}
    pieces += [event("start", 2, content_block=call), event("stop", 2)]
    before, tail = scene.stream(CALL).split(b"event: content_block_start", 1)
    end = b"event: message_delta" + tail.split(b"event: message_delta", 1)[1]
    scene.dialogue.begin_turn(last=False)
    for piece in [before, *pieces, end]:
        scene.dialogue.feed(piece)
    content = scene.answer()["messages"][1]["content"]
    assert [block.get("text") for block in content] == ["abcd", "xy", None]


def test_a_call_whose_end_is_not_told_is_run(scene):
    """Some servers leave out that a block has ended."""
    stream = scene.stream(CALL)
    events = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]
    scene.feed(b"".join(event for event in events if b"content_block_stop" not in event))
    assert [call.name for call in scene.dialogue.calls] == [OURS]
    kinds = [block["type"] for block in scene.answer()["messages"][1]["content"]]
    assert kinds == ["thinking", "text", "tool_use"]
    same_index = re.sub(rb'"index":[ ]?[0-9]', b'"index":0', b"".join(events))
    scene.feed(same_index)
    assert [call.name for call in scene.dialogue.calls] == [OURS]
