"""Thresholds, and what an alert says."""

import json
from datetime import UTC, date, datetime

import pytest

from aibridged.core.budget_alerts import Alert, Told, as_slack, reached, sentence
from aibridged.core.budgets import CENT, Period, Scope

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("used", "cap", "levels"),
    [
        (0, 100, []),
        (49, 100, []),
        (50, 100, [50]),
        (79, 99, [50]),
        (80, 100, [50, 80]),
        (10**20, 10**18, [50, 80, 100]),
        (0, 0, []),
        (5, 0, []),
    ],
)
def test_a_threshold_is_reached_by_as_much_and_never_by_a_block(used, cap, levels):
    assert reached((50, 80, 100), used, cap) == levels


@pytest.mark.parametrize(
    ("scope", "subject", "name", "begin"),
    [
        (Scope.ORGANIZATION, "user:u1", "ann", "ann has used 80 % of their daily budget"),
        (Scope.USER, "user:u1", None, "u1 has used 80 % of their daily budget"),
        (Scope.POOL, "group_pool:g", "a\nb", "The group a b has used 80 % of its shared daily"),
        (Scope.TOKEN, "token:t1", None, "The token t1 has used 80 % of its daily budget"),
    ],
)
def test_an_alert_is_a_sentence_on_a_line(scope, subject, name, begin):
    alert = Alert("spl_1", subject, date(2026, 11, 30), 80, NOW, 820 * CENT, 1000 * CENT)
    told = Told(alert, scope, Period.DAILY, Period.DAILY.reset(NOW), name)
    text = sentence(told)
    assert text.startswith(begin)
    assert text.endswith("budget ($8.20 of $10.00). It resets on 2026-12-01 00:00 UTC.")


def test_a_budget_that_refuses_is_reached_whatever_is_left_of_it():
    alert = Alert("spl_1", "user:u1", date(2026, 11, 30), 100, NOW, 995 * CENT, 1000 * CENT)
    told = Told(alert, Scope.USER, Period.DAILY, NOW, "ann")
    assert sentence(told).startswith("ann has reached their daily budget ($9.95 of $10.00). It")


def test_names_format_nothing_in_slack():
    alert = Alert("spl_1", "group_pool:g", date(2026, 11, 30), 80, NOW, 1, 1)
    told = Told(alert, Scope.POOL, Period.DAILY, NOW, "<!channel> R&D")
    assert "The group &lt;!channel&gt; R&amp;D has" in json.loads(as_slack(told))["text"]
