def test_guesses_are_counted_over_all_workers(attach, clock):
    one, other = (attach(slot).guesses(3, 60.0, "page") for slot in range(2))
    assert [one.take(b"a"), other.take(b"a"), one.take(b"a"), other.take(b"a")] == [
        *(True, True, True),
        False,
    ]
    assert other.take(b"b")
    clock.advance(59)
    assert not one.take(b"a")
    clock.advance(1)
    assert one.take(b"a")


def test_a_right_guess_is_given_back_by_whichever_worker(attach, clock):
    one, other = (attach(slot).guesses(1, 60.0, "page") for slot in range(2))
    for _ in range(3):
        assert one.take(b"a")
        other.give_back(b"a")
    assert one.take(b"a")
    assert not other.take(b"a")
    clock.advance(60)
    other.give_back(b"a")  # of the period before
    other.give_back(b"unknown")
    assert one.take(b"a")
    assert not other.take(b"a")


def test_guesses_of_several_purposes_are_apart(attach):
    limiters = attach(0)
    assert limiters.guesses(1, 60.0, "page").take(b"a")
    assert limiters.guesses(1, 60.0, "device").take(b"a")


def test_while_the_lock_is_busy_half_of_the_guesses_are_to_be_had(attach, busy):
    guesses = attach(0).guesses(5, 60.0, "page")
    assert [guesses.take(b"a") for _ in range(3)] == [True, True, False]
    guesses.give_back(b"a")
    assert [guesses.take(b"a") for _ in range(2)] == [True, False]


def test_guesses_without_the_lock_are_counted_and_given_back(attach, region, clock):
    one, other = (attach(slot).guesses(6, 60.0, "page") for slot in range(2))
    assert one.take(b"a")
    all_locks = range(region.layout.locks.count)
    for lock in all_locks:
        region.locks.take(lock)
    assert one.take(b"a")
    other.give_back(b"a")  # of the first
    for lock in all_locks:
        region.locks.give(lock)
    assert [other.take(b"a") for _ in range(6)] == [True] * 5 + [False]
    clock.advance(60)
    assert [one.take(b"a") for _ in range(7)] == [True] * 5 + [False] * 2, "counts in this period"


def test_values_are_seen_by_all_workers_until_they_expire(attach, clock):
    one, other = (attach(slot).kept(100, "used shares") for slot in range(2))
    assert other.get(b"a") is None
    one.put(b"a", 85.5, 60)
    assert other.get(b"a") == 85.5
    assert attach(2).kept(100, "signed out").get(b"a") is None
    other.put(b"a", 91.0, 60)
    assert one.get(b"a") == 91.0
    assert len(one) == 1
    clock.advance(60)
    assert one.get(b"a") is None
    one.put(b"a", 1.0, 60)
    one.put(b"a", 1.0, 0)
    assert one.get(b"a") is None


def test_nothing_new_is_kept_while_the_lock_is_busy(attach, busy):
    kept = attach(0).kept(100, "used shares")
    kept.put(b"a", 1.0, 60)
    assert kept.get(b"a") is None
