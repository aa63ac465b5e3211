"""Reads answers of Anthropic's Messages API, streamed or not.

The stream tells the usage more than
once; each later word replaces the same field of an earlier one, and nothing is added up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from aibridged.wire import bounds
from aibridged.wire.collector import (
    UNREADABLE,
    Collector,
    Text,
    is_json,
    json_text,
    provider_error,
)
from aibridged.wire.facts import ResponseFacts, Thought, TokenUsage, ToolCall
from aibridged.wire.messages.events import Block, Event, decode_event, decode_message
from aibridged.wire.reader import StreamReader
from aibridged.wire.usage import MESSAGES_COUNTS, messages_usage

_SERVER_SIDE = {"tool_use": False, "server_tool_use": True, "mcp_tool_use": True}
_HEAD = 150  # within so many bytes an event has said which kind of delta it is


@dataclass(slots=True)
class _Open:
    """A tool call or a thought whose block hasn't ended.

    `is_given` says that a tool call's text is the input in its block, which deltas replace.
    """

    type: str
    id: str
    name: str
    text: Text
    is_given: bool


class MessagesReader(StreamReader):
    """Reads one stream of the Messages API."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Open] = {}
        self._counts: dict[str, Any] = {}

    def _is_plain_text(self, chunk: bytes) -> bool:
        return self.verdict is not None and chunk.find(b'"text_delta"', 0, _HEAD) > 0

    def _read(self, name: bytes, data: bytes) -> None:
        if self._is_plain_text(data):
            return
        event = decode_event(data)
        kind = event.type or name.decode("utf-8", "replace")
        if kind == "ping":
            return
        if kind == "error":
            self._fail(provider_error(bounds.value(event.error)))
            return
        if self.verdict is None:
            self.verdict = "ok"
        handle = self._HANDLERS.get(kind)
        if handle is None:
            self._collector.count("unknown_event")
        else:
            handle(self, event)

    def _message_start(self, event: Event) -> None:
        if event.message is not None:
            self._collector.response_id = event.message.id
            self._collector.model = event.message.model
            self._count(event.message.usage)

    def _block_start(self, event: Event) -> None:
        block = event.content_block
        if block is None:
            return
        if event.index in self._open:
            self._block_end(event.index, complete=False)
        opened = _open(self._collector, block)
        if opened is not None:
            self._open[event.index] = opened

    def _block_delta(self, event: Event) -> None:
        delta = event.delta
        piece = delta and (delta.partial_json or delta.thinking)
        if piece:
            opened = self._open.get(event.index)
            if opened is None:
                self._collector.count("stray_delta")
                return
            if opened.is_given:
                opened.is_given = False
                opened.text.replace("")
            opened.text.add(piece)

    def _block_stop(self, event: Event) -> None:
        if event.index in self._open:
            self._block_end(event.index, complete=True)

    def _message_delta(self, event: Event) -> None:
        self._count(event.usage)
        if event.delta is not None and event.delta.stop_reason is not None:
            self._stopped = True

    def _message_stop(self, event: Event) -> None:
        self._ended = True

    def _count(self, usage: msgspec.Raw) -> None:
        for key, value in (bounds.counts(usage) or {}).items():
            if value is not None and key in MESSAGES_COUNTS:
                self._counts[key] = value

    def _block_end(self, index: int, *, complete: bool) -> None:
        _close(self._collector, self._open.pop(index), complete=complete)

    def _close(self) -> None:
        for index in list(self._open):
            self._block_end(index, complete=False)

    def _usage(self) -> TokenUsage | None:
        if not self._counts:
            return None
        return messages_usage(self._counts, partial=not self._stopped)

    _HANDLERS: ClassVar[Mapping[str, Callable[["MessagesReader", Event], None]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
    }


def read_body(body: bytes) -> ResponseFacts:
    """The facts of a blocking answer, be it a message or an error."""
    collector = Collector()
    try:
        message, is_crowded = decode_message(body)
        usage = bounds.counts(message.usage)
    except UNREADABLE:
        collector.count("unreadable_body")
        return collector.result(None, complete=False)
    if is_crowded:
        collector.count("crowded_body")
    collector.begin(message.id, message.model, message.error)
    for block in message.content or ():
        opened = _open(collector, block)
        if opened is not None:
            _close(collector, opened, complete=True)
    told = None if usage is None else messages_usage(usage, partial=False)
    return collector.result(told, complete=True)


def _open(collector: Collector, block: Block) -> _Open | None:
    """The beginning of a fact, or None for a block that holds none."""
    if block.type in _SERVER_SIDE:
        wanted = collector.keeps(block.id, block.name)
    elif block.type in ("thinking", "redacted_thinking"):
        wanted = collector.keeps()
    else:
        wanted = False
    if not wanted:
        return None
    is_call = block.type in _SERVER_SIDE
    text = Text(collector, json_text(block.input) if is_call else block.thinking or "")
    return _Open(block.type, block.id or "", block.name or "", text, is_given=is_call)


def _close(collector: Collector, opened: _Open, *, complete: bool) -> None:
    """Add the fact."""
    text = opened.text
    server_side = _SERVER_SIDE.get(opened.type)
    if server_side is None:
        if text.value or opened.type == "redacted_thinking":
            collector.thoughts.append(
                Thought(text.value, opened.type, complete=complete and not text.cut)
            )
        return
    arguments = text.value
    collector.tool_calls.append(
        ToolCall(
            call_id=opened.id,
            item_id=None,
            name=opened.name,
            arguments=arguments,
            server_side=server_side,
            complete=complete and not text.cut and is_json(arguments),
        )
    )
