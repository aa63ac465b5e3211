"""Reads a file of users: CSV with a header, whose lines are checked one by one."""

import csv
import io
from collections.abc import Mapping, Sequence

import msgspec

from aibridged.counted import counted
from aibridged.identity.users import (
    MAX_GROUPS,
    IdentityError,
    UserEdit,
    check_group,
    check_user,
)

MAX_BYTES = 1024 * 1024
MAX_USERS = 2000
COLUMNS = ("username", "name", "email", "admin", "groups")
"""Only the first is required. Groups are separated by semicolons."""
_SHOWN = 20
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Line(msgspec.Struct, frozen=True):
    """A user of the file. `edit` has the columns that the file has; an empty cell is no value."""

    number: int
    username: str
    edit: UserEdit


class FaultyLinesError(IdentityError):
    """Lines that can't be imported, each with its number and what is wrong."""

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        shown = [f"Line {number}: {what}" for number, what in sorted(faults)[:_SHOWN]]
        if (more := len(faults) - len(shown)) > 0:
            shown.append(f"And {more} more.")
        super().__init__("\n".join([*shown, "Nothing was changed."]))
        self.faults = sorted(faults)


def read_users(content: bytes) -> list[Line]:
    """The users of a file, in its order.

    Raises:
        FaultyLinesError: some lines are faulty; all of these are named.
        IdentityError: the file is too large, or not text in UTF-8.
    """
    if len(content) > MAX_BYTES:
        raise IdentityError(f"The file has more than {MAX_BYTES // 1024} KiB: split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise IdentityError("The file is not UTF-8: export it as CSV in UTF-8.") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines, faults, seen = list[Line](), list[tuple[int, str]](), dict[str, int]()
    number = 1
    try:
        header = _header(next(rows, []))
        while True:
            number = rows.line_num + 1
            cells = next(rows, None)
            if cells is None:
                break
            if not any(cells):
                continue
            try:
                line = _line(number, header, cells)
                if (first := seen.setdefault(line.username, number)) != number:
                    raise IdentityError(f"{line.username} is in line {first} already.")
                lines.append(line)
            except IdentityError as error:
                faults.append((number, str(error)))
            if len(lines) + len(faults) > MAX_USERS:
                raise IdentityError(f"A file has at most {counted(MAX_USERS, 'user')}: split it.")
    except csv.Error as error:
        faults.append((number, f"not CSV: {error}."))
    if faults:
        raise FaultyLinesError(faults)
    return lines


def _header(cells: Sequence[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    wanted = ",".join(COLUMNS)
    for name in header:
        if name not in COLUMNS or header.count(name) > 1:
            what = "there twice" if name in COLUMNS else "unknown"
            raise FaultyLinesError(
                [(1, f"the column {name[:64]!r} is {what}: the header is {wanted}.")]
            )
    if "username" not in header:
        raise FaultyLinesError([(1, f"there is no column username: the header is {wanted}.")])
    return header


def _line(number: int, header: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) != len(header):
        raise IdentityError(f"it has {len(cells)} cells, and the header {len(header)}.")
    values: Mapping[str, str] = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    edit = UserEdit(
        name=values.get("name"),
        email=values.get("email"),
        is_admin=_boolean(values["admin"]) if "admin" in values else None,
        groups=_groups(values["groups"]) if "groups" in values else None,
    )
    check_user(values["username"], edit.name or "", edit.email or None)
    return Line(number, values["username"], edit)


def _boolean(text: str) -> bool:
    if not text:
        return False
    if text.lower() not in _BOOLEANS:
        raise IdentityError(f"admin is {text[:32]!r}: write true or false.")
    return _BOOLEANS[text.lower()]


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(";") if name.strip()))
    if len(names) > MAX_GROUPS:
        raise IdentityError(f"A user is in at most {MAX_GROUPS} groups.")
    for name in names:
        check_group(name)
    return names
