from collections import Counter
from random import Random

from aibridged.core.fair_queue import FairQueue

A, B, C = b"a", b"b", b"c"


def test_places_are_taken_while_there_are_any_and_half_of_them_by_one_address():
    queue = FairQueue(4, 10)
    assert [queue.take(A) for _ in range(3)] == [True, True, False]
    assert [queue.take(B) for _ in range(3)] == [True, True, False]
    assert not queue.take(C)
    assert queue.give_back(A) is None
    assert queue.take(C)


def test_where_there_is_one_place_each_address_may_have_it():
    queue = FairQueue(1, 10)
    assert queue.take(A)
    assert not queue.take(B)
    queue.give_back(A)
    assert queue.take(B)


def test_an_address_lets_its_own_in_first_come_first_served():
    queue = FairQueue(1, 10)
    queue.take(A)
    for number in range(3):
        assert queue.wait(A, number)
    assert [queue.give_back(A) for _ in range(4)] == [(A, 0), (A, 1), (A, 2), None]


def test_addresses_take_turns_however_many_one_of_them_has_waiting():
    queue = FairQueue(1, 100)
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
    queue = FairQueue(4, 10)
    for address in (A, A, B, C):
        assert queue.take(address)
    queue.wait(A, 1)
    queue.wait(B, 2)
    assert queue.give_back(C) == (B, 2)
    assert queue.give_back(B) is None
    assert queue.give_back(A) == (A, 1)


def test_a_queue_grows_only_while_it_is_shorter_than_the_room_that_is_left():
    queue = FairQueue(1, 12)
    queue.take(A)
    assert sum(queue.wait(A, number) for number in range(100)) == 6
    assert sum(queue.wait(B, number) for number in range(100)) == 3
    assert queue.wait(C, 0)
    assert len(queue) == 10
    assert (queue.waiting(A), queue.waiting(B), queue.waiting(C)) == (6, 3, 1)


def test_who_leaves_makes_room_and_has_no_turn():
    queue = FairQueue(1, 2)
    queue.take(A)
    assert queue.wait(A, 1)
    assert not queue.wait(A, 2)
    queue.leave(A, 1)
    assert queue.waiting(A) == 0
    assert queue.wait(A, 2)
    assert queue.give_back(A) == (A, 2)
    queue.leave(A, 2)  # it has its place: nothing is left to leave
    assert queue.give_back(A) is None
    assert len(queue) == 0


def test_no_place_is_lost_and_none_is_given_twice():
    random, queue, holding, waiting = Random(1), FairQueue(5, 20), Counter(), set()
    for number in range(20_000):
        address = random.choice([A, A, A, B, C])
        action = random.random()
        if action < 0.5:
            if queue.take(address):
                holding[address] += 1
            elif queue.wait(address, number):
                waiting.add((address, number))
        elif action < 0.6 and waiting:
            gone = random.choice(sorted(waiting))
            queue.leave(*gone)
            waiting.discard(gone)
        elif holding[address]:
            holding[address] -= 1
            if (given := queue.give_back(address)) is not None:
                waiting.remove(given)
                holding[given[0]] += 1
        assert holding.total() <= 5
        assert max(holding.values(), default=0) <= 2
        assert len(queue) == len(waiting) <= 20
        if holding.total() < 5:  # then only those wait that have their share
            assert all(holding[each] == 2 for each, _ in waiting)
