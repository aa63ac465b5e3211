"""A key takes its share of the places at the most, and those that wait get theirs in turn."""

from collections import Counter
from contextlib import suppress
from random import Random

import pytest

from aibridged.core.fair_queue import Bounds, FairQueue, QueueFullError, ShareFullError

A, B, C = b"a", b"b", b"c"


def new_queue(places, waiting, each=None):
    return FairQueue(Bounds(places, max(1, places // 2), waiting, each))


def fill(queue, key, most=100):
    """How many may wait until one is refused."""
    for number in range(most):
        try:
            queue.wait(key, number)
        except ShareFullError:
            return number
    return most


def test_places_are_taken_while_there_are_any_and_half_of_them_by_one_address():
    queue = new_queue(4, 10)
    assert [queue.take(A) for _ in range(3)] == [True, True, False]
    assert [queue.take(B) for _ in range(3)] == [True, True, False]
    assert not queue.take(C)
    assert queue.give_back(A) is None
    assert queue.take(C)


def test_where_there_is_one_place_each_address_may_have_it():
    queue = new_queue(1, 10)
    assert queue.take(A)
    assert not queue.take(B)
    queue.give_back(A)
    assert queue.take(B)


def test_an_address_lets_its_own_in_first_come_first_served():
    queue = new_queue(1, 10)
    queue.take(A)
    for number in range(3):
        queue.wait(A, number)
    assert [queue.give_back(A) for _ in range(4)] == [(A, 0), (A, 1), (A, 2), None]


def test_addresses_take_turns_however_many_one_of_them_has_waiting():
    queue = new_queue(1, 100)
    queue.take(A)
    for number in range(20):
        queue.wait(A, number)
    queue.wait(B, 100)
    queue.wait(C, 200)
    queue.wait(B, 101)
    last, turns = A, []
    for _ in range(6):
        last, _ = queue.give_back(last)
        turns.append(last)
    assert turns == [A, B, C, A, B, A]


def test_who_has_its_share_is_passed_over():
    queue = new_queue(4, 10)
    for address in (A, A, B, C):
        assert queue.take(address)
    queue.wait(A, 1)
    queue.wait(B, 2)
    assert queue.taken == 4
    assert queue.give_back(C) == (B, 2)
    assert queue.give_back(B) is None
    assert queue.give_back(A) == (A, 1)


def test_a_queue_grows_only_while_it_is_shorter_than_the_room_that_is_left():
    queue = new_queue(1, 12)
    queue.take(A)
    assert (fill(queue, A), fill(queue, B)) == (6, 3)
    queue.wait(C, 0)
    assert queue.waiting == 10
    assert [queue.waiting_of(each) for each in (A, B, C)] == [6, 3, 1]


def test_a_queue_grows_as_far_as_the_bound_of_each_and_all_as_far_as_theirs():
    queue = new_queue(1, 7, 3)
    queue.take(A)
    assert (fill(queue, A), fill(queue, B)) == (3, 3)
    queue.wait(C, 0)
    with pytest.raises(QueueFullError) as raised:
        queue.wait(C, 1)
    assert not isinstance(raised.value, ShareFullError)
    with pytest.raises(ShareFullError):
        queue.wait(B, 3)
    assert queue.waiting == 7


def test_who_leaves_makes_room_and_has_no_turn():
    queue = new_queue(1, 2)
    queue.take(A)
    queue.wait(A, 1)
    with pytest.raises(ShareFullError):
        queue.wait(A, 2)
    queue.give_up(A, "never waited")
    queue.give_up(A, 1)
    assert queue.waiting_of(A) == 0
    queue.wait(A, 2)
    assert queue.give_back(A) == (A, 2)
    queue.give_up(A, 2)  # it has its place: nothing is left to give up
    assert queue.give_back(A) is None
    assert (queue.taken, queue.waiting) == (0, 0)
    assert not queue._places._held  # no key is remembered
    assert not queue._queues


def test_no_place_is_lost_and_none_is_given_twice():
    random, queue, holding, waiting = Random(1), new_queue(5, 20), Counter(), set()
    for number in range(20_000):
        address = random.choice([A, A, A, B, C])
        action = random.random()
        if action < 0.5:
            if queue.take(address):
                holding[address] += 1
            else:
                with suppress(ShareFullError):
                    queue.wait(address, number)
                    waiting.add((address, number))
        elif action < 0.6 and waiting:
            gone = random.choice(sorted(waiting))
            queue.give_up(*gone)
            waiting.discard(gone)
        elif holding[address]:
            holding[address] -= 1
            if (given := queue.give_back(address)) is not None:
                waiting.remove(given)
                holding[given[0]] += 1
        assert holding.total() == queue.taken <= 5
        assert max(holding.values(), default=0) <= 2
        assert queue.waiting == len(waiting) <= 20
        if holding.total() < 5:  # then only those wait that have their share
            assert all(holding[each] == 2 for each, _ in waiting)
