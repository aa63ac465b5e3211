"""Two workers with a Redis: each has a link to it, and without it their share is that of one."""

import asyncio

from aibridged.limits.redis_script import PREFIX
from tests.e2e.workers.test_limits import started
from tests.waiting import until


async def test_without_redis_the_workers_of_a_replica_have_one_share(
    start_group, fake, redis_server
):
    group = await start_group(
        "--aibridge-max-concurrency=9",
        "--aibridge-replicas=3",
        CODER_AIBRIDGE_REDIS_URL=redis_server.url,
    )
    await until(lambda: redis_server.client.hlen(f"{PREFIX}replicas") == 2, 30)
    assert await group.ask() == (200, True)
    redis_server.kill()
    await group.until("Redis is away", 2)
    gate, running = await started(group, fake, 12, 3)
    gate.set()
    assert await asyncio.gather(*running) == [(200, True)] * 3
