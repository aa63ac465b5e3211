"""What is done at which share of a spend limit."""

from datetime import timedelta

import pytest

from aibridged.config.options import SoftBudgetSettings
from aibridged.core.expiring import Expiring
from aibridged.core.soft_budget import Step, UsedShares, step

BOTH = SoftBudgetSettings(80, 90, (("claude-opus-*", "claude-haiku-4-5"), ("*-max", "gpt-mini")))
OPUS = "claude-opus-4-8"


@pytest.mark.parametrize(
    ("share", "model", "done"),
    [
        (None, OPUS, None),
        (0, OPUS, None),
        (79.99, OPUS, None),
        (80, OPUS, Step(80)),
        (89.99, OPUS, Step(89)),
        (90, OPUS, Step(90, "claude-haiku-4-5")),
        (150, OPUS, Step(150, "claude-haiku-4-5")),
        (95, "gpt-max", Step(95, "gpt-mini")),
        # The first glob that fits counts, and what fits none stays.
        (95, "claude-opus-max", Step(95, "claude-haiku-4-5")),
        (95, "claude-haiku-4-5", Step(95)),
    ],
)
def test_each_share(share, model, done):
    assert step(BOTH, share, model) == done


def test_only_a_switch():
    only = SoftBudgetSettings(switch_at=90, models=(("*", "m"),))
    assert step(only, 89, "x") is None
    assert step(only, 90.0, "x") == Step(90, "m")
    assert step(only, 90.0, "m") is None


def test_only_a_warning():
    assert step(SoftBudgetSettings(warn_at=50), 50.0, "x") == Step(50)


def test_a_share_is_a_callers_own_and_ends_with_its_period(clock):
    shares = UsedShares(Expiring(50, clock))
    assert shares.of("ann", "laptop") is None
    shares.note("ann", "laptop", 85.5, timedelta(hours=1))
    shares.note("ann", "laptop", 91.0, timedelta(hours=1))
    assert shares.of("ann", "laptop") == 91.0
    assert shares.of("ann", "desktop") is None
    assert shares.of("bob", "laptop") is None
    clock.advance(3600)
    assert shares.of("ann", "laptop") is None


def test_the_shares_that_are_kept_are_bounded(clock):
    shares = UsedShares(Expiring(3, clock))
    for number in range(9):
        shares.note("ann", str(number), 1.0, timedelta(hours=1))
    assert len(shares) == 3
