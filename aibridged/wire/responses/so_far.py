"""What the client of a stream of Responses has seen of its items, for an early end."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aibridged.wire.bounds import ABSENT
from aibridged.wire.collector import MAX_ITEMS, Text
from aibridged.wire.early_ends import OpenMessage, ResponseSoFar
from aibridged.wire.responses.items import Item

MAX_KEPT = 64 * 1024
"""Bytes of whole items that are kept of one stream; more of them aren't repeated at its end."""
MIN_EVENT = 64
"""Bytes of an event, at the least: those that aren't looked into have numbers, too."""

ARGUMENTS = ("arguments", 0)

_TEXT = b'"output_text"'


class OpenItem(msgspec.Struct):
    """An item that hasn't ended, with the texts that were streamed, by source and part."""

    item: Item
    texts: dict[tuple[str, int], Text] = msgspec.field(default_factory=dict)


class ItemsSoFar:
    """Told of each item as it begins and ends, and of the parts of messages.

    `number` is that of the next event, as far as events were looked into.
    """

    def __init__(self) -> None:
        self.number = 0
        self._messages: dict[int, OpenMessage] = {}
        self._ended: dict[int, bytes] = {}
        self._room = MAX_KEPT
        self._next_index = 0

    def began(self, index: int, item: Item) -> None:
        """An item was added."""
        self._next_index = max(self._next_index, index + 1)
        if item.type == "message" and len(self._messages) < MAX_ITEMS:
            self._messages[index] = OpenMessage(index, item.id, item.phase)

    def part_began(self, index: int, number: int, part: msgspec.Raw) -> None:
        """A part was added to a message."""
        message = self._messages.get(index)
        if message is not None:
            is_text = _TEXT in bytes(part)
            self._messages[index] = message._replace(
                parts=number + 1, part=number if is_text else None
            )

    def ended(self, index: int, item: msgspec.Raw) -> None:
        """An item was told whole."""
        self._next_index = max(self._next_index, index + 1)
        self._messages.pop(index, None)
        if len(item) <= self._room and len(self._ended) < MAX_ITEMS:
            self._room -= len(item)
            self._ended[index] = bytes(item)

    def seen(
        self,
        id: str,
        opened: Mapping[int, OpenItem],
        came_bytes: int,
    ) -> ResponseSoFar:
        """All of it; `opened` are the open items, by their indices, of which messages are known."""
        return ResponseSoFar(
            id,
            [self._ended[index] for index in sorted(self._ended)],
            list(self._messages.values()),
            [_unfinished(each) for each in opened.values() if each.item.type != "message"],
            self._next_index,
            self.number + came_bytes // MIN_EVENT,
        )

    def seen_through(
        self,
        shown: ResponseSoFar,
        indices: Mapping[int, int | None],
        opened: Mapping[int, OpenItem],
    ) -> ResponseSoFar:
        """The same by the client's `indices`, None for hidden items, of a stream of several turns.

        `shown` has the items of earlier turns, and this one's that have ended.
        """
        visible = {index: theirs for index, theirs in indices.items() if theirs is not None}
        return shown._replace(
            messages=[
                message._replace(place=visible[index])
                for index, message in self._messages.items()
                if index in visible
            ],
            others=[
                _unfinished(each)
                for index, each in opened.items()
                if index in visible and each.item.type != "message"
            ],
        )


def _unfinished(opened: OpenItem) -> dict[str, Any]:
    """An open item as an object, with as much of a call's arguments as has come."""
    item = opened.item
    fields = {
        name: value
        for name in item.__struct_fields__
        if (value := getattr(item, name)) is not None and value is not ABSENT
    }
    if item.type == "reasoning":
        fields = {"summary": [], **fields}
    text = opened.texts.get(ARGUMENTS)
    if item.type in _ARGUMENTS_OF:
        fields[_ARGUMENTS_OF[item.type]] = text.value if text is not None else ""
    return {**fields, "status": "incomplete"}


_ARGUMENTS_OF = {"function_call": "arguments", "custom_tool_call": "input"}
