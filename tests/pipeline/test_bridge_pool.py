import asyncio

import pytest

from aibridged.pipeline.bridge_pool import BridgeKey, BridgePool, keep_expiring

ANN, BOB = BridgeKey("ann", "k1"), BridgeKey("bob", None)


class Bridge:
    def __init__(self, key):
        self.key = key
        self.closed = 0


def close(bridge):
    bridge.closed += 1


@pytest.fixture
def pool(clock):
    return BridgePool(Bridge, close, clock, ttl=900, max_items=2)


def test_one_bridge_a_caller_and_key(pool):
    first = pool.acquire(ANN)
    assert pool.acquire(ANN).bridge is first.bridge
    assert pool.acquire(BridgeKey("ann", "k2")).bridge is not first.bridge
    assert (pool.stats.hits, pool.stats.misses, pool.stats.additions) == (1, 2, 2)


def test_it_lives_for_a_fixed_time_from_its_making(pool, clock):
    bridge = pool.acquire(ANN).bridge
    clock.advance(899)
    assert pool.acquire(ANN).bridge is bridge  # which doesn't prolong it
    clock.advance(1)
    assert pool.acquire(ANN).bridge is not bridge
    assert pool.stats.evictions == 1


def test_an_expired_bridge_closes_after_its_last_request(pool, clock):
    one, two = pool.acquire(ANN), pool.acquire(ANN)
    clock.advance(1000)
    pool.acquire(ANN).release()
    one.release()
    assert one.bridge.closed == 0
    two.release()
    assert one.bridge.closed == 1


def test_an_evicted_bridge_closes_after_its_last_request(clock):
    pool = BridgePool(Bridge, close, clock, ttl=900, max_items=1)
    seen = []
    for _ in range(50):  # two callers take turns, each throwing the other out
        for key in (ANN, BOB):
            lease = pool.acquire(key)
            assert lease.bridge.closed == 0
            seen.append(lease)
    assert len(pool) == 1
    assert pool.stats.evictions == 99
    for lease in seen:
        lease.release()
    assert [lease.bridge.closed for lease in seen] == [1] * 99 + [0]


def test_an_idle_bridge_closes_when_it_is_evicted(pool):
    lease = pool.acquire(ANN)
    lease.release()
    assert lease.bridge.closed == 0
    pool.acquire(BOB)
    pool.acquire(BridgeKey("eve", None))
    assert lease.bridge.closed == 1


def test_closing_the_pool_closes_what_is_idle_and_later_what_is_in_use(pool):
    idle, used = pool.acquire(ANN), pool.acquire(BOB)
    idle.release()
    pool.close()
    assert (idle.bridge.closed, used.bridge.closed, len(pool)) == (1, 0, 0)
    used.release()
    assert used.bridge.closed == 1


def test_nothing_is_closed_twice_over_a_thousand_bridges(clock):
    pool = BridgePool(Bridge, close, clock, ttl=10, max_items=7)
    bridges = set()
    for number in range(1000):
        lease = pool.acquire(BridgeKey(str(number), None))
        bridges.add(lease.bridge)
        lease.release()
        clock.advance(1)
    pool.close()
    assert {bridge.closed for bridge in bridges} == {1}
    assert pool.stats.additions == pool.stats.evictions == 1000


def test_a_pool_that_is_limited_anew_lives_by_its_new_numbers(pool, clock):
    used, idle = pool.acquire(ANN), pool.acquire(BOB)
    idle.release()
    pool.limit(ttl=10, max_items=1)
    pool.limit(ttl=10, max_items=1)
    assert (idle.bridge.closed, used.bridge.closed, len(pool)) == (1, 0, 0)
    used.release()
    assert used.bridge.closed == 1
    bridge = pool.acquire(ANN).bridge
    assert bridge is not used.bridge
    clock.advance(9)
    assert pool.acquire(ANN).bridge is bridge
    clock.advance(1)
    assert pool.acquire(ANN).bridge is not bridge
    pool.acquire(BOB)
    assert len(pool) == 1
    assert pool.stats.additions == 5


async def test_what_has_expired_closes_though_nobody_comes(pool, clock):
    bridge = pool.acquire(ANN).bridge
    idle = pool.acquire(BOB)
    idle.release()
    expiring = asyncio.ensure_future(keep_expiring(pool, interval=0))  # noqa: TID251
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert idle.bridge.closed == 0
    clock.advance(900)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    expiring.cancel()
    assert idle.bridge.closed == 1
    assert bridge.closed == 0, "a request still runs"
    assert len(pool) == 0
