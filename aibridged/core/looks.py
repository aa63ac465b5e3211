"""Looks at the texts of other people's requests, as the audit log has them."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

EVERYBODY = "everybody"
"""The subject of a search through the texts of all."""
WITHHELD = "(withheld)"
"""What stands in place of a text that its viewer may not see."""
WHY_WITHHELD = "Texts of others are withheld (--aibridge-prompt-access own)."


class View(StrEnum):
    """Kind of view: `show` has whole texts, `list` their beginnings."""

    SHOW = "show"
    LIST = "list"
    SEARCH = "search"
    EXPORT = "export"


class Look(NamedTuple):
    """A look at the texts of `subjects` (ids of users, or `EVERYBODY`), and what it was at."""

    view: View
    subjects: Collection[str]
    what: Mapping[str, Any]


class UnrecordedLookError(Exception):
    """The look can't be written to the audit log; the message says why, for the operator."""
