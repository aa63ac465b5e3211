"""What lists of sessions and of interceptions share: filters in the address, and cursors."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aibridged.api.filters import INTERCEPTION_TERMS
from aibridged.ui.page import Visit
from aibridged.ui.views.lists import terms

PERIODS: Mapping[str, tuple[str, timedelta]] = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
_DAYS: Mapping[str, tuple[str, int]] = {
    "today": ("Today", 0),
    "yesterday": ("Yesterday", 1),
}
"""Whole days, by how many days ago they were."""
OUTCOMES = ("open", "completed", "failed", "client_closed", "interrupted")
_MAX_VALUE = 256


class Field(NamedTuple):
    """A filter of a form: the API's term, its label, and what it has now."""

    name: str
    label: str
    value: str
    hint: str = ""


_LABELS = {
    "text": ("Prompt", "part of a prompt"),
    "initiator": ("Person", "username, or me"),
    "model": ("Model", "claude-sonnet-4-5"),
    "client": ("Client", "Claude Code"),
    "provider": ("Provider", "anthropic"),
    "tool": ("Tool", "Bash"),
    "group": ("Group", ""),
    "error": ("Error", "overloaded"),
    "min_cost": ("At least $", "0.50"),
}


_FIRST = ("text", "initiator", "model", "tool", "status", "since")


class Search:
    """The filters of a visit: `known` are the terms of the list that they are for."""

    def __init__(self, visit: Visit, known: Mapping[str, str] = INTERCEPTION_TERMS) -> None:
        query = visit.query
        self._known = known
        self._given = {
            name: query.get(name, "").strip()[:_MAX_VALUE]
            for name in (*_LABELS, "status", "since", "started_after", "started_before")
        }
        self._now = visit.now

    @property
    def is_any(self) -> bool:
        """Whether anything is filtered."""
        return any(self._given.values())

    @property
    def has_more(self) -> bool:
        """Whether a filter is set that the form shows on demand."""
        return any(self._given[name] for name in self._given if name not in _FIRST)

    @property
    def first(self) -> list[Field]:
        """The fields that are always shown."""
        return [field for field in self.fields if field.name in _FIRST]

    @property
    def more(self) -> list[Field]:
        """Those that are shown on demand."""
        return [field for field in self.fields if field.name not in _FIRST]

    @property
    def fields(self) -> list[Field]:
        """The fields of the form, in order."""
        return [
            Field(name, label, self._given[name], hint)
            for name, (label, hint) in _LABELS.items()
            if name in self._known
        ]

    def value(self, name: str) -> str:
        return self._given[name]

    @property
    def q(self) -> str:
        """The API's filter."""
        wanted = {
            name: value
            for name, value in self._given.items()
            if value and name in self._known and name not in ("started_after", "started_before")
        }
        if self._given["since"] in PERIODS:
            wanted["started_after"] = _iso(self._now - PERIODS[self._given["since"]][1])
        elif self._given["since"] in _DAYS:
            day = self._now.astimezone(UTC).date() - timedelta(_DAYS[self._given["since"]][1])
            wanted["started_after"] = f"{day}T00:00:00Z"
            wanted["started_before"] = f"{day + timedelta(1)}T00:00:00Z"
        for name in ("started_after", "started_before"):
            if value := self._given[name]:
                wanted[name] = value if "T" in value else f"{value}T00:00:00Z"
        return terms(wanted)

    def link(self, path: str, **more: str) -> str:
        """The address of the same search with other parameters."""
        given = {name: value for name, value in {**self._given, **more}.items() if value}
        return f"{path}?{urlencode(given)}" if given else path

    def values(self) -> dict[str, Any]:
        """What the form's template needs."""
        return {
            "search": self,
            "periods": [(key, label) for key, (label, _) in (*PERIODS.items(), *_DAYS.items())],
            "outcomes": OUTCOMES,
        }


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
