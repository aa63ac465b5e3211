"""JSON schemas of a session's interceptions, with what broke the prompt cache."""

from typing import Literal

import msgspec

from aibridged.api import shapes
from aibridged.api.shapes import CostLabel, Count, Dollars, Uuid
from aibridged.records.cache_breaks import Broken, CacheNote


class BlockDifference(msgspec.Struct, kw_only=True):
    """The first block of a prompt that differs from the one before: its place counts from 0.

    Sizes are in bytes; one is null where a block was inserted or removed.
    """

    place: Count
    change: Literal["changed", "inserted", "removed"]
    kind: str
    role: str
    size_before: Count | None
    size: Count | None


class CacheBreak(msgspec.Struct, kw_only=True):
    """What was lost of the prompt cache, compared with the interception `before_id`, and why.

    `seconds` are between their starts. The cost is what the lost tokens have cost more than if they
    had been read from the cache; it is null without prices.
    """

    before_id: Uuid
    cause: Literal[
        "model_changed",
        "provider_changed",
        "expired",
        "options_changed",
        "tools_changed",
        "system_changed",
        "messages_changed",
        "not_marked",
        "too_many_blocks",
        "missed",
        "unknown",
    ]
    lost_tokens: Count
    seconds: float
    cost: Dollars | None
    cost_label: CostLabel | None
    difference: BlockDifference | None


class ToolResults(msgspec.Struct, kw_only=True):
    """How many results of tools a request has brought, and their bytes."""

    count: Count
    bytes: Count


class PromptNotes(msgspec.Struct, kw_only=True):
    """What is known of an interception's prompt, with fingerprints; null where nothing is."""

    cache_break: CacheBreak | None = None
    tool_results: ToolResults | None = None


class SessionInterception(shapes.Interception, kw_only=True):
    """An interception of a session, with what broke the prompt cache and the results it brought."""

    cache_break: CacheBreak | None = None
    tool_results: ToolResults | None = None


class ThreadInterceptions(msgspec.Struct, kw_only=True):
    """The interceptions that one prompt started. A long thread may go on on the next page.

    The error is that of its first interception.
    """

    id: Uuid
    error_type: str | None
    error_message: str | None
    prompt: str | None
    token_usage: shapes.Tokens
    cost: Dollars | None
    cost_label: CostLabel | None
    interceptions: list[SessionInterception]


class SessionInterceptions(msgspec.Struct, kw_only=True):
    """A page of a session, in order; `more` says whether there is a next page."""

    id: str
    threads: list[ThreadInterceptions]
    more: bool


class TurnBreak(CacheBreak, kw_only=True):
    """The same, of the interception `id`."""

    id: Uuid


class SessionCache(msgspec.Struct, kw_only=True):
    """The interceptions of a page that have lost much of the cache, in order.

    `last_id` is the last one that was looked at, the cursor of the next page if there is `more`.
    """

    id: str
    breaks: list[TurnBreak]
    last_id: Uuid | None
    more: bool


def prompt_notes(found: CacheNote | None) -> PromptNotes:
    """The notes of one interception."""
    if found is None:
        return PromptNotes()
    results = found.results
    return PromptNotes(
        cache_break=None if found.broken is None else _cache_break(found.broken),
        tool_results=results and ToolResults(count=results.number, bytes=results.size),
    )


def turn_break(id: str, broken: Broken) -> TurnBreak:
    """What broke the cache of that interception."""
    return TurnBreak(id=id, **msgspec.structs.asdict(_cache_break(broken)))


def _cache_break(broken: Broken) -> CacheBreak:
    found = broken.found
    difference = found.difference
    return CacheBreak(
        before_id=broken.before_id,
        cause=str(found.cause),  # type: ignore[arg-type]
        lost_tokens=found.lost_tokens,
        seconds=found.seconds,
        difference=None if difference is None else BlockDifference(**difference._asdict()),
        **shapes.cost(broken.cost, broken.cost_label),
    )
