"""OpenAI's Responses: parses requests, renders blocking and streamed responses."""

from functools import lru_cache
from typing import Any

import msgspec

from aibridged.fake_provider.answer import (
    NONCE,
    Answer,
    InvalidRequestError,
    Prompt,
    Tool,
    Usage,
    halves,
    pieces,
    words,
)
from aibridged.fake_provider.chat_completions import CREATED

_encode = msgspec.json.Encoder().encode


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    role: str = ""
    content: str | list[_Part] | None = None
    output: msgspec.Raw = msgspec.Raw(b'""')


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class _Request(msgspec.Struct):
    model: str
    input: str | list[_Item]
    stream: bool | None = None
    background: bool | None = None
    tools: list[_Tool] | None = None
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None


class _Countable(msgspec.Struct):
    input: str | list[_Item]


def read(body: bytes) -> Prompt:
    """Parse a request; raises InvalidRequestError where the real API would return 400."""
    try:
        request = msgspec.json.decode(body, type=_Request)
        text, from_tool = _last_words(request.input)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    return Prompt(
        model=request.model,
        text=text,
        from_tool=from_tool,
        stream=bool(request.stream),
        background=bool(request.background),
        parallel=request.parallel_tool_calls is not False,
        encrypted="reasoning.encrypted_content" in (request.include or ()),
        tools=tuple(
            Tool(tool.name, bytes(tool.parameters))
            for tool in request.tools or ()
            if tool.type == "function"
        ),
    )


def count(body: bytes) -> int:
    """The response of `POST /v1/responses/input_tokens`: the words of the last item."""
    try:
        text, _ = _last_words(msgspec.json.decode(body, type=_Countable).input)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    return words(text)


def queued(model: str) -> bytes:
    """The answer to a request in the background: what it comes to is fetched later."""
    return in_background(_encode(response(model, "queued", [], None)))


def in_background(text: bytes) -> bytes:
    """A response, or an event with one, that runs in the background."""
    return text.replace(b'"background":false', b'"background":true')


def whole(model: str, said: Answer, usage: Usage) -> bytes:
    """A blocking response: a JSON response object."""
    return _encode(response(model, "completed", output(said), usage))


@lru_cache(maxsize=64)
def stream(
    model: str, said: Answer, usage: Usage, deltas: int | None, include_usage: bool
) -> tuple[bytes, ...]:
    """A streamed response: server-sent events, numbered from 0; at most `deltas` text deltas."""
    del include_usage  # always included
    begun = response(model, "in_progress", [], None)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    items = output(said)
    for index, item in enumerate(items):
        events += _item_events(index, item, deltas)
    done = response(model, "completed", items, usage)
    events.append({"type": "response.completed", "response": done})
    return tuple(_event(number, event) for number, event in enumerate(events))


def error_event(kind: str, message: str, number: int, model: str) -> bytes:
    """An error within a stream of status 200, after `number` events of a response of `model`.

    As the first event it is a bare `error`; later the response under way has failed.
    """
    code = "rate_limit_exceeded" if kind == "rate_limit_error" else "server_error"
    if number == 0:
        return _event(0, {"type": "error", "code": code, "message": message, "param": None})
    failed = response(model, "failed", [], None) | {"error": {"code": code, "message": message}}
    return _event(number, {"type": "response.failed", "response": failed})


def response(
    model: str, status: str, items: list[dict[str, Any]], usage: Usage | None
) -> dict[str, Any]:
    """A Response object."""
    return {
        "id": response_id(NONCE),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": items,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage and _usage(usage),
        "user": None,
        "metadata": {},
    }


def response_id(nonce: str) -> str:
    """The id of the response whose ids are made with `nonce`."""
    return f"resp_fake{nonce}"


def call_ids(said: Answer, nonce: str) -> list[str]:
    """The ids of its tool calls."""
    return [f"call_fake{nonce}{index}" for index in range(len(said.calls))]


def _last_words(items: str | list[_Item]) -> tuple[str, bool]:
    if isinstance(items, str):
        return items, False
    if items and items[-1].type == "message" and items[-1].role == "user":
        return _text(items[-1].content), False
    results: list[str] = []
    for item in reversed(items):
        if not item.type.endswith("_call_output"):
            break
        results.append(_text(msgspec.json.decode(item.output, type=str | list[_Part] | None)))
    return " ".join(reversed(results)), bool(results)


def _text(content: str | list[_Part] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if part.text)


def output(said: Answer) -> list[dict[str, Any]]:
    """The output items of a finished response: reasoning, message, function calls."""
    items: list[dict[str, Any]] = []
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        thought = {"type": "reasoning", "id": f"rs_fake{NONCE}", "summary": summary}
        items.append(thought | {"encrypted_content": "enc"} if said.encrypted else thought)
    if said.text:
        items.append(
            {
                "type": "message",
                "id": f"msg_fake{NONCE}",
                "status": "completed",
                "role": "assistant",
                "content": [_text_part(said.text)],
            }
        )
    for index, (name, call) in enumerate(zip(call_ids(said, NONCE), said.calls, strict=True)):
        items.append(
            {
                "type": "function_call",
                "id": f"fc_fake{NONCE}{index}",
                "status": "completed",
                "call_id": name,
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return items


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item_events(index: int, item: dict[str, Any], deltas: int | None) -> list[dict[str, Any]]:
    begun = dict(item)
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "reasoning":
            begun["summary"] = []
            parts = _summary_events(at, item["summary"][0]["text"])
        case "message":
            begun |= {"status": "in_progress", "content": []}
            parts = _text_events(at, item["content"][0]["text"], deltas)
        case _:
            begun |= {"status": "in_progress", "arguments": ""}
            parts = _arguments_events(at, item["arguments"])
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        *parts,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _summary_events(at: dict[str, Any], text: str) -> list[dict[str, Any]]:
    at = {**at, "summary_index": 0}
    empty, full = ({"type": "summary_text", "text": content} for content in ("", text))
    kind = "response.reasoning_summary"
    return [
        {"type": f"{kind}_part.added", **at, "part": empty},
        *({"type": f"{kind}_text.delta", **at, "delta": piece} for piece in pieces(text)),
        {"type": f"{kind}_text.done", **at, "text": text},
        {"type": f"{kind}_part.done", **at, "part": full},
    ]


def _text_events(at: dict[str, Any], text: str, deltas: int | None) -> list[dict[str, Any]]:
    at = {**at, "content_index": 0}
    said = pieces(text, deltas)
    delta = {"type": "response.output_text.delta", **at, "logprobs": []}
    return [
        {"type": "response.content_part.added", **at, "part": _text_part("")},
        *({**delta, "delta": piece} for piece in said),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _text_part(text)},
    ]


def _arguments_events(at: dict[str, Any], arguments: str) -> list[dict[str, Any]]:
    kind = "response.function_call_arguments"
    return [
        *({"type": f"{kind}.delta", **at, "delta": part} for part in halves(arguments)),
        {"type": f"{kind}.done", **at, "arguments": arguments},
    ]


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.all_input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.all_cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.all_input + usage.output,
    }


def _event(number: int, event: dict[str, Any]) -> bytes:
    data = _encode({**event, "sequence_number": number})
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data)
