"""Bytes are counted for all and for each, and given back."""

import pytest

from aibridged.core.byte_budget import ByteBudget
from aibridged.core.shares import Shortage


def test_one_caller_leaves_room_for_the_others() -> None:
    budget = ByteBudget(400, 10)
    assert budget.take("a", 60) is None
    assert budget.take("a", 40) is None
    assert budget.take("a", 1) is Shortage.CALLER
    for other in ("b", "c", "d"):
        assert budget.take(other, 100) is None
    assert budget.take("e", 1) is Shortage.ALL
    assert budget.held == 400
    budget.release("a", 60)
    assert budget.take("a", 60) is None


def test_a_body_of_any_allowed_size_fits() -> None:
    budget = ByteBudget(100, 80)
    assert budget.take("a", 80) is None
    assert budget.take("a", 1) is Shortage.CALLER
    assert budget.take("b", 80) is Shortage.ALL
    budget.release("a", 80)
    assert budget.take("b", 80) is None


def test_a_lower_bound_takes_nothing_away() -> None:
    budget = ByteBudget(100, 100)
    assert budget.take("a", 50) is None
    budget.resize(40, 40)
    assert budget.take("b", 1) is Shortage.ALL
    budget.release("a", 50)
    assert budget.take("b", 40) is None


def test_nothing_is_remembered_of_who_holds_nothing() -> None:
    budget = ByteBudget(100, 100)
    for caller in range(1000):
        assert budget.take(caller, 7) is None
        budget.release(caller, 7)
    assert budget.held == 0
    with pytest.raises(KeyError):
        budget.release(0, 1)
