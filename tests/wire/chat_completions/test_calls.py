"""Which call a piece belongs to, however a server numbers and names them."""

from dataclasses import dataclass
from typing import Any

import pytest

from aibridged.wire.chat_completions.calls import MAX_LOOKED_AT, MAX_PLACES, Calls
from aibridged.wire.chat_completions.events import Piece


@dataclass
class Grown:
    id: str
    name: str
    text: str

    @property
    def size(self) -> int:
        return len(self.text)

    @property
    def last(self) -> str:
        return self.text[-1:]

    def arguments(self) -> str:
        return self.text


def told(*chunks: list[tuple[Any, ...]], choices: list[int] | None = None) -> list[tuple[str, ...]]:
    """The calls that pieces come to, each given as (index, id, name, arguments), by chunks."""
    calls: Calls[Grown] = Calls()
    grown: list[Grown] = []
    for number, chunk in enumerate(chunks):
        choice = choices[number] if choices else 0
        for place, (index, id_, name, arguments) in enumerate(chunk):
            piece = Piece(index, id_, name, arguments, True, {})
            begins, call = calls.find(choice, piece, first=place == 0)
            if begins:
                call = Grown(id_, name, arguments)
                grown.append(call)
                calls.begin(choice, piece, call)
            elif call is not None:
                call.text += arguments
    return [(call.id, call.name, call.text) for call in grown]


ONE = [("a", "f", '{"x":1}')]
TWO = [("a", "f", '{"x":1}'), ("b", "g", "{}")]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([[(0, "a", "f", "")], [(0, "", "", '{"x"')], [(0, "", "", ":1}")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(1, "b", "g", "{}")], [(0, "", "", ":1}")]], TWO),
        ([[(0, "a", "f", '{"x":1}')], [(0, "b", "g", "{}")]], TWO),
        ([[(0, "a", "f", '{"x"')], [(0, "b", "", ":1}")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(0, "b", "f", ":1}")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(1, "", "", ":1}")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(7, "c", "", ":1}")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(0, "a", "f", ":1}")], [(0, "", "f", "")]], ONE),
        ([[(0, "a", "f", '{"x"')], [(1, "a", "f", ":1}")], [(2, "a", "", "")]], ONE),
        ([[(None, "a", "f", '{"x"')], [(None, "", "", ":1}")]], ONE),
        ([[(None, "a", "f", '{"x"')], [(None, "", "f", ":1}")]], ONE),
        ([[(None, "a", "f", '{"x":1}'), (None, "b", "g", "{}")]], TWO),
        ([[(None, "", "f", "{}"), (None, "", "f", "[]")]], [("", "f", "{}"), ("", "f", "[]")]),
        ([[(None, "", "f", "{}")], [(None, "", "f", "[]")]], [("", "f", "{}"), ("", "f", "[]")]),
        ([[(0, "a", "f", "")], [(0, "b", "f", "")]], [("a", "f", ""), ("b", "f", "")]),
        ([[(0, "a", "f", "{}")], [(0, "b", "f", "{}")]], [("a", "f", "{}"), ("b", "f", "{}")]),
        ([[(0, "a", "", "")], [(1, "b", "", "")]], [("a", "", ""), ("b", "", "")]),
        ([[(0, "", "", "x")]], [("", "", "x")]),
        ([[(0, "", "f", '{"x"')], [(1, "", "f", ":1}")]], [("", "f", '{"x":1}')]),
        ([[(0, "", "f", "{}")], [(1, "", "f", "[]")]], [("", "f", "{}"), ("", "f", "[]")]),
    ],
)
def test_the_calls_of_a_stream(
    chunks: list[list[tuple[Any, ...]]], expected: list[tuple[str, ...]]
) -> None:
    assert told(*chunks) == expected


def test_the_calls_of_several_choices() -> None:
    one, other = [(0, "a", "f", '{"x"')], [(0, "b", "g", "{")]
    rest, others = [(0, "", "", ":1}")], [(0, "", "", "}")]
    assert told(one, other, rest, others, choices=[0, 1, 0, 1]) == TWO
    assert told(one, rest, choices=[0, 1]) == ONE, "the index counts the chunks"


def test_the_pieces_of_a_call_that_is_not_kept_are_dropped() -> None:
    calls: Calls[Grown] = Calls()
    begun = Piece(0, "a", "f", "", True, {})
    assert calls.find(0, begun, first=True) == (True, None)
    calls.begin(0, begun, None)
    for rest in (Piece(0, "", "", "{}", True, {}), Piece(None, "", "", "{}", True, {})):
        assert calls.find(0, rest, first=True) == (False, None)
    assert calls.find(0, Piece(1, "b", "g", "", True, {}), first=True) == (True, None)


def test_places_are_bounded() -> None:
    calls: Calls[Grown] = Calls()
    for index in range(MAX_PLACES + 10):
        calls.begin(0, Piece(index, "a", "f", "", True, {}), Grown("a", "f", ""))
    assert len(calls._places) == MAX_PLACES


@pytest.mark.parametrize("index", [0, None])
def test_arguments_are_looked_at_only_where_they_may_have_ended(index: int | None) -> None:
    """Neither by a server that names the call in each piece, nor by one that plays with its end."""
    read = 0

    class Long(Grown):
        def arguments(self) -> str:
            nonlocal read
            read += len(self.text)
            return self.text

    calls: Calls[Long] = Calls()
    call = Long("0", "f", '{"x":"' + "y" * 100_000)
    calls.begin(0, Piece(index, "0", "f", call.text, True, {}), call)
    for number in range(1000):
        for arguments in ("y", "}"):
            piece = Piece(index, f"{number}", "f", arguments, True, {})
            assert calls.find(0, piece, first=True) == (False, call)
            call.text += arguments
        if number == 10:
            assert read <= 11 * len(call.text)
    assert read <= MAX_LOOKED_AT
