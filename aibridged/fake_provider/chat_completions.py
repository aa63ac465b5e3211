"""OpenAI's Chat Completions: parses requests, renders blocking and streamed responses."""

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
)

CREATED = 1_767_225_600
"""Unix seconds; the same in every response, so that streams can be reused."""

_encode = msgspec.json.Encoder().encode
_EMPTY_SCHEMA = msgspec.Raw(b"{}")


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = _EMPTY_SCHEMA


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    parallel_tool_calls: bool | None = None


def read(body: bytes) -> Prompt:
    """Parse a request; raises InvalidRequestError where the real API would return 400."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    if not request.messages:
        raise InvalidRequestError("messages: at least one message is required")
    text, from_tool = _last_words(request.messages)
    options = request.stream_options
    return Prompt(
        model=request.model,
        text=text,
        from_tool=from_tool,
        stream=bool(request.stream),
        include_usage=bool(options and options.include_usage),
        parallel=request.parallel_tool_calls is not False,
        tools=tuple(
            Tool(tool.function.name, bytes(tool.function.parameters))
            for tool in request.tools or ()
            if tool.function
        ),
    )


def whole(model: str, said: Answer, usage: Usage) -> bytes:
    """A blocking response: a JSON completion."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": said.text or None,
        "refusal": None,
        "annotations": [],
    }
    if said.calls:
        message["tool_calls"] = [
            {
                "id": f"call_fake{NONCE}{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(said.calls)
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if said.calls else "stop",
    }
    return _encode({**_head("chat.completion", model), "choices": [choice], "usage": _usage(usage)})


@lru_cache(maxsize=64)
def stream(
    model: str, said: Answer, usage: Usage, deltas: int | None, include_usage: bool
) -> tuple[bytes, ...]:
    """A streamed response: chunks and `[DONE]`; a usage chunk only on request."""
    head = _head("chat.completion.chunk", model)
    tail = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**head, "choices": [choice], **tail})

    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    if said.text:
        events += [chunk({"content": piece}) for piece in pieces(said.text, deltas)]
    for index, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": f"call_fake{NONCE}{index}", "type": "function"}
        events.append(chunk({"tool_calls": [{**first, "function": function}]}))
        events += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            for part in halves(call.arguments)
        ]
    events.append(chunk({}, "tool_calls" if said.calls else "stop"))
    if include_usage:
        events.append(_data({**head, "choices": [], "usage": _usage(usage)}))
    events.append(b"data: [DONE]\n\n")
    return tuple(events)


def error_event(kind: str, message: str, number: int, model: str) -> bytes:
    """An error within a stream of status 200, after `number` chunks of a response of `model`."""
    del number, model  # an error looks the same everywhere
    code = {"rate_limit_error": "rate_limit_exceeded", "overloaded_error": "server_overloaded"}
    error = {"message": message, "type": kind, "param": None, "code": code.get(kind)}
    return _data({"error": error})


def _last_words(messages: list[_Message]) -> tuple[str, bool]:
    if messages[-1].role == "user":
        return _text(messages[-1]), False
    results: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results.append(_text(message))
    return " ".join(reversed(results)), bool(results)


def _text(message: _Message) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return " ".join(part.text for part in message.content if part.text)


def _head(kind: str, model: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-fake{NONCE}",
        "object": kind,
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.all_input,
        "completion_tokens": usage.output,
        "total_tokens": usage.all_input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.all_cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(value)
