"""What a partition can overshoot: the bounds that docs/replicas.md states."""

import pytest

from aibridged.limits.redis_limits import Person, Wanted, digest, share_of
from aibridged.limits.redis_script import PREFIX, Code
from aibridged.tasks import Tasks
from tests.waiting import until

SLOT = Wanted(slot=True)
CALLER = bytes.fromhex(digest("token"))


@pytest.fixture
def cut_off(redis_server, monkeypatch):
    """Cuts a replica off from Redis, for which its lease is over then."""

    async def cut_off(replica):
        async def nowhere():
            raise ConnectionRefusedError("nowhere")

        monkeypatch.setattr(replica.lane._server, "connect", nowhere)
        await replica.die()
        replica.tasks.append(Tasks().start(replica.lane.run(), "lane"))
        await until(lambda: not replica.lane.is_up)
        redis_server.client.hdel(f"{PREFIX}replicas", replica.lane.replica)

    return cut_off


async def admitted(replica, wanted=SLOT):
    """How many requests that stay a replica admits until it refuses one."""
    count = 0
    while await replica.limits.admit(wanted, replica.rates) is Code.ADMITTED:
        count += 1
    return count


@pytest.mark.parametrize(("limit", "replicas"), [(9, 3), (2, 3), (7, 2)])
async def test_slots_are_at_most_the_limit_and_what_is_cut_off_has(
    patient, join, cut_off, limit, replicas
):
    lost, *others = [await join(replicas=replicas, slots=limit) for _ in range(replicas)]
    share = share_of(limit, replicas)
    ran = await admitted(lost)
    assert ran == limit
    await cut_off(lost)
    assert await admitted(lost) == 0
    assert sum([await admitted(each) for each in others]) == limit
    assert lost.slots.in_use + sum(each.slots.in_use for each in others) == limit + max(share, ran)
    for _ in range(ran):
        lost.limits.release_slot()
    assert await admitted(lost) == share


async def test_rates_and_persons_have_the_shares_of_those_cut_off_more(patient, join, cut_off):
    rate, replicas = 9, 3
    lost, other, _ = [await join(replicas=replicas, rate=rate) for _ in range(replicas)]
    await cut_off(lost)
    wanted = Wanted(caller=CALLER, rate=rate)
    assert rate <= await admitted(other, wanted) <= rate + 2  # what drains meanwhile
    assert share_of(rate, replicas) <= await admitted(lost, wanted) <= share_of(rate, replicas) + 2
    wide = Wanted(person=Person("ada", 0, 6))
    assert (await admitted(other, wide), await admitted(lost, wide)) == (6, 2)


async def test_what_was_cut_off_is_counted_again(patient, join, cut_off, monkeypatch):
    lost, other = [await join(replicas=2, slots=4) for _ in range(2)]
    await cut_off(lost)
    assert (await admitted(lost), await admitted(other)) == (2, 4)
    monkeypatch.undo()
    await until(lambda: lost.lane.is_up)
    for _ in range(2):
        other.limits.release_slot()
    assert (await admitted(other), await admitted(lost)) == (0, 0)  # 2 and 2 run
