"""Terminal tables: aligned columns, and text fitted to a width in cells (wide characters take two).

rich knows the widths. It is imported only for text that isn't ASCII, to start fast.
"""

import textwrap
from collections.abc import Collection, Iterable, Sequence

WIDTH = 80
"""Width of the terminals that lines are made for."""
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


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    cut: Collection[str],
    room: int = WIDTH,
) -> str:
    """Aligned lines; to fit them into `room` cells, the columns named in `cut` are cut."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    elastic = [number for number, heading in enumerate(headings) if heading in cut]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    for _ in range(excess):
        widest = max(elastic, key=widths.__getitem__)
        widths[widest] = max(1, widths[widest] - 1)
    return "\n".join(aligned(cells, widths) for cells in lines)


def aligned(cells: Iterable[str], widths: Iterable[int]) -> str:
    """One line of a table; each cell is cut to its width."""
    return _GAP.join(map(fitted, cells, widths)).rstrip()
