"""What the answers of several turns have told, as one."""

import msgspec

from aibridged.wire.facts import ResponseFacts, TokenUsage
from aibridged.wire.injection import counts


def together(earlier: ResponseFacts, last: ResponseFacts) -> ResponseFacts:
    """The facts of both: all that was counted and called, and how it ended in the end."""
    return msgspec.structs.replace(
        last,
        response_id=last.response_id or earlier.response_id,
        model=last.model or earlier.model,
        usage=_sum(earlier.usage, last.usage),
        tool_calls=earlier.tool_calls + last.tool_calls,
        thoughts=earlier.thoughts + last.thoughts,
        anomalies=counts.add(earlier.anomalies, last.anomalies),
    )


def _sum(earlier: TokenUsage | None, last: TokenUsage | None) -> TokenUsage | None:
    if earlier is None or last is None:
        return earlier or last
    return TokenUsage(
        input=earlier.input + last.input,
        output=earlier.output + last.output,
        cache_read=earlier.cache_read + last.cache_read,
        cache_write=earlier.cache_write + last.cache_write,
        extra=counts.add(earlier.extra, last.extra),
        partial=earlier.partial or last.partial,
    )
