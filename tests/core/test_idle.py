import pytest

from aibridged.core.idle import GRACE_S, IdleConnections

ALICE, BOB = b"alice", b"bob"


@pytest.fixture
def idle(clock):
    return IdleConnections(clock, 4, 2)


def test_the_oldest_of_all_leaves_when_there_are_too_many(idle):
    for number in range(4):
        assert idle.became_idle(number, bytes([number])) is None
    assert idle.became_idle(4, ALICE) == 0
    assert idle.became_idle(5, BOB) == 1
    assert len(idle) == 4
    assert idle.closed == 2


def test_the_oldest_of_an_address_leaves_when_that_has_too_many(idle):
    idle.became_idle("bob's", BOB)
    idle.became_idle("first", ALICE)
    idle.opened("second", ALICE)
    assert idle.became_idle("third", ALICE) == "first"
    assert idle.became_idle("bob's second", BOB) is None


def test_an_address_that_may_have_any_number_counts_in_all(idle):
    for number in range(4):
        assert idle.became_idle(number, None) is None
    assert idle.became_idle(4, None) == 0


def test_a_request_makes_a_connection_the_youngest(idle):
    idle.became_idle("first", ALICE)
    idle.became_idle("second", ALICE)
    idle.remove("first")
    idle.became_idle("first", ALICE)
    assert idle.became_idle("third", ALICE) == "second"


def test_nothing_of_what_was_removed_is_left(idle):
    idle.opened("new", ALICE)
    idle.became_idle("kept", BOB)
    idle.became_idle("proxy's", None)
    for connection in ("new", "kept", "proxy's", "never there"):
        idle.remove(connection)
    assert len(idle) == 0
    assert not idle.has_evictable
    assert idle._by_address == {}  # callers choose their addresses


def test_a_new_connection_is_no_spare_until_it_has_been_silent_for_a_while(idle, clock):
    idle.opened("new", ALICE)
    assert not idle.has_evictable
    clock.advance(GRACE_S)
    assert idle.has_evictable
    assert idle.evict() == "new"
    assert not idle.has_evictable


def test_whoever_was_to_leave_is_the_first_spare_and_whoever_is_silent_the_next(clock):
    idle = IdleConnections(clock, 10, 2)
    idle.became_idle("kept", None)
    idle.opened("silent", None)
    clock.advance(GRACE_S)
    idle.opened("new", None)
    for number in range(3):
        idle.became_idle(number, ALICE)
    taken = [idle.evict() for _ in range(5)]
    assert taken == [0, "silent", "kept", 1, 2]
    assert not idle.has_evictable  # "new" may be about to ask


def test_whoever_was_to_leave_and_has_a_request_now_is_no_spare(idle):
    idle.became_idle(0, ALICE)
    idle.became_idle(1, ALICE)
    assert idle.became_idle(2, ALICE) == 0
    idle.remove(0)
    assert idle.evict() == 1


def test_whoever_was_to_leave_and_has_just_come_is_no_spare_until_its_request_could_be_there(
    idle, clock
):
    for number in range(2):
        idle.opened(number, ALICE)
    assert idle.opened(2, ALICE) == 0
    assert not idle.has_evictable
    clock.advance(GRACE_S)
    assert idle.opened(3, ALICE) == 1
    assert idle.evict() == 1


def test_if_all_have_just_come_the_oldest_leaves_all_the_same(idle):
    for number in range(4):
        idle.opened(number, None)
    assert idle.opened(4, None) == 0


def test_lower_limits_name_all_that_is_over(idle, clock):
    for number in range(4):
        idle.became_idle(number, bytes([number % 2]))
    idle.most, idle.most_each = 1, 1
    assert list(idle.excess()) == [0, 1, 2]
    assert len(idle) == 1
    assert list(idle.excess()) == []
