import pytest

from aibridged.core.rate_limit import MAX_REFUSED, RateLimiter


def let_through(limiter, caller, tries):
    return sum([limiter.admit(caller) for _ in range(tries)])


def test_a_quiet_caller_may_send_one_seconds_worth_at_once(clock):
    limiter = RateLimiter(10, clock)
    assert let_through(limiter, b"a", 25) == 10


def test_the_bucket_drains_at_the_rate(clock):
    limiter = RateLimiter(10, clock)
    let_through(limiter, b"a", 25)
    clock.advance(0.5)
    assert let_through(limiter, b"a", 25) == 5
    clock.advance(0.09)
    assert let_through(limiter, b"a", 25) == 0
    clock.advance(3600)
    assert let_through(limiter, b"a", 25) == 10


@pytest.mark.parametrize("rate", [1, 3, 50])
def test_never_more_than_rate_times_one_plus_t(clock, rate):
    limiter = RateLimiter(rate, clock)
    passed = 0
    for step in range(1, 200):
        passed += let_through(limiter, b"a", rate)
        assert passed <= rate * (1 + (step - 1) * 0.03) + 1e-6
        clock.advance(0.03)


def test_one_second_is_always_long_enough_to_wait(clock):
    limiter = RateLimiter(1, clock)
    assert limiter.admit(b"a")
    assert not limiter.admit(b"a")
    clock.advance(1)
    assert limiter.admit(b"a")


def test_a_caller_who_keeps_to_the_rate_is_never_refused(clock):
    limiter = RateLimiter(4, clock)
    for _ in range(100):
        assert limiter.admit(b"a")
        clock.advance(0.25)


def test_callers_do_not_affect_each_other(clock):
    limiter = RateLimiter(2, clock)
    assert let_through(limiter, b"a", 100) == 2
    assert let_through(limiter, b"b", 2) == 2


def test_the_map_is_bounded_and_forgets_in_the_callers_favour(clock):
    limiter = RateLimiter(1, clock, max_callers=2)
    for caller in (b"a", b"b", b"c"):
        assert limiter.admit(caller)
    assert len(limiter) == 2
    assert limiter.admit(b"a")
    assert not limiter.admit(b"c")


def test_callers_are_counted_for_as_long_as_their_refusal_is_recent(clock):
    limiter = RateLimiter(1, clock)
    let_through(limiter, b"a", 3)
    let_through(limiter, b"quiet", 1)
    clock.advance(40)
    let_through(limiter, b"b", 2)
    assert limiter.refused_within(60) == 2
    clock.advance(30)
    assert limiter.refused_within(60) == 1
    clock.advance(60)
    assert limiter.refused_within(60) == 0


def test_the_number_of_remembered_refusals_is_bounded(clock):
    limiter = RateLimiter(1, clock)
    for number in range(MAX_REFUSED + 5):
        let_through(limiter, b"%d" % number, 2)
    assert limiter.refused_within(60) == MAX_REFUSED
