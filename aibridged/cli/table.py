"""Aligned lines for a terminal, and text fitted to a width in cells (wide characters take two).

rich knows the widths. It is imported only for text that isn't ASCII, to start fast.
"""

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

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


def indented(text: str, indent: str) -> list[str]:
    """The text in lines of `WIDTH`, those behind the first indented further; words stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def shortened(text: str, room: int) -> str:
    """The first line, marked if there are more."""
    text = " ".join(text.split())
    if width(text) <= room:
        return text
    return f"{wrapped(text, room - 2)[0]} {_CUT}"


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Cells of a line of the terminal, or `COLUMNS`; None where the stream isn't a terminal.

    A pipe or a file has no width: nothing that is written there is cut. The default is stdout.
    """
    stream = stream or sys.stdout
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):
        return WIDTH


def aligned(
    texts: Sequence[str], widths: Sequence[int], right: Sequence[bool], *, cut: bool = True
) -> str:
    """One line of a table; each text is padded to its width, on the left if it is `right`-aligned.

    Longer ones are cut, or else push the rest of the line to the right.
    """
    cells = []
    for text, room, is_right in zip(texts, widths, right, strict=True):
        if width(text) > room and not cut:
            cells.append(text)
        elif is_right and width(text) <= room:
            cells.append(" " * (room - width(text)) + text)
        else:
            cells.append(fitted(text, room))
    return _GAP.join(cells).rstrip()
