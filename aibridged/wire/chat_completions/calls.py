"""Which tool call a piece of a stream belongs to.

By the API, each call has an index in its choice and is named, with its id, by its first piece.
Compatible servers leave the index out, give all calls the same one, or each piece the next one;
they leave the id out, or give each piece another one. What they all do is to name each call once,
mostly: so a new name begins a call, and another id alone does not.
"""

from typing import Generic, Protocol, TypeVar

from aibridged.wire.chat_completions.events import Piece
from aibridged.wire.collector import is_json

MAX_LOOKED_AT = 4 * 1024 * 1024
"""Characters of arguments that are looked at for their end in one stream; then none has ended."""

MAX_PLACES = 4096
"""Calls by choice and index that are known at once; a server may count up without end."""


class Call(Protocol):
    """A call while it grows."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int:
        """How many characters there are of its arguments."""
        ...

    @property
    def last(self) -> str:
        """The last character of these, empty where there is none."""
        ...

    def arguments(self) -> str:
        """What it is called with, as far as that came."""
        ...


C = TypeVar("C", bound=Call)


class Calls(Generic[C]):
    """The calls of one stream by their places; the owner makes and grows them."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int] | None, C | None] = {}
        self._begun = False
        self._left = MAX_LOOKED_AT
        self._last: C | None = None

    def find(self, choice: int, piece: Piece, *, first: bool) -> tuple[bool, C | None]:
        """Whether a piece begins a call; if not, the one that it is added to, if that is kept.

        `first` says that no other piece stands before it in its chunk.
        """
        key = None if piece.index is None else (choice, piece.index)
        if key in self._places:
            call = self._places[key]
        elif (key is None and first) or self._is_last(piece):
            call = self._last
        elif piece.name or (piece.id and not piece.arguments):
            return True, None
        else:
            call = self._last
        if call is None:
            return bool(piece.name) or not self._begun, None
        return self._begins(piece, call), call

    def begin(self, choice: int, piece: Piece, call: C | None) -> None:
        """A piece has begun this call; None for one that its owner has no room for."""
        self._last = call
        self._begun = True
        if piece.index is not None and len(self._places) < MAX_PLACES:
            self._places[choice, piece.index] = call

    def _is_last(self, piece: Piece) -> bool:
        """Whether a piece in a new place is the last call's: of the same id, or of its name."""
        last = self._last
        if last is None:
            return False
        if piece.id or last.id:
            return piece.id == last.id
        goes_on = bool(piece.arguments) and piece.name == last.name
        return goes_on and self._is_half(last)

    def _begins(self, piece: Piece, call: C) -> bool:
        """Whether a piece in the place of a call begins another one."""
        if not piece.name or not call.name:
            return False
        if piece.name != call.name:
            return True
        if piece.id and piece.id == call.id:
            return False
        if piece.id and call.id:  # ids tell the calls apart, unless they change while one goes on
            return not self._is_half(call)
        return bool(piece.arguments and call.size) and not self._is_half(call)

    def _is_half(self, call: C) -> bool:
        """Whether the call's arguments have begun, and not ended: only some characters end any."""
        if call.size > _SCALAR and call.last not in _ENDS:
            return True
        self._left -= call.size
        return call.size > 0 and (self._left < 0 or not is_json(call.arguments()))


_SCALAR = 32  # characters; what is longer is an object or a list, or a text
_ENDS = frozenset('}]" \t\r\n')
