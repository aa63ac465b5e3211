"""What broke a prompt's cache: a turn is compared with the one that it goes on from.

A provider reads from its cache as much of a prompt as begins like an earlier one. What it could
have read and hasn't is lost, and the first block that differs says why, if the model, the provider
or the time don't.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

DIGEST = 8
"""Bytes of a block's fingerprint."""
LEAST_LOST = 1024
"""Tokens: providers cache no shorter prompt, and round to parts of that."""
LEAST_SHARE = 0.05
"""Of what could have been read; less is lost where clients rewrite the end of a prompt."""
LOOKED_BACK = 20
"""Blocks before a marker in which a provider looks for what it has cached.
Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
_NEAR = 64  # blocks in which one that has moved is looked for
_SHORT_LIFETIME = 300

TOOL, SYSTEM, PREVIOUS = "tool", "system", "previous_response"
_OPTIONS = frozenset(
    {"speed", "prompt_cache_key", "response_format", "text_format", "tool_choice", "thinking_mode"}
)


class Trait(NamedTuple):
    """What is known of a block beside its fingerprint; `size` in bytes, `lifetime` in seconds."""

    kind: str
    role: str
    size: int
    lifetime: int


class Prompt(NamedTuple):
    """The blocks of a prompt: their fingerprints one after another, and their traits."""

    digests: bytes
    traits: tuple[Trait, ...]


class Turn(NamedTuple):
    """A request that was answered.

    `found` is how many tokens were read from the cache; `fresh` and `written` are those that
    weren't, the latter written to it. `credential` is that of the provider. Where it
    `is_automatic`, the provider caches whatever it is sent, without markers.
    """

    started_at: datetime
    model: str
    provider: str
    credential: str
    fresh: int
    found: int
    written: int
    is_automatic: bool = False
    prompt: Prompt | None = None


class Cause(StrEnum):
    """Why a cached prompt wasn't read."""

    MODEL = "model_changed"
    PROVIDER = "provider_changed"
    EXPIRED = "expired"
    OPTIONS = "options_changed"
    TOOLS = "tools_changed"
    SYSTEM = "system_changed"
    MESSAGES = "messages_changed"
    UNMARKED = "not_marked"
    """The same blocks, without any marker."""
    TOO_FAR = "too_many_blocks"
    """The same blocks, but more new ones behind the cached ones than the provider looks back."""
    MISSED = "missed"
    """The same blocks, and none of the other causes."""
    UNKNOWN = "unknown"
    """There is nothing to compare."""


class Change(StrEnum):
    """What became of the first block that differs."""

    CHANGED = "changed"
    INSERTED = "inserted"
    REMOVED = "removed"


class Difference(NamedTuple):
    """The first block that differs: its place from 0, and its size before and now."""

    place: int
    change: Change
    kind: str
    role: str
    size_before: int | None
    size: int | None


class CacheBreak(NamedTuple):
    """What a turn has lost of the cache: `seconds` after the turn before, and why."""

    cause: Cause
    lost_tokens: int
    seconds: float
    difference: Difference | None = None


_SENTENCES = {
    Cause.MODEL: "the model changed",
    Cause.PROVIDER: "the provider or its key changed",
    Cause.EXPIRED: "it expired",
    Cause.OPTIONS: "an option changed",
    Cause.TOOLS: "the tools changed",
    Cause.SYSTEM: "the system prompt changed",
    Cause.MESSAGES: "earlier messages changed",
    Cause.UNMARKED: "no block is marked to be cached",
    Cause.TOO_FAR: f"the next marker is {LOOKED_BACK} blocks or more behind the last one",
    Cause.MISSED: "the provider didn't find it",
    Cause.UNKNOWN: "the blocks aren't on record",
}


def sentence(cause: Cause, seconds: float, difference: Difference | None) -> str:
    """Why the cache wasn't read, for people."""
    said = _SENTENCES[cause]
    if difference is not None:
        said += f": block {difference.place + 1:,} ({difference.kind}) was {difference.change}"
    elif cause is Cause.EXPIRED:
        said += f" {seconds / 60:,.0f} min after the turn before"
    return said


def lost_tokens(before: Turn, now: Turn) -> int:
    """How many tokens of the turn before could have been read from the cache and weren't."""
    cached = before.found + before.written
    if before.is_automatic:
        cached += before.fresh
    given = now.fresh + now.found + now.written
    readable = min(cached, given)
    lost = readable - now.found
    return lost if lost >= max(LEAST_LOST, LEAST_SHARE * readable) else 0


def cache_break(before: Turn, now: Turn) -> CacheBreak | None:
    """What broke the cache between two turns; None where nothing much was lost."""
    lost = lost_tokens(before, now)
    if not lost:
        return None
    seconds = max(0.0, (now.started_at - before.started_at).total_seconds())

    def broken(cause: Cause, difference: Difference | None = None) -> CacheBreak:
        return CacheBreak(cause, lost, seconds, difference)

    if before.model != now.model:
        return broken(Cause.MODEL)
    if (before.provider, before.credential) != (now.provider, now.credential):
        return broken(Cause.PROVIDER)
    # What is left of it may be another session's: the tools and the system prompt, say.
    is_old = seconds > _lifetime(before.prompt)
    if is_old and not now.found:
        return broken(Cause.EXPIRED)
    if before.prompt is None or now.prompt is None:
        return broken(Cause.EXPIRED if is_old else Cause.UNKNOWN)
    difference = first_difference(before.prompt, now.prompt)
    if difference is not None:
        return broken(_cause_of(difference.kind), difference)
    if is_old:
        return broken(Cause.EXPIRED)
    if any(each.kind == PREVIOUS for each in (*before.prompt.traits, *now.prompt.traits)):
        return broken(Cause.UNKNOWN)  # the provider alone has the rest
    return broken(_missed(_markers(before.prompt), _markers(now.prompt)))


def common_blocks(one: bytes, other: bytes) -> int:
    """How many blocks at their beginnings are the same, by their fingerprints."""
    low, high = 0, min(len(one), len(other)) // DIGEST
    while low < high:
        middle = (low + high + 1) // 2
        start, end = low * DIGEST, middle * DIGEST
        if one[start:end] == other[start:end]:
            low = middle
        else:
            high = middle - 1
    return low


def first_difference(before: Prompt, now: Prompt) -> Difference | None:
    """The first block that differs; None where the one only goes on from the other."""
    index = common_blocks(before.digests, now.digests)
    old = before.traits[index] if index < len(before.traits) else None
    new = now.traits[index] if index < len(now.traits) else None
    if old is None or PREVIOUS in (old.kind, new.kind if new is not None else None):
        return None
    if new is None or _is_near(now.digests, index, before.digests):
        return Difference(index, Change.REMOVED, old.kind, old.role, old.size, None)
    if _is_near(before.digests, index, now.digests):
        return Difference(index, Change.INSERTED, new.kind, new.role, None, new.size)
    # What comes first in every prompt tells where it has changed.
    shown = min((new, old), key=lambda each: _PLACES.get(each.kind, len(_PLACES)))
    return Difference(index, Change.CHANGED, shown.kind, shown.role, old.size, new.size)


_PLACES = {TOOL: 0, SYSTEM: 1}


def _is_near(one: bytes, index: int, other: bytes) -> bool:
    """Whether a block of the one stands a little further on in the other."""
    block = one[index * DIGEST : (index + 1) * DIGEST]
    start = (index + 1) * DIGEST
    near = other[start : start + _NEAR * DIGEST]
    return any(near[at : at + DIGEST] == block for at in range(0, len(near), DIGEST))


def _cause_of(kind: str) -> Cause:
    if kind == TOOL:
        return Cause.TOOLS
    if kind == SYSTEM:
        return Cause.SYSTEM
    return Cause.OPTIONS if kind in _OPTIONS else Cause.MESSAGES


def _lifetime(prompt: Prompt | None) -> int:
    """How long the provider keeps the prompt, in seconds."""
    if prompt is None:
        return _SHORT_LIFETIME
    return max((each.lifetime for each in prompt.traits), default=0) or _SHORT_LIFETIME


def _missed(before: Sequence[int], now: Sequence[int]) -> Cause:
    """Why what is there wasn't found, by the places of the markers."""
    if before and not now:
        return Cause.UNMARKED
    if before and not any(0 <= at - before[-1] < LOOKED_BACK for at in now):
        return Cause.TOO_FAR
    return Cause.MISSED


def _markers(prompt: Prompt) -> list[int]:
    return [index for index, each in enumerate(prompt.traits) if each.lifetime]
