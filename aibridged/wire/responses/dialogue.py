"""Runs of the gateway's tools in OpenAI's Responses API.

The output items of all turns stand in one response. What the provider keeps of the conversation
decides what it has to be told again, and under which id the client may continue:

- Where it keeps a `conversation`, that has grown by our calls already: a turn adds their results.
- Otherwise a turn repeats the input and adds the output and the results to it. Where the provider
  stores nothing, thoughts that aren't encrypted are left out, since their ids would lead nowhere.
- Where it stores responses, a client can continue from the last turn's alone. A blocking one has
  that one's id; a stream keeps the first one's, which was told by then: OpenAI's own SDK refuses a
  stream whose id changes. So a request that names it continues from the last (see `continuing`).
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from aibridged.wire.bounds import is_empty
from aibridged.wire.collector import MAX_ITEMS, Collector, arguments_text
from aibridged.wire.early_ends import ResponseSoFar, end_of_response
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
from aibridged.wire.lenient import encoded, uncounted
from aibridged.wire.own_answers import Said
from aibridged.wire.responses.continuing import Continuation, as_items, conversation_of
from aibridged.wire.responses.events import RESPONSES, Event, Response
from aibridged.wire.responses.items import ITEMS, Item
from aibridged.wire.responses.reader import ResponsesReader, facts_of
from aibridged.wire.splice import Fields, Growing


class _Error(msgspec.Struct, frozen=True):
    type: str | None = None
    code: str | None = None
    message: str | None = None


class _Failure(msgspec.Struct):
    error: _Error = _Error()


_decode_error = msgspec.json.Decoder(_Failure).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_FOR_THE_CLIENT = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)
"""Items that the client has to answer before the model goes on."""

_NOT_RUN = "Not run. Call it again if it is needed."

_BEGIN = ("response.created", "response.in_progress", "response.queued")
_ADDED = "response.output_item.added"
_DONE = "response.output_item.done"
_END = ("response.completed", "response.incomplete", "response.failed")
_WATCHED = frozenset(name.encode() for name in (*_BEGIN, _ADDED, _DONE, *_END, ""))
"""The events that are looked into while the stream is passed on as it is."""


class ResponsesDialogue(Dialogue):
    """See `Dialogue`."""

    PING = b": ping\n\n"

    def __init__(
        self, request: Fields, names: Collection[str], *, withhold_usage: bool = False
    ) -> None:
        super().__init__(names, withhold_usage=withhold_usage)
        self._conversation = conversation_of(request)
        self._is_stored = request.raw("store") != b"false"
        repeated = None if self._conversation is not None else request.raw("input")
        self._repeated = request.edit(request.put("input", as_items(repeated)))
        self._request = Growing(self._repeated, "input")
        self._first_id: str | None = None
        self._last_id: str | None = None
        self._begun: bytes | None = None  # the response as a stream's first event tells it
        self._shown: list[bytes] = []  # the items of earlier turns that aren't hidden
        self._next_index = 0  # of the next item that the client of a stream is to see
        self._next_number: int | None = None  # of its next event; None: as the provider numbers it

    def error(self, body: bytes) -> bytes:
        error = _decode_error(body).error
        told = {"code": error.code or error.type or "server_error", "message": error.message}
        if self._begun is None:
            return sse(b"error", encoded({"type": "error", "param": None, **told}))
        fields = Fields(self._begun)
        failed = fields.edited(
            fields.put("status", b'"failed"'),
            fields.put("error", encoded(told)),
            fields.put("output", _array(self._shown)),
            fields.put("usage", encoded(self._total or None)),
        )
        event: dict[str, Any] = {"type": "response.failed", "response": msgspec.Raw(failed)}
        if self._next_number is not None:
            event["sequence_number"] = self._next_number
        return sse(b"response.failed", encoded(event))

    def early_end(self, said: Said) -> bytes:
        reader = self.reader
        if not self._altered or self._first_id is None:
            return reader.early_end(said)
        whole = [
            raw for index, (raw, _) in self._whole.items() if self._indices.get(index) is not None
        ]
        shown = ResponseSoFar(
            self._first_id,
            [*self._shown, *whole],
            (),
            (),
            self._next_index,
            reader.so_far.number if self._next_number is None else self._next_number,
        )
        seen = reader.so_far.seen_through(shown, self._indices, reader.open_items)
        return end_of_response(said, seen)

    def _begin(self) -> None:
        self.reader: ResponsesReader = ResponsesReader()
        self._output: list[bytes] = []  # the items of this turn, whole
        self._visible: list[bytes] = []  # those of them that aren't calls of our tools
        self._ours: list[Call] = []
        self._own = 0  # items that the client has to answer
        self._whole: dict[int, tuple[bytes, Item]] = {}  # of a stream, by the provider's index
        self._last_index = -1  # the provider's, of the item that was told last
        self._indices: dict[int, int | None] = {}  # the client's, by the provider's; None: hidden

    def _answer(self, results: Sequence[Result]) -> bytes:
        self._shown += self._visible
        outputs = [_output(result.call, result.text) for result in results]
        if self._conversation is not None:
            return Growing(self._repeated, "input").append(outputs)
        repeated = self._output if self._is_stored else _without_lost_thoughts(self._output)
        return self._request.append([*repeated, *outputs])

    def _end(self, response: Response) -> None:
        """The whole response is there."""
        self._first_id = self._first_id or response.id
        self._usage = counts_in(response.usage)
        if response.store is False:  # whatever was asked for
            self._is_stored = False
        if self._whole:
            for index in sorted(self._whole):
                self._take(*self._whole[index])
        else:
            for raw in response.output or ():
                self._take(bytes(raw), _item(raw))
        self._settle(self._ours, runnable=response.status == "completed" and not self._own)
        self._last_id = response.id

    def _take(self, raw: bytes, item: Item) -> None:
        if _is_ours(item, self._names):
            call_id = self._call_id(item.call_id)
            if not item.call_id:
                fields = fields_of(raw)
                raw = fields.edited(fields.put("call_id", encoded(call_id)))
            arguments = arguments_of(arguments_text(item.arguments))
            self._ours.append(Call(call_id, item.name or "", arguments))
            self._output.append(raw)
            return
        self._output.append(raw)
        self._own += item.type in _FOR_THE_CLIENT
        self._visible.append(raw)

    def _merged(self, raw: bytes, shown_id: str | None) -> bytes:
        """A response with the output of all turns, under the id that the client is shown."""
        self.continuation = self._continuation(shown_id)
        output = [*self._shown, *self._visible]
        while self.dropped and output and _item(output[-1]).type == "reasoning":
            output.pop()  # the API refuses a thought that nothing follows
        fields = fields_of(raw)
        edits = [fields.put("output", _array(output))]
        if self._total:
            edits.append(fields.put("usage", encoded(self._total)))
        if shown_id is not None:
            edits.append(fields.put("id", encoded(shown_id)))
        return fields.edited(*edits)

    def _continuation(self, shown_id: str | None) -> Continuation | None:
        """How to continue from here, where that isn't as the client will say."""
        outputs = tuple(_output(call, _NOT_RUN) for call in self.dropped)
        if self._conversation is not None:
            return Continuation(self._conversation, outputs=outputs) if outputs else None
        if not self._is_stored or shown_id is None or (shown_id == self._last_id and not outputs):
            return None
        return Continuation(shown_id, self._last_id, outputs)

    def _read(self, body: bytes) -> bytes:
        collector = Collector()
        response = RESPONSES.read(body, collector.count, "body")
        self.facts = facts_of(response, body, collector)
        if response is None or response.output is None:
            return body
        self._end(response)
        if not self._altered and not self._ours:
            return body
        stored = self._is_stored or self._conversation is not None
        return self._merged(body, self._last_id if stored else self._first_id)

    def _defers(self, chunk: bytes) -> bool:
        return not self._altered and self.reader.is_text(chunk)

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        reader = self.reader
        if not self._altered and name not in _WATCHED:
            reader.read(name, data)
            return raw
        is_silent = reader.is_silent(name, data)
        event = reader.parse(name, data, is_silent=is_silent)
        if event is None:
            return raw
        if not is_silent:
            reader.note(event)
        kind = event.type
        if kind in _BEGIN:
            return self._created(raw, data, event)
        if kind in _END:
            return self._ended(raw, data, event)
        index = self._index(event)
        if index is not None:
            if len(self._indices) > MAX_ITEMS or len(self._whole) > MAX_ITEMS:
                raise OverrunError
            if kind == _ADDED and reader.item is not None:
                self._item_added(event, index, reader.item)
            elif kind == _DONE and reader.item is not None:
                if index not in self._indices:  # it is told whole before it is added, or never is
                    self._item_added(event, index, reader.item)
                self._whole[index] = bytes(event.item), reader.item
            if self._indices.get(index, -1) is None:
                return b""
        return self._shown_as(raw, data, event)

    def _index(self, event: Event) -> int | None:
        """The index of the event's item; some servers don't tell it."""
        if event.output_index is not None:
            self._last_index = event.output_index
        elif event.type == _ADDED:
            self._last_index += 1
        elif event.type != _DONE:
            return None
        return self._last_index

    def _created(self, raw: bytes, data: bytes, event: Event) -> bytes:
        if not self._first:
            return b""
        if self._begun is None and self.reader.response is not None:
            self._first_id = self.reader.response.id
            self._begun = bytes(event.response)
        return self._shown_as(raw, data, event)

    def _item_added(self, event: Event, index: int, item: Item) -> None:
        if index in self._whole and _is_same(item, self._whole[index][1]):
            return  # it was told whole before
        if _is_ours(item, self._names):
            self._indices[index] = None
            if not self._altered:
                self._altered = True
                self._next_number = event.sequence_number
        else:
            self._indices[index] = self._next_index
            self._next_index += 1

    def _ended(self, raw: bytes, data: bytes, event: Event) -> bytes:
        response = self.reader.response
        if response is None:
            return raw
        self._end(response)
        if self.calls:
            return b""
        if not self._altered:
            return raw
        merged = self._merged(bytes(event.response), self._first_id)
        return self._shown_as(raw, data, event, response=merged)

    def _shown_as(self, raw: bytes, data: bytes, event: Event, **values: bytes) -> bytes:
        """The event with the client's numbers, and these fields."""
        if not self._altered:
            return raw
        fields = fields_of(data)
        index = self._indices.get(-1 if event.output_index is None else event.output_index)
        if index is not None:
            values["output_index"] = b"%d" % index
        if event.sequence_number is not None and self._next_number is not None:
            values["sequence_number"] = b"%d" % self._next_number
            self._next_number += 1
        edits = [fields.put(field, value) for field, value in values.items()]
        return sse(event.type.encode(), fields.edited(*edits))


def _item(raw: bytes | msgspec.Raw) -> Item:
    """An output item; what can't be read of it is empty. That is counted by the reader."""
    return ITEMS.read(raw, uncounted, "item") or Item()


def _is_same(item: Item, other: Item) -> bool:
    return bool(item.id and item.id == other.id) or bool(
        item.call_id and item.call_id == other.call_id
    )


def _is_ours(item: Item, names: Collection[str]) -> bool:
    return item.type == "function_call" and item.name in names


def _output(call: Call, text: str) -> bytes:
    return encoded({"type": "function_call_output", "call_id": call.id, "output": text})


def _array(items: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)


def _without_lost_thoughts(output: Sequence[bytes]) -> list[bytes]:
    """The items without thoughts that only the provider could know, and without traces of them."""
    items = [_item(raw) for raw in output]
    lost = [item.type == "reasoning" and is_empty(item.encrypted_content) for item in items]
    if not any(lost):
        return list(output)
    kept = (raw for raw, is_lost in zip(output, lost, strict=True) if not is_lost)
    return [_without_id(raw) for raw in kept]


def _without_id(raw: bytes) -> bytes:
    """The item without the id by which the provider would look for the thought before it."""
    fields = _decode_fields(raw)
    fields.pop("id", None)
    return encoded(fields)
