"""Sums of usage: cumulative reports within a stream, and totals over turns of the tool loop."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aibridged.wire.facts import ResponseFacts, TokenUsage
from aibridged.wire.usage import (
    COUNTS,
    MAX_ADDITIONAL,
    MAX_ITERATIONS,
    MAX_WORD,
    WORDS,
    add_tokens,
)

_MAX_DEPTH = 2  # objects in a usage object that hold objects: Qwen's cache_creation


def reported(before: Mapping[str, Any] | None, usage: Mapping[str, Any]) -> dict[str, Any]:
    """A stream's usage so far, given one more report of it; see `latest_counts`.

    Only what is read is kept, so that it can't grow with the stream.
    """
    counts = _known(usage, _MAX_DEPTH)
    return latest_counts(before, counts) if before else counts


def _known(usage: Mapping[str, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in usage.items():
        if name not in COUNTS:
            if name in WORDS and isinstance(value, str):
                found[name] = value[:MAX_WORD]
            continue
        if isinstance(value, dict):
            if depth:
                found[name] = _known(value, depth - 1)
        elif isinstance(value, int | float) or name == "iterations":
            found[name] = value
    return found


def latest_counts(before: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """The later value of each count, except that null and zero never replace one.

    A stream's counts are cumulative, but some servers end it with zeros.
    """
    latest = dict(before)
    for name, value in usage.items():
        earlier = latest.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            latest[name] = latest_counts(earlier, value)
        elif value or not earlier:
            latest[name] = value
    return latest


def add_counts(before: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """Every count of either, those of the same name added; of all else the later word."""
    total = dict(before)
    for name, value in usage.items():
        earlier = total.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            total[name] = add_counts(earlier, value)
        elif _is_count(value) and _is_count(earlier):
            total[name] = earlier + value
        elif value is not None or name not in total:
            total[name] = value
    return total


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def add_messages_turn(before: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """`add_counts` for Anthropic's Messages: iterations are concatenated.

    Clients add them up, so a turn that reported none becomes one, of the type `message`.
    """
    total = add_counts(before, usage)
    if total.get("iterations"):
        total["iterations"] = [*_iterations(before), *_iterations(usage)][-MAX_ITERATIONS:]
    return total


_ITERATION = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
)


def _iterations(usage: Mapping[str, Any]) -> list[Any]:
    told = usage.get("iterations")
    if isinstance(told, list) and told:
        return told
    counts = {name: usage[name] for name in _ITERATION if usage.get(name) is not None}
    return [{"type": "message", **counts}] if counts else []


def together(earlier: ResponseFacts, last: ResponseFacts) -> ResponseFacts:
    """The facts of both: all that was counted and called, and how it ended in the end."""
    return msgspec.structs.replace(
        last,
        response_id=last.response_id or earlier.response_id,
        model=last.model or earlier.model,
        usage=_sum(earlier.usage, last.usage),
        tool_calls=earlier.tool_calls + last.tool_calls,
        thoughts=earlier.thoughts + last.thoughts,
        anomalies=add_counts(earlier.anomalies, last.anomalies),
    )


def _sum(earlier: TokenUsage | None, last: TokenUsage | None) -> TokenUsage | None:
    """The usage of both turns, by model."""
    if earlier is None or last is None:
        return earlier or last
    total = {(each.model, each.iteration): each for each in (earlier, *earlier.additional)}
    is_cut = False
    for used in (last, *last.additional):
        key = used.model, used.iteration
        if key in total:
            total[key] = add_tokens(total[key], used)
        elif len(total) <= MAX_ADDITIONAL:
            total[key] = msgspec.structs.replace(used, additional=())
        else:
            is_cut = True
    own, *additional = total.values()
    partial = is_cut or earlier.partial or last.partial
    return msgspec.structs.replace(own, additional=tuple(additional), partial=partial)
