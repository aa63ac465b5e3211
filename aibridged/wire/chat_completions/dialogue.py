"""Runs of the gateway's tools in OpenAI's Chat Completions API.

The texts of all turns are one text, each turn a paragraph. The model is given back its message with
all that it held, since compatible servers keep more in it than OpenAI does.
"""

from collections.abc import Collection, Iterator, Sequence
from io import StringIO
from typing import Any

import msgspec

from aibridged.wire.collector import MAX_ITEMS
from aibridged.wire.injection.dialogue import Call, Dialogue, OverrunError, Result
from aibridged.wire.injection.sse_events import sse
from aibridged.wire.splice import Edit, Fields, Growing

_PARAGRAPH = "\n\n"
_TEXTS = ("content", "reasoning_content", "reasoning")
_CUT_OFF = ("length", "content_filter")
"""The reasons to stop that leave a call unfinished. Of others, servers give a call any."""


class _Choice(msgspec.Struct):
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    id: Any = None
    created: Any = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_choices = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode = msgspec.json.Encoder().encode


class ChatCompletionsDialogue(Dialogue):
    """See `Dialogue`. Of the choices there is only one (see `inject`)."""

    PING = b": ping\n\n"

    def __init__(
        self, request: Fields, names: Collection[str], *, withhold_usage: bool = False
    ) -> None:
        super().__init__(names, withhold_usage=withhold_usage)
        self._request = Growing(request, "messages")
        self._named: dict[str, Any] = {}  # the first turn's id and time, for all that comes after
        self._shown: dict[str, str] = {}  # the texts of the turns before this one

    def error(self, body: bytes) -> bytes:
        return sse(b"", body)

    def _begin(self) -> None:
        self._message: dict[str, Any] = {}
        self._stopped = False
        self._tool_calls = _ToolCalls(self._names)

    def _answer(self, results: Sequence[Result]) -> bytes:
        whole = _plain(self._message)
        if self._tool_calls.whole:
            whole["tool_calls"] = [_plain(call) for call in self._tool_calls.whole]
        self._shown = _texts(self._shown, whole)
        message = {key: value for key, value in whole.items() if value not in (None, [])}
        assistant = {"role": "assistant", "content": None, **message}
        answers = [
            {"role": "tool", "tool_call_id": result.call.id, "content": result.text}
            for result in results
        ]
        return self._request.append([_encode(item) for item in (assistant, *answers)])

    def _stop(self, reason: str) -> None:
        self._stopped = True
        calls = self._tool_calls
        runnable = not calls.own and reason not in _CUT_OFF
        self._settle(list(calls.ours()), runnable=runnable)

    def _ends_without_call(self, reason: object) -> bool:
        """Whether the client would look for a call that it isn't shown."""
        return bool(self.dropped) and not self._tool_calls.own and reason == "tool_calls"

    def _remember(self, completion: _Completion) -> None:
        if not self._named:
            named = {"id": completion.id, "created": completion.created}
            self._named = {key: value for key, value in named.items() if value is not None}
        if completion.usage is not None:
            self._usage = completion.usage

    def _read(self, body: bytes) -> bytes:
        completion = _decode(body)
        self._remember(completion)
        if not completion.choices:
            return body
        choice = completion.choices[0]
        message = choice.message or {}
        visible = self._tool_calls.take(message.get("tool_calls") or ())
        self._message = {key: value for key, value in message.items() if key != "tool_calls"}
        self._stop(choice.finish_reason or "")
        if not self._altered and not self.calls and not self.dropped:
            return body
        fields = Fields(body)
        shown = {key: value for key, value in message.items() if key != "tool_calls"}
        shown.update(_texts(self._shown, self._message))
        if visible:
            shown["tool_calls"] = visible
        (first, *others) = _decode_choices(fields.raw("choices") or b"[]")
        first["message"] = shown
        if self._ends_without_call(first.get("finish_reason")):
            first["finish_reason"] = "stop"
        return fields.edited(*self._edits(fields, choices=[first, *others], usage=self._total))

    def _edits(self, fields: Fields, **changed: Any) -> list[Edit]:
        """These fields, under the first turn's name."""
        values = {**self._named, **changed}
        return [fields.put(key, _encode(value)) for key, value in values.items()]

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            if not self._stopped:
                self._stop("")
            return b"" if self.calls else raw
        chunk = _decode(data)
        if chunk.error is not None:
            return raw
        self._remember(chunk)
        if not chunk.choices:
            return self._usage_chunk(raw, data, chunk)
        choice = chunk.choices[0]
        delta = choice.delta or {}
        calls = delta.get("tool_calls")
        visible = self._tool_calls.take(calls) if calls else []
        had_text = self._altered and _is_begun(self._message.get("content"))
        _merge(self._message, delta)
        if choice.finish_reason is not None:
            self._stop(choice.finish_reason)
        self._altered = self._altered or self._tool_calls.hidden
        return self._rewritten(data, visible, had_text) if self._altered else raw

    def _usage_chunk(self, raw: bytes, data: bytes, chunk: _Completion) -> bytes:
        if self.calls or (self._withhold_usage and chunk.usage is not None):
            return b""
        if not self._altered:
            return raw
        if chunk.usage is None:
            return b""
        fields = Fields(data)
        return sse(b"", fields.edited(*self._edits(fields, usage=self._total)))

    def _rewritten(self, data: bytes, visible: list[dict[str, Any]], had_text: bool) -> bytes:
        """The chunk without what isn't for the client, or nothing if nothing is left."""
        fields = Fields(data)
        (choice, *_) = _decode_choices(fields.raw("choices") or b"[]")
        delta = dict(choice.get("delta") or {})
        delta.pop("tool_calls", None)
        if not self._first:
            delta.pop("role", None)
            if delta.get("content") and self._shown.get("content") and not had_text:
                delta["content"] = _PARAGRAPH + delta["content"]
        if visible:
            delta["tool_calls"] = visible
        if self.calls:
            choice["finish_reason"] = None
        elif self._ends_without_call(choice.get("finish_reason")):
            choice["finish_reason"] = "stop"
        if not choice.get("finish_reason") and not any(delta.values()):
            return b""
        choice["delta"] = delta
        usage = {"usage": self._total} if fields.raw("usage") is not None else {}
        return sse(b"", fields.edited(*self._edits(fields, choices=[choice], **usage)))


class _ToolCalls:
    """The calls of one turn, whole or as they grow, told apart into the client's and ours."""

    def __init__(self, names: Collection[str]) -> None:
        self.whole: list[dict[str, Any]] = []
        self.own = 0
        self.hidden = False
        self._names = names
        self._places: dict[int, int] = {}  # of the calls in `whole`, by the provider's index
        self._indices: list[int | None] = []  # the client's, by place; None: hidden

    def ours(self) -> Iterator[Call]:
        for index, call in zip(self._indices, self.whole, strict=True):
            if index is None:
                function = _plain(call["function"])
                yield Call(call["id"], function["name"], function.get("arguments") or "")

    def take(self, calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Note calls, or pieces of them; returns those that the client is to see."""
        visible = []
        for position, piece in enumerate(calls):
            streamed = "index" in piece
            place = self._place(piece, piece.get("index", position))
            index = self._indices[place]
            if index is not None:
                visible.append({**piece, "index": index} if streamed else piece)
        return visible

    def _place(self, piece: dict[str, Any], index: int) -> int:
        """Where the call stands in `whole`; `piece` begins it or is added to it."""
        place = self._places.get(index)
        name = piece.get("id")
        # Some servers give every call the index 0 and tell them apart by their ids.
        if place is None or (name and name != self.whole[place]["id"]):
            place = self._places[index] = len(self.whole)
            self._begin(piece)
        else:
            _merge(self.whole[place], piece)
        return place

    def _begin(self, piece: dict[str, Any]) -> None:
        if len(self.whole) == MAX_ITEMS:
            raise OverrunError
        call: dict[str, Any] = {}
        _merge(call, piece)
        call["id"] = call.get("id") or f"call_{len(self.whole)}"
        self.whole.append(call)
        if (call.get("function") or {}).get("name") in self._names:
            self.hidden = True
            self._indices.append(None)
        else:
            self._indices.append(self.own)
            self.own += 1


_SAID_ONCE = ("id", "role", "type", "name")
_MAX_KEYS = 64  # of a message, and of each object in it; servers send a dozen


def _merge(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a message or of a call: texts and lists grow, of all else the last counts."""
    for key, value in piece.items():
        before = whole.get(key)
        if key in ("index", "tool_calls") or value is None:
            continue
        if isinstance(before, dict):
            _merge(before, value)
        elif isinstance(before, StringIO) and isinstance(value, str):
            before.write(value)
        elif isinstance(before, list) and isinstance(value, list):
            before += value
        elif key in whole or len(whole) < _MAX_KEYS:
            whole[key] = value if key in _SAID_ONCE else _growing(value)


def _growing(value: Any) -> Any:
    """A copy that pieces can be added to."""
    if isinstance(value, str):
        text = StringIO()
        text.write(value)
        return text
    if isinstance(value, dict):
        return {key: each if key in _SAID_ONCE else _growing(each) for key, each in value.items()}
    return list(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """What has grown, as it is."""
    if isinstance(value, StringIO):
        return value.getvalue()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _is_begun(value: Any) -> bool:
    return value.tell() > 0 if isinstance(value, StringIO) else bool(value)


def _texts(shown: dict[str, str], message: dict[str, Any]) -> dict[str, str]:
    """The texts of all turns, this one's message included."""
    texts = {}
    for field in _TEXTS:
        parts = [part for part in (shown.get(field), message.get(field)) if part]
        if parts:
            texts[field] = _PARAGRAPH.join(parts)
    return texts
