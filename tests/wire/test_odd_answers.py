"""Answers as real servers give them, each odd in its own way: what is on record of them.

Both consumers read each of them: the record's reader alone, and the dialogue of a tool loop, which
passes it on byte for byte.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aibridged.wire.chat_completions.reader import ChatCompletionsReader
from aibridged.wire.facts import ProviderError, ResponseFacts, TokenUsage, WireApi
from aibridged.wire.injection.dialogue import Result
from aibridged.wire.reader import MAX_ODD_SHORT, SHORT
from aibridged.wire.response import open_reader
from tests.wire.conftest import empty_dialogue, read_turn

CHAT, MESSAGES, RESPONSES = WireApi.CHAT_COMPLETIONS, WireApi.MESSAGES, WireApi.RESPONSES
USED = TokenUsage(input=1000, output=50)
CHAT_USAGE = '"usage":{"prompt_tokens":1000,"completion_tokens":50}'
USAGE = '"usage":{"input_tokens":1000,"output_tokens":50}'


def both(api: WireApi, answer: bytes, *, streamed: bool) -> tuple[str | None, ResponseFacts]:
    """The verdict and the facts, which are the same for both consumers."""
    reader = open_reader(api, "text/event-stream" if streamed else "application/json")
    reader.feed(answer)
    verdict, facts = reader.verdict, reader.finish(complete=True)
    assert "reader_failed" not in facts.anomalies
    dialogue = empty_dialogue(api)
    for size in (len(answer), 1, 50) if streamed else (len(answer),):
        pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert read_turn(dialogue, pieces, streams=streamed) == facts
    return verdict, facts


def chunks(*data: str | bytes) -> bytes:
    """A stream of Chat Completions."""
    raw = [each.encode() if isinstance(each, str) else each for each in data]
    return b"".join(b"data: %b\n\n" % each for each in raw)


def calls_of(facts: ResponseFacts) -> list[tuple[str, Any]]:
    assert all(call.complete for call in facts.tool_calls)
    return [(call.name, json.loads(call.arguments)) for call in facts.tool_calls]


def calling(*pieces: str, index: str = "0") -> str:
    choice = f'{{"index":{index},"delta":{{"tool_calls":[{",".join(pieces)}]}}}}'
    return f'{{"id":"c","model":"m","choices":[{choice}]}}'


STOP = '{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}'
LAST = f'{{"id":"c","model":"m","choices":[],{CHAT_USAGE}}}'
DONE = "[DONE]"
F1 = '"function":{"name":"f","arguments":"{\\"a\\":1}"}'
G2 = '"function":{"name":"g","arguments":"{\\"b\\":2}"}'
BEGUN = '"function":{"name":"f","arguments":"{\\"a\\""}'
REST = '"function":{"arguments":":1}"}'
F, G = ("f", {"a": 1}), ("g", {"b": 2})


@pytest.mark.parametrize(
    ("data", "calls"),
    [
        (
            [
                calling(f'{{"index":0,"id":"x",{BEGUN}}}'),
                calling(f'{{"index":0,{REST}}}', index="1"),
            ],
            [F],
        ),
        (
            [
                calling(f'{{"index":0,"id":"r1",{BEGUN}}}'),
                calling(f'{{"index":0,"id":"r2",{REST}}}'),
            ],
            [F],
        ),
        ([calling(f'{{"id":"",{F1}}}'), calling(f'{{"id":"",{G2}}}')], [F, G]),
        ([calling(f"{{{F1}}}"), calling(f"{{{G2}}}")], [F, G]),
        ([calling(f"{{{F1}}}", f"{{{G2}}}")], [F, G]),
        ([calling(f'{{"index":null,"id":5,{BEGUN}}}'), calling(f'{{"index":null,{REST}}}')], [F]),
        ([calling(f'{{"index":0,"id":"x",{BEGUN}}}'), calling(f'{{"index":1,{REST}}}')], [F]),
        ([calling('{"index":"0","id":"x","function":{"name":"f","arguments":{"a":1}}}')], [F]),
        (
            [
                calling(
                    '{"index":0,"id":"x","function":{"name":"f","arguments":"{\\"a\\":\\"\\ud83d"}}'
                ),
                calling('{"index":0,"function":{"arguments":"\\ude00\\"}"}}'),
            ],
            [("f", {"a": "😀"})],
        ),
    ],
    ids=[
        "the choice's index grows",
        "the id changes",
        "no index, empty id",
        "no index, no id",
        "two in a chunk",
        "null index",
        "the index grows",
        "arguments as an object",
        "half an emoji a piece",
    ],
)
def test_calls_of_a_chat_stream(data: list[str], calls: list[tuple[str, Any]]) -> None:
    _, facts = both(CHAT, chunks(*data, STOP, LAST, DONE), streamed=True)
    assert calls_of(facts) == calls
    assert (facts.usage, facts.complete, facts.anomalies) == (USED, True, {})


TEXT = '{"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}'
END = '{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    "odd",
    [
        TEXT.replace('"c"', "12"),
        TEXT.replace('"index":0', '"index":null'),
        TEXT.replace("hi", "a\\ud83d"),
        TEXT.replace("hi", "a\tb\x01"),
        TEXT.replace('"delta"', '"logprobs":{"content":[{"logprob":NaN},-Infinity]},"delta"'),
        TEXT.replace('"hi"', '[{"type":"text","text":"hi"}]'),
        TEXT.replace("[{", "{").replace("}}]}", "}}}"),
        TEXT.replace("}}]", '},"finish_reason":0}]'),
        TEXT.replace('"m"', "7"),
        TEXT.encode().replace(b"hi", b"\xff\xed\xa0\xbd"),
        TEXT[:-1] + ',"usage":[]}',
        TEXT[:-1] + ',"usage":{"prompt_tokens":"many","completion_tokens":NaN}}',
        '{"id":"c","model":"m","choices":7}',
        "{}",
    ],
)
def test_an_odd_chunk_costs_no_tokens(odd: str | bytes) -> None:
    _, facts = both(CHAT, chunks(odd, END, LAST, DONE), streamed=True)
    assert facts.usage == USED
    assert facts.complete
    assert facts.error is None
    assert set(facts.anomalies) <= {"unreadable_field", "unreadable_usage"}


BODY = (
    '{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi",'
    f'"tool_calls":[{{"id":"x","type":"function",{F1}}}]}},"finish_reason":"tool_calls"}}],{CHAT_USAGE}}}'
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"arguments":"{\\"a\\":1}"', '"arguments":{"a":1}'),
        ("hi", "a\\ud83d"),
        ('"message"', '"logprobs":{"content":[{"logprob":NaN}]},"message"'),
        ('"id":"c"', '"id":{"a":1}'),
        ('"finish_reason":"tool_calls"', '"finish_reason":3'),
        ("[{", "{"),
        ("hi", "a\nb"),
    ],
)
def test_an_odd_chat_body_costs_neither_tokens_nor_calls(old: str, new: str) -> None:
    body = BODY.replace(old, new)
    if old == "[{":
        body = body.replace("}]}", "}}", 1).replace('"tool_calls"}]', '"tool_calls"}')
    assert body != BODY
    _, facts = both(CHAT, body.encode(), streamed=False)
    assert (facts.usage, calls_of(facts), facts.complete) == (USED, [F], True)


@pytest.mark.parametrize(
    ("api", "answer", "error", "verdict"),
    [
        (
            CHAT,
            '{"error":{"code":503,"type":"T","message":"b"}}',
            ("T", "503", "b"),
            "overloaded_error",
        ),
        (CHAT, '{"error":{"code":429,"message":"b"}}', (None, "429", "b"), "rate_limit_error"),
        (CHAT, '{"error":{"code":"503"}}', (None, "503", None), "overloaded_error"),
        (
            CHAT,
            '{"object":"error","message":"b","code":503}',
            (None, "503", "b"),
            "overloaded_error",
        ),
        (MESSAGES, '{"error":{"code":529,"message":"b"}}', (None, "529", "b"), "overloaded_error"),
        (RESPONSES, '{"error":{"code":503,"message":"b"}}', (None, "503", "b"), "overloaded_error"),
        (RESPONSES, '{"type":"error","code":429}', (None, "429", None), "rate_limit_error"),
    ],
)
def test_a_stream_that_begins_with_an_error(
    api: WireApi, answer: str, error: tuple[str | None, ...], verdict: str
) -> None:
    said, facts = both(api, chunks(answer), streamed=True)
    assert (said, facts.error, facts.complete) == (verdict, ProviderError(*error), False)
    said, facts = both(api, b"event: error\n" + chunks(answer), streamed=True)
    assert (said, facts.error, facts.complete) == (verdict, ProviderError(*error), False)


FAILED = '{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"%s}]}'


@pytest.mark.parametrize(
    ("streamed", "answer"),
    [
        (True, chunks(TEXT, FAILED % ',"error":{"code":502,"message":"gone"}', DONE)),
        (True, chunks(TEXT, FAILED % "", DONE)),
        (True, chunks(TEXT, '{"choices":[{"index":0,"error":{"code":502}}]}', DONE)),
        (False, b'{"object":"error","message":"boom","type":"T","code":500}'),
        (False, b'{"choices":[{"message":{},"finish_reason":"error"}]}'),
        (False, b'{"choices":[{"message":{},"error":{"message":"gone"}}]}'),
    ],
)
def test_an_error_under_200_is_no_whole_answer(streamed: bool, answer: bytes) -> None:
    _, facts = both(CHAT, answer, streamed=streamed)
    assert facts.error is not None
    assert not facts.complete


def test_an_empty_reason_to_stop_is_none() -> None:
    empty = TEXT.replace("}}]", '},"finish_reason":""}]')
    _, facts = both(CHAT, chunks(empty, empty), streamed=True)
    assert not facts.complete
    assert both(CHAT, chunks(empty, END), streamed=True)[1].complete


def event(name: str, **data: Any) -> bytes:
    return f"event: {name}\n".encode() + chunks(msgspec.json.encode({"type": name, **data}))


CREATED = event("response.created", response={"id": "resp_1", "model": "m", "output": []})
ITEM = {"type": "function_call", "id": "fc", "call_id": "call", "name": "f", "arguments": '{"a":1}'}
ADDED = event("response.output_item.added", output_index=0, item={**ITEM, "arguments": ""})
ITEM_DONE = event("response.output_item.done", output_index=0, item=ITEM)
RESPONSE_USAGE = {"input_tokens": 1000, "output_tokens": 50}


def completed(**changes: Any) -> bytes:
    response = {"id": "resp_1", "status": "completed", "output": [], "usage": RESPONSE_USAGE}
    return event("response.completed", response={**response, **changes})


@pytest.mark.parametrize(
    "stream",
    [
        ADDED + ITEM_DONE + completed(output=[ITEM]),
        ITEM_DONE + ADDED + completed(output=[ITEM]),
        ITEM_DONE + ITEM_DONE + completed(output=[ITEM]),
        ADDED + ITEM_DONE + ADDED + completed(output=[ITEM]),
        ADDED + completed(output=[ITEM]),
        completed(output=[ITEM]),
        completed(output=ITEM),
        ADDED.replace(b'"output_index":0,', b"")
        + ITEM_DONE.replace(b'"output_index":0,', b"")
        + completed(),
        ITEM_DONE.replace(b'"{\\"a\\":1}"', b'{"a":1}') + completed(),
        ITEM_DONE.replace(b'"output_index":0', b'"output_index":"0"') + completed(id=7),
        ADDED + ITEM_DONE + completed(id=None, model=None),
        ADDED + ITEM_DONE + completed().replace(b'"id":"resp_1",', b""),
    ],
)
def test_an_item_is_recorded_once_however_it_is_told(stream: bytes) -> None:
    _, facts = both(RESPONSES, CREATED + stream, streamed=True)
    assert (calls_of(facts), facts.usage, facts.complete) == ([F], USED, True)
    assert facts.model == "m"
    assert facts.response_id in ("resp_1", "7")


def test_half_an_emoji_a_delta_of_a_response() -> None:
    name = "response.function_call_arguments.delta"
    halves = [
        f'{{"type":"{name}","output_index":0,"delta":"{half}"}}'
        for half in ('{\\"a\\":\\"\\ud83d', '\\ude00\\"}')
    ]
    stream = CREATED + ADDED + chunks(*halves) + completed(output=None)
    _, facts = both(RESPONSES, stream, streamed=True)
    assert [call.arguments for call in facts.tool_calls] == ['{"a":"😀"}']
    assert facts.usage == USED


START = event(
    "message_start",
    message={"id": "msg", "model": "m", "usage": {"input_tokens": 1000, "output_tokens": 1}},
)
TOOL = event(
    "content_block_start",
    index=0,
    content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}},
)
INPUT = event(
    "content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"a":1}'}
)
BLOCK_END = event("content_block_stop", index=0)
MESSAGE_END = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 50})
STREAM = START + TOOL + INPUT + BLOCK_END + MESSAGE_END + event("message_stop")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"index":0', b'"index":null'),
        (b'"index":0,"delta"', b'"index":3,"delta"'),
        (b'"id":"t"', b'"id":9'),
        (b'"partial_json":"{\\"a\\":1}"', b'"partial_json":{"a":1}'),
        (b'"stop_reason":"tool_use"', b'"stop_reason":"tool_use","x":NaN'),
        (b'"name":"f"', b'"name":"f","note":"\\ud83d"'),
        (b'"id":"msg"', b'"id":["msg"]'),
        (b'"type":"content_block_delta",', b""),
    ],
)
def test_odd_messages_streams(old: bytes, new: bytes) -> None:
    odd = STREAM.replace(old, new)
    assert odd != STREAM
    _, facts = both(MESSAGES, odd, streamed=True)
    assert (calls_of(facts), facts.usage, facts.complete) == ([F], USED, True)


@pytest.mark.parametrize(
    "content",
    [
        '[{"type":"text","text":"a\\ud83d"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]',
        '[{"type":"tool_use","id":7,"name":"f","input":{"a":1}},7]',
        '[{"type":"tool_use","id":"t","name":"f","input":"{\\"a\\":1}"},{"type":"text","text":NaN}]',
        '{"type":"tool_use","id":"t","name":"f","input":{"a":1},"x":NaN}',
    ],
)
def test_an_odd_message_costs_neither_tokens_nor_calls(content: str) -> None:
    body = f'{{"id":"msg","model":"m","content":{content},"stop_reason":"tool_use",{USAGE}}}'
    _, facts = both(MESSAGES, body.encode(), streamed=False)
    assert (calls_of(facts), facts.usage, facts.complete) == ([F], USED, True)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
@pytest.mark.parametrize("before", [b"", b": hello\n\n", b"\xef\xbb\xbf", b"\n", b"id: 1\n"])
def test_a_stream_is_one_by_whichever_media_type(content_type: str | None, before: bytes) -> None:
    for size in (1, 7, len(STREAM)):
        reader = open_reader(MESSAGES, content_type)
        stream = before + STREAM
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
        assert reader.verdict == "ok"
        assert reader.finish(complete=True).usage == USED


def test_a_body_is_one_by_whichever_media_type() -> None:
    reader = open_reader(CHAT, "text/event-stream")
    reader.feed(b"  \n")
    reader.feed(BODY.encode())
    assert reader.finish(complete=True).usage == USED


def test_an_overload_is_one_by_whichever_media_type() -> None:
    reader = open_reader(CHAT, "application/json")
    reader.feed(b"dat")
    assert reader.verdict is None
    reader.feed(b'a: {"error":{"code":503}}\n\n')
    assert reader.verdict == "overloaded_error"


@pytest.mark.parametrize(
    ("api", "stream"),
    [
        (CHAT, chunks(TEXT, LAST.replace('"choices":[]', f'"x":"{"A" * 9_000_000}"'), END, DONE)),
        (
            RESPONSES,
            CREATED
            + completed(output=[{"type": "image_generation_call", "result": "A" * 9_000_000}]),
        ),
        (RESPONSES, CREATED + completed(output=[[0]] * 300_000)),
        (RESPONSES, CREATED + completed(x=7).replace(b'"x":7', b'"x":\\')),
    ],
    ids=["chat", "an image", "a crowd", "garbage"],
)
def test_a_large_or_garbled_event_costs_no_tokens(api: WireApi, stream: bytes) -> None:
    reader = open_reader(api, "text/event-stream")
    for at in range(0, len(stream), 16_384):
        reader.feed(stream[at : at + 16_384])
    facts = reader.finish(complete=True)
    assert facts.usage == USED
    assert facts.complete


@pytest.mark.parametrize(
    ("answer", "unread"),
    [
        (b"<html>", "unreadable_body"),
        (b'{"choices":[' + b"[0]," * 300_000, "crowded_body"),
        (BODY.replace(CHAT_USAGE, '"usage":[]').encode(), "unreadable_usage"),
        (BODY.replace('"id":"c"', '"id":[]').encode(), None),
        (BODY.encode(), None),
        (b"", None),
    ],
)
def test_what_is_unread_is_said(answer: bytes, unread: str | None) -> None:
    reader = open_reader(CHAT, "application/json")
    reader.feed(answer)
    assert reader.finish(complete=True).unread == unread


def test_our_tool_is_seen_in_an_odd_answer(make_scene: Callable[..., Any]) -> None:
    """Whatever else is wrong with the chunk in which it is called."""
    scene = make_scene(CHAT)
    ours = '{"index":0,"function":{"name":"bmcp_files_read","arguments":{"path":"a"}}}'
    odd = calling(ours).replace('"delta"', '"logprobs":[NaN],"delta"')
    assert scene.feed(chunks(TEXT, odd, STOP, DONE)) == chunks(TEXT)
    (call,) = scene.dialogue.calls
    assert (call.id, call.arguments) == ("call_0", '{"path":"a"}')


def test_short_events_are_read_leniently_up_to_a_number() -> None:
    reader = ChatCompletionsReader()
    reader.feed(b'data: {"a":NaN}\n\n' * (MAX_ODD_SHORT + 5))
    longer = b'data: {"id":"x","b":NaN,"c":"%b"}\n\n' % (b"x" * SHORT)
    reader.feed(longer * 5)
    assert reader.finish(complete=True).anomalies == {"unreadable_event": 5}
    assert reader.response_id == "x"


@pytest.mark.parametrize("api", [WireApi.MESSAGES, WireApi.CHAT_COMPLETIONS, WireApi.RESPONSES])
@pytest.mark.parametrize("streams", [False, True])
def test_integers_of_any_length_cost_nothing_else(api: WireApi, streams: bool) -> None:
    odd = b'{"half":"\\ud83d","n":%b}' % (b"9" * 400)
    body = (
        b'{"id":"x","model":"m","content":[%b],"output":[{"type":"reasoning","summary":%b},%b],'
        b'"choices":[{"index":0,"message":%b,"delta":%b}],"usage":%b,"more":%b}'
    ) % (odd, b"9" * 5000, odd, odd, odd, odd, odd)
    source = body
    if streams:
        source = (
            b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n'
            % body
        )
        source += b"data: %b\n\n" % body
    reader = open_reader(api, "text/event-stream" if streams else "application/json")
    reader.feed(source)
    assert "reader_failed" not in reader.finish(complete=True).anomalies


@pytest.mark.parametrize("nothing", ["null", "false", "0", '""', "{}", "[]", "{ }"])
def test_an_error_of_nothing_beside_an_answer_is_none(nothing: str) -> None:
    error = f'"error":{nothing}'
    chunk = f'{{{error},"id":"c","model":"m","choices":[{{"index":0,{error},"delta":{{}},'
    chat = chunk.replace('"delta":{},', '"message":{"content":"hi"},')
    for api, answer, streamed in (
        (CHAT, f'{chat}"finish_reason":"stop"}}],{CHAT_USAGE}}}', False),
        (CHAT, f'data: {chunk}"finish_reason":"stop"}}],{CHAT_USAGE}}}\n\ndata: [DONE]\n\n', True),
        (MESSAGES, f'{{{error},"id":"m","content":[],"stop_reason":"end_turn",{USAGE}}}', False),
        (RESPONSES, f'{{{error},"id":"r","status":"completed","output":[],{USAGE}}}', False),
    ):
        verdict, facts = both(api, answer.encode(), streamed=streamed)
        assert (verdict, facts.error, facts.complete, facts.usage) == ("ok", None, True, USED)
    for api in (MESSAGES, RESPONSES):
        reader = open_reader(api, "text/event-stream")
        reader.feed(b'data: {"type":"keepalive",%b}\n\n' % error.encode())
        assert reader.finish(complete=True).error is None


@pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("error", ["{}", '""', '{"message":"no"}'])
def test_an_error_in_place_of_an_answer_is_one_whatever_it_says(api: WireApi, error: str) -> None:
    _, facts = both(api, f'{{"error":{error}}}'.encode(), streamed=False)
    assert facts.error is not None
    assert not facts.complete


OURS = '"id":"c1","function":{"name":"bmcp_t_echo","arguments":"{}"}'


@pytest.mark.parametrize("odd", ['"x"', "7", "[1]", "true"])
def test_an_odd_piece_of_our_call_breaks_no_turn(odd: str) -> None:
    dialogue = empty_dialogue(CHAT)
    dialogue.begin_turn(last=False)
    for delta in (
        f'{{"content":{odd},"tool_calls":[{{"index":0,{OURS}}}]}}',
        f'{{"tool_calls":[{{"index":0,"function":{odd}}}]}}',
        odd,
    ):
        dialogue.feed(f'data: {{"choices":[{{"index":0,"delta":{delta}}}]}}\n\n'.encode())
    dialogue.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n')
    (call,) = dialogue.calls
    assistant, result = json.loads(dialogue.answer([Result(call, "done", False)]))["messages"]
    assert assistant["tool_calls"][0]["function"] == {"name": "bmcp_t_echo", "arguments": "{}"}
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "done"}


@pytest.mark.parametrize("content", ['[{"type":"text","text":"a"}]', "7", "{}", "true"])
def test_content_that_is_no_text_goes_back_to_the_model_as_it_came(content: str) -> None:
    dialogue = empty_dialogue(CHAT)
    dialogue.begin_turn(last=False)
    message = f'{{"content":{content},"tool_calls":[{{{OURS}}}]}}'
    body = f'{{"choices":[{{"index":0,"message":{message},"finish_reason":"tool_calls"}}]}}'
    dialogue.read(body.encode())
    (call,) = dialogue.calls
    assistant, _ = json.loads(dialogue.answer([Result(call, "done", False)]))["messages"]
    assert assistant["content"] == json.loads(content)
