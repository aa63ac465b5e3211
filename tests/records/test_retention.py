"""Old interceptions go, again and again, whether or not the database is there each time."""

import asyncio
from datetime import timedelta

from aibridged.records import schema
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.retention import keep_pruning, prune


class Pruner:
    """Stands in for a recorder: notes what is asked, and fails the first time."""

    def __init__(self):
        self.asked = []

    async def prune(self, before):
        self.asked.append(before)
        if len(self.asked) == 1:
            raise RecordingFailedError
        if len(self.asked) == 3:
            raise asyncio.CancelledError
        return 2


async def test_pruning_goes_on_though_it_fails_once(clock):
    pruner = Pruner()
    try:
        await keep_pruning(pruner, clock, timedelta(days=60), interval=0)
    except asyncio.CancelledError:
        assert pruner.asked == [clock.wall() - timedelta(days=60)] * 3


async def test_the_recorder_prunes_what_is_too_old(
    database, make_recorder, new_start, new_facts, clock
):
    recorder = await make_recorder(database)
    old = new_start()
    await recorder.start(old)
    recorder.record(*new_facts(old.id))
    clock.advance(3600)
    await recorder.start(young := new_start())
    await recorder.close()
    recorder = await make_recorder(database)
    pruning = asyncio.ensure_future(  # noqa: TID251
        keep_pruning(recorder, clock, timedelta(minutes=30), interval=3600)
    )
    async with asyncio.timeout(10):
        while len(database.rows(schema.interceptions)) > 1:  # noqa: ASYNC110 - by the writer
            await asyncio.sleep(0.005)
    pruning.cancel()
    await recorder.close()
    assert database.row(schema.interceptions)["id"] == young.id


def test_the_command_line_prunes_at_once(database, store, new_start, new_facts, clock):
    old = [new_start() for _ in range(120)]
    store.write(old, [])
    store.write([], [new_facts(start.id)[-1] for start in old[:-1]])
    clock.advance(1)
    assert prune(database.engine, clock.wall()) == 119
    assert database.row(schema.interceptions)["id"] == old[-1].id, "it is still open"
