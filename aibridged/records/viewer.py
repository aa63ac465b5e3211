"""Who looks at the record, and whose texts they see.

Texts are what people, models and providers wrote: prompts, reasoning, arguments of tool calls,
errors of tools and providers. Everybody sees their own. A look at others' is noted first, or
they are withheld; so no query returns a text without knowing who looks.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from aibridged.core.looks import WHY_WITHHELD, WITHHELD, Look, UnrecordedLookError, View
from aibridged.records.cancel_scope import QueryFailedError
from aibridged.records.facts import ErrorSource
from aibridged.records.query_results import Filter, Interception, Row

TEXTS: Mapping[str, Collection[str]] = {
    "user_prompts": ("prompt",),
    "tool_usages": ("input", "invocation_error"),
    "model_thoughts": ("content",),
}
"""The texts of child rows, by their kind."""

# What a row of the audit log says of a list: no times, which follow on one another, and no texts.
_TOLD = (
    *("provider", "provider_name", "model", "client", "session", "status", "min_cost"),
    *("group", "key", "tool", "error"),
)


class LookNotNotedError(QueryFailedError):
    """Texts of others aren't shown, because the audit log can't be written; the message says so."""


class Viewer(msgspec.Struct, frozen=True):
    """Who looks: `own` is the initiator whose texts are their own.

    `note` writes a look at the texts of others to the audit log; without it these are withheld.
    """

    own: str | None = None
    note: Callable[[Look], None] | None = None


NO_TEXTS = Viewer()
"""For what asks for numbers and names alone."""


class Sight:
    """What a viewer sees in one query."""

    def __init__(self, viewer: Viewer, view: View, what: Mapping[str, Any]) -> None:
        self._viewer = viewer
        self._view = view
        self._what = what
        self._noted: set[str] = set()

    def look(self, initiators: Collection[str]) -> None:
        """Note that texts of these are about to be shown.

        Raises:
            LookNotNotedError: they can't be.
        """
        others = {each for each in initiators if each != self._viewer.own} - self._noted
        if not others or self._viewer.note is None:
            return
        try:
            self._viewer.note(Look(self._view, others, self._what))
        except UnrecordedLookError as error:
            raise LookNotNotedError(
                f"Texts of others aren't shown, because the audit log can't be written: {error}"
            ) from None
        self._noted |= others

    def shows(self, initiator: str) -> bool:
        """Whether the texts of that one may be shown; `look` has been called."""
        return initiator == self._viewer.own or initiator in self._noted

    def head(self, found: Interception) -> Interception:
        """The interception, without its error if that is withheld."""
        if self.shows(found.initiator_id):
            return found
        message = WITHHELD if _quotes(found) else found.error_message
        return msgspec.structs.replace(found, error_message=message, texts_withheld=WHY_WITHHELD)

    def row(self, initiator: str, kind: str, row: Row) -> Row:
        """The child row, or one without its texts."""
        if self.shows(initiator):
            return row
        texts = {name: WITHHELD for name in TEXTS.get(kind, ()) if row[name]}
        return {**row, **texts, "truncated": False}


def has_texts(found: Interception) -> bool:
    """Whether an interception, or any of its child rows that are known, has one."""
    return _quotes(found) or any(getattr(found, kind) for kind in TEXTS)


def listed(name: str, wanted: Filter) -> Mapping[str, Any]:
    """What a look at a list is at."""
    given = {field: getattr(wanted, field) for field in _TOLD}
    given["by_text"] = wanted.text is not None or None
    return {"list": name, **{field: each for field, each in given.items() if each is not None}}


def _quotes(found: Interception) -> bool:
    """Whether its error may quote a text: the gateway's own never do."""
    return bool(found.error_message) and found.error_source != ErrorSource.GATEWAY
