"""Limits of a daemon of two workers: as those of one, whichever worker a request goes to."""

import asyncio
import os
import signal

from aibridged.fake_provider import Script

SLOTS, THRESHOLD = 4, 6


async def started(group, fake, count, admitted):
    """Start so many requests, of which so many are admitted and wait; a gate lets them end."""
    gate, before = asyncio.Event(), fake.seen
    fake.play(Script(before_write={3: gate}, times=admitted))
    loop = asyncio.get_running_loop()
    waiting = {loop.create_task(group.ask()) for _ in range(count)}
    await fake.received(before + admitted)
    while len(waiting) > admitted:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {(503, False)}
    assert fake.seen == before + admitted
    return gate, list(waiting)


async def test_workers_share_the_limits_and_a_killed_one_gives_back_what_it_held(start_group, fake):
    group = await start_group(
        f"--aibridge-max-concurrency={SLOTS}",
        "--aibridge-circuit-breaker-enabled=true",
        f"--aibridge-circuit-breaker-failure-threshold={THRESHOLD}",
        "--aibridge-circuit-breaker-interval=0",
    )
    gate, running = await started(group, fake, 12, SLOTS)
    os.kill(group.workers[0], signal.SIGKILL)
    await group.until("serves again")
    lost = [task.result() for task in running if task.done()]
    assert lost == [None] * len(lost)
    again, more = await started(group, fake, 8, len(lost)) if lost else (gate, [])
    gate.set()
    again.set()
    left = [task for task in running if not task.done()] + more
    assert await asyncio.gather(*left) == [(200, True)] * SLOTS

    before = fake.seen
    fake.play(Script(status=529, times=20))
    statuses = [(await group.ask())[0] for _ in range(20)]
    assert statuses == [529] * THRESHOLD + [503] * (20 - THRESHOLD)
    assert fake.seen == before + THRESHOLD
    assert len(group.said("Circuit breaker: closed -> open")) == 1, "its opening is told once"
