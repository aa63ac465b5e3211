"""What a request asks for, and a response tells, of how it is processed; and its searches."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aibridged.wire.chat_completions import reader as chat
from aibridged.wire.facts import RequestFacts, ResponseFacts, TokenUsage, WireApi
from aibridged.wire.large_request import outline_request, read_large_request
from aibridged.wire.messages import reader as messages
from aibridged.wire.reader import AnyReader
from aibridged.wire.request import read_request
from aibridged.wire.responses import reader as responses
from aibridged.wire.usage import MAX_WORD

COUNTS = {"input_tokens": 5, "output_tokens": 2}
CONVERSATIONS = (WireApi.MESSAGES, WireApi.CHAT_COMPLETIONS, WireApi.RESPONSES)


def streamed(reader: AnyReader, *events: Any) -> TokenUsage:
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        reader.feed(f"{name}data: {json.dumps(event)}\n\n".encode())
    usage = reader.finish(True).usage
    assert usage is not None
    return usage


def told(usage: TokenUsage) -> tuple[str | None, str | None]:
    return usage.service_tier, usage.speed


def body(read: Callable[[bytes], ResponseFacts], **fields: Any) -> TokenUsage:
    usage = read(json.dumps(fields).encode()).usage
    assert usage is not None
    return usage


def test_messages_tell_it_in_the_usage_whichever_report_has_it() -> None:
    usage = {**COUNTS, "service_tier": "priority", "speed": "fast"}
    assert told(body(messages.read_body, content=[], usage=usage)) == ("priority", "fast")
    begun = {"type": "message_start", "message": {"id": "m", "usage": usage}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": COUNTS}
    assert told(streamed(messages.MessagesReader(), begun, end)) == ("priority", "fast")
    end["usage"] = {**COUNTS, "service_tier": "batch", "speed": None}
    assert told(streamed(messages.MessagesReader(), begun, end)) == ("batch", "fast")


def test_an_iteration_is_processed_as_its_message_but_another_model_at_its_own_speed() -> None:
    iterations = [
        {"type": "compaction", "input_tokens": 1},
        {"type": "advisor_message", "model": "other", "input_tokens": 2},
        {"type": "advisor_message", "model": "third", "input_tokens": 3, "speed": "fast"},
    ]
    words = {"service_tier": "standard", "speed": "fast"}
    usage = body(
        messages.read_body, content=[], usage={**COUNTS, **words, "iterations": iterations}
    )
    assert [told(each) for each in usage.additional] == [
        ("standard", "fast"),  # where none is named, it is the message's model
        ("standard", None),
        ("standard", "fast"),
    ]


def test_chat_completions_tell_it_beside_the_usage() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 2}
    assert told(body(chat.read_body, choices=[], usage=counts, service_tier="flex"))[0] == "flex"
    first = {"id": "c", "model": "m", "choices": [], "service_tier": "flex"}
    last = {"id": "c", "choices": [], "usage": counts}
    assert streamed(chat.ChatCompletionsReader(), first, last).service_tier == "flex"
    last["service_tier"] = "default"
    assert streamed(chat.ChatCompletionsReader(), first, last).service_tier == "default"


def test_responses_are_processed_as_their_last_event_tells() -> None:
    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "response": {"id": "r", **fields}}

    assert told(body(responses.read_body, usage=COUNTS, service_tier="flex"))[0] == "flex"
    for stream in (responses.ResponsesReader(), responses.StoredResponseReader()):
        usage = streamed(
            stream,
            event("created", service_tier="auto"),
            event("completed", service_tier="priority", usage=COUNTS),
        )
        assert usage.service_tier == "priority"


@pytest.mark.parametrize("word", [7, None, "", ["flex"], {"a": 1}])
def test_what_is_no_word_is_none(word: object) -> None:
    chunk = {"id": "c", "model": "m", "choices": [], "usage": COUNTS, "service_tier": word}
    usage = streamed(chat.ChatCompletionsReader(), chunk)
    assert usage.input == 5
    assert usage.service_tier in (None, "7")
    usage = body(messages.read_body, content=[], usage={**COUNTS, "service_tier": word})
    assert told(usage) == (None, None)


def test_a_word_has_a_bound() -> None:
    long = "w" * 9999
    usage = body(messages.read_body, content=[], usage={**COUNTS, "speed": long})
    assert usage.speed == "w" * MAX_WORD
    assert body(responses.read_body, usage=COUNTS, service_tier=long).service_tier == "w" * MAX_WORD


@pytest.mark.parametrize("api", CONVERSATIONS)
def test_a_request_asks_for_it(api: WireApi) -> None:
    asked = {"model": "m", "messages": [], "input": [], "service_tier": "flex", "speed": "fast"}
    source = json.dumps(asked).encode()
    for facts in (read_request(api, source), large(api, source)):
        assert (facts.service_tier, facts.speed) == ("flex", "fast")
    facts = read_request(api, b'{"model":"m","service_tier":null,"speed":[1]}')
    assert (facts.service_tier, facts.speed) == (None, None)


def large(api: WireApi, source: bytes) -> RequestFacts:
    """The facts as they are read of a large request."""
    outline, members = run(outline_request(source))
    facts: RequestFacts = run(read_large_request(api, outline, members, 100))
    return facts


def run(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def search(id: str, **action: Any) -> dict[str, Any]:
    return {"type": "web_search_call", "id": id, "action": action or None}


ITEMS: Sequence[dict[str, Any]] = (
    search("a", type="search", query="x"),
    search("b", type="open_page", url="y"),
    search("c", type="find_in_page"),
    search("d"),
    {"type": "function_call", "id": "e", "name": "search", "arguments": "{}"},
)


def test_searches_of_the_web_are_counted_and_pages_that_are_opened_are_not() -> None:
    usage = body(responses.read_body, output=ITEMS, usage=COUNTS)
    assert usage.extra == {"web_search_requests": 2}
    done = [
        {"type": "response.output_item.done", "output_index": number, "item": item}
        for number, item in enumerate(ITEMS)
    ]
    # The last event tells all items once more.
    end = {"type": "response.completed", "response": {"output": ITEMS, "usage": COUNTS}}
    for events in ((*done, *done, end), (end,)):
        usage = streamed(responses.ResponsesReader(), *events)
        assert usage.extra == {"web_search_requests": 2}


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gpt-4o-search-preview-2025-03-11", 1),
        ("gpt-4o-mini-search-preview", 1),
        ("gpt-5-search-api", 1),
        ("gpt-5", 0),
        ("my-search-model", 0),
        ("text-search-previews", 0),
    ],
)
def test_the_models_of_chat_completions_that_search_do_so_once(model: str, searches: int) -> None:
    expected = {"web_search_requests": 1} if searches else {}
    assert body(chat.read_body, model=model, choices=[], usage=COUNTS).extra == expected
    chunk = {"id": "c", "model": model, "choices": [], "usage": COUNTS}
    assert streamed(chat.ChatCompletionsReader(), chunk).extra == expected
