"""Token usage: three APIs' ways to count, one `TokenUsage`.

The names in `extra` are those that Coder's AI Bridge records, where it has one. Usage is read
leniently: a count that is missing, null or no number is zero, and none is refused.
"""

from collections.abc import Mapping
from typing import Any

from aibridged.wire.facts import TokenUsage

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
