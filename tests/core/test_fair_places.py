"""A caller takes a few places at the most, and those who wait get theirs in turn."""

import pytest

from aibridged.core.fair_places import AllWaitError, Bounds, CallerWaitsError, FairPlaces

BOUNDS = Bounds(running=3, running_each=2, waiting=6, waiting_each=3)


@pytest.fixture
def places():
    return FairPlaces(BOUNDS)


def test_a_caller_gets_no_more_than_its_share(places):
    assert [places.take("ann") for _ in range(3)] == [True, True, False]
    assert places.take("bob")
    assert not places.take("bob")  # all are taken
    assert len(places) == 3


def test_a_place_that_is_given_back_is_free_if_nobody_waits(places):
    places.take("ann")
    assert places.leave("ann") is None
    assert len(places) == 0
    assert places.take("ann")


def test_who_waits_gets_the_next_place_in_turn(places):
    for caller in ("ann", "ann", "bob"):
        assert places.take(caller)
    for ticket in ("a1", "a2", "a3"):
        places.wait("ann", ticket)
    places.wait("bob", "b1")
    places.wait("eve", "e1")
    assert places.waiting == 5
    # However many ann has waiting, each of the others is served between two of hers.
    turns = [places.leave("ann"), places.leave("bob"), places.leave("ann"), places.leave("eve")]
    assert turns == [("ann", "a1"), ("bob", "b1"), ("eve", "e1"), ("ann", "a2")]
    assert places.leave("bob") is None  # ann has all that she may have
    assert places.leave("ann") == ("ann", "a3")
    assert (len(places), places.waiting) == (2, 0)


def test_a_place_that_only_others_may_have_is_kept_for_them(places):
    for caller in ("ann", "ann", "bob"):
        places.take(caller)
    places.wait("ann", "a1")
    assert places.leave("bob") is None
    assert not places.take("ann")
    assert places.take("eve")


def test_no_more_wait_than_may(places):
    for caller in ("ann", "ann", "bob"):
        places.take(caller)
    for ticket in range(3):
        places.wait("ann", ticket)
    with pytest.raises(CallerWaitsError):
        places.wait("ann", 3)
    for ticket in range(3):
        places.wait("eve", ticket)
    with pytest.raises(AllWaitError):
        places.wait("bob", 0)


def test_who_gives_up_is_passed_over_and_leaves_nothing(places):
    for caller in ("ann", "ann", "bob"):
        places.take(caller)
    places.wait("eve", "e1")
    places.wait("eve", "e2")
    places.give_up("eve", "e1")
    places.give_up("eve", "never waited")
    assert places.leave("bob") == ("eve", "e2")
    places.give_up("eve", "e2")  # it has had its turn
    for caller in ("ann", "ann", "eve"):
        assert places.leave(caller) is None
    assert (len(places), places.waiting) == (0, 0)
    assert not places._running._held
    assert not places._waiting
