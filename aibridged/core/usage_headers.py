"""Headers by which agents learn how a spend limit stands, and show it on their own screens.

Claude Code reads Anthropic's, Codex its own: which, and with what values, was seen on the wire.
"""

from collections.abc import Sequence

from aibridged.core.budgets import Period, Scope, Standing

Headers = dict[str, str]

PROVIDERS_OWN = (b"anthropic-ratelimit-", b"x-codex-")
"""How the names of a provider's own headers begin, in lower case: they tell of the organisation's
quota."""

_UNIFIED = "anthropic-ratelimit-unified"
_OVERAGE = f"{_UNIFIED}-overage"
_MINUTES = {Period.DAILY: 1440, Period.WEEKLY: 10080, Period.MONTHLY: 43200}
_MOST = 99  # percent, while requests pass


def unified_headers(fullest: Standing) -> Headers:
    """Anthropic's, of a request that is admitted."""
    status = "allowed" if fullest.surpassed is None else "allowed_warning"
    headers = {
        f"{_UNIFIED}-status": status,
        f"{_UNIFIED}-representative-claim": "overage",
        f"{_OVERAGE}-status": status,
        f"{_OVERAGE}-utilization": f"{min(int(fullest.percent), _MOST) / 100:.2f}",
        **_reset(fullest),
    }
    if fullest.surpassed is not None:
        headers[f"{_OVERAGE}-surpassed-threshold"] = f"{fullest.surpassed / 100:.2f}"
    return headers


def unified_refusal(reached: Standing) -> Headers:
    """Anthropic's, of a request that is refused."""
    headers = {
        f"{_UNIFIED}-status": "rejected",
        **_reset(reached),
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


def codex_headers(standings: Sequence[Standing]) -> Headers:
    """Codex's, of one that is admitted: of the fullest, and of the next that has another period."""
    fullest = standings[0]
    shown = [fullest]
    shown += [each for each in standings if each.cap.period is not fullest.cap.period][:1]
    headers: Headers = {}
    for window, standing in zip(("primary", "secondary"), shown, strict=False):
        headers |= _window(window, standing, min(int(standing.percent * 10) / 10, _MOST + 0.9))
    return headers


def codex_refusal(reached: Standing) -> Headers:
    """Codex's, of a request that is refused."""
    return _window("primary", reached, 100)


def _window(name: str, standing: Standing, percent: float) -> Headers:
    return {
        f"x-codex-{name}-used-percent": f"{percent:g}",
        f"x-codex-{name}-window-minutes": str(_MINUTES[standing.cap.period]),
        f"x-codex-{name}-reset-at": _seconds(standing),
    }


def _reset(standing: Standing) -> Headers:
    return {f"{_UNIFIED}-reset": _seconds(standing), f"{_OVERAGE}-reset": _seconds(standing)}


def _seconds(standing: Standing) -> str:
    return str(int(standing.resets_at.timestamp()))
