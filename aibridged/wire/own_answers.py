"""Answers of the gateway's own: a text as a whole response of each API, blocking or streamed.

Agents show them as the model's words. They have used no tokens, and call no tools, so that an agent
stops there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from aibridged.wire.facts import WireApi

JSON, EVENT_STREAM = "application/json", "text/event-stream; charset=utf-8"

_encode = msgspec.json.Encoder().encode
_Object = dict[str, Any]


class Said(NamedTuple):
    """What is answered, and to what.

    `id` makes the ids of the response unique. `created` is in Unix seconds. `includes_usage` is for
    streams of Chat Completions, which have none unless asked. The tokens, how many `choices`
    there are, and the bytes that came, are those of a response that is ended early (see
    `early_ends`).
    """

    text: str
    model: str
    id: str
    created: int
    includes_usage: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    choices: int = 1
    came_bytes: int = 0


class OwnAnswer(NamedTuple):
    content_type: str
    body: bytes


def own_answer(api: WireApi | None, said: Said, *, stream: bool) -> OwnAnswer | None:
    """The response of status 200; None where the API's responses have no text to be shown."""
    renderers = _RENDERERS.get(api) if api is not None else None
    if renderers is None:
        return None
    whole, events = renderers
    # The model's name is the caller's, and may hold half a character.
    model = said.model.encode(errors="replace").decode()
    said = said._replace(model=model)
    if stream:
        return OwnAnswer(EVENT_STREAM, b"".join(events(said)))
    return OwnAnswer(JSON, _encode(whole(said)))


def event(kind: str, **fields: Any) -> bytes:
    """A server-sent event that has its name in its data, too."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


# Messages


def _message(said: Said) -> _Object:
    return {
        "id": f"msg_aibridge_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [{"type": "text", "text": said.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _MESSAGES_USAGE,
    }


_MESSAGES_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


def _message_events(said: Said) -> Iterable[bytes]:
    message = {**_message(said), "content": [], "stop_reason": None}
    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": said.text})
    yield event("content_block_stop", index=0)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=stop, usage=_MESSAGES_USAGE)
    yield event("message_stop")


# Chat Completions

_CHAT_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _completion(said: Said) -> _Object:
    message = {"role": "assistant", "content": said.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**chat_head(said, "chat.completion"), "choices": [choice], "usage": _CHAT_USAGE}


def _completion_events(said: Said) -> Iterable[bytes]:
    head = chat_head(said, "chat.completion.chunk")
    if said.includes_usage:
        head["usage"] = None
    for delta, finish in (
        ({"role": "assistant", "content": ""}, None),
        ({"content": said.text}, None),
        ({}, "stop"),
    ):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield data({**head, "choices": [choice]})
    if said.includes_usage:
        yield data({**head, "choices": [], "usage": _CHAT_USAGE})
    yield b"data: [DONE]\n\n"


def chat_head(said: Said, kind: str) -> _Object:
    """What every object of a stream of Chat Completions has."""
    return {
        "id": f"chatcmpl-aibridge-{said.id}",
        "object": kind,
        "created": said.created,
        "model": said.model,
    }


def data(value: _Object) -> bytes:
    """A server-sent event without a name."""
    return b"data: %b\n\n" % _encode(value)


# Completions


def _text_completion(said: Said) -> _Object:
    return {**text_chunk(said, said.text), "usage": _CHAT_USAGE}


def _text_completion_events(said: Said) -> Iterable[bytes]:
    yield data(text_chunk(said, said.text))
    if said.includes_usage:
        yield data({**text_chunk(said, ""), "choices": [], "usage": _CHAT_USAGE})
    yield b"data: [DONE]\n\n"


def text_chunk(said: Said, text: str) -> _Object:
    """A whole completion, or the last chunk of a streamed one."""
    return {
        "id": f"cmpl-aibridge-{said.id}",
        "object": "text_completion",
        "created": said.created,
        "model": said.model,
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}],
    }


# Responses


def _response(said: Said) -> _Object:
    return response_with(said, "completed", [_item(said)])


def response_with(said: Said, status: str, output: Sequence[Any]) -> _Object:
    """A response of the Responses API."""
    return {
        "id": f"resp_aibridge_{said.id}",
        "object": "response",
        "created_at": said.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": said.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _RESPONSES_USAGE if status == "completed" else None,
    }


_RESPONSES_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _item(said: Said) -> _Object:
    return {
        "type": "message",
        "id": f"msg_aibridge_{said.id}",
        "status": "completed",
        "role": "assistant",
        "content": [part(said.text)],
    }


def part(text: str) -> _Object:
    """A part of a message of the Responses API."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response_events(said: Said) -> Iterable[bytes]:
    item = _item(said)
    begun = {**item, "status": "in_progress", "content": []}
    running = response_with(said, "in_progress", [])
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("response.created", {"response": running}),
        ("response.in_progress", {"response": running}),
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.content_part.added", {**at, "part": part("")}),
        ("response.output_text.delta", {**at, "delta": said.text, "logprobs": []}),
        ("response.output_text.done", {**at, "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": part(said.text)}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": _response(said)}),
    )
    for number, (kind, fields) in enumerate(events):
        yield event(kind, **fields, sequence_number=number)


_RENDERERS: Mapping[
    WireApi, tuple[Callable[[Said], _Object], Callable[[Said], Iterable[bytes]]]
] = {
    WireApi.MESSAGES: (_message, _message_events),
    WireApi.CHAT_COMPLETIONS: (_completion, _completion_events),
    WireApi.COMPLETIONS: (_text_completion, _text_completion_events),
    WireApi.RESPONSES: (_response, _response_events),
}
