"""Streams that are ended behind any of their events, as readers of providers' streams see them."""

import json

import pytest

from aibridged.fake_provider import (
    Answer,
    ToolCall,
    Usage,
    chat_completions,
    completions,
    messages,
    responses,
)
from aibridged.wire.collector import MAX_ITEMS
from aibridged.wire.facts import WireApi
from aibridged.wire.own_answers import Said
from aibridged.wire.response import open_reader
from aibridged.wire.responses.so_far import MAX_KEPT
from aibridged.wire.sse import SseSplitter

APIS = {
    WireApi.MESSAGES: messages,
    WireApi.CHAT_COMPLETIONS: chat_completions,
    WireApi.COMPLETIONS: completions,
    WireApi.RESPONSES: responses,
}
SAID = Said("Ended.", "m-1", "0af1", 1_767_225_600, True, 12, 34)
ANSWERS = {
    "text": Answer(text="one two three"),
    "thoughts": Answer(thinking="let me see", text="one two"),
    "calls": Answer(text="one", calls=(ToolCall("look", '{"path":"a"}'), ToolCall("look"))),
}
CASES = [
    (api, name)
    for api in APIS
    for name in ANSWERS
    if name == "text" or api is not WireApi.COMPLETIONS
]


def events_of(stream):
    splitter = SseSplitter()
    return [*splitter.feed(stream), *splitter.flush()]


def objects(stream):
    return [json.loads(data) for _, data in events_of(stream) if data != b"[DONE]"]


def streamed(api, name):
    return APIS[api].stream("m-1", ANSWERS[name], Usage(input=5, output=6), None, True)


def ended_behind(api, events):
    """The stream with the early end behind these events, and the facts of it."""
    reader = open_reader(api, "text/event-stream")
    for event in events:
        reader.feed(event)
    said = SAID._replace(came_bytes=sum(map(len, events)))
    end = b"" if reader.stream is None else reader.stream.early_end(said)
    reader.feed(end)
    return end, reader.finish(complete=True)


@pytest.mark.parametrize(("api", "name"), CASES)
def test_behind_any_event_a_stream_ends_whole(api, name):
    events = streamed(api, name)
    for count in range(1, len(events)):
        end, facts = ended_behind(api, events[:count])
        assert facts.complete, (count, end)
        assert facts.error is None
        assert not facts.anomalies, (count, end)


@pytest.mark.parametrize(("api", "name"), CASES)
def test_one_that_has_ended_gets_nothing_more(api, name):
    end, facts = ended_behind(api, streamed(api, name))
    assert end == b""
    assert facts.usage.output == 6


@pytest.mark.parametrize("api", APIS)
def test_of_a_stream_that_failed_nothing_is_made_up(api):
    failed = APIS[api].error_event("api_error", "It failed.", 1, "m-1")
    end, facts = ended_behind(api, [*streamed(api, "text")[:2], failed])
    assert end == b""
    assert facts.error is not None


def opened_blocks(stream):
    """The types of the blocks of Messages that are left open; none may be closed twice."""
    opened = {}
    for each in objects(stream):
        if each["type"] == "content_block_start":
            assert each["index"] not in opened
            opened[each["index"]] = each["content_block"]["type"]
        elif each["type"] == "content_block_delta":
            assert each["index"] in opened
        elif each["type"] == "content_block_stop":
            del opened[each["index"]]
    return opened


@pytest.mark.parametrize("name", ANSWERS)
def test_texts_of_messages_are_closed_once_and_what_is_unfinished_is_not(name):
    events = streamed(WireApi.MESSAGES, name)
    for count in range(1, len(events)):
        end, _ = ended_behind(WireApi.MESSAGES, events[:count])
        before = opened_blocks(b"".join(events[:count]))
        unfinished = {index: kind for index, kind in before.items() if kind != "text"}
        assert opened_blocks(b"".join(events[:count]) + end) == unfinished
        last = [each for each in objects(end) if each["type"] == "message_delta"]
        if last:
            assert last[0]["delta"]["stop_reason"] == "end_turn"
            assert last[0]["usage"] == {"output_tokens": 34}


def test_every_choice_of_a_completion_stops():
    chunk = chat_completions.stream("m", Answer(text="one"), Usage(input=1, output=1), None, False)
    reader = open_reader(WireApi.CHAT_COMPLETIONS, "text/event-stream")
    reader.feed(chunk[0])
    end = reader.stream.early_end(SAID._replace(choices=3))
    stopped = [
        choice["index"]
        for each in objects(end)
        for choice in each["choices"]
        if choice["finish_reason"] == "stop"
    ]
    assert stopped == [0, 1, 2]


@pytest.mark.parametrize("asked", [False, True])
def test_usage_of_a_completion_is_told_where_it_was_asked_for(asked):
    reader = open_reader(WireApi.CHAT_COMPLETIONS, "text/event-stream")
    reader.feed(streamed(WireApi.CHAT_COMPLETIONS, "text")[0])
    end = reader.stream.early_end(SAID._replace(includes_usage=asked))
    usages = [each["usage"] for each in objects(end) if each.get("usage")]
    told = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
    assert usages == ([told] if asked else [])
    assert end.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("name", ANSWERS)
def test_items_of_a_response_are_done_or_stand_unfinished_in_the_whole(name):
    events = streamed(WireApi.RESPONSES, name)
    for count in range(2, len(events)):
        end, _ = ended_behind(WireApi.RESPONSES, events[:count])
        told = objects(b"".join(events[:count]) + end)
        numbers = [each["sequence_number"] for each in told]
        assert numbers == sorted(set(numbers))
        added = {each["output_index"] for each in told if each["type"].endswith("item.added")}
        done = {
            each["output_index"]: each["item"]
            for each in told
            if each["type"] == "response.output_item.done"
        }
        whole = told[-1]["response"]
        assert whole["id"] == told[0]["response"]["id"]
        unfinished = [item for item in whole["output"] if item["type"] != "message"]
        for index in added - done.keys():
            begun = next(
                each["item"]
                for each in told
                if each["type"].endswith("item.added") and each["output_index"] == index
            )
            (item,) = (each for each in unfinished if each["id"] == begun["id"])
            assert item["status"] == "incomplete"
            assert item["type"] in ("function_call", "reasoning")
        assert all(item in whole["output"] for item in done.values())


def item_event(kind, index, item):
    event = {"type": f"response.output_item.{kind}", "output_index": index, "item": item}
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def test_what_is_kept_of_items_is_bounded():
    reader = open_reader(WireApi.RESPONSES, "text/event-stream")
    reader.feed(responses.stream("m", Answer(), Usage(input=1, output=1), None, False)[0])
    for index in range(200):
        item = {"type": "message", "id": f"msg_{index}", "content": [{"text": "x" * 1000}]}
        reader.feed(item_event("done", index, item))
    end = reader.stream.early_end(SAID)
    assert MAX_KEPT / 2 < len(end) < MAX_KEPT * 1.2
    assert objects(end)[0]["output_index"] == 200


@pytest.mark.parametrize("api", [WireApi.MESSAGES, WireApi.RESPONSES])
def test_so_is_what_is_open(api):
    reader = open_reader(api, "text/event-stream")
    reader.feed(streamed(api, "text")[0])
    for index in range(MAX_ITEMS + 100):
        if api is WireApi.RESPONSES:
            reader.feed(item_event("added", index, {"type": "message", "id": f"msg_{index}"}))
            continue
        block = {"type": "content_block_start", "index": index, "content_block": {"type": "text"}}
        reader.feed(b"data: %b\n\n" % json.dumps(block).encode())
    ended = b"event: content_block_stop", b"event: response.output_item.done"
    end = reader.stream.early_end(SAID)
    assert MAX_ITEMS <= sum(map(end.count, ended)) <= MAX_ITEMS + 1


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_the_rest_of_an_event_ends_with_its_blank_line(line_end):
    event = line_end.join([b"event: one", b"data: 1", b"", b""])
    stream = event + event
    for cut in range(1, len(event)):
        splitter = SseSplitter()
        splitter.feed(stream[:cut])
        if not splitter.is_within_event:
            continue  # but for half of a line end
        rest = splitter.rest_of_event(stream[cut:])
        assert rest is not None
        assert cut + rest in (len(event), len(event) - (line_end == b"\r\n"))
        splitter.feed(stream[cut : cut + rest])
        assert not splitter.is_within_event


def test_what_does_not_end_in_a_chunk_is_all_of_it():
    splitter = SseSplitter()
    splitter.feed(b"data: 1")
    assert splitter.rest_of_event(b"23\ndata: 4\n") is None
