"""Reads responses of Anthropic's Messages API, streamed or not.

A stream tells the usage more than once; each later report replaces the same field of an earlier
one, and nothing is added up (see `usage_sums.latest_counts`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from aibridged.wire.bounds import is_nothing
from aibridged.wire.collector import (
    MAX_ITEMS,
    Collector,
    Text,
    arguments_text,
    error_in,
    is_json,
    provider_error,
)
from aibridged.wire.early_ends import end_of_message, whole
from aibridged.wire.facts import ResponseFacts, Thought, TokenUsage, WireApi
from aibridged.wire.lenient import json_of, usage_in
from aibridged.wire.messages.events import BLOCKS, EVENTS, MESSAGES, Block, Event, Message
from aibridged.wire.own_answers import Said
from aibridged.wire.reader import StreamReader
from aibridged.wire.usage import messages_usage
from aibridged.wire.usage_sums import reported

_SERVER_SIDE = {"tool_use": False, "server_tool_use": True, "mcp_tool_use": True}
_DELTA = b"content_block_delta"
_HEAD = 150  # within so many bytes an event has said which kind of delta it is
# With the field's name: a thought, or a piece of arguments, may be just this word.
_TEXT, _SPACED_TEXT = b'"type":"text_delta"', b'"type": "text_delta"'
# As Anthropic itself spells one, and with the spaces that other servers put there; nothing is tried
# twice, and there is no other line.
_text_event = re.compile(
    rb'event: content_block_delta\ndata: \{"type": ?+"content_block_delta", ?+"index": ?+\d++, ?+'
    rb'"delta": ?+\{"type": ?+"text_delta"[^\r\n]*+\n\n'
).fullmatch


class _Open(msgspec.Struct):
    """A tool call or a thought whose block hasn't ended.

    `is_given` says that a tool call's text is the input in its block, which deltas replace.
    """

    type: str
    id: str
    name: str
    text: Text
    is_given: bool


class MessagesReader(StreamReader[Event]):
    """Reads one stream of the Messages API."""

    PARSER = EVENTS

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Open] = {}
        self._blocks: dict[int, str] = {}  # the types of those that are open
        self._last = -1  # the index of the block that began last
        self._counts: dict[str, Any] = {}

    def is_silent(self, name: bytes, data: bytes) -> bool:
        return (
            self.verdict is not None
            and (data.find(_TEXT, 0, _HEAD) > 0 or data.find(_SPACED_TEXT, 0, _HEAD) > 0)
            # A tool may have that name.
            and (name == _DELTA or data.find(b'"content_block_delta"', 0, _HEAD) > 0)
        )

    def is_text(self, chunk: bytes) -> bool:
        return self.verdict is not None and _text_event(chunk) is not None

    def _take(self, event: Event) -> None:
        kind = event.type
        if kind == "ping":
            return
        if kind == "error" or (kind not in self._HANDLERS and not is_nothing(event.error)):
            self._fail(provider_error(error_in(event.error)))
            return
        if self.verdict is None:
            self.verdict = "ok"
        handle = self._HANDLERS.get(kind)
        if handle is None:
            self._collector.count("unknown_event")
        else:
            handle(self, event)

    def _take_unread(self, name: bytes, usage: msgspec.Raw) -> None:
        self._count(usage)
        if name == b"message_delta":
            self._stopped = True

    def _message_start(self, event: Event) -> None:
        if event.message is not None:
            self._collector.response_id = event.message.id
            self._collector.model = event.message.model
            self._count(event.message.usage)

    def _block_start(self, event: Event) -> None:
        block = BLOCKS.read(event.content_block, self._collector.count, "block")
        if block is None:
            return
        index = self._last + 1 if event.index is None else event.index
        if index in self._open:
            self._block_end(index, complete=False)
        opened = _open(self._collector, block)
        if opened is not None:
            self._open[index] = opened
        if len(self._blocks) < MAX_ITEMS:
            self._blocks[index] = block.type
        self._last = index

    def _at(self, event: Event) -> int:
        """The index of an open block: some servers leave it out, or let it grow with each event."""
        return event.index if event.index in self._open else self._last

    def _block_delta(self, event: Event) -> None:
        pieces = event.pieces
        piece = json_of(pieces.get("partial_json", pieces.get("thinking")))
        if piece:
            opened = self._open.get(self._at(event))
            if opened is None:
                self._collector.count("stray_delta")
                return
            if opened.is_given:
                opened.is_given = False
                opened.text.replace("")
            opened.text.add(piece)

    def _block_stop(self, event: Event) -> None:
        index = self._at(event)
        self._blocks.pop(event.index if event.index in self._blocks else self._last, None)
        if index in self._open:
            self._block_end(index, complete=True)

    def _message_delta(self, event: Event) -> None:
        self._count(event.usage)
        if event.pieces.get("stop_reason"):
            self._stopped = True

    def _message_stop(self, event: Event) -> None:
        self._ended = True

    def _count(self, usage: msgspec.Raw) -> None:
        counts = self._collector.usage(usage)
        if counts:
            self._counts = reported(self._counts, counts)

    def _block_end(self, index: int, *, complete: bool) -> None:
        _close(self._collector, self._open.pop(index), complete=complete)

    def _close(self) -> None:
        for index in list(self._open):
            self._block_end(index, complete=False)

    def _usage(self) -> TokenUsage | None:
        if not self._counts:
            return None
        return messages_usage(self._counts, partial=not self._stopped, model=self._collector.model)

    def _early_end(self, said: Said) -> bytes:
        if self.verdict is None:
            return whole(WireApi.MESSAGES, said)
        return end_of_message(said, self._blocks, self._last + 1, stopped=self._stopped)

    _HANDLERS: ClassVar[Mapping[str, Callable[["MessagesReader", Event], None]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
    }


def read_body(body: bytes) -> ResponseFacts:
    """The facts of a blocking response, be it a message or an error."""
    collector = Collector()
    return facts_of(MESSAGES.read(body, collector.count, "body"), body, collector)


def facts_of(message: Message | None, body: bytes, collector: Collector) -> ResponseFacts:
    """The facts of a body that has been parsed, or couldn't be; that is counted already."""
    usage = collector.usage(usage_in(body) if message is None else message.usage)
    model = None if message is None else message.model
    told = None if usage is None else messages_usage(usage, partial=False, model=model)
    if message is None:
        return collector.result(told, complete=False)
    collector.response_id, collector.model = message.id, model
    collector.error = message.failure()
    for raw in message.content or ():
        block = BLOCKS.read(raw, collector.count, "block")
        if block is None or block.type == "text":
            continue
        opened = _open(collector, block)
        if opened is not None:
            _close(collector, opened, complete=True)
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
    text = Text(collector, arguments_text(block.input) if is_call else block.thinking or "")
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
    collector.add_call(
        opened.id,
        opened.name,
        arguments,
        complete=complete and not text.cut and is_json(arguments),
        server_side=server_side,
    )
