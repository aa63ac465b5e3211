"""Token usage: three APIs' ways to count, one `TokenUsage`.

The names in `extra` are those that Coder's AI Bridge records, where it has one. Usage is read
leniently: a count that is missing, null or no number is zero, and none is refused. Where a response
took several turns, their counts and facts are added up.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from aibridged.wire.facts import ResponseFacts, TokenUsage

_MAX = 2**63 - 1  # what a database's integer holds
_NUMBERS = (int, float)

# Of each API's usage object the parts, and in each the counts with their names in `extra`.
_Parts = Mapping[str, Mapping[str, str]]
_MESSAGES_EXTRA: _Parts = {
    "cache_creation": {
        "ephemeral_5m_input_tokens": "cache_ephemeral_5m_input",
        "ephemeral_1h_input_tokens": "cache_ephemeral_1h_input",
    },
    "server_tool_use": {
        "web_search_requests": "web_search_requests",
        "web_fetch_requests": "web_fetch_requests",
    },
    "output_tokens_details": {"thinking_tokens": "output_thinking"},
}
_CHAT_EXTRA: _Parts = {
    "prompt_tokens_details": {"audio_tokens": "prompt_audio", "image_tokens": "prompt_image"},
    "completion_tokens_details": {
        "audio_tokens": "completion_audio",
        "reasoning_tokens": "completion_reasoning",
        "accepted_prediction_tokens": "completion_accepted_prediction",
        "rejected_prediction_tokens": "completion_rejected_prediction",
    },
}
_RESPONSES_EXTRA: _Parts = {"output_tokens_details": {"reasoning_tokens": "output_reasoning"}}


_MESSAGES_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
MESSAGES_COUNTS = frozenset({*_MESSAGES_INPUT, "output_tokens", *_MESSAGES_EXTRA})
"""What of a usage object `messages_usage` reads."""


def messages_usage(usage: Mapping[str, Any], *, partial: bool) -> TokenUsage:
    """Usage of Anthropic's Messages, whose input counts leave the cache out."""
    return TokenUsage(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        cache_read=_count(usage, "cache_read_input_tokens"),
        cache_write=_count(usage, "cache_creation_input_tokens"),
        extra=_extra(usage, _MESSAGES_EXTRA),
        partial=partial,
    )


def chat_usage(usage: Mapping[str, Any], *, partial: bool) -> TokenUsage:
    """Usage of Chat Completions, whose prompt counts include the cache."""
    read, written = _cached(usage, "prompt_tokens_details")
    return TokenUsage(
        input=max(0, _count(usage, "prompt_tokens") - read - written),
        output=_count(usage, "completion_tokens"),
        cache_read=read,
        cache_write=written,
        extra=_extra(usage, _CHAT_EXTRA),
        partial=partial,
    )


def responses_usage(usage: Mapping[str, Any]) -> TokenUsage:
    """Usage of Responses, whose input counts include the cache; it comes at the end, or never."""
    read, written = _cached(usage, "input_tokens_details")
    return TokenUsage(
        input=max(0, _count(usage, "input_tokens") - read - written),
        output=_count(usage, "output_tokens"),
        cache_read=read,
        cache_write=written,
        extra=_extra(usage, _RESPONSES_EXTRA),
    )


def _cached(usage: Mapping[str, Any], part: str) -> tuple[int, int]:
    """How many input tokens were read from the cache, and how many written to it."""
    details = usage.get(part)
    if not isinstance(details, dict):
        return 0, 0
    return _count(details, "cached_tokens"), _count(details, "cache_write_tokens")


def _extra(usage: Mapping[str, Any], parts: _Parts) -> Mapping[str, int]:
    found = {}
    for part, names in parts.items():
        details = usage.get(part)
        if isinstance(details, dict):
            for key, name in names.items():
                if count := _count(details, key):
                    found[name] = count
    return found


def _count(counts: Mapping[str, Any], key: str) -> int:
    value = counts.get(key)
    if isinstance(value, _NUMBERS) and 0 <= value <= _MAX:
        return int(value)
    return 0


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
    if earlier is None or last is None:
        return earlier or last
    return TokenUsage(
        input=earlier.input + last.input,
        output=earlier.output + last.output,
        cache_read=earlier.cache_read + last.cache_read,
        cache_write=earlier.cache_write + last.cache_write,
        extra=add_counts(earlier.extra, last.extra),
        partial=earlier.partial or last.partial,
    )
