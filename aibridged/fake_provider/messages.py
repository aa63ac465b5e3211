"""Anthropic's Messages: parses requests, renders blocking and streamed responses."""

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
from aibridged.fake_provider.checking.messages import SIGNATURE

_encode = msgspec.json.Encoder().encode


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    content: msgspec.Raw = msgspec.Raw(b'""')


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str = ""
    input_schema: msgspec.Raw = msgspec.Raw(b"")


class _ToolChoice(msgspec.Struct, frozen=True):
    disable_parallel_tool_use: bool = False


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int
    stream: bool = False
    tools: list[_Tool] = []
    tool_choice: _ToolChoice = _ToolChoice()


class _Countable(msgspec.Struct):
    model: str
    messages: list[_Message]


def read(body: bytes) -> Prompt:
    """Parse a request; raises InvalidRequestError where the real API would return 400."""
    try:
        request = msgspec.json.decode(body, type=_Request)
        text, from_tool = _last_words(request.messages)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    return Prompt(
        model=request.model,
        text=text,
        from_tool=from_tool,
        stream=request.stream,
        parallel=not request.tool_choice.disable_parallel_tool_use,
        tools=tuple(
            Tool(tool.name, bytes(tool.input_schema)) for tool in request.tools if tool.input_schema
        ),
    )


def count(body: bytes) -> int:
    """The response of `POST /v1/messages/count_tokens`: the words of the last message."""
    try:
        text, _ = _last_words(msgspec.json.decode(body, type=_Countable).messages)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(str(error)) from None
    return words(text)


def whole(model: str, said: Answer, usage: Usage) -> bytes:
    """A blocking response: a JSON message."""
    stop = "tool_use" if said.calls else "end_turn"
    return _encode(_message(model, _content(said), stop, usage))


@lru_cache(maxsize=64)
def stream(
    model: str, said: Answer, usage: Usage, deltas: int | None, include_usage: bool
) -> tuple[bytes, ...]:
    """A streamed response: server-sent events; one text delta per word, at most `deltas`."""
    del include_usage  # always included
    start_usage = msgspec.structs.replace(usage, output=1, reasoning=0)
    events = [_event("message_start", message=_message(model, [], None, start_usage))]
    for index, block in enumerate(_content(said)):
        events += _block_events(index, block, deltas)
        if index == 0:
            events.insert(2, _event("ping"))
    stop = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
    events.append(_event("message_delta", delta=stop, usage=_delta_usage(usage)))
    events.append(_event("message_stop"))
    return tuple(events)


def error_event(kind: str, message: str, number: int, model: str) -> bytes:
    """An error within a stream of status 200, after `number` events of a response of `model`."""
    del number, model  # an error looks the same everywhere
    return _event("error", error={"type": kind, "message": message})


def _last_words(messages: list[_Message]) -> tuple[str, bool]:
    if not messages:
        raise InvalidRequestError("messages: at least one message is required")
    last = next((each for each in reversed(messages) if each.role != "system"), None)
    if last is None or last.role != "user":
        return "", False
    content = last.content
    if isinstance(content, str):
        return content, False
    results = [_result_text(block.content) for block in content if block.type == "tool_result"]
    if results:
        return " ".join(results), True
    texts = [block.text for block in content if block.type == "text" and block.text]
    return (texts[-1] if texts else ""), False


def _result_text(content: msgspec.Raw) -> str:
    value = msgspec.json.decode(content, type=str | list[_Block] | None)
    if value is None or isinstance(value, str):
        return value or ""
    return " ".join(block.text for block in value if block.text)


def _content(said: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if said.thinking:
        blocks.append({"type": "thinking", "thinking": said.thinking, "signature": SIGNATURE})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    for index, call in enumerate(said.calls):
        block = {"type": "tool_use", "id": f"toolu_fake{NONCE}{index}", "name": call.name}
        blocks.append({**block, "input": msgspec.Raw(call.arguments.encode())})
    return blocks


def _block_events(index: int, block: dict[str, Any], deltas: int | None) -> list[bytes]:
    empty: dict[str, Any]
    match block["type"]:
        case "thinking":
            empty = {"thinking": "", "signature": ""}
            parts = [
                {"type": "thinking_delta", "thinking": part} for part in pieces(block["thinking"])
            ]
            parts.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            empty = {"text": ""}
            parts = [{"type": "text_delta", "text": part} for part in pieces(block["text"], deltas)]
        case _:
            empty = {"input": {}}
            arguments = bytes(block["input"]).decode()
            parts = [
                {"type": "input_json_delta", "partial_json": part}
                for part in ("", *halves(arguments))
            ]
    return [
        _event("content_block_start", index=index, content_block={**block, **empty}),
        *(_event("content_block_delta", index=index, delta=part) for part in parts),
        _event("content_block_stop", index=index),
    ]


def _message(
    model: str, content: list[dict[str, Any]], stop: str | None, usage: Usage
) -> dict[str, Any]:
    return {
        "id": f"msg_fake{NONCE}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            **_delta_usage(usage),
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write,
                "ephemeral_1h_input_tokens": usage.cache_write_1h,
            },
            "service_tier": "standard",
        },
    }


def _delta_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.all_cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def _event(kind: str, **fields: Any) -> bytes:
    data = _encode({"type": kind, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
