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


def test_one_slot_may_have_another_limit(attach):
    one, other = attach(0).slots(3), attach(1).slots(3)
    assert [one.take(2), other.take(2), one.take(2)] == [True, True, False]
    assert [other.take(0), one.take(0), one.take()] == [True, True, False]
    assert one.in_use == 4


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


def test_the_last_slot_is_had_though_another_wants_it_at_the_same_moment(attach):
    one, other = attach(0).slots(2), attach(1).slots(2)
    assert other.take()
    all_counts, seen = one._all, []

    def meanwhile(*where):
        """The other has written its count, and sees that it is one too many."""
        if not seen:
            other._words[other._own] += 1
        seen.append(sum(all_counts(*where)))
        counts = all_counts(*where)
        if len(seen) == 1:
            other._words[other._own] -= 1
        return counts

    one._all = meanwhile
    assert one.take()
    assert seen[0] == 3
    assert one.in_use == 2


def test_no_one_tries_for_ever(attach):
    one, other = attach(0).slots(1), attach(1).slots(1)
    all_counts = one._all

    def meanwhile(*where):
        """The other always wants it at the same moment."""
        counts = all_counts(*where)
        return (counts[0], counts[0], 0)

    one._all = meanwhile
    assert not one.take()
    assert other.in_use == 0


def test_stopped_workers_make_no_difference(attach, stopped):
    one, other = attach(0).slots(2), attach(1).slots(2)
    assert [one.take(), other.take(), one.take(), other.take()] == [True, True, False, False]
