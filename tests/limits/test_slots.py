def test_workers_share_one_limit(attach):
    one, other = attach(0).slots(3), attach(1).slots(3)
    assert [one.take(), other.take(), one.take(), other.take(), one.take()] == [
        *(True, True, True),
        *(False, False),
    ]
    assert one.in_use == other.in_use == 3
    one.release()
    assert other.take()
    assert not one.take()


def test_without_a_limit_slots_are_counted_all_the_same(attach):
    one, other = attach(0).slots(0), attach(1).slots(0)
    assert all(one.take() for _ in range(10))
    assert other.in_use == 10
    other.limit = 10
    assert not other.take()
    other.limit = 11
    assert other.take()


def test_a_dead_workers_slots_are_given_back(attach, memory):
    dead, other = attach(0).slots(2), attach(1).slots(2)
    assert dead.take()
    assert dead.take()
    assert not other.take()
    memory.release_slot(0)
    assert other.in_use == 0
    assert other.take()


def test_a_successor_begins_without_what_its_predecessor_held(attach):
    assert attach(0).slots(1).take()
    assert attach(0).slots(1).take()


def test_there_are_never_more_than_the_limit_while_the_lock_is_busy(attach, busy):
    one, other = attach(0).slots(2), attach(1).slots(2)
    assert [one.take(), other.take(), one.take(), other.take()] == [True, True, False, False]
    one.release()
    assert other.take()
