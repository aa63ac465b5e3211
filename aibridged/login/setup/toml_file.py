"""Edits of TOML files as text: what isn't edited stays as it is, byte for byte.

The standard library reads TOML and doesn't write it. So lines are replaced or added, and the result
is parsed: unless it says exactly what it should, the file isn't touched.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from .change import UneditableError

_HEADER = re.compile(r"\s*\[{1,2}\s*(?P<name>[^\[\]#]+?)\s*\]{1,2}\s*(?:#.*)?")
_BLANK = re.compile(r"\s*(?:#.*)?")


def set_value(text: str, key: str, value: str) -> str:
    """The text with a key of the first section set to a string."""
    expected = {**_parsed(text), key: value}
    lines = text.splitlines(keepends=True)
    end = _first_header(lines)
    known = re.compile(rf"(\s*{re.escape(key)}\s*=\s*)(?:\"[^\"\\]*\"|'[^']*')")
    written = json.dumps(value)
    for number in range(end):
        if match := known.match(lines[number]):
            lines[number] = f"{match[1]}{written}{lines[number][match.end() :]}"
            break
    else:
        while end and _BLANK.fullmatch(lines[end - 1].rstrip("\r\n")):
            end -= 1
        if end and not lines[end - 1].endswith("\n"):
            lines[end - 1] += _newline(text)
        added = [f"{key} = {written}{_newline(text)}"]
        # A file that begins with its comments keeps them in front.
        lines[end:end] = added if end or not text else [*added, _newline(text)]
    return _proven("".join(lines), expected)


def set_table(text: str, name: Sequence[str], table: Mapping[str, Any]) -> str:
    """The text with a table, and all below it, replaced by another one.

    Values are strings, integers, booleans, lists of strings and tables.
    """
    expected = _parsed(text)
    parent = expected
    for each in name[:-1]:
        parent = parent.setdefault(each, {})
        if not isinstance(parent, dict):
            raise UneditableError(f"{each} isn't a table")
    parent[name[-1]] = table
    newline = _newline(text)
    written = newline.join(_lines(name, table)) + newline
    lines = text.splitlines(keepends=True)
    place, kept = _without(lines, tuple(name))
    if place is None:
        before = "".join(kept)
        if before and not before.endswith("\n"):
            before += newline
        made = before + (newline if before.strip() else "") + written
    else:
        made = "".join(kept[:place]) + written + "".join(kept[place:])
    return _proven(made, expected)


def table_text(name: Sequence[str], table: Mapping[str, Any]) -> str:
    """The table as it is written."""
    return "\n".join(_lines(name, table))


def _without(lines: Sequence[str], name: tuple[str, ...]) -> tuple[int | None, list[str]]:
    """The lines without the sections of a table and those below it, and where the first was."""
    kept: list[str] = []
    place: int | None = None
    dropped: list[str] = []
    inside = False
    for line in lines:
        header = _header(line)
        if header is not None:
            was_inside, inside = inside, header[: len(name)] == name
            after = _trailing(dropped)
            # Blank lines between two sections that go belong to them.
            kept += after if not (was_inside and inside) or "".join(after).strip() else ()
            dropped = []
            if inside and place is None:
                place = len(kept)
        (dropped if inside else kept).append(line)
    return place, [*kept, *_trailing(dropped)]


def _trailing(lines: Sequence[str]) -> Sequence[str]:
    """The blank lines and comments at the end of a section: they are about what follows."""
    end = len(lines)
    while end and _BLANK.fullmatch(lines[end - 1].rstrip("\r\n")):
        end -= 1
    return lines[end:]


def _header(line: str) -> tuple[str, ...] | None:
    match = _HEADER.fullmatch(line.rstrip("\r\n"))
    if match is None:
        return None
    return tuple(part.strip().strip("\"'") for part in match["name"].split("."))


def _first_header(lines: Sequence[str]) -> int:
    found = (number for number, line in enumerate(lines) if _header(line) is not None)
    return next(found, len(lines))


def _lines(name: Sequence[str], table: Mapping[str, Any]) -> list[str]:
    lines = [f"[{'.'.join(name)}]"]
    below = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            below += ["", *_lines((*name, key), value)]
        else:
            # A string, a number, a boolean or a list of strings is written in TOML as in JSON.
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=True)}")
    return lines + below


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UneditableError(f"it isn't TOML: {error}") from None
    except RecursionError:
        raise UneditableError("it is nested too deeply") from None


def _proven(made: str, expected: Mapping[str, Any]) -> str:
    try:
        is_right = tomllib.loads(made) == expected
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise UneditableError("it is written in a way that can't be edited safely")
    return made


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
