"""Sentences wrapped for people, with commands whole: one that is broken can't be pasted."""

import re
import textwrap

_COMMAND = re.compile(r"`[^`\n]{1,70}`")
_BLANK = "\0"  # which no line is broken at


def wrapped(text: str, width: int, indent: str = "", first: str = "") -> str:
    """The text in lines of that width, broken between words, but not within backquotes.

    `first` is what the first line begins with, and `indent` the others.
    """
    kept = _COMMAND.sub(lambda found: found[0].replace(" ", _BLANK), text)
    filled = textwrap.fill(
        kept,
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_BLANK, " ")
