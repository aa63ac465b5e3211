"""Columns of a list: which are shown, in which form, and how they fit into a terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Any, Generic, TypeVar

import typer

from aibridged.cli import cells
from aibridged.cli.table import aligned, shortened, terminal_width, width

T = TypeVar("T")

_GAP = 2
_INDENT = 4
# To so many cells, columns are cut before values are shortened, or columns left out: the first is
# what the longest names of models in use take.
_PLENTY = 26
_ENOUGH = 17

WideFlag = Annotated[
    bool,
    typer.Option("--wide", help="All columns in full, also where the terminal is too narrow."),
]
ColumnsFlag = Annotated[
    str | None,
    typer.Option(metavar="NAME,...", help="Columns of the table or CSV, in this order."),
]


class Kind(Enum):
    """What a column's values are; numbers are aligned to the right, and `MONEY`, which is text.

    A `COST` is an amount of nano-dollars with its label, either of them None where there is none.
    """

    TEXT = auto()
    ID = auto()
    TIME = auto()
    COUNT = auto()
    MONEY = auto()
    DURATION = auto()
    SHARE = auto()
    DOLLARS = auto()
    COST = auto()


_NUMBERS = (Kind.COUNT, Kind.MONEY, Kind.DURATION, Kind.SHARE, Kind.DOLLARS, Kind.COST)
_FULL: dict[Kind, Callable[[Any], str]] = {
    Kind.TIME: cells.time,
    Kind.COUNT: cells.count,
    Kind.DURATION: cells.duration,
    Kind.SHARE: cells.share,
    Kind.DOLLARS: cells.dollars,
    Kind.COST: lambda cost: cells.cost(*cost),
}
_SHORT: dict[Kind, Callable[[Any], str]] = {Kind.TIME: cells.short_time, Kind.COUNT: cells.short}
# In this order, until the table fits.
_SHORTENED = (Kind.TEXT, Kind.ID, Kind.TIME, Kind.COUNT)


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of a list of `T`. `name` is what `--columns` and the heading of a CSV call it.

    A table has it if it `is_shown`, else only with `--wide`; the CSV has it if it is `in_csv`; and
    both on demand. Where the terminal is too narrow, a `spare` one is left out and a `cut` one is
    cut. One that is `below` has a line of its own under each row there, unless it is empty.
    Without a value, the cell of a table is `absent`.
    """

    name: str
    value: Callable[[T], Any]
    heading: str = ""
    kind: Kind = Kind.TEXT
    is_shown: bool = True
    in_csv: bool = True
    cut: bool = False
    spare: bool = False
    below: bool = False
    short: Callable[[T], str] | None = None
    absent: str = ""

    @property
    def title(self) -> str:
        """The heading in a table."""
        return self.heading or self.name.replace("_", " ").upper()

    def full_text(self, row: T) -> str:
        """The cell of a row in full."""
        value = self.value(row)
        make = _FULL.get(self.kind)
        return cells.printable(_text(value) if make is None else make(value)) or self.absent

    def short_text(self, row: T) -> str:
        """The cell of a row in its short form, if it has one. (An id's depends on the others.)"""
        if self.short is not None:
            return self.short(row)
        make = _SHORT.get(self.kind)
        return self.full_text(row) if make is None else make(self.value(row)) or self.absent

    def field(self, row: T) -> str:
        """The exact value for a CSV file."""
        value = self.value(row)
        if isinstance(value, datetime):
            return value.isoformat()
        if self.kind is Kind.COST:
            from aibridged.core.money import exact_dollars

            return exact_dollars(value[0]) or ""
        return cells.printable(_text(value))


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@dataclass(frozen=True)
class View(Generic[T]):
    """Which columns are asked for. `named` ones are exactly those of the user's."""

    columns: Sequence[Column[T]]
    is_named: bool
    is_wide: bool

    def table(self, rows: Sequence[T], total: T | None = None) -> str:
        """The rows as a table, fitted to the terminal if there is one."""
        rows = rows if total is None else [*rows, total]
        layout = Layout(self, rows, None if self.is_wide else terminal_width())
        return "\n".join([layout.heading, *(line for row in rows for line in layout.lines(row))])


def chosen(
    columns: Sequence[Column[T]],
    wide: bool = False,
    names: str | None = None,
    *,
    output: str = "table",
) -> View[T]:
    """What `--wide` and `--columns` ask for.

    Raises:
        typer.BadParameter: there is no such column, or the output has none to choose.
    """
    is_csv = output == "csv"
    if wide and output != "table":
        raise typer.BadParameter(
            f"it is for tables, not for --output {output}.", param_hint="--wide"
        )
    if names is None:
        if is_csv:
            return View([each for each in columns if each.in_csv], False, False)
        return View([each for each in columns if wide or each.is_shown], False, wide)
    if output not in ("table", "csv"):
        raise typer.BadParameter(
            f"they are for tables and CSV: --output {output} has all fields.",
            param_hint="--columns",
        )
    return View([named(columns, name, "--columns") for name in names.split(",")], True, wide)


def named(columns: Sequence[Column[T]], name: str, flag: str) -> Column[T]:
    """The column that a user names by its name or heading.

    Raises:
        typer.BadParameter: there is no such column.
    """
    known = {spelling: each for each in columns for spelling in (_plain(each.title), each.name)}
    if _plain(name) not in known:
        raise typer.BadParameter(
            f"there is no column {cells.printable(name.strip())!r}; there are "
            f"{', '.join(each.name for each in columns)}.",
            param_hint=flag,
        )
    return known[_plain(name)]


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


class Layout(Generic[T]):
    """The columns and widths of a table that fits into `room` cells, None for any number.

    They are those that `rows` need, which may be only an example of the rows to come.
    """

    def __init__(self, view: View[T], rows: Sequence[T], room: int | None) -> None:
        self._room = room
        self._rows = rows
        self._prefixes: dict[str, int] = {}
        self._is_short: set[str] = set()
        beside = [each for each in view.columns if room is None or view.is_named or not each.below]
        self._below = [each for each in view.columns if each not in beside]
        self._columns = beside
        self._widths = [self._needed(each) for each in beside]
        if room is not None:
            self._shorten(room)
            if not view.is_named:
                self._spare(room)
            self._cut(room)

    @property
    def heading(self) -> str:
        """The line of headings."""
        return self._aligned([each.title for each in self._columns])

    def lines(self, row: T) -> Iterator[str]:
        """The lines of a row."""
        yield self._aligned([self._cell(each, row) for each in self._columns])
        for column in self._below:
            if text := column.full_text(row):
                yield " " * _INDENT + shortened(text, max((self._room or 0) - _INDENT, _ENOUGH))

    def _aligned(self, texts: Sequence[str]) -> str:
        right = [each.kind in _NUMBERS for each in self._columns]
        return aligned(texts, self._widths, right, cut=self._room is not None)

    def _cell(self, column: Column[T], row: T) -> str:
        if column.name not in self._is_short:
            return column.full_text(row)
        if column.kind is Kind.ID:
            return column.full_text(row)[: self._prefixes[column.name]]
        return column.short_text(row)

    def _needed(self, column: Column[T]) -> int:
        texts = (self._cell(column, row) for row in self._rows)
        return max(map(width, (column.title, *texts)))

    def _excess(self, room: int) -> int:
        return sum(self._widths) + _GAP * (len(self._widths) - 1) - room

    def _shorten(self, room: int) -> None:
        for kind in _SHORTENED:
            if self._excess(room) <= self._can_be_cut(_PLENTY):
                return
            for number, column in enumerate(self._columns):
                if column.kind is kind:
                    ids = [column.full_text(row) for row in self._rows if kind is Kind.ID]
                    self._prefixes[column.name] = cells.prefix_length(ids)
                    self._is_short.add(column.name)
                    self._widths[number] = self._needed(column)

    def _spare(self, room: int) -> None:
        for number in reversed(range(len(self._columns))):
            if self._excess(room) <= self._can_be_cut(_ENOUGH):
                return
            if self._columns[number].spare:
                del self._columns[number], self._widths[number]

    def _can_be_cut(self, least: int) -> int:
        columns = zip(self._columns, self._widths, strict=True)
        return sum(max(0, width - least) for column, width in columns if column.cut)

    def _cut(self, room: int) -> None:
        elastic = [number for number, column in enumerate(self._columns) if column.cut]
        for _ in range(self._excess(room)):
            widest = max(elastic, key=self._widths.__getitem__, default=None)
            if widest is None or self._widths[widest] <= 1:
                return
            self._widths[widest] -= 1
