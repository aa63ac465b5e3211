"""The end of a conversation: what a request adds behind the model's last item.

There stand the prompt and the results of tools. Items of the system's and the developer's count for
nothing: agents put them anywhere. The items are the same in all three APIs, as far as it matters.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from aibridged.wire.bounds import ABSENT, UNREADABLE
from aibridged.wire.envelopes import MEANWHILE
from aibridged.wire.lone_surrogates import decode_any, repaired

LAST_ITEMS = 1_000
"""Items of a conversation that are looked into: the last ones."""
LAST_PARTS = 1_000
"""Parts of a message, too."""
LAST_BYTES = 64 * 1024
"""Bytes at the end of a tool's result that are searched for what the user typed meanwhile, and the
most that a system message may have."""
MAX_PARTS = 5_000
"""Parts of all these messages together."""
MAX_RESULTS = 1_000
"""Tool results at the end of a request of which the calls are noted: the last ones."""

SYSTEM = ("system", "developer")
"""Roles of what counts for nothing."""

_MAX_TYPED = 16  # messages in one tool's result


class Part(msgspec.Struct):
    """A part of a message's content; `content` is that of a tool's result, or its last bytes."""

    type: str = ""
    text: str | None = None
    tool_use_id: str | None = None
    content: msgspec.Raw = ABSENT


class ItemHead(msgspec.Struct):
    """An item whose content isn't of interest, or not of a shape that is known."""

    type: str = "message"
    role: str = ""
    tool_call_id: str | None = None
    call_id: str | None = None
    id: str | None = None
    approval_request_id: str | None = None


class Item(ItemHead):
    """A message of any of the three APIs, or an input item."""

    content: str | list[Part] | None = None


class End(msgspec.Struct, frozen=True):
    """What stands behind the model's last item, in order: texts, and the ids of answered calls."""

    texts: Sequence[str] = ()
    results: Sequence[str] = ()


decode_item = msgspec.json.Decoder(Item).decode
decode_item_head = msgspec.json.Decoder(ItemHead).decode
decode_text = msgspec.json.Decoder(str).decode

_TYPED = MEANWHILE.rstrip().encode()
_REMINDER = b"<system-reminder>\\n"
_END_OF_REMINDER = b"\\n</system-reminder>"


def end_in(items: Sequence[msgspec.Raw]) -> End:
    """What stands behind the model's last item in a conversation that isn't empty.

    Raises msgspec.ValidationError if its newest item can't be read.
    """
    newest = _decode_newest(items[-1])
    if newest.role != "user" or not (len(items) == 1 or _is_assistants(items[-2])):
        return end_of(last_items(items, newest))
    return end_of((newest,))


def _is_assistants(raw: msgspec.Raw) -> bool:
    """Whether an item is a plain message of the model's."""
    try:
        head = decode_item_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return head.role == "assistant" and head.type == "message"


def last_items(items: Sequence[msgspec.Raw], newest: ItemHead | None = None) -> Iterator[ItemHead]:
    """The last items of a conversation, the newest first; decoded one by one as they are taken.

    `newest` is that one, where it is decoded already. They end before one that can't be read.
    Raises msgspec.ValidationError if that is the newest.
    """
    yield _decode_newest(items[-1]) if newest is None else newest
    for raw in reversed(items[-LAST_ITEMS:-1]):
        try:
            item = decode_wanted(raw)
        except msgspec.ValidationError:
            return
        yield item


def _decode_newest(raw: msgspec.Raw) -> ItemHead:
    """What `decode_wanted` tells, at once: the newest item's content mostly is wanted."""
    try:
        item = decode_item(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_wanted(raw)
    return decode_wanted(raw) if item.role in SYSTEM else item


def decode_wanted(raw: bytes | msgspec.Raw) -> ItemHead:
    """An Item if its content is wanted, else its head."""
    try:
        head = decode_item_head(raw)
        if head.role == "user":
            return decode_item(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raw = repaired(raw)
        head = decode_item_head(raw)
        if head.role == "user":
            return decode_item(raw)
    if head.role in SYSTEM and tells_what_was_typed(raw):
        with suppress(msgspec.ValidationError):
            return decode_any(decode_item, raw)
    return head


def tells_what_was_typed(system: bytes | msgspec.Raw) -> bool:
    """Whether a system message may be one that tells what the user typed meanwhile."""
    return len(system) <= LAST_BYTES and _TYPED in bytes(system)


def end_of(items: Iterable[ItemHead]) -> End:
    """What of the items, the newest first, stands behind the model's last one."""
    texts: list[Sequence[str]] = []
    results: list[str] = []
    left = MAX_PARTS
    for item in items:
        if left < 0:
            break
        role = item.role
        if role == "user":
            assert isinstance(item, Item), "its content is wanted"
            if isinstance(item.content, list):
                parts = item.content
                left -= len(parts)
                results += [part.tool_use_id for part in reversed(parts) if part.tool_use_id]
            texts.append(_plain(item))
        elif role in SYSTEM:
            if isinstance(item, Item):
                texts.append([text for text in _plain(item) if text.startswith(MEANWHILE)])
        elif (result := _result(item)) is not None:
            results.append(result)
        else:
            break
    said = texts[0] if len(texts) == 1 else [text for each in reversed(texts) for text in each]
    return End(said, results[:MAX_RESULTS][::-1])


def is_models(item: ItemHead) -> bool:
    """Whether the item is the model's own: its words, its thoughts, its calls."""
    return item.role != "user" and item.role not in SYSTEM and _result(item) is None


def _result(item: ItemHead) -> str | None:
    """The call that the item answers, if it is a tool's result."""
    if item.role == "tool":
        return item.tool_call_id
    if item.type == "message":
        return None
    if item.type.endswith("_output"):
        return item.call_id or item.id
    return item.approval_request_id if item.type == "mcp_approval_response" else None


def _texts(parts: Sequence[Part]) -> Sequence[str]:
    """What stands behind the tools' results, after what was typed meanwhile."""
    meanwhile: list[str] = []
    texts: list[str] = []
    for part in parts:
        if part.type == "tool_result":
            texts.clear()
            meanwhile += _typed_meanwhile(part.content)
        elif part.type in ("text", "input_text") and part.text is not None:
            texts.append(part.text)
    return meanwhile + texts if meanwhile else texts


def _plain(item: Item) -> Sequence[str]:
    if isinstance(item.content, str):
        return (item.content,)
    return _texts(item.content[-LAST_PARTS:]) if item.content else ()


def _typed_meanwhile(result: msgspec.Raw) -> Sequence[str]:
    """What the user typed while a tool ran, where Claude Code puts that into the tool's result."""
    if not result:
        return ()
    end = bytes(memoryview(result)[-LAST_BYTES:])
    if _TYPED not in end:
        return ()
    found = []
    for piece in end.split(_REMINDER, _MAX_TYPED)[1:]:
        typed, closed, _ = piece.partition(_END_OF_REMINDER)
        if closed and typed.startswith(_TYPED):
            try:
                found.append(decode_any(decode_text, b'"%b"' % typed))
            except UNREADABLE:
                continue
    return found
