"""What a worker has still to send, in its order and in bounded batches."""

import msgspec

from aibridged.records.remote_frames import MAX_BATCH_TEXT
from aibridged.records.remote_outbox import FACTS_AT_ONCE, Outbox
from aibridged.records.truncation import Truncator
from tests.waiting import until


async def test_batches_are_bounded_by_facts_and_by_texts(new_facts):
    outbox = Outbox(Truncator(2**30), lambda: None)
    assert not outbox
    prompt, usage, *_ = new_facts("1")
    long = msgspec.structs.replace(prompt, prompt="x" * (MAX_BATCH_TEXT - 1))
    outbox.put([usage] * (FACTS_AT_ONCE + 1))
    outbox.put([long, long, usage])
    assert [len(outbox.take()) for _ in range(3)] == [FACTS_AT_ONCE, 2, 2]
    assert not outbox


async def test_long_texts_are_truncated_aside_and_keep_their_place(new_facts):
    truncator, ready = Truncator(100), []
    outbox = Outbox(truncator, lambda: ready.append(True))
    prompt, usage, *_ = new_facts("1")
    outbox.put([usage, msgspec.structs.replace(prompt, prompt="ä" * 1000), usage])
    assert outbox.take() is None
    outbox.put([usage])
    assert outbox.take() is None
    assert outbox
    await until(lambda: ready)
    first, cut, last = outbox.take()
    assert (first, last) == (usage, usage)
    assert cut.prompt == "ä" * 50
    assert outbox.take() == [usage]
    truncator.close()


async def test_a_new_connection_begins_with_all_that_is_not_kept(new_facts):
    truncator = Truncator(10)
    outbox = Outbox(truncator, lambda: None)
    prompt, usage, *_ = new_facts("1")
    outbox.put([msgspec.structs.replace(prompt, prompt="x" * 1000)])
    assert outbox.take() is None
    outbox.reset([usage])
    assert outbox.take() == [usage]
    assert not outbox
    truncator.close()
