import pytest

from aibridged.core.rate_limit import MAX_REFUSED
from aibridged.limits.region import CALLERS, WAYS

TOKEN = bytes(range(16))


def let_through(limiters, tries, caller=TOKEN):
    return sum(limiters[n % len(limiters)].admit(caller) for n in range(tries))


@pytest.fixture
def limiters(attach):
    return [attach(slot).callers(10) for slot in range(3)]


def test_workers_share_one_bucket(limiters, clock):
    assert let_through(limiters, 30) == 10
    clock.advance(0.5)
    assert let_through(limiters, 30) == 5
    clock.advance(3600)
    assert let_through(limiters, 30) == 10


@pytest.mark.parametrize("rate", [1, 3, 50])
def test_never_more_than_rate_times_one_plus_t(limiters, clock, rate):
    for each in limiters:
        each.rate = rate
    passed = 0
    for step in range(1, 100):
        passed += let_through(limiters, 2 * rate)
        assert passed <= rate * (1 + (step - 1) * 0.03) + 1e-6
        clock.advance(0.03)


def test_callers_do_not_affect_each_other(limiters):
    assert let_through(limiters, 30) == 10
    assert let_through(limiters, 30, b"\x7f\0\0\1") == 10
    assert let_through(limiters, 30, b"") == 10


def test_purposes_do_not_affect_each_other(attach):
    one, other = attach(0), attach(1)
    assert let_through([one.rate_limiter(3, "page"), other.rate_limiter(3, "page")], 9) == 3
    assert let_through([one.rate_limiter(3, "query"), other.rate_limiter(3, "query")], 9) == 3


def test_a_table_that_is_full_forgets_the_emptiest_bucket_first(limiters, clock):
    one, other, _ = limiters
    let_through([one], 30)
    same_places = [TOKEN[:4] + bytes([n] * 12) for n in range(1, WAYS + 1)]
    for number, caller in enumerate(same_places):
        assert let_through([other], number + 1, caller) == number + 1
    assert let_through([one], 30) == 0, "it was the fullest"
    assert len(one) == WAYS <= CALLERS


def test_callers_that_were_refused_lately_are_known_to_all(limiters, clock):
    one, other, _ = limiters
    let_through([one], 30)
    clock.advance(40)
    let_through([other], 30, b"\x7f\0\0\1")
    assert one.refused_within(60) == other.refused_within(60) == 2
    clock.advance(30)
    assert one.refused_within(60) == 1
    assert one.refused_within(0.1) == 0


def test_the_number_of_callers_that_are_known_as_refused_is_bounded(limiters):
    for number in range(3 * MAX_REFUSED):
        let_through(limiters[:1], 12, number.to_bytes(4, "big"))
    assert limiters[1].refused_within(60) == MAX_REFUSED


def test_while_the_lock_of_a_caller_is_busy_half_of_the_bucket_is_filled(limiters, busy):
    assert let_through(limiters, 30) == 5


def test_what_was_admitted_without_the_lock_counts(limiters, region, clock):
    all_locks = range(region.layout.locks.count)
    assert let_through(limiters, 3) == 3
    for lock in all_locks:
        region.locks.take(lock)
    assert let_through(limiters[:2], 30) == 2
    for lock in all_locks:
        region.locks.give(lock)
    assert let_through(limiters[2:], 30) == 5, "by those that don't have it in the bucket yet"
    assert let_through(limiters, 30) == 0
    clock.advance(0.5)
    assert let_through(limiters, 30) == 5
    clock.advance(3600)
    assert let_through(limiters, 30) == 10


def test_at_the_limit_a_request_is_refused_while_the_lock_of_its_caller_is_busy(limiters, region):
    assert let_through(limiters, 5) == 5
    for lock in range(region.layout.locks.count):
        region.locks.take(lock)
    assert let_through(limiters, 30) == 0
    for each in limiters:
        each.rate = 1
    assert let_through(limiters, 30, b"another") == 0
    for lock in range(region.layout.locks.count):
        region.locks.give(lock)


def test_each_goes_by_its_share_where_a_stopped_worker_has_the_lock(limiters, stopped, clock):
    assert [let_through([each], 30) for each in limiters] == [3, 3, 3]
    for each in limiters:
        each.rate = 1
    clock.advance(3600)
    assert [let_through([each], 30) for each in limiters] == [1, 1, 1]


def test_refusals_elsewhere_are_counted(limiters):
    one, other, _ = limiters
    other.note_refused(TOKEN)
    other.note_refused(TOKEN)
    assert one.refused_within(60) == 1
