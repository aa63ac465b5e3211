from ipaddress import ip_network

import pytest

from aibridged.core.connection_limiter import ConnectionLimiter, requests_that_fit


class Connection:
    """An idle connection of a limiter; `ended` says how it went."""

    def __init__(self, limiter):
        self._limiter = limiter
        self.ended = None

    def leave(self):
        self.ended = "left"

    def abort(self):
        self.ended = "aborted"
        self._limiter.idle.remove(self)


@pytest.fixture
def full(clock):
    """A limiter of two places, both taken, and of one for surplus."""
    limiter = ConnectionLimiter(clock, places=2, surplus=1)
    assert limiter.enter()
    assert limiter.enter()
    return limiter


@pytest.mark.parametrize("limit", [64, 256, 1024, 65536, 1 << 20])
def test_what_fits_leaves_spare_descriptors(limit):
    places, surplus = requests_that_fit(limit, in_use=20)
    assert places * 2 >= limit / 3
    assert limit - 20 - places * 2 - surplus >= max(16, limit // 8)
    assert surplus >= 4


def test_something_fits_however_few_there_are():
    assert requests_that_fit(16, in_use=20) == (1, 1)


def test_whoever_comes_when_all_places_are_taken_is_surplus(full):
    told = []
    full.on_full = lambda: told.append(full.taken_surplus)
    assert not full.is_saturated
    assert not full.enter()
    assert full.is_saturated
    assert told == [1]


def test_a_place_that_was_left_is_taken_again_whatever_surplus_there_is(full):
    full.enter()
    full.leave(had_place=True)
    assert not full.is_saturated
    assert full.enter()
    full.leave(had_place=False)
    assert (full.taken, full.taken_surplus) == (2, 0)


def test_an_idle_connection_makes_room(full):
    idle = Connection(full)
    full.became_idle(idle, b"alice")
    assert full.enter()
    assert idle.ended == "aborted"
    assert not full.enter()


def test_no_more_make_room_than_can_be_closed_meanwhile(full):
    for _ in range(9):
        full.became_idle(Connection(full), None)
    assert full.enter()
    assert full.enter()
    assert full.is_saturated  # four are taken, until those that made room are closed
    full.leave(had_place=True)
    assert not full.is_saturated


def test_who_waits_is_called_once_when_there_may_be_room(full):
    called = []

    def resume():
        called.append("left")

    full.wait(resume)
    full.wait(resume)
    full.leave(had_place=True)
    full.leave(had_place=True)
    full.wait(lambda: called.append("idle"))
    full.became_idle(Connection(full), None)
    assert called == ["left", "idle"]


def test_idle_connections_are_bounded_and_leave_politely(clock):
    limiter = ConnectionLimiter(clock)
    limiter.limit_idle(2, 1)
    first, second, third = (Connection(limiter) for _ in range(3))
    limiter.opened(first, limiter.address("192.0.2.1"))
    limiter.became_idle(second, limiter.address("192.0.2.1"))
    assert first.ended == "left"
    limiter.became_idle(third, limiter.address("192.0.2.2"))
    assert second.ended is None
    limiter.limit_idle(1, 1)
    assert (second.ended, third.ended) == ("left", None)


def test_few_places_are_no_one_address_own(clock):
    limiter = ConnectionLimiter(clock, places=4)
    limiter.limit_idle(100, 50)
    assert (limiter.idle.most, limiter.idle.most_each) == (100, 2)


def test_reverse_proxies_and_unix_sockets_have_no_address(clock):
    limiter = ConnectionLimiter(clock)
    limiter.limit_idle(9, 9, (ip_network("10.0.0.0/8"),))
    assert limiter.address("10.1.2.3") is None
    assert limiter.address("::ffff:10.1.2.3") is None
    assert limiter.address(None) is None
    assert limiter.address("") is None
    assert limiter.address("192.0.2.1") == limiter.address("::ffff:192.0.2.1") is not None


def test_an_ipv6_customer_has_one_address(clock):
    limiter = ConnectionLimiter(clock)
    assert limiter.address("2001:db8::1") == limiter.address("2001:db8::2")
    assert limiter.address("2001:db8:0:1::1") != limiter.address("2001:db8:0:2::1")
