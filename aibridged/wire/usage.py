"""Token usage: what each API reports of a response's tokens, as one `TokenUsage`.

Servers that are compatible with an API have names of their own for what is cached and thought;
docs/record.md lists them. The names in `extra` are those that Coder's AI Bridge records, where it
has one. Usage is read leniently: a count that is missing, null or no number is zero, and none is
refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from aibridged.wire.facts import TokenUsage
from aibridged.wire.lenient import well_formed

MAX_COUNT = 2**40
"""More tokens than any response has; a larger count is none.

SQLite refuses sums that exceed 63 bits, so that a few rows with more could spoil every report.
"""

MAX_ITERATIONS = 512
"""Entries of `usage.iterations` that are read: a request makes a handful."""

MAX_ADDITIONAL = 8
"""Additional usages that are kept of a response, one per model and type of iteration."""

MAX_WORD = 32
"""Characters kept of a word for how a request was processed."""

WORDS = frozenset({"service_tier", "speed"})
"""What is read of a usage object beside its counts."""

_SEARCHES = "web_search_requests"
# Of Chat Completions, these alone search, once with each request; their usage doesn't tell.
_searching = re.compile(r"-search-(?:preview|api)(?![a-z])").search

# Of a usage object the parts, and in each the counts with their names in `extra`.
_Parts = Mapping[str, Mapping[str, str]]
_CACHE_CREATION: _Parts = {
    "cache_creation": {
        "ephemeral_5m_input_tokens": "cache_ephemeral_5m_input",
        "ephemeral_1h_input_tokens": "cache_ephemeral_1h_input",
    }
}
_MESSAGES_EXTRA: _Parts = {
    **_CACHE_CREATION,
    "server_tool_use": {
        "web_search_requests": _SEARCHES,
        "web_fetch_requests": "web_fetch_requests",
    },
    "output_tokens_details": {"thinking_tokens": "output_thinking"},
}
_CHAT_EXTRA: _Parts = {
    **_CACHE_CREATION,
    "prompt_tokens_details": {"audio_tokens": "prompt_audio", "image_tokens": "prompt_image"},
    "completion_tokens_details": {
        "audio_tokens": "completion_audio",
        "reasoning_tokens": "completion_reasoning",
        "accepted_prediction_tokens": "completion_accepted_prediction",
        "rejected_prediction_tokens": "completion_rejected_prediction",
    },
}
_RESPONSES_EXTRA: _Parts = {
    **_CACHE_CREATION,
    "output_tokens_details": {"reasoning_tokens": "output_reasoning"},
}

# What OpenAI's two APIs call a count, and then what compatible servers do. Those of the cache and
# of the reasoning stand in the details, or next to them.
_GIVEN = ("prompt_tokens", "input_tokens")
_GENERATED = ("completion_tokens", "output_tokens")
_GIVEN_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_GENERATED_DETAILS = ("completion_tokens_details", "output_tokens_details")
_READ = (
    "cached_tokens",
    "cache_read_input_tokens",
    "prompt_cache_hit_tokens",
    "num_cached_tokens",
)
_WRITTEN = (
    "cache_write_tokens",
    "cache_creation_input_tokens",
    "cache_creation_tokens",
    "cached_creation_tokens",
)
_CREATED = tuple(_CACHE_CREATION["cache_creation"])
_REASONING = ("reasoning_tokens",)

_ALL_EXTRA = (_MESSAGES_EXTRA, _CHAT_EXTRA, _RESPONSES_EXTRA)
COUNTS = frozenset(
    {
        *(*_GIVEN, *_GENERATED, *_GIVEN_DETAILS, *_GENERATED_DETAILS),
        *(*_READ, *_WRITTEN, *_REASONING, "total_tokens", "iterations"),
        *(name for parts in _ALL_EXTRA for part in parts.items() for name in (part[0], *part[1])),
    }
)
"""What is read of a usage object, and of the objects in it."""


def messages_usage(
    usage: Mapping[str, Any], *, partial: bool, model: str | None = None
) -> TokenUsage:
    """Usage of Anthropic's Messages, whose input counts leave the cache out.

    The tokens of compactions, advisors and declined attempts, which `iterations` reports, are
    `additional` ones. `model` is the one that the response names. Where a fallback has responded,
    the usage is that model's.
    """
    own = _message(usage, partial=partial)
    iterations = usage.get("iterations")
    if not iterations or not isinstance(iterations, list):
        return own
    return _with_iterations(own, iterations, model)


def chat_usage(
    usage: Mapping[str, Any],
    *,
    partial: bool,
    model: str | None = None,
    service_tier: str | None = None,
) -> TokenUsage:
    """Usage of Chat Completions, whose prompt counts include the cache.

    `model` and `service_tier` are what the response names.
    """
    used = _inclusive(usage, _CHAT_EXTRA, "completion_reasoning", partial=partial)
    searches = 1 if model is not None and "-search-" in model and _searching(model) else 0
    return _told(used, service_tier, searches)


def responses_usage(
    usage: Mapping[str, Any], *, service_tier: str | None = None, searches: int = 0
) -> TokenUsage:
    """Usage of Responses, whose input counts include the cache; it comes at the end, or never.

    `service_tier` is what the response names, `searches` are those of the web in its items.
    """
    used = _inclusive(usage, _RESPONSES_EXTRA, "output_reasoning", partial=False)
    return _told(used, service_tier, searches)


def _told(used: TokenUsage, service_tier: str | None, searches: int) -> TokenUsage:
    """The usage with what is told beside it."""
    if not searches and service_tier is None:
        return used
    extra = {**used.extra, _SEARCHES: searches} if searches else used.extra
    return msgspec.structs.replace(used, extra=extra, service_tier=word(service_tier))


def word(value: object) -> str | None:
    """A provider's word, cut to its bound; None where it is empty, or no text."""
    if not isinstance(value, str) or not value:
        return None
    return well_formed(value[:MAX_WORD])


def _message(usage: Mapping[str, Any], *, partial: bool = False) -> TokenUsage:
    """The counts of a message, or of an iteration."""
    extra = _extra(usage, _MESSAGES_EXTRA)
    given, output = usage.get("input_tokens"), usage.get("output_tokens")
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    # Without a call where they are plain, as nearly always.
    if type(given) is not int or not 0 <= given <= MAX_COUNT:
        given = _number(given)
    if type(output) is not int or not 0 <= output <= MAX_COUNT:
        output = _number(output)
    if type(read) is not int or not 0 <= read <= MAX_COUNT:
        read = _number(read)
    if type(written) is not int or not 0 <= written <= MAX_COUNT:
        written = _number(written)
    if extra and not written:
        written = _created(usage)
    tier, speed = usage.get("service_tier"), usage.get("speed")
    return TokenUsage(
        given,
        output,
        read,
        written,
        extra,
        partial,
        service_tier=None if tier is None else word(tier),
        speed=None if speed is None else word(speed),
    )


def _with_iterations(own: TokenUsage, iterations: Sequence[Any], model: str | None) -> TokenUsage:
    """The usage with the iterations that its own counts exclude.

    Sources: the types of Anthropic's SDK for compactions, and its pages on the advisor tool and on
    refusals and fallback: each attempt with output is billed as its model's, and the message's
    own counts are those of the last attempt alone.
    """
    entries = [entry for entry in iterations[:MAX_ITERATIONS] if isinstance(entry, dict)]
    attempts = [entry for entry in entries if entry.get("type") in ("message", "fallback_message")]
    is_fallback = bool(attempts) and attempts[-1].get("type") == "fallback_message"
    answering = _model(attempts[-1]) if attempts else None
    additional: dict[tuple[str | None, str], TokenUsage] = {}
    is_cut = len(iterations) > MAX_ITERATIONS
    declined = _declined(attempts, answering, own.output)
    for entry in (*declined, *(each for each in entries if each.get("type") in _ADDITIONAL)):
        name = _model(entry)
        key = (name if is_fallback or name != model else None, entry["type"])
        used = _as_processed(_message(entry), own, is_same_model=key[0] is None)
        if key in additional:
            additional[key] = add_tokens(additional[key], used)
        elif len(additional) < MAX_ADDITIONAL:
            additional[key] = msgspec.structs.replace(used, model=key[0], iteration=key[1])
        else:
            is_cut = True
    return msgspec.structs.replace(
        own,
        model=answering if is_fallback else None,
        additional=tuple(additional.values()),
        partial=own.partial or is_cut,
    )


def _as_processed(used: TokenUsage, own: TokenUsage, *, is_same_model: bool) -> TokenUsage:
    """An iteration, processed as the message was where it doesn't tell; the speed is a model's."""
    return msgspec.structs.replace(
        used,
        service_tier=used.service_tier or own.service_tier,
        speed=used.speed or (own.speed if is_same_model else None),
    )


_ADDITIONAL = ("compaction", "advisor_message")
"""The types of iterations whose tokens the message's own counts exclude."""


def _declined(
    attempts: Sequence[Mapping[str, Any]], answering: str | None, output: int
) -> Sequence[Mapping[str, Any]]:
    """The attempts of models that declined after they had generated output."""
    generated = [_count(entry, "output_tokens") for entry in attempts]
    if answering is None or sum(generated) == output:  # they include all attempts
        return ()
    return [
        entry
        for entry, count in zip(attempts, generated, strict=True)
        if count and _model(entry) not in (None, answering)
    ]


def _model(entry: Mapping[str, Any]) -> str | None:
    name = entry.get("model")
    return name if isinstance(name, str) and name else None


def _inclusive(
    usage: Mapping[str, Any], parts: _Parts, reasoning_name: str, *, partial: bool
) -> TokenUsage:
    """Usage whose prompt includes the cache, and whose output the reasoning.

    Where the total is more than both, it tells what isn't included: the cache, if the gap is as
    large, and otherwise reasoning. A total of less than its parts is none. Without a total, more
    reasoning than output can't be included.
    """
    prompt = _first(usage, _GIVEN)
    output = _first(usage, _GENERATED)
    given, generated = _part(usage, _GIVEN_DETAILS), _part(usage, _GENERATED_DETAILS)
    read = _first(given, _READ) or _first(usage, _READ)
    written = _first(given, _WRITTEN) or _first(usage, _WRITTEN)
    written = written or _created(given) or _created(usage)
    reasoning = _first(generated, _REASONING) or _first(usage, _REASONING)
    total = _count(usage, "total_tokens")
    gap = total - prompt - output
    if gap > 0:
        if gap != reasoning and (not prompt or gap in (read, written, read + written)):
            prompt += gap
        else:
            output += gap
    elif not total and reasoning > output:
        output = min(output + reasoning, MAX_COUNT)
    read = min(read, prompt)
    written = min(written, prompt - read)
    extra = _extra(usage, parts)
    if reasoning:
        extra[reasoning_name] = reasoning
    return TokenUsage(
        input=prompt - read - written,
        output=output,
        cache_read=read,
        cache_write=written,
        extra=extra,
        partial=partial,
    )


def _part(usage: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """The first of the parts that is there."""
    for name in names:
        part = usage.get(name)
        if part and isinstance(part, dict):
            return part
    return {}


def _first(counts: Mapping[str, Any], names: Iterable[str]) -> int:
    for name in names:
        if count := _count(counts, name):
            return count
    return 0


def _created(usage: Mapping[str, Any]) -> int:
    """The tokens written to the cache, where only their breakdown by its lifetime is told."""
    created = usage.get("cache_creation")
    if not created or not isinstance(created, dict):
        return 0
    short, long = _CREATED
    return min(_count(created, short) + _count(created, long), MAX_COUNT)


def _extra(usage: Mapping[str, Any], parts: _Parts) -> dict[str, int]:
    found = {}
    for part, names in parts.items():
        details = usage.get(part)
        if details and isinstance(details, dict) and any(details.values()):
            for key, value in details.items():
                if value and key in names and (count := _number(value)):
                    found[names[key]] = count
    return found


def _count(counts: Mapping[str, Any], key: str) -> int:
    """A count; zero where it is missing, or none."""
    return _number(value) if (value := counts.get(key)) else 0


def _number(value: Any) -> int:
    if (type(value) is int or type(value) is float) and 0 < value <= MAX_COUNT:
        return int(value)
    return 0


def add_tokens(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    """The sum of each figure; the model and all else are the first's."""
    return msgspec.structs.replace(
        one,
        input=min(one.input + other.input, MAX_COUNT),
        output=min(one.output + other.output, MAX_COUNT),
        cache_read=min(one.cache_read + other.cache_read, MAX_COUNT),
        cache_write=min(one.cache_write + other.cache_write, MAX_COUNT),
        extra={
            name: min(one.extra.get(name, 0) + other.extra.get(name, 0), MAX_COUNT)
            for name in {**one.extra, **other.extra}
        },
        partial=one.partial or other.partial,
    )
