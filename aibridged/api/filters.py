"""Coder's filter language: `initiator:me model:claude-x started_after:"2026-01-31T12:00:00Z"`."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aibridged.core.money import parsed
from aibridged.identity.audit import AuditFilter
from aibridged.records.facts import Outcome
from aibridged.records.names import MAX_NAMES
from aibridged.records.query import MAX_LIMIT
from aibridged.records.query_results import USAGE_NUMBERS, Filter, Names, UsageBy
from aibridged.records.search import MAX_TEXT
from aibridged.records.storable import storable

MAX_OFFSET = 1_000_000
MAX_ROW = 2**63 - 1
MAX_CHARACTERS = 1024 * 1024

TERMS = {
    "initiator": "A username, an id, or me.",
    "provider": "A provider's name or type.",
    "provider_name": "A provider's name.",
    "model": "The model.",
    "client": 'The client, such as "Claude Code".',
    "session_id": "The session.",
    "status": "open, completed, failed, client_closed or interrupted.",
    "started_after": "Start of the time range (RFC 3339).",
    "started_before": "End of the time range (RFC 3339), exclusive.",
}
_SEARCHED = {
    "text": "Part of a prompt, whatever its case, of those that the caller may see.",
    "tool": "The name of a tool that was called.",
    "error": "The type, code or source of its error.",
}
_GROUP = {"group": "The name of a group that the user is in now."}
INTERCEPTION_TERMS = {
    **TERMS,
    **_GROUP,
    "min_cost": "Dollars that it has cost at least.",
    **_SEARCHED,
}
SESSION_TERMS = {
    **TERMS,
    **_GROUP,
    "min_cost": "Dollars that the session has cost at least.",
    **_SEARCHED,
}
USAGE_TERMS = {
    **TERMS,
    **_GROUP,
    "key": "The hint of the provider's key.",
}
OVERVIEW_TERMS = {
    name: USAGE_TERMS[name] for name in USAGE_TERMS if name not in ("session_id", "status")
}
AUDIT_TERMS = {
    "actor": "Part of the actor.",
    "action": "An action, or what it begins with: user.edit, user.",
    "target": "A target, or the username of one.",
    "started_after": TERMS["started_after"],
    "started_before": TERMS["started_before"],
}
_STATUSES = frozenset({"open", *(outcome.value for outcome in Outcome)})
_NEED_CURSORS = frozenset({*_SEARCHED, "min_cost", "group"})
_TIMES = frozenset({"started_after", "started_before"})
_TERM = re.compile(r'\s*([a-z_]+):(?:"([^"]*)"|([^\s"]\S*))(?=\s|$)')


class BadFilterError(ValueError):
    """A filter that can't be parsed; the message says which term and how to fix it."""


def said_of(known: Mapping[str, str]) -> str:
    """What a description says of the query parameter `q` that takes these terms."""
    each = (f"{name}: {text}" for name, text in known.items())
    return f"Filter terms name:value, all of which must match. {' '.join(each)}"


def read_filter(
    query: Mapping[str, str], me: str, owner: str | None, known: Mapping[str, str] = TERMS
) -> Filter:
    """Parse the query parameters `q`, `limit`, `offset` and the cursors of a request for a list.

    `me` is the caller's id; `owner` is set where a caller may see only their own, and `known` are
    the terms of the list.

    Raises:
        BadFilterError: an unknown or repeated term, or an invalid value.
    """
    for cursor in ("after_id", "after_session_id", "search_cursor"):
        if query.get(cursor) and read_offset(query):
            raise BadFilterError(f"{cursor} and offset are mutually exclusive: remove one.")
    terms = _terms(query.get("q", ""), known)
    if read_offset(query) and not _NEED_CURSORS.isdisjoint(terms):
        searched = ", ".join(sorted(_NEED_CURSORS))
        raise BadFilterError(f"offset can't be combined with {searched}: use search_cursor.")
    if terms.get("initiator") == "me":
        terms["initiator"] = me
    if "session_id" in terms:
        terms["session"] = terms.pop("session_id")
    return Filter(
        **terms,
        owner=owner,
        limit=read_limit(query),
        after_id=query.get("search_cursor") or query.get("after_id") or None,
        after_session=query.get("after_session_id") or None,
        offset=read_offset(query),
    )


def read_audit_filter(query: Mapping[str, str]) -> AuditFilter:
    """Parse the query parameters `q`, `limit` and `after_id` of a request for the audit log.

    Raises:
        BadFilterError: an unknown or repeated term, or an invalid value.
    """
    after, terms = query.get("after_id"), _terms(query.get("q", ""), AUDIT_TERMS)
    for name, term in terms.items():
        terms[name] = storable(term) if isinstance(term, str) else term
    return AuditFilter(
        **terms,
        limit=read_limit(query),
        after_id=whole_number("after_id", after, 0, MAX_ROW) if after else None,
    )


def read_limit(query: Mapping[str, str], default: int = 100, most: int = MAX_LIMIT) -> int:
    """Parse the query parameter `limit`; 0 is the default, as in Coder's API.

    Raises:
        BadFilterError: it isn't a number, or out of bounds.
    """
    return whole_number("limit", query.get("limit", "0"), 0, most) or default


def read_characters(query: Mapping[str, str]) -> int | None:
    """Parse the query parameter `text_limit`: None, if texts are wanted whole.

    Raises:
        BadFilterError: it isn't a number, or out of bounds.
    """
    return whole_number("text_limit", query.get("text_limit", "0"), 0, MAX_CHARACTERS) or None


def read_usage(query: Mapping[str, str]) -> tuple[Sequence[UsageBy], str | None]:
    """Parse the query parameters `by` and `sort` of a request for usage.

    Raises:
        BadFilterError: a dimension is unknown or named twice, or there is nothing to sort by.
    """
    known = [each.value for each in UsageBy]
    names = (query.get("by") or UsageBy.USER).split(",")
    for number, name in enumerate(names):
        if name not in known:
            raise BadFilterError(f"{name!r} is not a dimension. There are {', '.join(known)}.")
        if name in names[:number]:
            raise BadFilterError(f"{name!r} is named twice in by.")
    sort, columns = query.get("sort") or None, [*names, *USAGE_NUMBERS]
    if sort is not None and sort not in columns:
        raise BadFilterError(f"{sort!r} can't be sorted by. There are {', '.join(columns)}.")
    return list(map(UsageBy, names)), sort


def read_names(query: Mapping[str, str], term: str) -> Names:
    """Parse the query parameters of a list of names, whose `q` is their beginning.

    `term` may stand before it, as in `model:claude`.

    Raises:
        BadFilterError: a number isn't one, or out of bounds.
    """
    beginning = query.get("q", "").strip().removeprefix(f"{term}:")
    if len(beginning) > 1 and beginning[0] == beginning[-1] == '"':
        beginning = beginning[1:-1]
    return Names(beginning, read_limit(query, MAX_NAMES, MAX_NAMES), read_offset(query))


def read_offset(query: Mapping[str, str]) -> int:
    """Parse the query parameter `offset`.

    Raises:
        BadFilterError: it isn't a number, or out of bounds.
    """
    return whole_number("offset", query.get("offset", "0"), 0, MAX_OFFSET)


def _terms(text: str, known: Mapping[str, str]) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    position = 0
    while text[position:].strip():
        match = _TERM.match(text, position)
        if match is None:
            rest = text[position:].split()[0]
            raise BadFilterError(
                f'{rest!r} is not a filter term: use name:value, or name:"a value".'
            )
        name, quoted, bare = match.groups()
        if name not in known:
            raise BadFilterError(
                f"{name!r} is not a filter. Available filters: {', '.join(known)}."
            )
        if name in terms:
            raise BadFilterError(f"{name!r} is given twice in the filter.")
        terms[name] = _value(name, bare if quoted is None else quoted)
        position = match.end()
    return terms


def _value(name: str, text: str) -> str | datetime | int:
    if name == "status" and text not in _STATUSES:
        raise BadFilterError(f"status:{text} is none of {', '.join(sorted(_STATUSES))}.")
    if name == "min_cost":
        return _amount(text)
    if name == "text" and not 0 < len(text) <= MAX_TEXT:
        raise BadFilterError(f"text takes 1 to {MAX_TEXT} characters.")
    return read_time(name, text) if name in _TIMES else text


def read_time(name: str, text: str) -> datetime:
    """Parse a time (RFC 3339); one without a zone is in UTC.

    Raises:
        BadFilterError: it isn't one.
    """
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadFilterError(
            f"{name} takes a time like 2026-01-31T12:00:00Z, not {text!r}."
        ) from None


def _amount(text: str) -> int:
    try:
        return parsed(text)
    except ValueError as error:
        raise BadFilterError(f"min_cost: {error}") from None


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """Parse an integer within bounds.

    Raises:
        BadFilterError: it isn't one, or out of bounds.
    """
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not digits or not least <= int(text) <= most:
        raise BadFilterError(f"{name} must be an integer from {least} to {most}.")
    return int(text)
