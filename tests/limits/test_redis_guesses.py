"""Guesses that are counted over all replicas, by a real Redis."""

import asyncio

from aibridged.core.guesses import Guesses
from aibridged.limits.redis_guesses import RedisGuesses
from aibridged.limits.redis_limits import share_of
from aibridged.limits.redis_script import PREFIX
from tests.waiting import until

NETWORK = b"192.0.2.0/24"


async def guessing(join, clock, name="code", most=6):
    replica = await join(replicas=2)
    share = Guesses(share_of(most, 2), 300.0, clock)
    return RedisGuesses(share, most, name, replica.lane), replica


async def test_all_replicas_count_together(patient, join, clock, redis_server):
    (one, _), (other, _) = [await guessing(join, clock) for _ in range(2)]
    assert [await each.taken(NETWORK) for each in (one, other) * 4] == [True] * 6 + [False] * 2
    assert await one.taken(b"198.51.100.0/24")
    elsewhere, _ = await guessing(join, clock, "token")
    assert await elsewhere.taken(NETWORK)
    one.give_back(NETWORK)
    await asyncio.sleep(0.02)  # what is given back isn't waited for
    assert await other.taken(NETWORK)
    assert not await one.taken(NETWORK)
    for key in redis_server.client.keys(f"{PREFIX}guesses:*"):
        assert 0 < redis_server.client.pttl(key) <= 300_000
        assert b"192" not in key


async def test_without_redis_each_has_its_share(patient, join, clock, redis_server):
    guesses, replica = await guessing(join, clock)
    assert (guesses.period_s, len(guesses)) == (300.0, 0)
    redis_server.kill()
    await until(lambda: not replica.lane.is_up)
    assert [await guesses.taken(NETWORK) for _ in range(4)] == [True] * 3 + [False]
    guesses.give_back(NETWORK)
    assert await guesses.taken(NETWORK)
