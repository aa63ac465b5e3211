"""Which tool call a piece of a stream belongs to.

By the API, each call has an index in its choice and is named, with its id, by its first piece.
Compatible servers leave the index out, give all calls the same one, or each piece the next one;
they leave the id out, or give each piece another one. What they all do is to name each call once,
mostly: so a new name begins a call, and another id alone does not.
"""

from typing import Generic, Protocol, TypeVar

from aibridged.wire.chat_completions.events import Piece
from aibridged.wire.collector import is_json

MAX_PLACES = 4096
"""Calls by choice and index that are known at once; a server may count up without end."""


class Call(Protocol):
    """A call while it grows."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    def arguments(self) -> str:
        """What it is called with, as far as that came."""
        ...


C = TypeVar("C", bound=Call)


class Calls(Generic[C]):
    """The calls of one stream by their places; the owner makes and grows them."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int] | None, C | None] = {}
        self._begun = False
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
        return _begins(piece, call), call

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
        return goes_on and _is_half(last.arguments())


def _begins(piece: Piece, call: Call) -> bool:
    """Whether a piece in the place of a call begins another one."""
    if not piece.name or not call.name:
        return False
    if piece.name != call.name:
        return True
    if piece.id and piece.id == call.id:
        return False
    arguments = call.arguments()
    if piece.id and call.id:  # ids tell the calls apart, unless they change while one goes on
        return not _is_half(arguments)
    return bool(piece.arguments) and is_json(arguments)


def _is_half(arguments: str) -> bool:
    return bool(arguments) and not is_json(arguments)
