from aibridged.core.concurrency import Slots


def test_takes_up_to_the_limit_and_no_more():
    slots = Slots(2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    assert slots.in_use == 2


def test_a_released_slot_can_be_taken_again():
    slots = Slots(1)
    assert slots.take()
    assert not slots.take()
    slots.release()
    assert slots.take()


def test_zero_is_no_bound_and_still_counts():
    slots = Slots(0)
    assert all(slots.take() for _ in range(1000))
    assert slots.in_use == 1000


def test_a_new_limit_counts_what_is_taken_already():
    slots = Slots(0)
    assert all(slots.take() for _ in range(3))
    slots.limit = 2
    assert not slots.take()
    slots.release()
    assert not slots.take()
    slots.release()
    assert slots.take()
    slots.limit = 3
    assert [slots.take(), slots.take()] == [True, False]
