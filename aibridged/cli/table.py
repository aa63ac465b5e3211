"""Terminal tables: aligned columns, and text fitted to a width in cells (wide characters take two).

rich knows the widths. It is imported only for text that isn't ASCII, to start fast.
"""

import os
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest

WIDTH = 80
"""Width of a line where the terminal's isn't known."""
_CUT = "…"
_GAP = "  "


def width(text: str) -> int:
    """The width of a text in cells."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitted(text: str, room: int) -> str:
    """The text in exactly `room` cells, cut where it is longer."""
    if text.isascii():
        return (text if len(text) <= room else text[: room - 1] + _CUT).ljust(room)
    from rich.cells import set_cell_size

    if width(text) > room:
        text = set_cell_size(text, room - 1).rstrip() + _CUT
    return set_cell_size(text, room)


def wrapped(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` cells, broken between words where possible."""
    if text.isascii():
        return textwrap.wrap(text, room)
    from rich.console import Console
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(Console(width=room), room)]


def shortened(text: str, room: int) -> str:
    """The first line, marked if there are more."""
    text = " ".join(text.split())
    if width(text) <= room:
        return text
    return f"{wrapped(text, room - 2)[0]} {_CUT}"


def terminal_width() -> int:
    """Cells of a line where the output goes: those of the terminal, or `COLUMNS`."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
    except (OSError, ValueError):  # it is none
        return WIDTH


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    cut: Collection[str],
    spare: Collection[str] = (),
    notes: Iterable[str] = (),
    room: int = WIDTH,
) -> str:
    """Aligned lines; to fit them into `room` cells, the columns named in `cut` are cut.

    Before that, those in `spare` are left out. Each row's note, if it isn't empty, is a line below
    it.
    """
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(width, column)) for column in columns]
    if spare and _excess(widths, room) > 0:
        kept = [number for number, heading in enumerate(headings) if heading not in spare]
        columns = [columns[number] for number in kept]
        widths = [widths[number] for number in kept]
    elastic = [number for number, column in enumerate(columns) if column[0] in cut]
    for _ in range(_excess(widths, room)):
        widest = max(elastic, key=widths.__getitem__)
        widths[widest] = max(1, widths[widest] - 1)
    lines = []
    for cells, note in zip_longest(zip(*columns, strict=True), ["", *notes], fillvalue=""):
        lines.append(aligned(cells, widths))
        if note:
            lines.append(f"    {shortened(note, room - 4)}")
    return "\n".join(lines)


def _excess(widths: Collection[int], room: int) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1) - room


def aligned(cells: Iterable[str], widths: Iterable[int]) -> str:
    """One line of a table; each cell is cut to its width."""
    return _GAP.join(map(fitted, cells, widths)).rstrip()
