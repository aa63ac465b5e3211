"""Reads responses of OpenAI's Chat Completions API and of the servers that are compatible with it.

Every chunk is decoded: the facts can stand anywhere in it, and decoding the few fields that matter
takes a third of the time of the searches that could tell that there are none.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from aibridged.wire.bounds import ABSENT
from aibridged.wire.chat_completions.calls import Calls
from aibridged.wire.chat_completions.events import (
    DONE,
    FAILED,
    PARSER,
    Choice,
    Completion,
    Piece,
    function_call_in,
    pieces_in,
    thought_in,
    usage_of_groq,
)
from aibridged.wire.collector import MAX_ITEMS, Collector, Text, are_whole
from aibridged.wire.early_ends import end_of_completion, whole
from aibridged.wire.facts import ResponseFacts, Thought, TokenUsage, WireApi
from aibridged.wire.lenient import usage_in
from aibridged.wire.own_answers import Said
from aibridged.wire.reader import StreamReader
from aibridged.wire.usage import chat_usage
from aibridged.wire.usage_sums import latest_counts, reported

_TEXT = frozenset({"content", "role", "refusal"})
"""What a delta has that holds no fact."""


class _Open(msgspec.Struct):
    """A tool call while its arguments come in; the legacy function call has no id."""

    choice: int
    id: str
    name: str
    is_json: bool
    text: Text
    last: str

    @property
    def size(self) -> int:
        return self.text.size

    def arguments(self) -> str:
        return self.text.value


class ChatCompletionsReader(StreamReader[Completion]):
    """Reads one stream of the Chat Completions API."""

    PARSER = PARSER
    API: ClassVar[WireApi] = WireApi.CHAT_COMPLETIONS

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[_Open] = []  # in order
        self._places: Calls[_Open] = Calls()
        self._functions: dict[int, _Open] = {}  # by choice
        self._thoughts: dict[int, Text] = {}  # by choice
        self._counted: Text | None = None  # the only one, where the choices' indices count chunks
        self._finished: set[int] = set()  # choices with facts that have said why they stopped
        self._counts: dict[str, Any] | None = None
        self._tier: str | None = None

    def is_silent(self, name: bytes, data: bytes) -> bool:
        if data == DONE:
            self._ended = True
            return True
        return False

    def _take(self, chunk: Completion) -> None:
        collector = self._collector
        if chunk.usage is not ABSENT:
            self._take_usage(chunk.usage, chunk.service_tier)
        if chunk.x_groq is not ABSENT:
            self._take_usage(usage_of_groq(chunk.x_groq))
        if chunk.error is not ABSENT or chunk.object == FAILED or chunk.type == FAILED:
            failure = chunk.failure()
            if failure is not None:
                self._fail(failure)
                return
        if self.verdict is None:
            self.verdict = "ok"
        if collector.response_id is None or collector.model is None:
            collector.response_id = collector.response_id or (str(chunk.id) if chunk.id else None)
            collector.model = collector.model or chunk.model
            self._tier = self._tier or chunk.service_tier
        for choice in chunk.choices or ():
            delta = choice.delta
            if delta and not _TEXT.issuperset(delta):
                self._take_delta(choice.index or 0, delta)
            if choice.usage is not ABSENT:
                self._take_usage(choice.usage)
            if choice.finish_reason or choice.error is not ABSENT:
                self._finish(choice)

    def _take_usage(self, usage: msgspec.Raw, tier: str | None = None) -> None:
        """Some servers tell the usage so far with every chunk."""
        counts = self._collector.usage(usage)
        if counts is not None:
            self._counts = reported(self._counts, counts)
            self._tier = tier or self._tier

    def _take_unread(self, name: bytes, usage: msgspec.Raw) -> None:
        self._take_usage(usage)

    def _finish(self, choice: Choice) -> None:
        """Note why it stopped. Some servers send an empty reason with each chunk."""
        if (failure := choice.failure()) is not None:
            self._fail(failure)
        if choice.finish_reason:
            self._stopped = True
            if len(self._finished) < MAX_ITEMS:  # more have no facts
                self._finished.add(choice.index or 0)

    def _take_delta(self, choice: int, delta: Mapping[str, Any]) -> None:
        first = True
        for piece in pieces_in(delta):
            begins, opened = self._places.find(choice, piece, first=first)
            if begins:
                self._places.begin(choice, piece, self._open(choice, piece))
            elif opened is not None:
                _add(opened, piece)
            first = False
        function = function_call_in(delta)
        if function is not None:
            self._take_function(choice, function)
        if reasoning := thought_in(delta):
            self._take_thought(choice, reasoning)

    def _open(self, choice: int, piece: Piece) -> _Open | None:
        collector = self._collector
        if not collector.keeps(piece.id, piece.name):
            return None
        opened = _open(collector, choice, piece)
        self._calls.append(opened)
        return opened

    def _take_function(self, choice: int, piece: Piece) -> None:
        opened = self._functions.get(choice)
        if opened is not None:
            _add(opened, piece)
        elif (opened := self._open(choice, piece)) is not None:
            self._functions[choice] = opened

    def _take_thought(self, choice: int, reasoning: str) -> None:
        text = self._thoughts.get(choice)
        if text is None:
            text = self._continued(choice)
        if text is None:
            if not self._collector.keeps():
                return
            text = self._thoughts[choice] = Text(self._collector)
        text.add(reasoning)

    def _continued(self, choice: int) -> Text | None:
        """The thought that goes on in another choice, where the choices' indices count chunks."""
        if self._counted is None and list(self._thoughts) == [choice - 2, choice - 1]:
            first, second = self._thoughts.values()
            first.add(second.value)
            del self._thoughts[choice - 1]
            self._counted = first
        return self._counted

    def _close(self) -> None:
        for choice, text in self._thoughts.items():
            whole = self._is_finished(choice) and not text.cut
            self._collector.thoughts.append(Thought(text.value, "reasoning", complete=whole))
        for opened in self._calls:
            _close(self._collector, opened, complete=self._is_finished(opened.choice))

    def _is_finished(self, choice: int) -> bool:
        return choice in self._finished or (self._stopped and self._ended)

    def _usage(self) -> TokenUsage | None:
        if self._counts is None:
            return None
        return chat_usage(
            self._counts,
            partial=not (self._stopped or self._ended),
            model=self._collector.model,
            service_tier=self._tier,
        )

    def _early_end(self, said: Said) -> bytes:
        if self.verdict is None:
            return whole(self.API, said)
        return end_of_completion(
            said,
            self._collector.response_id,
            is_chat=self.API is WireApi.CHAT_COMPLETIONS,
            finished=self._finished,
            stopped=self._stopped and said.choices == 1,
            has_usage=self._stopped and self._counts is not None,
        )


class CompletionsReader(ChatCompletionsReader):
    """Reads one stream of the Completions API."""

    API = WireApi.COMPLETIONS


def read_body(body: bytes) -> ResponseFacts:
    """The facts of a blocking response, be it a completion or an error."""
    collector = Collector()
    return facts_of(PARSER.read(body, collector.count, "body"), body, collector)


def facts_of(completion: Completion | None, body: bytes, collector: Collector) -> ResponseFacts:
    """The facts of a body that has been parsed, or couldn't be; that is counted already."""
    usage: dict[str, Any] | None = None
    for raw in (usage_in(body),) if completion is None else completion.usages():
        if (counts := collector.usage(raw)) is not None:
            usage = counts if usage is None else latest_counts(usage, counts)
    if completion is None:
        told = None if usage is None else chat_usage(usage, partial=False)
        return collector.result(told, complete=False)
    told = None
    if usage is not None:
        told = chat_usage(
            usage, partial=False, model=completion.model, service_tier=completion.service_tier
        )
    collector.response_id = str(completion.id) if completion.id else None
    collector.model = completion.model
    collector.error = completion.failure()
    for choice in completion.choices or ():
        collector.error = collector.error or choice.failure()
        if choice.message is not None:
            _take_message(collector, choice.message)
    return collector.result(told, complete=True)


def _take_message(collector: Collector, message: Mapping[str, Any]) -> None:
    if reasoning := thought_in(message):
        collector.add_thought(reasoning, "reasoning")
    function = function_call_in(message)
    for call in [*pieces_in(message), *([] if function is None else [function])]:
        if collector.keeps(call.id, call.name):
            _close(collector, _open(collector, 0, call), complete=True)


def _open(collector: Collector, choice: int, piece: Piece) -> _Open:
    text = Text(collector, piece.arguments)
    return _Open(
        choice, piece.id, piece.name, is_json=piece.is_json, text=text, last=piece.arguments[-1:]
    )


def _add(opened: _Open, piece: Piece) -> None:
    opened.id = opened.id or piece.id
    opened.name = opened.name or piece.name
    opened.last = piece.arguments[-1:] or opened.last
    opened.text.add(piece.arguments)


def _close(collector: Collector, opened: _Open, *, complete: bool) -> None:
    arguments = opened.text.value
    whole = complete and not opened.text.cut and (not opened.is_json or are_whole(arguments))
    collector.add_call(opened.id, opened.name, arguments, complete=whole)
