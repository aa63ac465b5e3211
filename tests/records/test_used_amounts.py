"""What subjects have used since days."""

from datetime import date

from aibridged.core.budgets import Check
from aibridged.records.used_amounts import UsedAmounts

MONTH, WEEK, TODAY = date(2026, 1, 1), date(2026, 1, 12), date(2026, 1, 14)
ANN, BOB = "user:ann", "user:bob"


def made(*amounts):
    used = UsedAmounts()
    for subject, since, amount in amounts:
        used.put(Check(subject, since, 1000), amount)
    return used


def checks(*asked):
    return tuple(Check(subject, since, 1000) for subject, since in asked)


def test_an_amount_counts_for_all_that_begins_by_its_day():
    used = made((ANN, MONTH, 10), (ANN, WEEK, 5), (ANN, TODAY, 0), (BOB, MONTH, 7))
    used.add(ANN, date(2026, 1, 13), 3)
    used.add(ANN, TODAY, 1)
    used.add("group_pool:g", TODAY, 1)
    asked = checks((ANN, MONTH), (ANN, WEEK), (ANN, TODAY), (BOB, MONTH))
    assert used.of(asked) == (14, 9, 1, 7)


def test_what_is_missing_is_named_by_day_and_subject():
    used = made((ANN, MONTH, 10))
    asked = checks((ANN, MONTH), (ANN, TODAY), (BOB, MONTH))
    assert used.missing(asked) == {
        "2026-01-14user:ann": asked[1],
        "2026-01-01user:bob": asked[2],
    }


def test_others_are_taken_over_and_all_are_forgotten():
    used = made((ANN, MONTH, 10))
    used.update(made((ANN, TODAY, 2), (BOB, MONTH, 3)))
    asked = checks((ANN, MONTH), (ANN, TODAY), (BOB, MONTH))
    assert used.of(asked) == (10, 2, 3)
    assert len(used) == 3
    used.clear()
    assert len(used) == 0
    assert [*used.missing(asked).values()] == [*asked]
