"""Token usage: three APIs' ways to count, one `TokenUsage`.

The names in `extra` are those that Coder's AI Bridge records, where it has one. Usage is read
leniently: a count that is missing, null or no number is zero, and none is refused.
"""

from collections.abc import Mapping
from typing import Any

from aibridged.wire.facts import TokenUsage

_MAX = 2**63 - 1  # what a database's integer holds

# Paths into each API's usage object, and the name that the count goes by in `extra`.
_MESSAGES_EXTRA = {
    "cache_ephemeral_5m_input": ("cache_creation", "ephemeral_5m_input_tokens"),
    "cache_ephemeral_1h_input": ("cache_creation", "ephemeral_1h_input_tokens"),
    "web_search_requests": ("server_tool_use", "web_search_requests"),
    "web_fetch_requests": ("server_tool_use", "web_fetch_requests"),
    "output_thinking": ("output_tokens_details", "thinking_tokens"),
}
_CHAT_EXTRA = {
    "prompt_audio": ("prompt_tokens_details", "audio_tokens"),
    "prompt_image": ("prompt_tokens_details", "image_tokens"),
    "completion_audio": ("completion_tokens_details", "audio_tokens"),
    "completion_reasoning": ("completion_tokens_details", "reasoning_tokens"),
    "completion_accepted_prediction": ("completion_tokens_details", "accepted_prediction_tokens"),
    "completion_rejected_prediction": ("completion_tokens_details", "rejected_prediction_tokens"),
}
_RESPONSES_EXTRA = {
    "output_reasoning": ("output_tokens_details", "reasoning_tokens"),
}


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
    read = _count(usage, "prompt_tokens_details", "cached_tokens")
    written = _count(usage, "prompt_tokens_details", "cache_write_tokens")
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
    read = _count(usage, "input_tokens_details", "cached_tokens")
    written = _count(usage, "input_tokens_details", "cache_write_tokens")
    return TokenUsage(
        input=max(0, _count(usage, "input_tokens") - read - written),
        output=_count(usage, "output_tokens"),
        cache_read=read,
        cache_write=written,
        extra=_extra(usage, _RESPONSES_EXTRA),
    )


def _extra(usage: Mapping[str, Any], paths: Mapping[str, tuple[str, str]]) -> Mapping[str, int]:
    counts = {name: _count(usage, *path) for name, path in paths.items()}
    return {name: count for name, count in counts.items() if count}


def _count(usage: Mapping[str, Any], *path: str) -> int:
    value: Any = usage
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, int | float) and 0 <= value <= _MAX:
        return int(value)
    return 0
