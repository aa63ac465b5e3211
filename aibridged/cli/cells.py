"""Display width of text in terminal cells: wide characters and emoji take two.

rich knows the widths. It is loaded for text that isn't ASCII only, since commands start at once.
"""

import textwrap

WIDTH = 80
"""Cells of the terminals that lines are made for."""
_CUT = "…"


def width(text: str) -> int:
    """How many cells it takes."""
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
    """Its lines of at most `room` cells, broken between words where there are some."""
    if text.isascii():
        return textwrap.wrap(text, room)
    from rich.console import Console
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(Console(width=room), room)]


def shortened(text: str, room: int) -> str:
    """One line of it, which says whether there is more."""
    text = " ".join(text.split())
    if width(text) <= room:
        return text
    return f"{wrapped(text, room - 2)[0]} {_CUT}"
