"""Reads responses of OpenAI's Responses API, streamed or not.

A stream tells an output item three times: growing by deltas, whole in `response.output_item.done`,
and once more in the response that the last event carries. The whole item is what counts; deltas
are kept for the case that it never comes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from aibridged.wire.bounds import ABSENT, is_given, is_nothing
from aibridged.wire.collector import MAX_ITEMS, Collector, Text, error_in, provider_error
from aibridged.wire.early_ends import end_of_response, whole
from aibridged.wire.facts import (
    RUNNING,
    ProviderError,
    ResponseFacts,
    Thought,
    TokenUsage,
    WireApi,
)
from aibridged.wire.lenient import usage_in
from aibridged.wire.own_answers import Said
from aibridged.wire.reader import StreamReader
from aibridged.wire.responses.events import EVENTS, RESPONSES, Event, Response
from aibridged.wire.responses.items import (
    ITEMS,
    Item,
    add_tool_call,
    is_commentary,
    is_tool_call,
    is_web_search,
    thoughts_of,
)
from aibridged.wire.responses.so_far import ARGUMENTS, ItemsSoFar, OpenItem
from aibridged.wire.usage import responses_usage

_TEXT_DELTA = b"response.output_text.delta"
_text_event = re.compile(
    rb"event: %b\ndata: [^\r\n]*+\n\n" % re.escape(_TEXT_DELTA)  # and no other line
).fullmatch

# Events that hold no fact, or one that a later event tells whole. They are told by their name and
# not looked into: some restate the request with all its tools, some carry images.
_CALL_STATES = ("in_progress", "interpreting", "searching", "generating", "completed", "failed")
_SILENT = frozenset(
    f"response.{family}.{state}".encode()
    for family, states in {
        "audio": ("delta", "done"),
        "audio.transcript": ("delta", "done"),
        "code_interpreter_call": _CALL_STATES,
        "code_interpreter_call_code": ("done",),
        "compaction": ("compacting",),
        "content_part": ("done",),
        "custom_tool_call_input": ("done",),
        "file_search_call": _CALL_STATES,
        "function_call_arguments": ("done",),
        "image_generation_call": (*_CALL_STATES, "partial_image"),
        "mcp_call": _CALL_STATES,
        "mcp_call_arguments": ("done",),
        "mcp_list_tools": _CALL_STATES,
        "output_text": ("done",),
        "output_text.annotation": ("added",),
        "reasoning_summary_part": ("added", "done"),
        "reasoning_summary_text": ("done",),
        "reasoning_text": ("done",),
        "refusal": ("delta", "done"),
        "shell_call_command": ("added", "delta", "done"),
        "shell_call_output_content": ("delta", "done"),
        "web_search_call": _CALL_STATES,
    }.items()
    for state in states
) | {b"response.in_progress", b"response.queued"}


class ResponsesReader(StreamReader[Event]):
    """Reads one stream of the Responses API.

    `item` and `response` are what the last event held, if it held such. `open_items` are calls,
    thoughts and comments that haven't ended, by their indices; `so_far` is for an early end.
    """

    PARSER = EVENTS
    _is_stored = False

    def __init__(self) -> None:
        super().__init__()
        self.item: Item | None = None
        self.response: Response | None = None
        self.open_items: dict[int, OpenItem] = {}
        self._last = -1  # the index of the item that was told last
        self._told: set[int] = set()  # hashes of what the items are known by that were done
        self._comments = 0  # how many open items are commentary, whose text is a thought
        self._any_done = False
        self._counts: dict[str, Any] | None = None
        self._tier: str | None = None
        self._searches = 0
        self.so_far = ItemsSoFar()

    def is_silent(self, name: bytes, data: bytes) -> bool:
        return name in _SILENT or (name == _TEXT_DELTA and not self._comments)

    def is_text(self, chunk: bytes) -> bool:
        return not self._comments and _text_event(chunk) is not None

    def _take(self, event: Event) -> None:
        self.item = self._item_in(event)
        self.response = self._response_in(event)
        if event.sequence_number is not None:
            self.so_far.number = event.sequence_number + 1
        kind = event.type
        if kind not in self._LIFECYCLE and not is_nothing(event.error):
            kind = "error"
        if kind in self._LIFECYCLE:
            self._LIFECYCLE[kind](self, event)
            return
        if self.verdict is None:
            self.verdict = "ok"
        if kind in self._DELTAS:
            self._delta(event, self._DELTAS[kind])
        elif kind == "response.output_item.added":
            self._item_added(event)
        elif kind == "response.output_item.done":
            self._any_done = True
            if self.item is not None:
                index = self._index(event)
                self.so_far.ended(index, event.item)
                self._item_done(index, self.item)
        elif kind == "response.content_part.added":
            self.so_far.part_began(self._index(event), event.content_index or 0, event.part)
        elif kind.encode("utf-8", "replace") not in _SILENT:
            self._collector.count("unknown_event")

    def _item_in(self, event: Event) -> Item | None:
        if not is_given(event.item):
            return None
        return ITEMS.read(event.item, self._collector.count, "item")

    def _response_in(self, event: Event) -> Response | None:
        if not is_given(event.response):
            return None
        return RESPONSES.read(event.response, self._collector.count, "event")

    def _take_unread(self, name: bytes, usage: msgspec.Raw) -> None:
        self._take_usage(usage)
        if name in (b"response.completed", b"response.incomplete"):
            self._ended = True

    def _take_usage(self, usage: msgspec.Raw) -> None:
        counts = self._collector.usage(usage)
        if counts is not None:
            self._counts = counts

    def _index(self, event: Event) -> int:
        """The index of the event's item; of one that isn't told, the last one's or the next."""
        if event.output_index is None:
            began = event.type == "response.output_item.added"
            self._last += began or self._last < 0
        else:
            self._last = event.output_index
        return self._last

    def _begin(self) -> None:
        response = self.response
        if response is not None:
            self._collector.response_id = response.id or self._collector.response_id
            self._collector.model = response.model or self._collector.model
            self._collector.status = _status(response, is_stored=self._is_stored)
            self._tier = response.service_tier or self._tier

    def _created(self, event: Event) -> None:
        """No verdict yet: a refusal for overload comes after this event, too."""
        self._begin()

    def _done(self, event: Event) -> None:
        """The last event, whichever way the response ended."""
        self._ended = True
        response = self.response
        if response is None:
            self._take_usage(usage_in(bytes(event.response)))
            return
        self._begin()
        self._take_usage(response.usage)
        for index, raw in enumerate(response.output or ()):
            if index in self.open_items or not self._any_done:
                item = ITEMS.read(raw, self._collector.count, "item")
                if item is not None:
                    self._item_done(index, item)
        if self.verdict is None and event.type != "response.failed":
            self.verdict = "ok"

    def _failed(self, event: Event) -> None:
        self._done(event)
        error = ABSENT if self.response is None else self.response.error
        self._fail(provider_error(error_in(error)))

    def _error(self, event: Event) -> None:
        """An error event, whose words stand in the event or, from some servers, in an object."""
        if is_given(event.error):
            self._fail(provider_error(error_in(event.error)))
        else:
            code, message = error_in(event.code), error_in(event.message)
            self._fail(provider_error({"code": code, "message": message}))

    def _item_added(self, event: Event) -> None:
        index, item = self._index(event), self.item
        if item is None or not self._told.isdisjoint(_names(item)):
            return
        self.so_far.began(index, item)
        commentary = is_commentary(item)
        if commentary or item.type == "reasoning" or is_tool_call(item):
            if index in self.open_items:
                self._item_broken(index)
            if self._collector.fits(item.id, item.call_id, item.name):
                self.open_items[index] = OpenItem(item.small())
                self._comments += commentary

    def _delta(self, event: Event, source: str) -> None:
        opened = self.open_items.get(self._index(event))
        delta = event.delta
        if opened is None or delta is None:
            # Text of the answer is no stray: only that of commentary is kept.
            if source != "commentary":
                self._collector.count("stray_delta")
            return
        part = event.summary_index or event.content_index or 0
        text = opened.texts.get((source, part))
        if text is None:
            if not self._collector.fits():
                self._collector.count("text_cut")
                return
            text = opened.texts[source, part] = Text(self._collector)
        text.add(delta)

    def _item_done(self, index: int, item: Item) -> None:
        opened = self._pop(index)
        names = _names(item)
        if not self._told.isdisjoint(names):  # it has been told whole before
            if opened is not None:
                self._collector.give_back(len(opened.texts) + 1)
            return
        if len(self._told) < MAX_ITEMS:
            self._told.update(names)
        texts = opened.texts if opened is not None else {}
        if is_tool_call(item):
            self._searches += is_web_search(item)
            if opened is not None or self._collector.keeps(item.id, item.call_id, item.name):
                text = texts.get(ARGUMENTS) or Text(self._collector)
                add_tool_call(self._collector, item, text, complete=True)
            return
        streamed = [(source, text.value) for (source, _), text in texts.items()]
        thoughts = thoughts_of(item) or streamed
        for text in texts.values():
            text.replace("")
        self._collector.give_back(len(texts) + (opened is not None))
        for source, content in thoughts:
            self._collector.add_thought(content, source)

    def _item_broken(self, index: int) -> None:
        opened = self._pop(index)
        if opened is None:
            return
        if is_tool_call(opened.item):
            text = opened.texts.get(ARGUMENTS) or Text(self._collector)
            add_tool_call(self._collector, opened.item, text, complete=False)
            return
        for (source, _), text in opened.texts.items():
            self._collector.thoughts.append(Thought(text.value, source, complete=False))

    def _pop(self, index: int) -> OpenItem | None:
        opened = self.open_items.pop(index, None)
        if opened is not None and is_commentary(opened.item):
            self._comments -= 1
        return opened

    def _close(self) -> None:
        for index in list(self.open_items):
            self._item_broken(index)

    def _usage(self) -> TokenUsage | None:
        if self._counts is None:
            return None
        return responses_usage(self._counts, service_tier=self._tier, searches=self._searches)

    def _early_end(self, said: Said) -> bytes:
        id = self._collector.response_id
        if id is None:
            return whole(WireApi.RESPONSES, said) if self.verdict is None else b""
        return end_of_response(said, self.so_far.seen(id, self.open_items, said.came_bytes))

    _LIFECYCLE: ClassVar[Mapping[str, Callable[["ResponsesReader", Event], None]]] = {
        "response.created": _created,
        "response.completed": _done,
        "response.incomplete": _done,
        "response.failed": _failed,
        "error": _error,
    }
    _DELTAS: ClassVar[Mapping[str, str]] = {
        "response.function_call_arguments.delta": "arguments",
        "response.custom_tool_call_input.delta": "arguments",
        "response.mcp_call_arguments.delta": "arguments",
        "response.code_interpreter_call_code.delta": "arguments",
        "response.reasoning_summary_text.delta": "reasoning_summary",
        "response.reasoning_text.delta": "reasoning",
        "response.output_text.delta": "commentary",
    }


def _names(item: Item) -> set[int]:
    """What the item is known by when it is told again, as hashes: some ids are long."""
    return {hash((kind, name)) for kind, name in (("", item.id), ("call", item.call_id)) if name}


class StoredResponseReader(ResponsesReader):
    """Reads a stream of a response that runs in the background, which a client may enter anywhere.

    What it comes to stands in its last event alone, as it does in what the provider stores of it:
    so it is the same whichever way it is fetched.
    """

    _is_stored = True

    def is_silent(self, name: bytes, data: bytes) -> bool:
        if not name or name.decode("utf-8", "replace") in self._LIFECYCLE:
            return False
        if self.verdict is None:
            self.verdict = "ok"
        return True

    def is_text(self, chunk: bytes) -> bool:
        return False


MAX_STATUS = 32
"""Characters kept of a response's status."""


def _status(response: Response, *, is_stored: bool) -> str | None:
    if not (is_stored or response.background):
        return None
    return response.status and response.status[:MAX_STATUS]


def read_body(body: bytes) -> ResponseFacts:
    """The facts of a body, be it a response or an error."""
    collector = Collector()
    return facts_of(RESPONSES.read(body, collector.count, "body"), body, collector)


def read_stored(body: bytes) -> ResponseFacts:
    """The same of a response as the provider stores it, or has it run in the background."""
    collector = Collector()
    response = RESPONSES.read(body, collector.count, "body")
    return facts_of(response, body, collector, is_stored=True)


def facts_of(
    response: Response | None, body: bytes, collector: Collector, *, is_stored: bool = False
) -> ResponseFacts:
    """The facts of a body that has been parsed, or couldn't be; that is counted already."""
    usage = collector.usage(usage_in(body) if response is None else response.usage)
    if response is None:
        told = None if usage is None else responses_usage(usage)
        return collector.result(told, complete=False)
    searches, told = _take(collector, response), None
    if usage is not None:
        told = responses_usage(usage, service_tier=response.service_tier, searches=searches)
    runs = response.status in RUNNING
    collector.status = _status(response, is_stored=is_stored or runs)
    return collector.result(told, complete=not runs)


def _take(collector: Collector, response: Response) -> int:
    """Take its facts; returns how often it has searched the web."""
    searches = 0
    collector.response_id, collector.model = response.id, response.model
    if not is_nothing(response.error) or (response.status is None and is_given(response.error)):
        collector.error = provider_error(error_in(response.error))
    elif response.status == "failed":
        collector.error = ProviderError(None, None, None)
    for raw in response.output or ():
        item = ITEMS.read(raw, collector.count, "item")
        if item is None:
            continue
        if is_tool_call(item):
            searches += is_web_search(item)
            if collector.keeps(item.id, item.call_id, item.name):
                add_tool_call(collector, item, Text(collector), complete=True)
        else:
            for source, content in thoughts_of(item):
                collector.add_thought(content, source)
    return searches
