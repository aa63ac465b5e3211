"""Health of the providers: how fast they answered lately, with what, and what was refused."""

from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from aibridged.clock import Clock
from aibridged.observe.request_summary import RequestSummary

REMEMBERED = 1000
"""Requests of each provider."""
WITHIN_S = 3600.0
"""Those that ended longer ago don't count."""

_Row = tuple[float, float, float | None, int | None]


class Times(msgspec.Struct, frozen=True):
    """The median and the 95th percentile, in seconds; None where there is nothing to tell."""

    p50: float | None
    p95: float | None


class Health(msgspec.Struct, frozen=True):
    """What is remembered of a provider. `statuses` are those of its responses, 0 for none."""

    requests: int
    failed: int
    statuses: dict[int, int]
    duration: Times
    first_byte: Times


class ProviderHealth:
    """Remembers the latest requests to each provider, and counts refusals since the start.

    Providers are in the configuration, and reasons are the gateway's own codes: both are bounded.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._rows: dict[str, deque[_Row]] = {}
        self.refusals: Counter[tuple[str | None, str]] = Counter()

    def note(self, request: RequestSummary) -> None:
        """Remember a request that has ended."""
        if request.reason is not None:
            self.refusals[request.provider, request.reason] += 1
        if request.sent_at is None or request.provider is None:
            return
        first = request.first_byte_at or request.answered_at
        row = (request.sent_at, request.ended, first, request.upstream_status)
        try:
            self._rows[request.provider].append(row)
        except KeyError:
            self._rows[request.provider] = deque((row,), REMEMBERED)

    def of(self, provider: str) -> Health:
        """What is remembered of the last hour."""
        since = self._monotonic() - WITHIN_S
        rows = [row for row in self._rows.get(provider, ()) if row[1] >= since]
        statuses = Counter(status or 0 for *_, status in rows)
        return Health(
            requests=len(rows),
            failed=sum(count for status, count in statuses.items() if not 0 < status < 400),
            statuses=dict(sorted(statuses.items())),
            duration=_times([ended - sent for sent, ended, _, _ in rows]),
            first_byte=_times([first - sent for sent, _, first, _ in rows if first is not None]),
        )


def _times(seconds: Sequence[float]) -> Times:
    if not seconds:
        return Times(None, None)
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return Times(ordered[round(last * 0.5)], ordered[round(last * 0.95)])
