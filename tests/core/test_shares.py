"""What callers share is counted for all of them and for each."""

from aibridged.core.shares import Shares, Shortage


def test_all_together_and_each_have_a_bound() -> None:
    shares = Shares(5, 3)
    assert shares.take("a", 3) is None
    assert shares.take("a") is Shortage.CALLER
    assert shares.take("b", 2) is None
    assert shares.take("b") is Shortage.ALL
    shares.release("a")
    assert shares.held == 4
    assert shares.take("b") is None


def test_what_is_refused_is_not_held() -> None:
    shares = Shares(5, 3)
    assert shares.take("a", 4) is Shortage.CALLER
    assert shares.take("a", 6) is Shortage.ALL
    assert shares.held == 0


def test_asking_takes_nothing() -> None:
    shares = Shares(1, 1)
    for _ in range(2):
        assert shares.shortage("a") is None
    assert shares.take("a") is None
    assert shares.shortage("b") is Shortage.ALL


def test_bounds_that_change_take_nothing_away() -> None:
    shares = Shares(4, 4)
    assert shares.take("a", 4) is None
    shares.total = shares.each = 2
    shares.release("a")
    assert shares.take("a") is Shortage.ALL
    shares.release("a", 3)
    assert shares.take("a", 2) is None


def test_nothing_is_kept_of_callers_that_hold_nothing() -> None:
    shares = Shares(4, 4)
    for number in range(100):
        assert shares.take(number) is None
        shares.release(number)
        assert shares.take(number, 0) is None
    assert not shares._held
