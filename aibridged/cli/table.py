"""Tables for a terminal: columns aligned, and cut where the terminal ends."""

from collections.abc import Collection, Iterable, Sequence

WIDTH = 80
_GAP = "  "
_CUT = "…"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    cut: Collection[str],
    width: int = WIDTH,
) -> str:
    """Aligned lines; to keep them to `width`, the columns named in `cut` give way."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    elastic = [number for number, heading in enumerate(headings) if heading in cut]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    for _ in range(excess):
        widest = max(elastic, key=widths.__getitem__)
        widths[widest] = max(1, widths[widest] - 1)
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [
        cell if len(cell) <= width else cell[: width - 1] + _CUT
        for cell, width in zip(cells, widths, strict=True)
    ]
    padded = (cell.ljust(width) for cell, width in zip(fitted, widths, strict=True))
    return _GAP.join(padded).rstrip()
