"""What OpenAI's Chat Completions API and the servers compatible with it send, typed.

Source of the shapes: the types of OpenAI's Python SDK; `reasoning_content`, `reasoning`
and `reasoning_text` are what compatible servers (DeepSeek, vLLM and OpenRouter, GitHub Copilot)
call the text of the model's reasoning.

A message, and what a chunk adds to it, stays a plain object: compatible servers keep more in it
than OpenAI does, and it goes back to the model as it came.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aibridged.wire.bounds import ABSENT, UNREADABLE, is_given, is_nothing
from aibridged.wire.collector import error_in, provider_error
from aibridged.wire.facts import ProviderError
from aibridged.wire.lenient import Parser, TypedEvent, json_of, text

DONE = b"[DONE]"
"""The data of the event that ends a stream."""

FAILED = "error"
"""What stands for the kind of object, the event's name or the reason to stop where it failed."""

_MAX_DIGITS = 10  # of an index
_REASONING = ("reasoning_content", "reasoning", "reasoning_text")


class Choice(msgspec.Struct):
    index: int | None = None
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | int | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT

    def failure(self) -> ProviderError | None:
        """The error that it ended with, if it did."""
        if not is_nothing(self.error):
            return provider_error(error_in(self.error))
        return ProviderError(FAILED, None, None) if self.finish_reason == FAILED else None


class Completion(TypedEvent):
    """A whole completion, or a chunk of a streamed one."""

    id: str | int | None = None
    object: str | None = None
    created: msgspec.Raw = ABSENT
    model: str | None = None
    service_tier: str | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT

    def usages(self) -> Iterator[msgspec.Raw]:
        """Its usage, wherever it stands: Groq tells it in `x_groq`, Moonshot in the choice."""
        if self.x_groq is not ABSENT:
            yield usage_of_groq(self.x_groq)
        for choice in self.choices or ():
            if choice.usage is not ABSENT:
                yield choice.usage
        if self.usage is not ABSENT:
            yield self.usage

    def failure(self) -> ProviderError | None:
        """The error that stands in its place; older servers word one without a field for it."""
        if not is_nothing(self.error) or (self.choices is None and is_given(self.error)):
            return provider_error(error_in(self.error))
        if FAILED in (self.object, self.type):
            kind = self.type if self.type != FAILED else None
            code, message = error_in(self.code), error_in(self.message)
            return provider_error({"type": kind or None, "code": code, "message": message})
        return None


class _Groq(msgspec.Struct):
    usage: msgspec.Raw = ABSENT


_decode_groq = msgspec.json.Decoder(_Groq).decode


def usage_of_groq(x_groq: msgspec.Raw) -> msgspec.Raw:
    """The usage in `x_groq`, where it has one."""
    try:
        return _decode_groq(x_groq).usage
    except UNREADABLE:
        return ABSENT


class _Outline(Completion):
    choices: list[Choice] | None = msgspec.field(default=None, name="")


PARSER = Parser(Completion, _Outline)


class Piece(msgspec.Struct, gc=False):
    """A tool call, or a piece of one; `source` is what it was read from."""

    index: int | None
    id: str
    name: str
    arguments: str
    is_json: bool
    source: Mapping[str, Any]


def thought_in(message: Mapping[str, Any]) -> str:
    """The text of a message's reasoning, by whichever name it goes."""
    for field in _REASONING:
        if isinstance(thought := message.get(field), str) and thought:
            return thought
    return ""


def pieces_in(message: Mapping[str, Any]) -> list[Piece]:
    """The tool calls of a message, or the pieces of some, however they are put."""
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    if not isinstance(calls, list):
        return []
    return [_piece(call) for call in calls if isinstance(call, dict)]


def function_call_in(message: Mapping[str, Any]) -> Piece | None:
    """The call, or a piece of it, in the field that it had before there were tools."""
    call = message.get("function_call")
    return _piece({"function": call}) if isinstance(call, dict) else None


def _piece(call: Mapping[str, Any]) -> Piece:
    custom = call.get("custom")
    tool = custom if isinstance(custom, dict) else call.get("function")
    if not isinstance(tool, dict):
        tool = {}
    index, arguments = text(call.get("index")) or "", tool.get("arguments")
    return Piece(
        int(index) if index.isdecimal() and len(index) < _MAX_DIGITS else None,
        text(call.get("id")) or "",
        text(tool.get("name")) or "",
        json_of(tool.get("input") if arguments is None else arguments),
        not isinstance(custom, dict),
        call,
    )
