import json

import msgspec
import pytest

from aibridged.fake_provider import Answer, ToolCall
from aibridged.wire.facts import WireApi
from aibridged.wire.responses.continuing import Continuation

OURS = "bmcp_files_read"
CALL = Answer(text="Let me look.", calls=(ToolCall(OURS, '{"path":"a"}'),))
THOUGHT = Answer(thinking="Where?", calls=CALL.calls)
OWN = ToolCall("weather", '{"city":"Bern"}')
TEXT = Answer(text="It is done.")
STATELESS = b'{"model":"m","store":false,"input":[{"role":"user","content":"hi"}]}'


@pytest.fixture
def scene(make_scene):
    return make_scene(WireApi.RESPONSES)


@pytest.fixture
def stateless(make_scene):
    return make_scene(WireApi.RESPONSES, request=STATELESS)


def types(items):
    return [item["type"] for item in items]


def test_the_next_request_repeats_the_input_and_adds_the_output_and_the_result(scene):
    output = json.loads(scene.body(CALL))["output"]
    scene.read(scene.body(CALL))
    assert scene.answer("the file", is_error=True)["input"] == [
        {"role": "user", "content": "hi"},
        *output,
        {"type": "function_call_output", "call_id": "call_fake10", "output": "the file"},
    ]


@pytest.mark.parametrize(
    ("request_", "before"),
    [
        (b'{"model":"m","input": "h\\u0069"}', [{"role": "user", "content": "hi"}]),
        (b'{"model":"m","input":null,"previous_response_id":"r"}', []),
        (b'{"model":"m","previous_response_id":"r"}', []),
    ],
)
def test_any_input_becomes_a_list(make_scene, request_, before):
    scene = make_scene(WireApi.RESPONSES, request=request_)
    scene.read(scene.body(CALL))
    request = scene.answer()
    assert request["input"][: len(before)] == before
    assert types(request["input"][len(before) :]) == [
        "message",
        "function_call",
        "function_call_output",
    ]
    scene.read(scene.body(CALL, 2))
    assert len(scene.answer()["input"]) == len(before) + 6


def test_a_conversation_that_the_provider_keeps_is_told_the_results_alone(make_scene):
    request = b'{"model":"m","conversation":"conv_1","input":"hi"}'
    scene = make_scene(WireApi.RESPONSES, request=request)
    for turn in (1, 2):
        scene.read(scene.body(CALL, turn))
        (result,) = scene.answer()["input"]
        assert result["call_id"] == f"call_fake{turn}0"


def test_thoughts_go_back_where_the_provider_knows_them(scene):
    scene.read(scene.body(THOUGHT))
    assert types(scene.answer()["input"][1:]) == [
        "reasoning",
        "function_call",
        "function_call_output",
    ]


def test_thoughts_go_back_where_they_are_encrypted(stateless):
    body = json.loads(stateless.body(THOUGHT))
    body["output"][0]["encrypted_content"] = "xyz"
    stateless.read(json.dumps(body).encode())
    assert stateless.answer()["input"][1:3] == body["output"]


def test_thoughts_that_are_lost_leave_no_trace(stateless):
    stateless.read(stateless.body(THOUGHT))
    call, result = stateless.answer()["input"][1:]
    assert call == {
        "type": "function_call",
        "status": "completed",
        "call_id": "call_fake10",
        "name": OURS,
        "arguments": '{"path":"a"}',
    }
    assert result["call_id"] == call["call_id"]


def test_a_provider_may_store_nothing_whatever_was_asked(scene):
    scene.read(scene.body(THOUGHT).replace(b'"background":false', b'"store":false'))
    assert types(scene.answer()["input"][1:]) == ["function_call", "function_call_output"]


def test_bodies_become_one_response(scene):
    scene.read(scene.body(CALL, 1))
    scene.answer()
    response = json.loads(scene.read(scene.body(Answer(text="Done.", calls=(OWN,)), 2)))
    assert types(response["output"]) == ["message", "message", "function_call"]
    assert response["output"][2]["name"] == "weather"
    assert response["usage"]["output_tokens"] == 10
    assert response["status"] == "completed"


def stored_conversation(make_scene, **options):
    """Two turns, the last without a call, and what the client sees of it."""
    blocking, streamed = (make_scene(WireApi.RESPONSES, **options) for _ in range(2))
    blocking.read(blocking.body(CALL, 1))
    blocking.answer()
    streamed.feed(streamed.stream(CALL, 1))
    streamed.answer()
    body = json.loads(blocking.read(blocking.body(TEXT, 2)))
    return blocking, body, streamed, streamed.feed(streamed.stream(TEXT, 2))


def test_a_stored_response_is_gone_on_from_at_its_last_turn(make_scene, events):
    """The first turn's holds a call that is answered by later ones alone."""
    blocking, body, streamed, stream = stored_conversation(make_scene)
    assert body["id"] == "resp_fake2"
    assert blocking.dialogue.continuation is None
    assert events(stream)[-1]["response"]["id"] == "resp_fake1"
    assert streamed.dialogue.continuation == Continuation("resp_fake1", "resp_fake2")


def test_what_is_not_stored_keeps_its_first_name(make_scene, events):
    blocking, body, streamed, stream = stored_conversation(make_scene, request=STATELESS)
    assert body["id"] == events(stream)[-1]["response"]["id"] == "resp_fake1"
    assert blocking.dialogue.continuation is streamed.dialogue.continuation is None


def test_a_hidden_call_that_the_provider_has_stored_is_answered_later(make_scene):
    both = Answer(calls=(CALL.calls[0], OWN))
    scene = make_scene(WireApi.RESPONSES)
    scene.feed(scene.stream(both))
    name, instead, (output,) = msgspec.structs.astuple(scene.dialogue.continuation)
    assert (name, instead) == ("resp_fake1", "resp_fake1")
    assert json.loads(output)["call_id"] == "call_fake10"
    request = b'{"model":"m","conversation":{"id":"conv_1"},"input":"hi"}'
    scene = make_scene(WireApi.RESPONSES, request=request)
    scene.read(scene.body(both))
    assert scene.dialogue.continuation == Continuation("conv_1", outputs=(output,))
    scene = make_scene(WireApi.RESPONSES, request=STATELESS)
    scene.read(scene.body(both))
    assert scene.dialogue.continuation is None


def test_streams_become_one_response(scene, events):
    seen = scene.feed(scene.stream(CALL, 1))
    scene.answer()
    seen += scene.feed(scene.stream(Answer(text="Done.", calls=(OWN,)), 2))
    told = events(seen)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert types(told)[:2] == ["response.created", "response.in_progress"]
    assert types(told).count("response.created") == 1
    added = [event for event in told if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == [0, 1, 2]
    done = [event for event in told if event["type"] == "response.output_item.done"]
    assert [event["item"] for event in done] == told[-1]["response"]["output"]
    assert types(told).count("response.completed") == 1
    assert told[-1]["response"]["usage"]["output_tokens"] == 10


@pytest.mark.parametrize("first", [True, False])
def test_the_clients_call_keeps_its_place_beside_ours(make_scene, events, first):
    calls = (OWN, CALL.calls[0]) if first else (CALL.calls[0], OWN)
    scene = make_scene(WireApi.RESPONSES)
    told = events(scene.feed(scene.stream(Answer(text="Both.", calls=calls))))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    added = [event for event in told if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == [0, 1]
    assert types(told[-1]["response"]["output"]) == ["message", "function_call"]
    assert told[-1]["response"]["output"][1]["name"] == "weather"


@pytest.mark.parametrize("kind", ["mcp_approval_request", "custom_tool_call", "shell_call"])
def test_whatever_the_client_must_answer_comes_before_ours(scene, kind):
    body = json.loads(scene.body(CALL))
    body["output"].append({"type": kind, "id": "x"})
    assert types(json.loads(scene.read(json.dumps(body).encode()))["output"]) == ["message", kind]
    assert scene.dialogue.calls == ()


def test_what_the_provider_runs_itself_is_no_matter(scene):
    body = json.loads(scene.body(CALL))
    body["output"].insert(0, {"type": "web_search_call", "id": "x"})
    scene.read(json.dumps(body).encode())
    assert scene.dialogue.calls


def test_a_call_that_is_cut_off_is_not_run(scene, events):
    cut = scene.stream(CALL).replace(b"response.completed", b"response.incomplete")
    cut = cut.replace(b'"status":"completed","background"', b'"status":"incomplete","background"')
    told = events(scene.feed(cut))
    assert scene.dialogue.calls == ()
    assert types(told[-1]["response"]["output"]) == ["message"]


def test_no_thought_is_left_at_the_end_without_its_call(scene, events):
    """The API refuses such a thought in the next request."""
    told = events(scene.feed(scene.stream(THOUGHT), last=True))
    assert told[-1]["response"]["output"] == []
    assert json.loads(scene.read(scene.body(THOUGHT), last=True))["output"] == []


def test_the_items_that_were_streamed_count_where_the_end_repeats_none(scene, events):
    def without_output(stream):
        head, _, tail = stream.rpartition(b'"output":[')
        return head + b'"output":[]' + tail[tail.index(b',"parallel_tool_calls"') :]

    scene.feed(without_output(scene.stream(CALL)))
    assert len(scene.answer()["input"]) == 4
    told = events(scene.feed(without_output(scene.stream(TEXT, 2))))
    assert types(told[-1]["response"]["output"]) == ["message", "message"]


def test_events_need_no_names(scene, events):
    stream = b"".join(
        line + b"\n" for line in scene.stream(CALL).split(b"\n") if not line.startswith(b"event")
    )
    scene.feed(stream)
    assert scene.dialogue.calls


def test_a_failure_ends_the_response_that_was_begun(scene, events):
    scene.feed(scene.stream(CALL, 1))
    scene.answer()
    error = {"error": {"type": "t", "code": "rate_limit_exceeded", "message": "Slow down."}}
    (failed,) = events(scene.dialogue.error(json.dumps(error).encode()))
    assert failed["type"] == "response.failed"
    assert failed["sequence_number"] > 2
    assert failed["response"]["id"] == "resp_fake1"
    assert failed["response"]["status"] == "failed"
    assert types(failed["response"]["output"]) == ["message"]
    assert failed["response"]["error"] == {
        "code": "rate_limit_exceeded",
        "message": "Slow down.",
    }


def test_a_failure_before_any_response_is_an_error_event(scene, events):
    (failed,) = events(scene.dialogue.error(b'{"error":{"message":"x"}}'))
    assert failed == {"type": "error", "param": None, "code": "server_error", "message": "x"}


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\n", b"\r\r", b"\r\n\r\n"])
def test_a_text_delta_in_the_same_chunk_hides_no_call(scene, end):
    text = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta"}'
    added = next(
        event
        for event in scene.stream(CALL).split(b"\n\n")
        if b"item.added" in event and OURS.encode() in event
    )
    scene.dialogue.begin_turn(last=False)
    scene.dialogue.feed(b": ping\n\n")
    assert scene.dialogue.feed(text + b"\n\n") == text + b"\n\n"
    seen = scene.dialogue.feed(text + end + added + b"\n\n")
    assert seen == text + end
