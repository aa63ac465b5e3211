"""Runs of the gateway's tools in Anthropic's Messages API.

The blocks of all turns stand in one message. Thinking goes back to the model with its signature, as
the API wants it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from io import StringIO
from typing import Any, ClassVar

import msgspec

from aibridged.wire.bounds import ABSENT
from aibridged.wire.collector import MAX_ITEMS, is_json
from aibridged.wire.injection.dialogue import Call, Dialogue, OverrunError, Result
from aibridged.wire.injection.sse_events import sse
from aibridged.wire.splice import Fields, Growing

_TOLD_AT_THE_END = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "server_tool_use",
)
"""Counts of a stream's first event that its last one may restate."""
_MAX_FIELDS = 16
"""Fields of a block that grow by deltas; the API has five."""
_DELTA = b"event: content_block_delta\ndata: "
_END_TURN = b'"end_turn"'


class _Head(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    text: str | None = None
    input: msgspec.Raw = ABSENT


class _Message(msgspec.Struct):
    id: str | None = None
    content: list[msgspec.Raw] = []
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = -1
    message: _Message | None = None
    content_block: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


class _Block:
    """A content block of a stream: its deltas are pieces of its fields, whichever these are."""

    def __init__(self, begun: dict[str, Any]) -> None:
        self.begun = begun
        self._texts: dict[str, StringIO] = {}
        self._citations: list[Any] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        for field, value in delta.items():
            if field == "citation":
                self._citations.append(value)
            elif field != "type" and isinstance(value, str):
                if field not in self._texts and len(self._texts) == _MAX_FIELDS:
                    continue
                self._texts.setdefault(field, StringIO()).write(value)

    @property
    def arguments(self) -> str:
        """The input of a tool, as far as it was streamed."""
        text = self._texts.get("partial_json")
        return "" if text is None else text.getvalue()

    def whole(self) -> bytes:
        """The block as a blocking answer would have it; an unreadable input is left empty."""
        block = dict(self.begun)
        for field, text in self._texts.items():
            if field != "partial_json":
                block[field] = (block.get(field) or "") + text.getvalue()
        if is_json(arguments := self.arguments):
            block["input"] = msgspec.Raw(arguments.encode())
        if self._citations:
            block["citations"] = [*(block.get("citations") or ()), *self._citations]
        return _encode(block)


class MessagesDialogue(Dialogue):
    """See `Dialogue`."""

    PING = sse(b"ping", b'{"type": "ping"}')
    TEXT = (_DELTA,)

    def __init__(
        self, request: Fields, names: Collection[str], *, withhold_usage: bool = False
    ) -> None:
        super().__init__(names, withhold_usage=withhold_usage)
        self._request = Growing(request, "messages")
        self._id: str | None = None
        self._shown: list[bytes] = []  # the blocks of earlier turns that aren't hidden
        self._next_index = 0  # of the next block that the client of a stream is to see

    def error(self, body: bytes) -> bytes:
        return sse(b"error", body)

    def _begin(self) -> None:
        self._content: list[bytes] = []  # the blocks of this turn, whole
        self._visible: list[bytes] = []  # those of them that aren't calls of our tools
        self._ours: list[Call] = []
        self._own = 0  # calls of the client's tools
        self._stop_reason: str | None = None
        self._open: dict[int, _Block] = {}
        self._indices: dict[int, int | None] = {}  # the client's, by the provider's; None: hidden

    def _answer(self, results: Sequence[Result]) -> bytes:
        self._shown += self._visible
        assistant = b'{"role":"assistant","content":[%b]}' % b",".join(self._content)
        user = {"role": "user", "content": [_result(result) for result in results]}
        return self._request.append([assistant, _encode(user)])

    def _take(self, raw: bytes, arguments: str | None = None) -> None:
        """Note a whole block of this turn's answer, and the arguments as they were streamed."""
        block = _decode_head(raw)
        if block.type == "text" and not block.text:
            return  # the API gives such blocks, and refuses them
        self._content.append(raw)
        if block.type == "tool_use":
            if block.name in self._names:
                text = arguments or bytes(block.input).decode()
                self._ours.append(Call(block.id, block.name, text))
                return
            self._own += 1
        self._visible.append(raw)

    def _stop(self, reason: str) -> None:
        """The model has said why it stopped."""
        self._stop_reason = reason
        self._settle(self._ours, runnable=reason == "tool_use" and not self._own)

    def _ends_without_call(self) -> bool:
        """Whether the client would look for a call that it isn't shown."""
        return bool(self.dropped) and self._stop_reason == "tool_use" and not self._own

    def _read(self, body: bytes) -> bytes:
        message = _decode_message(body)
        self._id = self._id or message.id
        self._usage = message.usage or {}
        for raw in message.content:
            self._take(bytes(raw))
        self._stop(message.stop_reason or "")
        if not self._altered and not self._ours:
            return body
        fields = Fields(body)
        edits = [
            fields.put("id", _encode(self._id)),
            fields.put("content", b"[%b]" % b",".join([*self._shown, *self._visible])),
            fields.put("usage", _encode(self._total)),
        ]
        if self._ends_without_call():
            edits.append(fields.put("stop_reason", _END_TURN))
        return fields.edited(*edits)

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        event = _decode_event(data)
        handle = self._HANDLERS.get(event.type)
        return raw if handle is None else handle(self, raw, data, event)

    def _message_start(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        if event.message is not None:
            self._count(event.message.usage)
        return b"" if self._altered else raw

    def _block_start(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        block = event.content_block or {}
        if len(self._indices) == MAX_ITEMS:
            raise OverrunError
        self._open[event.index] = _Block(block)
        if block.get("type") == "tool_use" and block.get("name") in self._names:
            self._altered = True
            self._indices[event.index] = None
            return b""
        self._indices[event.index] = self._next_index
        self._next_index += 1
        return self._reindexed(raw, data, event)

    def _is_text(self, chunk: bytes) -> bool:
        event = _decode_event(chunk[len(_DELTA) : -2])
        if event.type != "content_block_delta":
            return False
        opened = self._open.get(event.index)
        if opened is not None and event.delta is not None:
            opened.add(event.delta)
        return True

    def _block_delta(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        opened = self._open.get(event.index)
        if opened is not None and event.delta is not None:
            opened.add(event.delta)
        return self._reindexed(raw, data, event)

    def _block_stop(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        block = self._open.pop(event.index, None)
        if block is not None:
            self._take(block.whole(), block.arguments)
        return self._reindexed(raw, data, event)

    def _message_delta(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        self._count(event.usage)
        reason = (event.delta or {}).get("stop_reason")
        if isinstance(reason, str):
            self._stop(reason)
        if self.calls:
            return b""
        if not self._altered:
            return raw
        fields = Fields(data)
        told = {*_TOLD_AT_THE_END, *(event.usage or ())}
        usage = {key: value for key, value in self._total.items() if key in told}
        edits = [fields.put("usage", _encode(usage))]
        if self._ends_without_call():
            delta = Fields(fields.raw("delta") or b"{}")
            edits.append(fields.put("delta", delta.edited(delta.put("stop_reason", _END_TURN))))
        return sse(b"message_delta", fields.edited(*edits))

    def _message_stop(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        return b"" if self.calls else raw

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        told = (usage or {}).items()
        self._usage.update((key, value) for key, value in told if value is not None)

    def _reindexed(self, raw: bytes, data: bytes, event: _Event) -> bytes:
        """The event with the client's index of its block, or nothing for a hidden one."""
        index = self._indices.get(event.index)
        if not self._altered or event.index not in self._indices:
            return raw
        if index is None:
            return b""
        fields = Fields(data)
        return sse(event.type.encode(), fields.edited(fields.put("index", b"%d" % index)))

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
