"""Reads large request bodies in steps, to the facts that `request` finds in small ones.

`is_small` tells them apart: a small body is decoded in about three milliseconds at the most.
"""

from collections.abc import Iterable
from functools import partial

import msgspec

from aibridged.wire.conversation import (
    LAST_BYTES,
    LAST_ITEMS,
    LAST_PARTS,
    SYSTEM,
    End,
    Item,
    ItemHead,
    Part,
    decode_item_head,
    decode_wanted,
    end_of,
    is_models,
)
from aibridged.wire.facts import RequestFacts, WireApi
from aibridged.wire.large_text import LongText, read_said
from aibridged.wire.lone_surrogates import decode_any, decode_mended
from aibridged.wire.outline import Members, NotJsonError, Outline, Span, Steps
from aibridged.wire.request import (
    DECODERS,
    INTRODUCTION,
    UNREADABLE_REQUEST,
    BadRequestError,
    Head,
    facts_of,
    introduction_in,
    named,
    read_head,
    request_facts,
)

SMALL_BYTES = 64 * 1024
ITEM_BYTES = 1024 * 1024
_MAX_COMMAS = 50_000

_MAX_FIELD = 8 * 1024  # bytes of a field that is read beside the conversation
_REFERENCES = ("previous_response_id", "conversation")
_HEAD = (
    "model",
    "embedding_model",
    "stream",
    "stream_options",
    "service_tier",
    "speed",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "metadata",
    "background",
    "store",
    *_REFERENCES,
)

_decode_part = msgspec.json.Decoder(Part).decode


def is_small(body: bytes) -> bool:
    """Whether JSON may be decoded in one go: it is short, and can't have too many elements."""
    if len(body) <= SMALL_BYTES:
        return True
    return len(body) <= ITEM_BYTES and body.count(b",") <= _MAX_COMMAS


def outline_request(body: bytes) -> Steps[tuple[Outline, Members]]:
    """Where the fields of a request stand.

    Raises:
        BadRequestError: the body is no JSON object.
        TooComplexError: it is over a bound.
    """
    outline = Outline(body)
    try:
        return outline, (yield from outline.whole())
    except NotJsonError:
        if body.lstrip()[:1] not in (b"{", b""):
            raise BadRequestError("The request body must be a JSON object.") from None
        raise BadRequestError("The request body is not valid JSON.") from None


def read_large_request(
    api: WireApi, outline: Outline, members: Members, keep: int, model: str | None = None
) -> Steps[RequestFacts]:
    """What the request asks for, of `model` if it names none; of its prompt `keep` bytes are kept.

    Raises:
        BadRequestError: it has no string `model`.
        TooComplexError: it is over a bound.
    """
    reader = _LargeReader(outline, members)
    try:
        request: Head = named(decode_mended(DECODERS[api], reader.head()), model)
        if api not in _CONVERSATION:
            return facts_of(api, request)
        end = yield from reader.end(_CONVERSATION[api])
        said = yield from read_said(outline.source, end.texts, keep)
        return request_facts(api, request, end, said, reader.introduction(_INSTRUCTIONS[api]))
    except (NotJsonError, msgspec.DecodeError, UnicodeDecodeError):
        head = named(_mended_head(api, reader.head()), model)
        return facts_of(api, head, anomalies=UNREADABLE_REQUEST)


def _mended_head(api: WireApi, json: bytes) -> Head:
    try:
        return decode_mended(partial(read_head, api), json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequestError("The request body is not valid JSON.") from None


_CONVERSATION = {
    WireApi.MESSAGES: "messages",
    WireApi.CHAT_COMPLETIONS: "messages",
    WireApi.RESPONSES: "input",
    WireApi.COMPACTION: "input",
}
_INSTRUCTIONS = {
    WireApi.MESSAGES: "system",
    WireApi.CHAT_COMPLETIONS: "system",
    WireApi.RESPONSES: "instructions",
    WireApi.COMPACTION: "instructions",
}


class _LargeReader:
    """Makes of a large body what a decoder makes of a small one, as far as it is looked at."""

    def __init__(self, outline: Outline, members: Members) -> None:
        self._outline = outline
        self._source = outline.source
        self._members = members
        self._first: Span | None = None

    def head(self) -> bytes:
        """The request without its conversation, and without what is too long to be read."""
        return self._reduced(self._members, _HEAD)

    def end(self, name: str) -> Steps[End]:
        """The end of the conversation, which is the field of that name."""
        span = self._members.get(name)
        if span is None or self._starts(span, b"null"):
            return End()
        if self._starts(span, b'"') and name == "input":
            return End((LongText.at(span),))
        places = yield from self._outline.elements(span)
        self._first = places.first
        items: list[ItemHead] = []
        while places and len(items) < LAST_ITEMS:
            try:
                items.append((yield from self._item(places.pop())))
            except (NotJsonError, msgspec.ValidationError):
                if not items:
                    raise
                break
            if is_models(items[-1]):
                break
            yield
        return end_of(items)

    def introduction(self, name: str) -> bytes:
        """How the system prompt begins, which is the field of that name or the first item."""
        text, first = self._members.get(name), self._first
        if text is not None:
            return self._source[text.start : min(text.end, text.start + INTRODUCTION)]
        if first is None:
            return b""
        return introduction_in(
            self._source[first.start : min(first.end, first.start + INTRODUCTION)]
        )

    def _item(self, span: Span) -> Steps[ItemHead]:
        """An Item if its content is wanted, and can be read; else its head."""
        raw = self._raw(span, ITEM_BYTES)
        if raw and is_small(raw):
            try:
                return decode_wanted(raw)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:  # with more surrogates than are mended at once
                pass
        return (yield from self._large_item(span))

    def _large_item(self, span: Span) -> Steps[ItemHead]:
        members = yield from self._outline.members(span)
        head = decode_any(decode_item_head, self._reduced(members, ItemHead.__struct_fields__))
        if head.role == "user":
            content = yield from self._content(members.get("content"))
            return Item(**msgspec.structs.asdict(head), content=content)
        if head.role in SYSTEM and (raw := self._raw(span, LAST_BYTES)):
            return decode_wanted(raw)
        return head

    def _content(self, span: Span | None) -> Steps[str | list[Part] | None]:
        if span is None or self._starts(span, b"null"):
            return None
        if self._starts(span, b'"'):
            return LongText.at(span)
        places = yield from self._outline.elements(span)
        parts: list[Part] = []
        while places and len(parts) < LAST_PARTS:
            parts.append((yield from self._part(places.pop())))
            yield
        return parts[::-1]

    def _part(self, span: Span) -> Steps[Part]:
        raw = self._raw(span, SMALL_BYTES)
        if raw:
            try:
                return decode_any(_decode_part, raw)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:  # as above
                pass
        members = yield from self._outline.members(span)
        part = decode_any(_decode_part, self._reduced(members, ("type", "tool_use_id")))
        text, content = members.get("text"), members.get("content")
        if text is not None and self._starts(text, b'"'):
            part.text = LongText.at(text)
        if content is not None:
            start = max(content.start, content.end - LAST_BYTES)
            part.content = msgspec.Raw(self._source[start : content.end])
        return part

    def _reduced(self, members: Members, names: Iterable[str]) -> bytes:
        """The object that they are of with these members alone, those that aren't too long."""
        kept = [(name, self._raw(members.get(name))) for name in names]
        # What a request goes on from isn't passed over for its length: so it is unreadable.
        too_long = [name for name, raw in kept if not raw and name in members]
        kept += [(name, b"0") for name in too_long if name in _REFERENCES]
        return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), raw) for name, raw in kept if raw])

    def _starts(self, span: Span, beginning: bytes) -> bool:
        return self._source.startswith(beginning, span.start)

    def _raw(self, span: Span | None, longest: int = _MAX_FIELD) -> bytes:
        """The bytes of a value; none where it is missing or too long."""
        if span is None or span.size > longest:
            return b""
        return self._source[span.start : span.end]
