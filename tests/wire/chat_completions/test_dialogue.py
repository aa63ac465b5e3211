import json

import pytest

from aibridged.fake_provider import Answer, ToolCall, Usage
from aibridged.wire.facts import WireApi

OURS = "bmcp_files_read"
CALL = Answer(text="Let me look.", calls=(ToolCall(OURS, '{"path":"a"}'),))
OWN = ToolCall("weather", '{"city":"Bern"}')
TEXT = Answer(text="It is done.")


@pytest.fixture
def scene(make_scene):
    return make_scene(WireApi.CHAT_COMPLETIONS)


def chunks(*deltas, finish=None):
    stream = b""
    for number, delta in enumerate(deltas):
        last = number == len(deltas) - 1
        choice = {"index": 0, "delta": delta, "finish_reason": finish if last else None}
        chunk = {"id": "c1", "created": 7, "choices": [choice]}
        stream += b"data: %b\n\n" % json.dumps(chunk).encode()
    return stream


def put_together(events):
    """The text and the calls that a stream tells."""
    text, calls = "", {}
    for event in events:
        for choice in event["choices"] if event != "[DONE]" else ():
            text += choice["delta"].get("content") or ""
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(piece["index"], ["", ""])
                call[0] += piece["function"].get("name") or ""
                call[1] += piece["function"]["arguments"]
    return text, calls


def test_the_next_request_holds_the_message_and_an_answer_to_each_call(scene):
    scene.read(scene.body(CALL))
    request = scene.answer("the file", is_error=True)
    assert request["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {
                    "id": "call_fake10",
                    "type": "function",
                    "function": {"name": OURS, "arguments": '{"path":"a"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_fake10", "content": "the file"},
    ]


def test_bodies_become_one_completion(scene):
    scene.read(scene.body(CALL, 1))
    scene.answer()
    body = scene.body(Answer(text="Done.", calls=(OWN,)), 2)
    completion = json.loads(scene.read(body))
    assert completion["id"] == "chatcmpl-fake1"
    (choice,) = completion["choices"]
    assert choice["message"]["content"] == "Let me look.\n\nDone."
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["weather"]
    assert choice["finish_reason"] == "tool_calls"


def test_a_turn_without_text_leaves_no_gap(scene):
    scene.read(scene.body(Answer(calls=CALL.calls), 1))
    scene.answer()
    completion = json.loads(scene.read(scene.body(TEXT, 2)))
    assert completion["choices"][0]["message"]["content"] == "It is done."
    assert "tool_calls" not in completion["choices"][0]["message"]


def test_streams_become_one_completion(scene, events):
    seen = scene.feed(scene.stream(CALL, 1))
    scene.answer()
    seen += scene.feed(scene.stream(Answer(text="Done.", calls=(OWN,)), 2))
    told = events(seen)
    assert put_together(told) == ("Let me look.\n\nDone.", {0: ["weather", OWN.arguments]})
    assert told.pop() == "[DONE]"
    assert {event["id"] for event in told} == {"chatcmpl-fake1"}
    roles = [choice["delta"].get("role") for event in told for choice in event["choices"]]
    assert [role for role in roles if role] == ["assistant"]
    reasons = [choice["finish_reason"] for event in told for choice in event["choices"]]
    assert [reason for reason in reasons if reason] == ["tool_calls"]
    assert reasons[-1] == "tool_calls"


def test_the_usage_is_told_once_for_all_turns(scene, events):
    used = Usage(input=10, output=5, cache_read=3)
    seen = scene.feed(scene.stream(CALL, 1, used))
    scene.answer()
    seen += scene.feed(scene.stream(TEXT, 2, used))
    usages = [event["usage"] for event in events(seen)[:-1] if event["usage"]]
    assert [usage["prompt_tokens"] for usage in usages] == [26]
    assert usages[0]["prompt_tokens_details"]["cached_tokens"] == 6


def test_usage_that_comes_with_every_chunk_grows_on(scene, events):
    def counted(stream, completion_tokens):
        usage = b'"usage":{"completion_tokens":%d}' % completion_tokens
        return stream.replace(b'"created"', usage + b',"created"')

    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{}"}}
    scene.feed(counted(chunks({"tool_calls": [call]}, {}, finish="tool_calls"), 5))
    scene.answer()
    told = events(scene.feed(counted(chunks({"content": "x"}, {}, finish="stop"), 3)))
    assert [event["usage"]["completion_tokens"] for event in told] == [8, 8]


def test_usage_in_the_choice_or_in_x_groq_is_that_of_all_turns_too(scene, events):
    def counted(stream, completion_tokens):
        used = b'{"completion_tokens":%d}' % completion_tokens
        *others, last, end = stream.split(b"\n\n")
        last = last.replace(b'"finish_reason"', b'"usage":' + used + b',"finish_reason"')
        last = last.replace(b'"created"', b'"x_groq":{"id":"r","usage":' + used + b'},"created"')
        return b"\n\n".join([*others, last, end])

    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{}"}}
    scene.feed(counted(chunks({"tool_calls": [call]}, {}, finish="tool_calls"), 5))
    scene.answer()
    told = events(scene.feed(counted(chunks({"content": "x"}, {}, finish="stop"), 3)))
    assert told[-1]["choices"][0]["usage"] == {"completion_tokens": 8}
    assert told[-1]["x_groq"] == {"id": "r", "usage": {"completion_tokens": 8}}


def test_a_body_without_usage_is_given_that_of_the_turns_before(scene):
    scene.read(scene.body(CALL, 1))
    scene.answer()
    body = json.loads(scene.body(TEXT, 2))
    del body["usage"]
    assert json.loads(scene.read(json.dumps(body).encode()))["usage"]["completion_tokens"] == 5


def test_zeros_at_the_end_of_a_turn_take_nothing_back(scene, events):
    zeros = (
        b'data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\ndata: [DONE]'
    )
    scene.feed(scene.stream(CALL, 1).replace(b"data: [DONE]", zeros))
    scene.answer()
    told = events(scene.feed(scene.stream(TEXT, 2).replace(b"data: [DONE]", zeros)))
    assert told[-2]["usage"]["prompt_tokens"] == 20
    assert told[-2]["usage"]["completion_tokens"] == 10


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_servers_say_what_they_like_when_a_call_is_whole(scene, reason):
    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{}"}}
    scene.feed(chunks({"tool_calls": [call]}, finish=reason))
    assert scene.dialogue.calls[0].id == "t"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_that_is_cut_off_is_not_run(scene, events, reason):
    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{"}}
    told = events(scene.feed(chunks({"tool_calls": [call]}, finish=reason)))
    assert scene.dialogue.calls == ()
    assert [event["choices"][0]["finish_reason"] for event in told] == [reason]


def test_without_its_call_the_last_turn_has_ended_by_itself(scene, events):
    told = events(scene.feed(scene.stream(CALL), last=True))
    assert told[-3]["choices"][0]["finish_reason"] == "stop"
    body = json.loads(scene.read(scene.body(CALL), last=True))
    assert body["choices"][0]["finish_reason"] == "stop"
    assert "tool_calls" not in body["choices"][0]["message"]


@pytest.mark.parametrize("first", [True, False])
def test_the_clients_call_is_numbered_without_a_gap_beside_ours(make_scene, events, first):
    calls = (OWN, CALL.calls[0]) if first else (CALL.calls[0], OWN)
    scene = make_scene(WireApi.CHAT_COMPLETIONS)
    told = events(scene.feed(scene.stream(Answer(text="Both.", calls=calls))))
    assert put_together(told) == ("Both.", {0: ["weather", OWN.arguments]})
    assert told[-3]["choices"][0]["finish_reason"] == "tool_calls"


def test_calls_with_one_index_are_told_apart_by_their_ids(scene):
    pieces = [
        {"index": 0, "id": name, "function": {"name": OURS, "arguments": '{"n":'}}
        for name in ("a", "b")
    ]
    more = {"index": 0, "function": {"arguments": "1}"}}
    scene.feed(
        chunks(*({"tool_calls": [each]} for piece in pieces for each in (piece, more)), finish="x")
    )
    assert [(call.id, call.arguments) for call in scene.dialogue.calls] == [
        ("a", '{"n":1}'),
        ("b", '{"n":1}'),
    ]


def test_a_call_without_an_id_is_given_one(scene):
    call = {"index": 0, "function": {"name": OURS, "arguments": "{}"}}
    scene.feed(chunks({"tool_calls": [call]}, finish="stop"))
    _, assistant, answer = scene.answer()["messages"]
    assert assistant["tool_calls"][0]["id"] == answer["tool_call_id"] == "call_0"


def test_role_and_call_may_come_in_one_chunk(scene, events):
    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{}"}}
    told = events(scene.feed(chunks({"role": "assistant", "tool_calls": [call]}, {}, finish="x")))
    assert [event["choices"][0]["delta"] for event in told] == [{"role": "assistant"}]


def test_what_compatible_servers_keep_in_a_message_goes_back_to_the_model(scene):
    call = {
        "index": 0,
        "id": "t",
        "type": "function",
        "function": {"name": OURS, "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    scene.feed(
        chunks(
            {"role": "assistant", "reasoning_content": "Hm", "reasoning_details": [{"i": 1}]},
            {"reasoning_content": "m.", "reasoning_details": [{"i": 2}]},
            {"tool_calls": [call]},
            finish="tool_calls",
        )
    )
    del call["index"]
    assert scene.answer()["messages"][1] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Hmm.",
        "reasoning_details": [{"i": 1}, {"i": 2}],
        "tool_calls": [call],
    }


def test_done_ends_a_turn_that_gave_no_reason(scene):
    call = {"index": 0, "id": "t", "function": {"name": OURS, "arguments": "{}"}}
    assert scene.feed(chunks({"tool_calls": [call]}) + b"data: [DONE]\n\n") == b""
    assert scene.dialogue.calls


def test_errors_are_data(scene):
    assert scene.dialogue.error(b'{"error":{}}') == b'data: {"error":{}}\n\n'
