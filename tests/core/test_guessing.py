import pytest

from aibridged.core.guessing import GuessLimiter

HERE = b"\x7f\x00\x00\x01"
THERE = b"\x7f\x00\x00\x02"


def guess(limiter, address, tries):
    """How many of so many wrong tokens, one after the other, were looked up."""
    looked_up = 0
    for _ in range(tries):
        if not limiter.blocked(address):
            limiter.wrong(address)
            looked_up += 1
    return looked_up


@pytest.fixture
def limiter(clock):
    return GuessLimiter(clock, burst=5, rate=2)


def test_whoever_was_never_wrong_is_not_blocked(limiter):
    assert not limiter.blocked(HERE)
    assert limiter.retry_after(HERE) == 0
    assert len(limiter) == 0


def test_a_burst_is_let_through_and_no_more(limiter):
    assert guess(limiter, HERE, 100) == 5
    assert limiter.blocked(HERE)


def test_the_bucket_drains_at_the_rate(clock, limiter):
    guess(limiter, HERE, 100)
    clock.advance(1.5)
    assert guess(limiter, HERE, 100) == 3
    clock.advance(0.49)
    assert limiter.blocked(HERE)
    clock.advance(3600)
    assert guess(limiter, HERE, 100) == 5


@pytest.mark.parametrize(("burst", "rate"), [(1, 1), (1, 50), (60, 1), (5, 0.1)])
def test_the_bound_holds_at_every_moment(clock, burst, rate):
    limiter = GuessLimiter(clock, burst=burst, rate=rate)
    looked_up = 0
    for step in range(300):
        looked_up += guess(limiter, HERE, 80)
        assert looked_up <= burst + rate * step * 0.07 + 1e-6
        clock.advance(0.07)


def test_guesses_made_at_once_are_paid_for_afterwards(clock, limiter):
    """Ten are let through before the first is found wrong; then the excess must drain."""
    assert not any(limiter.blocked(HERE) for _ in range(10))
    for _ in range(10):
        limiter.wrong(HERE)
    clock.advance(2.9)
    assert limiter.blocked(HERE)
    clock.advance(0.1)
    assert guess(limiter, HERE, 10) == 1


def test_retry_after_is_long_enough_and_not_much_longer(clock, limiter):
    for _ in range(10):
        limiter.wrong(HERE)
    assert limiter.retry_after(HERE) == 3
    clock.advance(2)
    assert limiter.blocked(HERE)
    clock.advance(1)
    assert not limiter.blocked(HERE)
    assert limiter.retry_after(HERE) == 0


def test_addresses_do_not_affect_each_other(limiter):
    guess(limiter, HERE, 100)
    assert guess(limiter, THERE, 100) == 5


def test_the_map_is_bounded_and_forgets_in_the_addresses_favour(clock):
    limiter = GuessLimiter(clock, burst=1, rate=1, max_addresses=2)
    for number in range(1000):
        limiter.wrong(number.to_bytes(4))
    assert len(limiter) == 2
    assert not limiter.blocked((0).to_bytes(4))
    assert limiter.blocked((999).to_bytes(4))
