"""Runs of the gateway's tools in Anthropic's Messages API.

The blocks of all turns stand in one message. Thinking goes back to the model with its signature, as
the API wants it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from io import StringIO
from typing import Any, ClassVar

import msgspec

from aibridged.wire.bounds import is_empty, is_given
from aibridged.wire.collector import MAX_ITEMS, Collector, arguments_text, is_json
from aibridged.wire.early_ends import end_of_message
from aibridged.wire.injection.dialogue import (
    Call,
    Dialogue,
    OverrunError,
    Result,
    arguments_of,
    counts_in,
    fields_of,
)
from aibridged.wire.injection.sse_events import sse
from aibridged.wire.lenient import encoded, json_of, uncounted, well_formed
from aibridged.wire.messages.events import BLOCKS, EVENTS, MESSAGES, Block, Event, block_fields
from aibridged.wire.messages.reader import MessagesReader, facts_of
from aibridged.wire.own_answers import Said
from aibridged.wire.splice import Fields, Growing
from aibridged.wire.sse import SseSplitter
from aibridged.wire.usage_sums import add_messages_turn, latest_counts

_TOLD_AT_THE_END = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
)
"""Counts of a stream's first event that its last one may restate."""
_MAX_FIELDS = 16
"""Fields of a block that grow by deltas; the API has five."""
_LOT = 64 * 1024
"""Bytes of a block's events that are kept unread."""
_END_TURN = b'"end_turn"'


class _Block:
    """A content block of a stream: its deltas are pieces of its fields, whichever these are."""

    def __init__(self, begun: dict[str, Any]) -> None:
        self.begun = begun
        self._texts: dict[str, StringIO] = {}
        self._citations: list[Any] = []
        self._unread = bytearray()  # events, which come before what else is told of it

    def defer(self, event: bytes) -> None:
        """Keep an event whose delta is wanted only if this block goes back to the model."""
        self._unread += event
        if len(self._unread) > _LOT:
            self._read()

    def _read(self) -> None:
        unread = bytes(self._unread)
        self._unread.clear()
        for _, data in SseSplitter().feed(unread):
            event = EVENTS.read(data, uncounted, "event")
            if event is not None:
                self._add(event.pieces)

    def add(self, delta: Mapping[str, Any]) -> None:
        if self._unread:
            self._read()
        self._add(delta)

    def _add(self, delta: Mapping[str, Any]) -> None:
        texts = self._texts
        for field, value in delta.items():
            if field == "type":
                continue
            if field == "citation":
                self._citations.append(value)
                continue
            if field == "partial_json":
                value = json_of(value)
            if isinstance(value, str):
                text = texts.get(field)
                if text is None:
                    if len(texts) == _MAX_FIELDS:
                        continue
                    text = texts[field] = StringIO()
                text.write(value)

    @property
    def arguments(self) -> str:
        """The input of a tool, as far as it was streamed."""
        text = self._texts.get("partial_json")
        return "" if text is None else well_formed(text.getvalue())

    def whole(self) -> bytes:
        """The block as a blocking response would have it; an unreadable input is left empty."""
        if self._unread:
            self._read()
        block = dict(self.begun)
        for field, text in self._texts.items():
            if field != "partial_json":
                block[field] = (block.get(field) or "") + text.getvalue()
        if is_json(arguments := self.arguments):
            block["input"] = msgspec.Raw(arguments.encode())
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        return encoded(block)


class MessagesDialogue(Dialogue):
    """See `Dialogue`."""

    PING = sse(b"ping", b'{"type": "ping"}')

    def __init__(
        self, request: Fields, names: Collection[str], *, withhold_usage: bool = False
    ) -> None:
        super().__init__(names, withhold_usage=withhold_usage)
        self._request = Growing(request, "messages")
        self._message_id: str | None = None  # the first turn's
        self._shown: list[bytes] = []  # the blocks of earlier turns that aren't hidden
        self._next_index = 0  # of the next block that the client of a stream is to see

    def error(self, body: bytes) -> bytes:
        return sse(b"error", body)

    def early_end(self, said: Said) -> bytes:
        if not self._altered:
            return self.reader.early_end(said)
        blocks = {
            shown: str(opened.begun.get("type"))
            for index, opened in self._open.items()
            if (shown := self._indices.get(index)) is not None
        }
        stopped = self._stop_reason is not None and not self.calls
        return end_of_message(said, blocks, self._next_index, stopped=stopped)

    def _begin(self) -> None:
        self.reader: MessagesReader = MessagesReader()
        self._content: list[bytes] = []  # the blocks of this turn, whole
        self._visible: list[bytes] = []  # those of them that aren't calls of our tools
        self._ours: list[Call] = []
        self._own = 0  # calls of the client's tools
        self._stop_reason: str | None = None
        self._open: dict[int, _Block] = {}
        self._ended: list[_Block] = []  # what a stream has told, until a call of ours needs it
        self._only: _Block | None = None  # the one that is open, and that any delta belongs to
        self._indices: dict[int, int | None] = {}  # the client's, by the provider's; None: hidden
        self._last_index = -1  # the provider's, of the block that began last

    def _answer(self, results: Sequence[Result]) -> bytes:
        self._shown += self._visible
        assistant = b'{"role":"assistant","content":[%b]}' % b",".join(self._content)
        user = {"role": "user", "content": [_result(result) for result in results]}
        return self._request.append([assistant, encoded(user)])

    def _take(self, raw: bytes, block: Block, arguments: str) -> None:
        """Note a whole block of this turn's response, with a call's arguments."""
        if block.type == "text" and is_empty(block.text):
            return  # the API gives such blocks, and refuses them
        if block.type == "tool_use" and block.name in self._names:
            call_id = self._call_id(block.id)
            if not block.id:
                fields = fields_of(raw)
                raw = fields.edited(fields.put("id", encoded(call_id)))
            self._ours.append(Call(call_id, block.name or "", arguments_of(arguments)))
            self._content.append(raw)
            return
        self._content.append(raw)
        self._own += block.type == "tool_use"
        self._visible.append(raw)

    def _stop(self, reason: str) -> None:
        """The model has said why it stopped."""
        self._stop_reason = reason
        self._settle(self._ours, runnable=reason == "tool_use" and not self._own)

    def _ends_without_call(self) -> bool:
        """Whether the client would look for a call that it isn't shown."""
        return bool(self.dropped) and self._stop_reason == "tool_use" and not self._own

    def _read(self, body: bytes) -> bytes:
        collector = Collector()
        message = MESSAGES.read(body, collector.count, "body")
        self.facts = facts_of(message, body, collector)
        if message is None or message.content is None:
            return body
        self._message_id = self._message_id or message.id
        self._usage = counts_in(message.usage)
        for raw in message.content:
            block = BLOCKS.read(raw, uncounted, "block")
            if block is not None:
                self._take(bytes(raw), block, arguments_text(block.input))
        self._stop(message.stop_reason or "")
        if not self._altered and not self._ours:
            return body
        fields = fields_of(body)
        edits = [
            fields.put("id", encoded(self._message_id)),
            fields.put("content", b"[%b]" % b",".join([*self._shown, *self._visible])),
            fields.put("usage", encoded(self._total)),
        ]
        if self._ends_without_call():
            edits.append(fields.put("stop_reason", _END_TURN))
        return fields.edited(*edits)

    def _defers(self, chunk: bytes) -> bool:
        if self._only is None or not self.reader.is_text(chunk):
            return False
        self._only.defer(chunk)
        return True

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        reader = self.reader
        is_silent = reader.is_silent(name, data)
        event = reader.parse(name, data, is_silent=is_silent)
        if event is None:
            return raw
        if not is_silent:
            reader.note(event)
        handle = self._HANDLERS.get(event.type)
        return raw if handle is None else handle(self, raw, data, event)

    def _message_start(self, raw: bytes, data: bytes, event: Event) -> bytes:
        if event.message is not None:
            self._count(event.message.usage)
        return b"" if self._altered else raw

    def _block_start(self, raw: bytes, data: bytes, event: Event) -> bytes:
        if len(self._indices) == MAX_ITEMS:
            raise OverrunError
        index = self._last_index + 1 if event.index is None else event.index
        self._last_index = index
        begun = block_fields(event.content_block) if is_given(event.content_block) else {}
        self._end_block(index)  # some servers don't say that one has ended
        opened = self._open[index] = _Block(begun)
        if begun.get("type") == "tool_use" and begun.get("name") in self._names:
            self._altered = True
            self._indices[index] = None
            return b""
        self._indices[index] = self._next_index
        self._next_index += 1
        if len(self._open) == 1 and not self._altered:
            self._only = opened
        return self._reindexed(raw, data, event, index)

    def _block_delta(self, raw: bytes, data: bytes, event: Event) -> bytes:
        index = event.index
        if index not in self._open:  # some servers leave it out, or let it grow with each event
            index = self._last_index
        opened = self._open.get(index)
        if opened is not None:
            opened.add(event.pieces)
        return self._reindexed(raw, data, event, index) if self._altered else raw

    def _block_stop(self, raw: bytes, data: bytes, event: Event) -> bytes:
        index = event.index if event.index in self._open else self._last_index
        self._end_block(index)
        return self._reindexed(raw, data, event, index)

    def _end_block(self, index: int) -> None:
        self._only = None
        opened = self._open.pop(index, None)
        if opened is not None:
            self._ended.append(opened)

    def _take_ended(self) -> None:
        """Note the blocks that have ended, if some of them are calls of ours."""
        if None not in self._indices.values():
            return
        for ended in self._ended:
            whole = msgspec.Raw(ended.whole())
            block = BLOCKS.read(whole, uncounted, "block")
            if block is not None:
                arguments = ended.arguments or arguments_text(block.input)
                self._take(bytes(whole), block, arguments)
        self._ended.clear()

    def _message_delta(self, raw: bytes, data: bytes, event: Event) -> bytes:
        self._count(event.usage)
        reason = event.pieces.get("stop_reason")
        if isinstance(reason, str) and reason:
            for index in list(self._open):
                self._end_block(index)
            self._take_ended()
            self._stop(reason)
        if self.calls:
            return b""
        if not self._altered:
            return raw
        fields = fields_of(data)
        told = {*_TOLD_AT_THE_END, *counts_in(event.usage)}
        usage = {key: value for key, value in self._total.items() if key in told}
        edits = [fields.put("usage", encoded(usage))]
        if self._ends_without_call():
            delta = Fields(fields.raw("delta") or b"{}")
            edits.append(fields.put("delta", delta.edited(delta.put("stop_reason", _END_TURN))))
        return sse(b"message_delta", fields.edited(*edits))

    def _message_stop(self, raw: bytes, data: bytes, event: Event) -> bytes:
        return b"" if self.calls else raw

    def _count(self, usage: msgspec.Raw) -> None:
        self._usage = latest_counts(self._usage, counts_in(usage))

    @property
    def _total(self) -> dict[str, Any]:
        return add_messages_turn(self._counts, self._usage)

    def _reindexed(self, raw: bytes, data: bytes, event: Event, index: int) -> bytes:
        """The event with the client's index of its block, or nothing for a hidden one."""
        if not self._altered or index not in self._indices:
            return raw
        shown = self._indices[index]
        if shown is None:
            return b""
        fields = fields_of(data)
        return sse(event.type.encode(), fields.edited(fields.put("index", b"%d" % shown)))

    _HANDLERS: ClassVar[Mapping[str, Callable[..., bytes]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
    }


def _result(result: Result) -> dict[str, Any]:
    block: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": result.call.id,
        "content": result.text,
    }
    return {**block, "is_error": True} if result.is_error else block
