import pytest

from aibridged.records.fact_queue import FactQueue
from aibridged.records.facts import Reservation


@pytest.fixture
def queue(new_facts):
    """Holds the facts of three requests, four each."""
    made = FactQueue()
    for id in ("a", "b", "c"):
        made.put(new_facts(id, call=f"call-{id}"))
    return made


@pytest.mark.parametrize(
    ("most", "count"),
    [(1, 4), (4, 4), (5, 8), (11, 12), (12, 12), (100, 12)],
)
def test_what_was_recorded_with_an_end_stays_with_it(queue, most, count):
    assert queue.first(most) == queue.all()[:count]


def test_facts_without_an_end_are_taken_all(queue, new_facts):
    queue.drop(12)
    queue.put(new_facts("d")[:3])
    assert len(queue.first(1)) == 3


def test_the_first_are_dropped(queue):
    queue.drop(4)
    assert len(queue) == 8
    assert {fact.interception_id for fact in queue.all()} == {"b", "c"}


def test_a_start_that_answers_a_call_that_waits_continues_it(queue, new_start):
    assert queue.come_before([new_start(), new_start(tool_result_ids=("x", "call-b"))])
    # Only the last result names the interception before.
    assert not queue.come_before([new_start(tool_result_ids=("call-b", "x")), new_start()])
    queue.drop(8)
    assert not queue.come_before([new_start(tool_result_ids=("call-b",))])


def test_whose_facts_wait_is_counted(new_facts):
    queue = FactQueue()
    queue.put(new_facts("a"), "one")
    queue.put(new_facts("b"), "two")
    queue.put(new_facts("c"), "one")
    counts = []
    for _ in range(4):
        counts.append((queue.waiting_of("one"), queue.waiting_of("two"), queue.waiting_of("x")))
        queue.drop(3)
    assert counts == [(8, 4, 0), (5, 4, 0), (4, 2, 0), (3, 0, 0)]
    assert (len(queue), queue._counts, len(queue._callers)) == (0, {}, 0), "nobody is remembered"


@pytest.mark.parametrize(
    ("caller", "queued", "expected"),
    [
        ("ann", 49, True),
        ("ann", 50, False),
        ("bob", 50, True),
        ("bob", 99, True),
        ("bob", 100, False),
    ],
)
def test_in_the_upper_half_a_caller_has_a_tenth(new_facts, caller, queued, expected):
    queue = FactQueue()
    for id in ("a", "b", "c"):
        queue.put(new_facts(id), "ann")
    queue.put(new_facts("d"), "bob")
    assert queue.has_room_for(caller, queued, limit=100) is expected


def test_what_has_ended_is_settled_before_anything_is_checked_against_it(new_start, new_facts):
    queue, start = FactQueue(), new_start(reservation=Reservation())
    assert not queue.come_before([start])
    queue.put(new_facts("a"))
    assert queue.come_before([new_start(), start])
    assert not queue.come_before([new_start()])
