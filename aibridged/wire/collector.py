"""What a reader has gathered of one response so far, within a bound.

A provider's words are kept up to `MAX_KEPT` characters a response: arguments and thoughts, with
the names and ids around them. What comes after is cut, marked as incomplete and counted. So are
tool calls and thoughts beyond `MAX_ITEMS`.
"""

import re
from io import StringIO
from typing import Any

import msgspec

from aibridged.wire import bounds, lenient
from aibridged.wire.facts import ProviderError, ResponseFacts, Thought, TokenUsage, ToolCall

MAX_KEPT = 4 * 1024 * 1024
"""Characters kept of one response: several times what the longest responses of today hold."""

MAX_ITEMS = 512
"""Tool calls and thoughts kept of one response, together; the record says how many are omitted."""

MAX_ID = 1024
"""Characters kept of a response's id and of its model's name."""

OMITTED = "item_dropped"
"""The anomaly that counts the tool calls and thoughts that weren't kept."""

_ITEM = 200  # characters that a tool call or a thought is charged beside its text
_well_formed = msgspec.json.Decoder(msgspec.Raw).decode
_decode_text = msgspec.json.Decoder(str).decode


class Collector:
    """The facts of one response while they come in; `result` makes them final."""

    # Defaults are class attributes: most responses set few of them.
    response_id: str | None = None
    model: str | None = None
    status: str | None = None
    error: ProviderError | None = None

    def __init__(self) -> None:
        self.tool_calls: list[ToolCall] = []
        self.thoughts: list[Thought] = []
        self.anomalies: dict[str, int] = {}
        self.left = MAX_KEPT
        self.places = MAX_ITEMS

    def count(self, kind: str) -> None:
        """Note something that couldn't be read or kept; `kind` is a literal of the reader's."""
        self.anomalies[kind] = self.anomalies.get(kind, 0) + 1

    def usage(self, raw: msgspec.Raw) -> dict[str, Any] | None:
        """The counts of a usage object; None where there are none, or none that can be read."""
        try:
            return bounds.counts(raw)
        except bounds.UNREADABLE:
            self.count("unreadable_usage")
            return None

    def fits(self, *names: str | None) -> bool:
        """Whether there is room for one more item with these names; if so, it is taken."""
        size = _ITEM + sum(len(name) for name in names if name)
        if size > self.left or not self.places:
            return False
        self.left -= size
        self.places -= 1
        return True

    def give_back(self, places: int) -> None:
        """Free what so many items had taken that come to no facts of their own."""
        self.places += places
        self.left += places * _ITEM

    def keeps(self, *names: str | None) -> bool:
        """As `fits`, but what doesn't is counted as omitted."""
        fits = self.fits(*names)
        if not fits:
            self.count(OMITTED)
        return fits

    def add_thought(self, content: str, source: str) -> None:
        """Keep a thought that came whole."""
        if self.keeps():
            text = Text(self, content)
            self.thoughts.append(Thought(text.value, source, complete=not text.cut))

    def add_call(
        self,
        call_id: str,
        name: str,
        arguments: str,
        *,
        complete: bool,
        server_side: bool = False,
        item_id: str | None = None,
    ) -> None:
        """Keep a tool call; there is room for it, see `keeps`."""
        self.tool_calls.append(
            ToolCall(
                call_id=lenient.well_formed(call_id),
                item_id=item_id and lenient.well_formed(item_id),
                name=lenient.well_formed(name),
                arguments=arguments,
                server_side=server_side,
                complete=complete,
            )
        )

    def result(self, usage: TokenUsage | None, *, complete: bool) -> ResponseFacts:
        """The facts, as far as they came."""
        id, model, error = self.response_id, self.model, self.error
        return ResponseFacts(
            id and lenient.well_formed(id[:MAX_ID]),
            model and lenient.well_formed(model[:MAX_ID]),
            usage,
            tuple(self.tool_calls),
            tuple(self.thoughts),
            error,
            complete and error is None,
            self.anomalies,
            self.status,
        )


class Text:
    """A text that grows piece by piece, out of the collector's room; `cut` when that ran out."""

    __slots__ = ("_collector", "_io", "_size", "cut")

    def __init__(self, collector: Collector, text: str = "") -> None:
        self._collector = collector
        self._io = StringIO()
        self._size = 0
        self.cut = False
        self.add(text)

    def add(self, text: str) -> None:
        """Append as much of `text` as there is room for."""
        size = len(text)
        room = self._collector.left
        if size > room:
            if not self.cut:
                self.cut = True
                self._collector.count("text_cut")
            text = text[:room]
            size = room
        self._io.write(text)
        self._size += size
        self._collector.left = room - size

    @property
    def size(self) -> int:
        """Characters of it that are kept."""
        return self._size

    def replace(self, text: str) -> None:
        """Take `text` instead of all that came before."""
        self._collector.left += self._size
        self._io = StringIO()
        self._size = 0
        self.cut = False
        self.add(text)

    @property
    def value(self) -> str:
        """The text as a whole: what was cut between the halves of a character is joined."""
        return lenient.well_formed(self._io.getvalue())


def is_json(text: str | bytes | bytearray) -> bool:
    """Whether `text` is one well-formed JSON value."""
    try:
        _well_formed(text)
    except bounds.UNREADABLE:
        return False
    return True


def are_whole(arguments: str) -> bool:
    """Whether it is all of a function's arguments; a model writes nothing where there are none."""
    return not arguments.strip() or is_json(arguments)


def json_text(raw: msgspec.Raw) -> str:
    """The JSON that `raw` holds, as text; empty where the field is null or missing."""
    text = bytes(raw).decode("utf-8", "replace")  # what decoding skips may not be proper UTF-8
    return "" if text == "null" else text


def arguments_text(raw: msgspec.Raw) -> str:
    """What a call's field holds: an object's JSON as it was written, or the text of a string."""
    text = json_text(raw)
    if not text.startswith('"'):
        return text
    try:
        return _decode_text(raw)
    except bounds.UNREADABLE:
        return str(lenient.loads(raw))


def error_in(raw: msgspec.Raw) -> object:
    """What an `error` field holds; None where it holds nothing that can be read."""
    try:
        return bounds.value(raw)
    except bounds.UNREADABLE:
        return None


def provider_error(error: object) -> ProviderError:
    """The error in the value of an `error` field: an object in every API, a string in some."""
    if isinstance(error, dict):
        return ProviderError(*(_word(error.get(key)) for key in _ERROR_KEYS))
    return ProviderError(None, None, _word(error))


def _word(value: object) -> str | None:
    found = lenient.text(value)
    return None if found is None else lenient.well_formed(found)


_ERROR_KEYS = ("type", "code", "message")

_OVERLOADED, _LIMITED = "overloaded_error", "rate_limit_error"
# Without case, punctuation and "error" at the end: of the same word there are several spellings.
_KINDS = {
    **dict.fromkeys(
        (
            "overloaded",
            "engineoverloaded",
            "modeloverloaded",
            "serverisoverloaded",
            "serveroverloaded",
            "serviceunavailable",
            "slowdown",
            "unavailable",
            "503",
            "529",
        ),
        _OVERLOADED,
    ),
    **dict.fromkeys(
        (
            "ratelimit",
            "ratelimited",
            "ratelimitexceeded",
            "ratelimitreached",
            "resourceexhausted",
            "throttling",
            "throttlingexception",
            "toomanyrequests",
            "429",
        ),
        _LIMITED,
    ),
}
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_MAX_KIND = 64  # characters


def verdict_of(error: ProviderError) -> str:
    """The error's kind in one vocabulary for all providers.

    `overloaded_error` and `rate_limit_error` are Anthropic's words; what OpenAI and compatible
    servers say for the same (`TooManyRequests`, `engine_overloaded_error`), and the HTTP statuses
    that some give for a code, are turned into them. Any other error keeps its own type or code.
    """
    for word in (error.code, error.type):
        if word and (kind := _KINDS.get(_plain(word))) is not None:
            return kind
    return error.type or error.code or "error"


def _plain(word: str) -> str:
    return _PUNCTUATION.sub("", word[:_MAX_KIND].lower()).removesuffix("error")
