"""Reads large request bodies in steps, to the facts that `request` finds in small ones.

`is_small` tells them apart: a small body is decoded in about three milliseconds at the most.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from aibridged.wire.facts import RequestFacts, WireApi
from aibridged.wire.large_text import read_text
from aibridged.wire.outline import Members, NotJsonError, Outline, Span, Steps
from aibridged.wire.request import (
    DECODERS,
    READERS,
    UNREADABLE_REQUEST,
    BadRequestError,
    Conversation,
    Head,
    Input,
    Item,
    ItemHead,
    Part,
    decode_item,
    decode_item_head,
    facts_of,
    read_head,
)

SMALL_BYTES = 64 * 1024
ITEM_BYTES = 1024 * 1024
_MAX_COMMAS = 50_000

_LAST_ITEMS = 256  # of a conversation, those that are looked into
_LAST_PARTS = 1_000  # of a message, likewise
_MAX_FIELD = 8 * 1024  # bytes of a field that is read beside the conversation

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
    api: WireApi, outline: Outline, members: Members, keep: int
) -> Steps[RequestFacts]:
    """What the request asks for; of its prompt `keep` bytes are kept.

    Raises:
        BadRequestError: it has no string `model`.
        TooComplexError: it is over a bound.
    """
    reader = _LargeReader(outline, members, keep)
    try:
        request = yield from reader.request(api)
        return READERS[api](request, _as_head, _as_item)
    except (NotJsonError, msgspec.DecodeError, UnicodeDecodeError):
        return facts_of(read_head(reader.head()), anomalies=UNREADABLE_REQUEST)


class _LargeReader:
    """Makes of a large body what a decoder makes of a small one, as far as it is looked at."""

    def __init__(self, outline: Outline, members: Members, keep: int) -> None:
        self._outline = outline
        self._source = outline.source
        self._members = members
        self._keep = keep

    def head(self) -> bytes:
        """The request without its conversation, and without what is too long to be read."""
        return self._reduced(self._members, ("model", "stream", "stream_options", "metadata"))

    def request(self, api: WireApi) -> Steps[Head]:
        """The request with the last items of its conversation."""
        request = DECODERS[api](self.head())
        if isinstance(request, Conversation):
            request.messages = yield from self._items("messages")
        elif isinstance(request, Input):
            span = self._members.get("input")
            if span is not None and self._starts(span, b'"'):
                request.input = yield from read_text(self._source, span, self._keep)
            else:
                request.input = yield from self._items("input")
        return request

    def _items(self, name: str) -> Steps[Any]:
        """In place of the last items what was read of them, None where nothing could be."""
        span = self._members.get(name)
        if span is None or self._starts(span, b"null"):
            return None
        places = yield from self._outline.elements(span)
        items: list[ItemHead | None] = []
        is_last = True
        while places and len(items) < _LAST_ITEMS:
            try:
                item = yield from self._item(places.pop(), whole=is_last)
            except (NotJsonError, msgspec.DecodeError, UnicodeDecodeError):
                item = None
            is_last = is_last and item is not None and item.role == "system"
            items.append(item)
            yield
        return items[::-1]

    def _item(self, span: Span, *, whole: bool) -> Steps[ItemHead]:
        """An Item if it is wanted `whole`, and can be read; else its head."""
        raw = self._raw(span, ITEM_BYTES)
        if not raw or not is_small(raw):
            return (yield from self._large_item(span, whole=whole))
        if whole:
            with suppress(msgspec.ValidationError):
                return decode_item(raw)
        return decode_item_head(raw)

    def _large_item(self, span: Span, *, whole: bool) -> Steps[ItemHead]:
        members = yield from self._outline.members(span)
        head = decode_item_head(self._reduced(members, ItemHead.__struct_fields__))
        if whole:
            with suppress(NotJsonError, msgspec.DecodeError, UnicodeDecodeError):
                content = yield from self._content(members.get("content"))
                return Item(**msgspec.structs.asdict(head), content=content)
        return head

    def _content(self, span: Span | None) -> Steps[str | list[Part] | None]:
        if span is None or self._starts(span, b"null"):
            return None
        if self._starts(span, b'"'):
            return (yield from read_text(self._source, span, self._keep))
        places = yield from self._outline.elements(span)
        parts: list[Part] = []
        while places and len(parts) < _LAST_PARTS:
            parts.append((yield from self._part(places.pop())))
            yield
        return parts[::-1]

    def _part(self, span: Span) -> Steps[Part]:
        raw = self._raw(span, SMALL_BYTES)
        if raw:
            return _decode_part(raw)
        members = yield from self._outline.members(span)
        part = _decode_part(self._reduced(members, ("type", "tool_use_id")))
        text = members.get("text")
        if text is not None and self._starts(text, b'"'):
            part.text = yield from read_text(self._source, text, self._keep)
        return part

    def _reduced(self, members: Members, names: Iterable[str]) -> bytes:
        """The object that they are of with these members alone, those that aren't too long."""
        kept = [(name, self._raw(members.get(name))) for name in names]
        return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), raw) for name, raw in kept if raw])

    def _starts(self, span: Span, beginning: bytes) -> bool:
        return self._source.startswith(beginning, span.start)

    def _raw(self, span: Span | None, longest: int = _MAX_FIELD) -> bytes:
        """The bytes of a value; none where it is missing or too long."""
        if span is None or span.size > longest:
            return b""
        return self._source[span.start : span.end]


def _as_head(item: ItemHead | None) -> ItemHead:
    if item is None:
        raise msgspec.ValidationError("no item")
    return item


def _as_item(item: ItemHead | None) -> Item:
    if not isinstance(item, Item):
        raise msgspec.ValidationError("content of an unknown shape")
    return item
