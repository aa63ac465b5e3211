"""Headers by which agents learn how a spend limit stands, and show it on their own screens.

Claude Code reads Anthropic's, Codex its own: which, and with what values, was seen on the wire.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from aibridged.core.budgets import Period, Scope, Standing, surpassed

Headers = dict[str, str]
RawHeaders = tuple[tuple[bytes, bytes], ...]
"""As they go out beside a provider's own."""

PROVIDERS_OWN = (b"anthropic-ratelimit-", b"x-codex-")
"""How the names of a provider's own headers begin, in lower case: they tell of the organisation's
quota."""

_UNIFIED = "anthropic-ratelimit-unified"
_OVERAGE = f"{_UNIFIED}-overage"
_MINUTES = {Period.DAILY: 1440, Period.WEEKLY: 10080, Period.MONTHLY: 43200}
_MOST = 99  # percent, while requests pass
_REMEMBERED = 1024  # many requests have the same ones


def unified_headers(fullest: Standing) -> RawHeaders:
    """Anthropic's, of a request that is admitted."""
    return _unified(min(int(fullest.percent), _MOST), fullest.resets_at)


@lru_cache(_REMEMBERED)
def _unified(percent: int, resets_at: datetime) -> RawHeaders:
    threshold = surpassed(percent)
    status = "allowed" if threshold is None else "allowed_warning"
    headers = {
        f"{_UNIFIED}-status": status,
        f"{_UNIFIED}-representative-claim": "overage",
        f"{_OVERAGE}-status": status,
        f"{_OVERAGE}-utilization": f"{percent / 100:.2f}",
        **_reset(resets_at),
    }
    if threshold is not None:
        headers[f"{_OVERAGE}-surpassed-threshold"] = f"{threshold / 100:.2f}"
    return _raw(headers)


def unified_refusal(reached: Standing) -> Headers:
    """Anthropic's, of a request that is refused."""
    headers = {
        f"{_UNIFIED}-status": "rejected",
        **_reset(reached.resets_at),
        f"{_OVERAGE}-utilization": "1",
        f"{_OVERAGE}-surpassed-threshold": "1",
        f"{_OVERAGE}-period": str(reached.cap.period),
        f"{_OVERAGE}-disabled-reason": "org_spend_cap_reached",
    }
    if reached.cap.limit.scope is Scope.POOL:
        headers[f"{_OVERAGE}-scope"] = "group_pool"
    return headers


UNIFIED_FETCH_ERROR: Headers = {
    f"{_UNIFIED}-status": "rejected",
    f"{_OVERAGE}-disabled-reason": "fetch_error",
}
"""Anthropic's, of a request that is refused since nobody knows how the limits stand."""


def codex_headers(standings: Sequence[Standing]) -> RawHeaders:
    """Codex's, of one that is admitted: of the fullest, and of the next that has another period."""
    fullest = standings[0]
    period = fullest.cap.period
    headers = _raw_window("primary", period, _tenths(fullest), fullest.resets_at)
    for each in standings:
        if each.cap.period is not period:
            other = each.cap.period, _tenths(each), each.resets_at
            return headers + _raw_window("secondary", *other)
    return headers


def codex_refusal(reached: Standing) -> Headers:
    """Codex's, of a request that is refused."""
    return _window("primary", reached.cap.period, 1000, reached.resets_at)


def _tenths(standing: Standing) -> int:
    """Those of a percent that are used, as they are shown of a request that is admitted."""
    return min(int(standing.percent * 10), _MOST * 10 + 9)


@lru_cache(_REMEMBERED)
def _raw_window(name: str, period: Period, tenths: int, resets_at: datetime) -> RawHeaders:
    return _raw(_window(name, period, tenths, resets_at))


def _window(name: str, period: Period, tenths: int, resets_at: datetime) -> Headers:
    return {
        f"x-codex-{name}-used-percent": f"{tenths / 10:g}",
        f"x-codex-{name}-window-minutes": str(_MINUTES[period]),
        f"x-codex-{name}-reset-at": _seconds(resets_at),
    }


def _reset(resets_at: datetime) -> Headers:
    seconds = _seconds(resets_at)
    return {f"{_UNIFIED}-reset": seconds, f"{_OVERAGE}-reset": seconds}


def _seconds(resets_at: datetime) -> str:
    return str(int(resets_at.timestamp()))


def _raw(headers: Headers) -> RawHeaders:
    return tuple((name.encode(), value.encode()) for name, value in headers.items())
