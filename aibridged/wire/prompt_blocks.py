"""The blocks of a request's prompt, in the order in which its provider caches them.

A provider reads from its cache as much of a prompt as begins like an earlier one. So two requests
are compared block by block: options that are part of the prompt or that a cached one depends on,
tools, system prompt, then the parts of each message. What doesn't change a prompt doesn't change a
block, either: the order of an object's members, markers of the cache, and whether a text stands for
itself or in a list.

Sources: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (what invalidates the
cache) and https://platform.openai.com/docs/guides/prompt-caching.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from aibridged.wire.bounds import UNREADABLE, has_more_elements
from aibridged.wire.facts import WireApi
from aibridged.wire.large_request import is_small
from aibridged.wire.outline import NotJsonError, Outline, Span, TooComplexError

MAX_BLOCKS = 4096
"""Of one request that are looked at, from the first."""
ITEM_BYTES = 512 * 1024
"""A larger message or tool is one block: it isn't taken apart."""
MAX_ELEMENTS = 8 * 1024
"""One with more elements is one block, too."""
MAX_WORD = 32
"""Characters of a kind or role."""

TOOL, SYSTEM, TEXT, ITEM, PREVIOUS = "tool", "system", "text", "item", "previous_response"
SHORT_LIFETIME, LONG_LIFETIME = 300, 3600
"""Seconds for which a provider keeps a prefix since its last use, by the marker at its end."""


class Block(NamedTuple):
    """A block of a prompt: its `size` is in bytes.

    `lifetime` is that of the prefix that a marker at its end has cached, 0 without one. `content`
    is what it is told apart by: no piece has a NUL in it.
    """

    kind: str
    role: str
    size: int
    lifetime: int
    content: Sequence[bytes | msgspec.Raw]


_Raw = bytes | msgspec.Raw
_Object = Mapping[str, msgspec.Raw]
Blocks = Generator[Block | None]
"""Blocks, with None after a step of work that has found none."""

_OPTIONS = {
    "speed": "speed",
    "prompt_cache_key": "prompt_cache_key",
    "response_format": "response_format",
    "text": "text_format",
    "tool_choice": "tool_choice",
    "thinking": "thinking_mode",
}
"""Options by their names, and the kinds of their blocks."""
_ORDER: Mapping[WireApi, Sequence[str]] = {
    WireApi.MESSAGES: ("speed", "tools", "system", "tool_choice", "thinking", "messages"),
    WireApi.CHAT_COMPLETIONS: ("prompt_cache_key", "response_format", "tools", "messages"),
    WireApi.RESPONSES: (
        "prompt_cache_key",
        "text",
        "tools",
        "instructions",
        "previous_response_id",
        "conversation",
        "input",
    ),
}
"""What the prompt is made of, in the order of the cache."""

HAVE_BLOCKS = frozenset(_ORDER)
"""The APIs whose requests have a prompt that is cached."""

_MARKER = "cache_control"
_TEXTS = frozenset({b'"text"', b'"input_text"', b'"output_text"'})
_NULL = msgspec.Raw(b"null")
_word = re.compile(r'"([a-zA-Z0-9_.-]{1,32})"').fullmatch

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def prompt_blocks(api: WireApi, body: bytes, members: Mapping[str, Span] | None = None) -> Blocks:
    """The blocks of a request, of which `members` are the positions of the body's fields, if known.

    What can't be taken apart is a block as a whole. Each step takes a few milliseconds at most.
    """
    if is_small(body) and (fields := _decoded(body)) is not None:
        yield from _in_order(api, fields, lambda name: _list(fields[name]))
        return
    outline, view = Outline(body), memoryview(body)
    try:
        spans = members if members is not None else (yield from outline.whole())
        wanted = spans.keys() & {*_ORDER[api], _MARKER}

        def elements(name: str) -> Generator[msgspec.Raw | None]:
            for start, end in (yield from outline.elements(spans[name], MAX_BLOCKS)):
                yield msgspec.Raw(view[start:end])

        found = {name: msgspec.Raw(view[slice(*spans[name])]) for name in wanted}
        yield from _in_order(api, found, elements)
    except (NotJsonError, TooComplexError):
        return


_Elements = Callable[[str], Iterable[msgspec.Raw | None]]
"""The elements of a field that is a list."""


def _in_order(api: WireApi, fields: _Object, elements: _Elements) -> Blocks:
    last: Block | None = None
    for name in _ORDER[api]:
        raw = fields.get(name)
        if raw is None or raw == _NULL:
            continue
        for block in _of_field(name, raw, elements):
            if last is not None and block is not None:
                yield last
            if block is None:
                yield None
            else:
                last = block
    if last is not None:
        # A marker of the whole request is one at its end.
        whole = _lifetime(fields.get(_MARKER))
        yield last._replace(lifetime=whole or last.lifetime)


def _of_field(name: str, raw: msgspec.Raw, elements: _Elements) -> Blocks:
    if name in _OPTIONS:
        yield _opaque(_OPTIONS[name], "", raw)
    elif name in ("previous_response_id", "conversation"):
        yield _opaque(PREVIOUS, "", raw)
    elif not _is(raw, b"["):
        role = "user" if name in ("input", "messages") else SYSTEM
        yield _text(raw, role, SYSTEM if role == SYSTEM else TEXT)
    else:
        for item in elements(name):
            if item is None:
                yield None
            elif name == "tools":
                yield _part(item, "", TOOL)
            elif name in ("system", "instructions"):
                yield _part(item, SYSTEM, SYSTEM)
            else:
                yield from _of_item(item)


def _of_item(raw: msgspec.Raw) -> Iterator[Block]:
    """The blocks of a message, or of another item of a conversation."""
    fields = _object(raw)
    if fields is None:
        yield _opaque(ITEM, "", raw)
        return
    role, kind = _word_of(fields.get("role")), _word_of(fields.get("type"))
    content = fields.get("content")
    if not role or (kind and kind != "message"):
        yield _of_object(fields, role, kind or ITEM, len(raw))
        return
    beside = {name: each for name, each in fields.items() if name not in _OF_PARTS}
    more = _of_object(beside, role, ITEM, sum(map(len, beside.values())))
    parts = chain(_of_content(content, role), _of_calls(fields.get("tool_calls"), role))
    first = next(parts, None)
    if first is None:
        yield more
        return
    yield first._replace(content=(*first.content, *more.content)) if beside else first
    yield from parts


def _of_content(content: msgspec.Raw | None, role: str) -> Iterator[Block]:
    if content is None or content == _NULL:
        return
    if not _is(content, b"["):
        yield _text(content, role, TEXT)
        return
    for each in _list(content):
        yield _part(each, role)


def _of_calls(calls: msgspec.Raw | None, role: str) -> Iterator[Block]:
    if calls is not None and _is(calls, b"["):
        for each in _list(calls):
            yield _part(each, role, "tool_call")


_OF_PARTS = frozenset({"role", "type", "content", "tool_calls", _MARKER, "id", "status"})


def _list(raw: msgspec.Raw) -> Iterable[msgspec.Raw]:
    try:
        return _decode_list(raw)[:MAX_BLOCKS]
    except UNREADABLE:
        return (raw,)


def _part(raw: msgspec.Raw, role: str, kind: str | None = None) -> Block:
    """A part of a message or of the system prompt, or a tool; of its own type unless `kind`."""
    fields = _object(raw)
    if fields is None:
        return _opaque(kind or ITEM, role, raw)
    text = fields.get("text")
    if text is not None and fields.keys() <= _OF_TEXT and bytes(fields.get("type", b"")) in _TEXTS:
        block = _text(text, role, kind or TEXT)
        return block._replace(size=len(raw), lifetime=_lifetime(fields.get(_MARKER)))
    return _of_object(fields, role, kind or _word_of(fields.get("type")) or ITEM, len(raw))


_OF_TEXT = frozenset({"type", "text", _MARKER})


def _of_object(fields: _Object, role: str, kind: str, size: int) -> Block:
    content: list[_Raw] = [role.encode()]
    for name in sorted(fields):
        if name != _MARKER:
            content += (msgspec.json.encode(name), fields[name])
    return Block(kind, role, size, _lifetime(fields.get(_MARKER)), content)


def _text(raw: msgspec.Raw, role: str, kind: str) -> Block:
    return Block(kind, role, len(raw), 0, (role.encode(), b'"text"', raw))


def _opaque(kind: str, role: str, raw: msgspec.Raw) -> Block:
    return Block(kind, role, len(raw), 0, (role.encode(), raw))


def _object(raw: msgspec.Raw) -> _Object | None:
    """The members; None of what isn't an object, or is too large to be looked into at once."""
    if len(raw) > ITEM_BYTES or has_more_elements(raw, MAX_ELEMENTS):
        return None
    return _decoded(raw)


def _decoded(raw: _Raw) -> _Object | None:
    try:
        return _decode_object(raw)
    except UNREADABLE:
        return None


def _lifetime(marker: msgspec.Raw | None) -> int:
    if marker is None or marker == _NULL:
        return 0
    return LONG_LIFETIME if b'"1h"' in bytes(memoryview(marker)[:256]) else SHORT_LIFETIME


def _word_of(raw: msgspec.Raw | None) -> str:
    """A short word of the request's own; empty where it is something else."""
    if raw is None or len(raw) > MAX_WORD + 2:
        return ""
    found = _word(bytes(raw).decode(errors="replace"))
    return found[1] if found else ""


def _is(raw: msgspec.Raw, bracket: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == bracket
