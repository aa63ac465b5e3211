"""Limits that replicas share by a real Redis, in this process: exactness, and who holds what."""

import asyncio
import random

import pytest

from aibridged.clock import SystemClock
from aibridged.limits.redis_lane import BEAT_S
from aibridged.limits.redis_limits import Person, Wanted, digest, share_of
from aibridged.limits.redis_script import LEASE_S, PREFIX, Code
from aibridged.tasks import Tasks
from tests.waiting import until

TOKEN = "gateway-token-of-someone"
CALLER = bytes.fromhex(digest(TOKEN))
SLOT = Wanted(slot=True)
now = SystemClock().monotonic


async def held(replica, wanted=SLOT) -> Code:
    """What a replica says to a request that stays."""
    return await replica.limits.admit(wanted, replica.rates)


@pytest.mark.parametrize("limit", [1, 7, 20])
async def test_slots_are_never_more_than_the_limit_and_all_are_used(patient, join, limit):
    replicas = [await join(slots=limit) for _ in range(3)]
    running, most, admitted = 0, 0, 0
    chance = random.Random(limit)

    async def client(replica):
        nonlocal running, most, admitted
        for _ in range(40):
            if await held(replica) is Code.ADMITTED:
                running += 1
                most, admitted = max(most, running), admitted + 1
                await asyncio.sleep(chance.random() * 0.004)
                running -= 1
                replica.limits.release_slot()
            else:
                await asyncio.sleep(0.001)

    await asyncio.gather(*(client(each) for each in replicas for _ in range(16)))
    assert most == limit
    assert admitted > 2 * limit
    assert [each.slots.in_use for each in replicas] == [0, 0, 0]


@pytest.mark.parametrize("rate", [3, 50])
async def test_a_caller_has_one_rate_in_all_replicas(patient, join, rate):
    replicas = [await join(rate=rate) for _ in range(3)]
    wanted = Wanted(caller=CALLER, rate=rate)
    times: list[float] = []
    began = now()

    async def client(replica):
        while now() - began < 1.2:
            asked = now()
            if await held(replica, wanted) is Code.ADMITTED:
                times.append(asked)  # at the earliest
            await asyncio.sleep(0.002)

    await asyncio.gather(*(client(each) for each in replicas for _ in range(2)))
    took = now() - began
    assert len(times) <= rate * (1 + took)
    assert len(times) >= rate * (1 + 1.1) - 2
    times.sort()
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            # The last one was decided within the deadline.
            assert last - first + 1 <= rate * (1 + times[last] - start + 0.05) + 1e-6
    assert all(each.rates.refused_within(60) == 1 for each in replicas)


async def test_a_person_has_one_rate_and_so_many_places_in_all_replicas(patient, join):
    one, other = [await join(replicas=2) for _ in range(2)]
    fast, wide = Wanted(person=Person("ada", 3, 0)), Wanted(person=Person("ada", 0, 3))
    said = [await held(replica, fast) for replica in (one, other) * 3]
    assert said.count(Code.ADMITTED) == 3
    assert said.count(Code.PERSON_TOO_FAST) == 3
    said = [await held(replica, wide) for replica in (one, other, one, other, one)]
    assert said == [Code.ADMITTED] * 3 + [Code.PERSON_HAS_NO_PLACE] * 2
    assert await held(other, Wanted(person=Person("bob", 0, 1))) is Code.ADMITTED
    one.limits.release_place("ada")

    async def has_room():
        return await held(other, wide) is Code.ADMITTED

    async with asyncio.timeout(2):
        while not await has_room():
            pass
    assert await held(one, wide) is Code.PERSON_HAS_NO_PLACE


async def test_what_a_request_is_refused_takes_nothing_else(patient, join):
    replica = await join(slots=2)
    person = Person("ada", 1, 0)
    whole = Wanted(slot=True, caller=CALLER, rate=1, person=person)
    assert await held(replica, whole) is Code.ADMITTED
    assert await held(replica, whole) is Code.TOO_FAST
    assert replica.slots.in_use == 1
    other = Wanted(slot=True, caller=b"other", rate=5, person=person)
    assert await held(replica, other) is Code.PERSON_TOO_FAST  # it is admitted, but for the person
    assert replica.slots.in_use == 2
    assert await held(replica, Wanted(slot=True, caller=b"third", rate=1)) is Code.NO_SLOT
    replica.limits.release_slot()
    await until(lambda: replica.limits.holdings([], all=False).held == 1)
    # Its rate was not counted.
    assert await held(replica, Wanted(slot=True, caller=b"third", rate=1)) is Code.ADMITTED


async def test_a_dead_replica_gives_its_slots_back_after_the_lease(patient, join, redis_server):
    dying, living = await join(slots=2), await join(slots=2)
    assert [await held(dying), await held(dying)] == [Code.ADMITTED] * 2
    await dying.die()
    assert await held(living) is Code.NO_SLOT
    key, name = f"{PREFIX}replicas", dying.lane.replica
    ends, number, count = map(int, redis_server.client.hget(key, name).split())
    seconds, micros = redis_server.client.time()
    assert 0 < ends - (seconds * 1000 + micros / 1000) <= LEASE_S * 1000
    assert count == 2
    redis_server.client.hset(key, name, f"{ends - int(LEASE_S * 1000)} {number} {count}")
    assert await held(living) is Code.ADMITTED
    assert not redis_server.client.hexists(key, name)


async def test_a_replica_that_leaves_gives_its_slots_back_at_once(patient, join):
    leaving, living = await join(slots=1), await join(slots=1)
    assert await held(leaving) is Code.ADMITTED
    assert await held(living) is Code.NO_SLOT
    await leaving.lane.leave()
    assert await held(living) is Code.ADMITTED


async def test_the_places_of_a_dead_replica_are_free(patient, join, redis_server):
    dying, living = await join(), await join()
    wanted = Wanted(person=Person("ada", 0, 1))
    assert await held(dying, wanted) is Code.ADMITTED
    await dying.die()
    assert await held(living, wanted) is Code.PERSON_HAS_NO_PLACE
    redis_server.client.hdel(f"{PREFIX}replicas", dying.lane.replica)  # as after its lease
    assert await held(living, wanted) is Code.ADMITTED


async def test_what_a_request_was_granted_after_it_has_ended_is_free(patient, join):
    replica = await join(slots=1)
    asking = Tasks().start(held(replica), "a request")
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert replica.slots.in_use == 0

    async def is_free():
        if await held(replica) is Code.ADMITTED:
            replica.limits.release_slot()
            return True
        return False

    async with asyncio.timeout(2):
        while not await is_free():
            pass
    # One that ends in the very moment between its answer and its next step.
    ask = replica.lane.ask

    def cancelling(operation):
        answered = ask(operation)
        answered.add_done_callback(lambda _: asking.cancel())
        return answered

    replica.lane.ask = cancelling
    asking = Tasks().start(held(replica), "a request")
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    assert replica.limits.holdings([], all=False).held == replica.slots.in_use == 0


async def test_a_batch_that_arrives_late_is_ignored(patient, join, redis_server):
    replica = await join(slots=1)
    assert await held(replica) is Code.ADMITTED
    assert await held(replica) is Code.NO_SLOT
    numbers = [replica.lane._number, 1]
    for number in numbers:  # as one that was in the socket of a frozen server
        replica.lane._number = number - 1
        replica.limits._held = 0
        assert replica.lane.is_up
        outages = replica.lane.outages
        asked = replica.lane.ask
        assert asked is not None
        replica.lane.report()
        await until(lambda before=outages: replica.lane.outages > before)
        replica.limits._held = 1
        replica.lane._number = 1000
        await until(lambda: replica.lane.is_up)
    kept = redis_server.client.hget(f"{PREFIX}replicas", replica.lane.replica)
    assert kept.split()[2] == b"1"


async def test_keys_expire_and_name_no_one(patient, join, redis_server):
    replica = await join(slots=2)
    wanted = Wanted(slot=True, caller=CALLER, rate=5, person=Person("ada@example.com", 5, 5))
    assert await held(replica, wanted) is Code.ADMITTED
    keys = redis_server.client.keys()
    assert len(keys) == 5
    for key in keys:
        assert key.startswith(PREFIX.encode())
        assert 0 < redis_server.client.pttl(key) <= 86_400_000
        assert b"ada" not in key
        assert TOKEN.encode() not in key
    await until(lambda: not redis_server.client.keys(f"{PREFIX}rate:*"), 2)


async def test_after_an_empty_start_of_redis_each_has_its_share(patient, join, redis_server):
    one, other = [await join(replicas=2, slots=4) for _ in range(2)]
    assert [await held(one) for _ in range(4)] == [Code.ADMITTED] * 4
    # The first one goes on with its four, and has told nobody yet.
    await one.die()
    redis_server.kill()
    await until(lambda: not other.lane.is_up)
    redis_server.start(aged=False)
    await until(lambda: other.lane.is_up)
    said = [await held(other) for _ in range(3)]
    assert said == [Code.ADMITTED] * 2 + [Code.NO_SLOT]
    redis_server.client.set(f"{PREFIX}since", 1)
    assert await held(other) is Code.ADMITTED


class TestWithoutRedis:
    """Each goes on with its share, and what it has admitted before counts against that."""

    async def test_no_request_waits_longer_than_the_deadline(self, join, redis_server):
        replica = await join(slots=100)
        slowest = 0.0

        async def client():
            nonlocal slowest
            for _ in range(20):
                began = now()
                code = await held(replica)
                slowest = max(slowest, now() - began)
                if code is Code.ADMITTED:
                    replica.limits.release_slot()
                await asyncio.sleep(0.005)

        with redis_server.frozen():
            await asyncio.gather(*(client() for _ in range(10)))
            assert not replica.lane.is_up
            assert "in time" in replica.lane.reason
            assert replica.limits.local >= 190
        assert slowest < 0.05 + 0.1  # the machine's own hesitation
        await until(lambda: replica.lane.is_up)
        assert replica.slots.in_use == 0

    async def test_the_share_holds_and_what_runs_counts(self, join, redis_server):
        one, other = [await join(replicas=2, slots=10, rate=6) for _ in range(2)]
        assert [await held(one) for _ in range(4)] == [Code.ADMITTED] * 4
        assert [await held(other) for _ in range(6)] == [Code.ADMITTED] * 6
        redis_server.kill()
        await until(lambda: not one.lane.is_up and not other.lane.is_up)
        assert [await held(one), await held(one)] == [Code.ADMITTED, Code.NO_SLOT]
        assert await held(other) is Code.NO_SLOT
        other.limits.release_slot()
        assert await held(other) is Code.NO_SLOT  # 5 run already
        other.limits.release_slot()
        assert await held(other) is Code.ADMITTED
        wanted = Wanted(caller=CALLER, rate=6)
        said = [await held(replica, wanted) for replica in (one, other) for _ in range(4)]
        assert said == ([Code.ADMITTED] * 3 + [Code.TOO_FAST]) * 2
        wide = Wanted(person=Person("ada", 2, 3))
        said = [await held(one, wide) for _ in range(3)]
        assert said == [Code.ADMITTED, Code.PERSON_TOO_FAST, Code.PERSON_TOO_FAST]
        wide = Wanted(person=Person("ada", 0, 3))
        assert await held(one, wide) is Code.PERSON_HAS_NO_PLACE  # 3 // 2
        redis_server.start()
        await until(lambda: one.lane.is_up and other.lane.is_up)
        # All that runs is told again.
        assert await held(one) is Code.NO_SLOT
        assert await held(other, Wanted(person=Person("ada", 0, 1))) is Code.PERSON_HAS_NO_PLACE

    async def test_it_goes_on_from_the_start_where_there_is_none(self, join):
        replica = await join(slots=3, url="unix:///nowhere/redis.sock")
        assert [await held(replica), await held(replica)] == [Code.ADMITTED, Code.NO_SLOT]
        await until(lambda: "nowhere" in replica.lane.reason)

    async def test_what_is_held_is_told_again_while_nothing_is_asked(self, join, redis_server):
        replica = await join(slots=1)
        assert await held(replica) is Code.ADMITTED
        assert await held(replica, Wanted(person=Person("ada", 0, 1))) is Code.ADMITTED
        redis_server.client.flushdb()

        def is_told_again():
            kept = redis_server.client.hget(f"{PREFIX}replicas", replica.lane.replica)
            places = redis_server.client.hgetall(f"{PREFIX}person:{digest('ada')}")
            return kept is not None and kept.split()[2] == b"1" and [*places.values()] == [b"1"]

        await until(is_told_again, 3 * BEAT_S)


@pytest.mark.parametrize(
    ("limit", "replicas", "share"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (10, 3, 3), (10, 1, 10)]
)
def test_a_share_is_at_least_one_and_0_is_unlimited(limit, replicas, share):
    assert share_of(limit, replicas) == share


async def test_each_replica_knows_how_many_there_are(patient, join):
    one, other = await join(), await join()
    await until(lambda: (one.lane.seen, other.lane.seen) == (2, 2))
    await other.lane.leave()
    await other.die()
    await until(lambda: one.lane.seen == 1)
