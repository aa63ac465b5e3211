"""Syntax errors of a YAML file in words that say what to change; the text is never quoted."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from aibridged.config.resolution import Mistake

NO_SPACE = ("there is no space after the colon", "Write key: value, with a space.")
_NO_SPACE = re.compile(r"\s*(- +)?[\w.-]+:[^\s/]")
_ALIGN = "Align it with the settings of its group, two spaces for each level."
# What the parser says, what that means, and the remedy; the opening bracket or quote is the place
# of those with True.
_PROBLEMS: Sequence[tuple[str, str, str, bool]] = (
    (
        r"found character '\\t'",
        "a tab, and YAML takes only spaces",
        "Replace it with spaces.",
        False,
    ),
    (
        r"found unexpected end of stream",
        "a quote that is never closed",
        "Close it, or remove it.",
        True,
    ),
    (
        r"expected ',' or '[\]}]'",
        "a bracket that is never closed",
        "Close it, or write a list with a dash and a line for each of its items.",
        True,
    ),
    (
        r"unknown escape|expected escape",
        "a backslash in double quotes",
        "Use single quotes.",
        False,
    ),
    (r"expected <block end>", "the indentation fits none of the lines above", _ALIGN, False),
    (r"another document", "a second document begins here", "Remove the line ---.", False),
    (
        r"<document start>",
        "this is not YAML",
        "Write key: value; `aibridged sample-config` prints a file to start from.",
        False,
    ),
    (
        r"found character '[@%`]'|undefined alias|chomping or indentation|"
        r"expected alphabetic or numeric character",
        "a value that begins with a character of YAML's own",
        "Put the value into quotes.",
        False,
    ),
    (r"could not find expected ':'", "a line without a colon", "Write key: value.", False),
    (
        r"expected the node content",
        "a bracket that is never closed",
        "Close it, or remove it.",
        False,
    ),
)


def syntax_mistake(path: Path, text: str, error: Exception) -> Mistake:
    """The mistake in `text`, which the parser has raised this error about."""
    if isinstance(error, RecursionError):
        return Mistake(
            str(path), "nested too deeply", "`aibridged sample-config` prints an example."
        )
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Mistake(f"{path}:{line}", "a control character", "Remove it.")
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or ""
    if mark is None:
        return Mistake(str(path), "not valid YAML", "Check indentation and quotes.")
    if "mapping values are not allowed" in problem:
        return _unexpected_colon(path, text.splitlines(), mark)
    for pattern, what, remedy, at_the_start in _PROBLEMS:
        if re.search(pattern, problem):
            if at_the_start:
                mark = getattr(error, "context_mark", None) or mark
            return Mistake(_place(path, mark.line, mark.column), what, remedy)
    return Mistake(
        _place(path, mark.line, mark.column), "not valid YAML", "Check indentation and quotes."
    )


def _unexpected_colon(path: Path, lines: Sequence[str], mark: yaml.Mark) -> Mistake:
    """A colon where a value is expected: the line itself is wrong, or the one above."""
    place = _place(path, mark.line, mark.column)
    if ": " in lines[mark.line][: mark.column]:
        remedy = "Put the value into quotes, or the second setting on a line of its own."
        return Mistake(place, "a second colon on one line", remedy)
    above = next(
        (
            n
            for n in range(mark.line - 1, -1, -1)
            if lines[n].strip() and lines[n].strip()[0] != "#"
        ),
        None,
    )
    if above is not None and _NO_SPACE.match(lines[above]):
        return Mistake(f"{path}:{above + 1}", *NO_SPACE)
    if above is not None and ":" not in lines[above]:
        return Mistake(f"{path}:{above + 1}", "a line without a colon", "Write key: value.")
    return Mistake(place, "it is indented deeper than the line above, which has a value", _ALIGN)


def _place(path: Path, line: int, column: int) -> str:
    return f"{path}:{line + 1}:{column + 1}"


def lacks_space(text: str) -> bool:
    """Whether a value was meant to be a setting: `rate_limit:5`."""
    return _NO_SPACE.match(text) is not None
