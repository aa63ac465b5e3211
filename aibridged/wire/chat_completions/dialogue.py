"""Runs of the gateway's tools in OpenAI's Chat Completions API.

The texts of all turns are one text, each turn a paragraph. The model is given back its message with
all that it held, since compatible servers keep more in it than OpenAI does.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from aibridged.wire.bounds import is_given
from aibridged.wire.chat_completions.calls import Calls
from aibridged.wire.chat_completions.events import (
    DONE,
    FAILED,
    PARSER,
    Completion,
    Piece,
    pieces_in,
)
from aibridged.wire.chat_completions.reader import ChatCompletionsReader, facts_of
from aibridged.wire.collector import MAX_ITEMS, Collector
from aibridged.wire.early_ends import end_of_completion
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
from aibridged.wire.lenient import encoded, loads, well_formed
from aibridged.wire.own_answers import Said
from aibridged.wire.splice import Edit, Fields, Growing
from aibridged.wire.usage_sums import latest_counts

_PARAGRAPH = "\n\n"
_TEXTS = ("content", "reasoning_content", "reasoning")
_CUT_OFF = ("length", "content_filter", FAILED)
"""The reasons to stop that leave a call unfinished. Of others, servers give a call any."""


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

    def early_end(self, said: Said) -> bytes:
        if not self._altered:
            return self.reader.early_end(said)
        return end_of_completion(
            said,
            str(self._named.get("id") or "") or None,
            is_chat=True,
            stopped=self._stopped and not self.calls,
            has_usage=False,
        )

    def _begin(self) -> None:
        self.reader: ChatCompletionsReader = ChatCompletionsReader()
        self._message: dict[str, Any] = {}
        self._stopped = False
        self._tool_calls = _ToolCalls(self._names)

    def _answer(self, results: Sequence[Result]) -> bytes:
        whole = _plain(self._message)
        if self._tool_calls.grown:
            whole["tool_calls"] = [call.plain() for call in self._tool_calls.grown]
        self._shown = _texts(self._shown, whole)
        message = {key: value for key, value in whole.items() if value not in (None, [])}
        assistant = {"role": "assistant", "content": None, **message}
        answers = [
            {"role": "tool", "tool_call_id": result.call.id, "content": result.text}
            for result in results
        ]
        return self._request.append([encoded(item) for item in (assistant, *answers)])

    def _stop(self, reason: object) -> None:
        self._stopped = True
        calls = self._tool_calls
        runnable = not calls.own and reason not in _CUT_OFF
        ours = [call.call(self._call_id(call.id)) for call in calls.ours()]
        self._settle(ours, runnable=runnable)

    def _ends_without_call(self, reason: object) -> bool:
        """Whether the client would look for a call that it isn't shown."""
        return bool(self.dropped) and not self._tool_calls.own and reason == "tool_calls"

    def _remember(self, completion: Completion) -> None:
        """The first turn's id and time."""
        if completion.id is not None:
            self._named["id"] = completion.id
        if is_given(completion.created):
            self._named["created"] = loads(completion.created)

    def _read(self, body: bytes) -> bytes:
        collector = Collector()
        completion = PARSER.read(body, collector.count, "body")
        self.facts = facts_of(completion, body, collector)
        if completion is None:
            return body
        if not self._named:
            self._remember(completion)
        self._count(completion)
        if not completion.choices or self.facts.error is not None:
            return body
        choice = completion.choices[0]
        message = choice.message or {}
        visible = self._tool_calls.take(message, streamed=False)
        self._message = {key: value for key, value in message.items() if key != "tool_calls"}
        self._stop(choice.finish_reason)
        if not self._altered and not self.calls and not self.dropped:
            return body
        fields = fields_of(body)
        shown = {key: value for key, value in message.items() if key != "tool_calls"}
        shown.update(_texts(self._shown, self._message))
        if visible:
            shown["tool_calls"] = visible
        (first, *others) = _choices_in(fields)
        first["message"] = shown
        if self._ends_without_call(first.get("finish_reason")):
            first["finish_reason"] = "stop"
        told = {"usage": self._total, **self._told(fields, [first, *others])}
        return fields.edited(*self._edits(fields, **told))

    def _count(self, completion: Completion) -> None:
        for usage in completion.usages():
            self._usage = latest_counts(self._usage, counts_in(usage))

    def _edits(self, fields: Fields, **changed: Any) -> list[Edit]:
        """These fields, under the first turn's name."""
        values = {**self._named, **changed}
        return [fields.put(key, encoded(value)) for key, value in values.items()]

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        reader = self.reader
        if data == DONE:
            reader.read(name, data)
            if not self._stopped:
                self._stop(None)
            return b"" if self.calls else raw
        chunk = reader.parse(name, data)
        if chunk is None:
            return raw
        reader.note(chunk)
        if chunk.choices is None and (type(chunk) is not Completion or chunk.failure() is not None):
            return raw
        if not self._named:
            self._remember(chunk)
        self._count(chunk)
        if not chunk.choices:
            return self._usage_chunk(raw, data, chunk)
        choice = chunk.choices[0]
        delta = choice.delta or {}
        visible = self._tool_calls.take(delta, streamed=True) if "tool_calls" in delta else []
        had_text = self._altered and _is_begun(self._message.get("content"))
        _merge(self._message, delta)
        if choice.finish_reason:
            self._stop(choice.finish_reason)
        self._altered = self._altered or self._tool_calls.hidden
        return self._rewritten(data, visible, had_text) if self._altered else raw

    def _usage_chunk(self, raw: bytes, data: bytes, chunk: Completion) -> bytes:
        has_usage = is_given(chunk.usage)
        if self.calls or (self._withhold_usage and has_usage):
            return b""
        if not self._altered:
            return raw
        if not has_usage:
            return b""
        fields = fields_of(data)
        return sse(b"", fields.edited(*self._edits(fields, usage=self._total)))

    def _rewritten(self, data: bytes, visible: list[dict[str, Any]], had_text: bool) -> bytes:
        """The chunk without what isn't for the client, or nothing if nothing is left."""
        fields = fields_of(data)
        (choice, *_) = _choices_in(fields)
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
        return sse(b"", fields.edited(*self._edits(fields, **self._told(fields, [choice]))))

    def _told(self, fields: Fields, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The choices, and the usage of all turns wherever the provider tells that of this one."""
        told: dict[str, Any] = {"choices": choices}
        if fields.raw("usage") is not None:
            told["usage"] = self._total
        for choice in choices:
            if isinstance(choice, dict) and choice.get("usage"):
                choice["usage"] = self._total
        groq = loads(fields.raw("x_groq") or b"null")
        if isinstance(groq, dict) and groq.get("usage"):
            told["x_groq"] = {**groq, "usage": self._total}
        return told


def _choices_in(fields: Fields) -> list[dict[str, Any]]:
    choices = loads(fields.raw("choices") or b"[]")
    return choices if isinstance(choices, list) else [choices]


class _Growing:
    """A call, as it goes back to the model; `index` is the client's, None for a hidden one."""

    def __init__(self, piece: Piece, index: int | None) -> None:
        self.index = index
        self.id = piece.id
        self.name = piece.name
        self._field, self._text = ("function", "arguments") if piece.is_json else _CUSTOM
        self._others: dict[str, Any] = {}
        self.last = ""
        self._arguments = StringIO()
        self.add(piece)

    @property
    def size(self) -> int:
        return self._arguments.tell()

    def add(self, piece: Piece) -> None:
        self.id = self.id or piece.id
        self.name = self.name or piece.name
        others = {**piece.source, "id": None}
        if isinstance(tool := others.get(self._field), dict):
            others[self._field] = {**tool, "name": None, self._text: None}
        _merge(self._others, others)
        self.last = piece.arguments[-1:] or self.last
        self._arguments.write(piece.arguments)

    def arguments(self) -> str:
        return well_formed(self._arguments.getvalue())

    def call(self, call_id: str) -> Call:
        """The whole call, one of ours."""
        self.id = well_formed(call_id)
        arguments = arguments_of(self.arguments())
        self._arguments = StringIO(arguments)
        return Call(self.id, self.name, arguments)

    def plain(self) -> dict[str, Any]:
        others = _plain(self._others)
        tool = others.get(self._field)
        named = {
            **(tool if isinstance(tool, dict) else {}),
            "name": self.name,
            self._text: self.arguments(),
        }
        return {"id": self.id, **others, self._field: named}


_CUSTOM = ("custom", "input")


class _ToolCalls:
    """The calls of one turn, whole or as they grow, told apart into the client's and ours."""

    def __init__(self, names: Collection[str]) -> None:
        self.grown: list[_Growing] = []
        self.own = 0
        self.hidden = False
        self._names = names
        self._places: Calls[_Growing] = Calls()

    def ours(self) -> Iterator[_Growing]:
        return (call for call in self.grown if call.index is None)

    def take(self, message: Mapping[str, Any], *, streamed: bool) -> list[dict[str, Any]]:
        """Note calls, or pieces of them; returns those that the client is to see."""
        visible = []
        for number, piece in enumerate(pieces_in(message)):
            begins, call = not streamed, None
            if streamed:
                begins, call = self._places.find(0, piece, first=number == 0)
            if begins:
                call = self._begin(piece)
                self._places.begin(0, piece, call)
            elif call is not None:
                call.add(piece)
            if call is not None and call.index is not None:
                source = dict(piece.source)
                visible.append({**source, "index": call.index} if streamed else source)
        return visible

    def _begin(self, piece: Piece) -> _Growing:
        if len(self.grown) == MAX_ITEMS:
            raise OverrunError
        is_ours = piece.name in self._names
        call = _Growing(piece, None if is_ours else self.own)
        self.grown.append(call)
        self.hidden = self.hidden or is_ours
        self.own += not is_ours
        return call


_SAID_ONCE = ("id", "role", "type", "name")
_MAX_KEYS = 64  # of a message, and of each object in it; servers send a dozen


def _merge(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a message or of a call: texts and lists grow, of all else the last counts."""
    for key, value in piece.items():
        before = whole.get(key)
        if key in ("index", "tool_calls") or value is None or (before and key in _SAID_ONCE):
            continue
        if isinstance(before, dict) and isinstance(value, dict):
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
        return well_formed(value.getvalue())
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _is_begun(value: Any) -> bool:
    return value.tell() > 0 if isinstance(value, StringIO) else bool(value)


def _texts(shown: dict[str, str], message: dict[str, Any]) -> dict[str, str]:
    """The texts of all turns, this one's message included."""
    texts = {}
    for field in _TEXTS:
        both = (shown.get(field), message.get(field))
        parts = [part for part in both if isinstance(part, str) and part]
        if parts:
            texts[field] = _PARAGRAPH.join(parts)
    return texts
