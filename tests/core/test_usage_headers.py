"""Headers that tell agents how a spend limit stands; tests/e2e/test_budgets.py sees them go out."""

from datetime import UTC, datetime, timedelta

import pytest

from aibridged.core.budgets import CENT, Cap, Limit, Period, Scope, standings
from aibridged.core.usage_headers import (
    codex_headers,
    codex_refusal,
    unified_headers,
    unified_refusal,
)

RESET = datetime(2026, 12, 1, tzinfo=UTC)
NOW = RESET - timedelta(hours=1)


def standing(used, cents=1000, period=Period.DAILY, scope=Scope.USER):
    limit = Limit("spl_1", scope, "x", period, cents, "staff")
    [found] = standings([Cap(limit, "user:x", cents * CENT)], [used], NOW)
    return found


def told_by(raw):
    return {name.decode(): value.decode() for name, value in raw}


@pytest.mark.parametrize("scope", Scope)
def test_a_pool_is_told_as_such(scope):
    headers = unified_refusal(standing(0, scope=scope))
    told = headers.get("anthropic-ratelimit-unified-overage-scope")
    assert told == ("group_pool" if scope is Scope.POOL else None)


@pytest.mark.parametrize(
    ("used", "told"),
    [(0, "0.00"), (CENT, "0.00"), (999 * CENT, "0.99"), (1000 * CENT, "0.99"), (10**13, "0.99")],
)
def test_what_passes_is_below_the_limit(used, told):
    headers = told_by(unified_headers(standing(used)))
    assert headers["anthropic-ratelimit-unified-overage-utilization"] == told


@pytest.mark.parametrize(
    ("used", "told"),
    [(0, "0"), (825 * CENT, "82.5"), (9999 * CENT // 10, "99.9"), (10**13, "99.9")],
)
def test_codex_shows_a_tenth_of_a_percent(used, told):
    assert told_by(codex_headers([standing(used)])) == {
        "x-codex-primary-used-percent": told,
        "x-codex-primary-window-minutes": "1440",
        "x-codex-primary-reset-at": str(int(RESET.timestamp())),
    }


def test_the_second_window_has_another_period():
    found = [
        standing(900 * CENT),
        standing(800 * CENT),
        standing(700 * CENT, period=Period.MONTHLY),
        standing(600 * CENT, period=Period.WEEKLY),
    ]
    headers = told_by(codex_headers(found))
    assert headers["x-codex-secondary-used-percent"] == "70"
    assert headers["x-codex-secondary-window-minutes"] == "43200"
    assert len(headers) == 6


def test_the_window_of_a_week():
    headers = codex_refusal(standing(0, period=Period.WEEKLY))
    assert headers["x-codex-primary-window-minutes"] == "10080"
