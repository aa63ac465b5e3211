"""Terminal tables: aligned columns, truncated to the terminal's width."""

from collections.abc import Collection, Iterable, Sequence

from aibridged.cli.cells import WIDTH, fitted, width

_GAP = "  "


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    cut: Collection[str],
    room: int = WIDTH,
) -> str:
    """Aligned lines; to keep them to `room` cells, the columns named in `cut` give way."""
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
