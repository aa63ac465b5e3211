"""Reads answers of OpenAI's Chat Completions API and of the servers that are compatible with it.

Every chunk is decoded: the facts can stand anywhere in it, and decoding the few fields that matter
takes a third of the time of the searches that could tell that there are none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aibridged.wire import bounds
from aibridged.wire.bounds import is_given
from aibridged.wire.chat_completions.events import CallPiece, Message, decode
from aibridged.wire.collector import (
    MAX_ITEMS,
    OMITTED,
    UNREADABLE,
    Collector,
    Text,
    is_json,
    provider_error,
)
from aibridged.wire.facts import ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.reader import StreamReader
from aibridged.wire.usage import chat_usage


@dataclass(slots=True)
class _Open:
    """A tool call while its arguments come in; the legacy function call has no id."""

    call_id: str
    name: str
    is_json: bool
    text: Text


class ChatCompletionsReader(StreamReader):
    """Reads one stream of the Chat Completions API."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[int, _Open]] = []  # with their choice, in order
        self._current: dict[tuple[int, int], _Open] = {}  # by choice, and index within it
        self._thoughts: dict[int, Text] = {}  # by choice
        self._finished: set[int] = set()  # choices with facts that have said why they stopped
        self._counts: dict[str, Any] | None = None

    def _read(self, name: bytes, data: bytes) -> None:
        if data == b"[DONE]":
            self._ended = True
            return
        chunk, is_crowded = decode(data)
        if is_given(chunk.error) or name == b"error":
            self._fail(provider_error(bounds.value(chunk.error)))
            return
        if self.verdict is None:
            self.verdict = "ok"
        collector = self._collector
        collector.response_id = collector.response_id or chunk.id or None
        collector.model = collector.model or chunk.model
        if is_crowded:
            collector.count("crowded_event")
        if is_given(chunk.usage):
            self._counts = bounds.counts(chunk.usage)
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._take(choice.index, choice.delta)
            if choice.finish_reason is not None:
                self._finish(choice.index)

    def _finish(self, choice: int) -> None:
        self._stopped = True
        if len(self._finished) < MAX_ITEMS:  # more have no facts
            self._finished.add(choice)

    def _take(self, choice: int, delta: Message) -> None:
        for call in delta.tool_calls or ():
            self._take_call((choice, call.index or 0), call)
        if delta.function_call is not None:
            self._take_call((choice, -1), CallPiece(function=delta.function_call))
        reasoning = delta.thought()
        if reasoning:
            text = self._thoughts.get(choice)
            if text is None:
                if not self._collector.keeps():
                    return
                text = self._thoughts[choice] = Text(self._collector)
            text.add(reasoning)

    def _take_call(self, key: tuple[int, int], call: CallPiece) -> None:
        opened = self._current.get(key)
        # Some servers give every call the index 0 and tell them apart by their ids.
        if opened is None or (call.id and opened.call_id and call.id != opened.call_id):
            if not self._collector.fits(call.id, _name(call)):
                self._current.pop(key, None)
                if call.id or _name(call):  # and no piece of one that is omitted already
                    self._collector.count(OMITTED)
                return
            opened = self._current[key] = _open(self._collector, call)
            self._calls.append((key[0], opened))
        else:
            opened.call_id = opened.call_id or call.id or ""
            opened.name = opened.name or _name(call)
            opened.text.add(_arguments(call))

    def _close(self) -> None:
        for choice, text in self._thoughts.items():
            whole = choice in self._finished and not text.cut
            self._collector.thoughts.append(Thought(text.value, "reasoning", complete=whole))
        for choice, opened in self._calls:
            _close(self._collector, opened, complete=choice in self._finished)

    def _usage(self) -> TokenUsage | None:
        # Some servers tell the usage so far with every chunk.
        if self._counts is None:
            return None
        return chat_usage(self._counts, partial=not (self._stopped or self._ended))


def read_body(body: bytes) -> ResponseFacts:
    """The facts of a blocking answer, be it a completion or an error."""
    collector = Collector()
    try:
        completion, is_crowded = decode(body)
        usage = bounds.counts(completion.usage)
    except UNREADABLE:
        collector.count("unreadable_body")
        return collector.result(None, complete=False)
    if is_crowded:
        collector.count("crowded_body")
    collector.begin(completion.id, completion.model, completion.error)
    for choice in completion.choices or ():
        if choice.message is not None:
            _take_message(collector, choice.message)
    told = None if usage is None else chat_usage(usage, partial=False)
    return collector.result(told, complete=True)


def _take_message(collector: Collector, message: Message) -> None:
    reasoning = message.thought()
    if reasoning:
        collector.add_thought(reasoning, "reasoning")
    calls: Sequence[CallPiece] = message.tool_calls or ()
    if message.function_call is not None:
        calls = [*calls, CallPiece(function=message.function_call)]
    for call in calls:
        if collector.keeps(call.id, _name(call)):
            _close(collector, _open(collector, call), complete=True)


def _open(collector: Collector, call: CallPiece) -> _Open:
    text = Text(collector, _arguments(call))
    return _Open(call.id or "", _name(call), is_json=call.custom is None, text=text)


def _close(collector: Collector, opened: _Open, *, complete: bool) -> None:
    arguments = opened.text.value
    whole = complete and not opened.text.cut and (not opened.is_json or is_json(arguments))
    collector.tool_calls.append(
        ToolCall(
            call_id=opened.call_id,
            item_id=None,
            name=opened.name,
            arguments=arguments,
            server_side=False,
            complete=whole,
        )
    )


def _name(call: CallPiece) -> str:
    tool = call.custom or call.function
    return (tool and tool.name) or ""


def _arguments(call: CallPiece) -> str:
    tool = call.custom or call.function
    return (tool and (tool.arguments or tool.input)) or ""
