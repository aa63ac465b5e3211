"""Frames carry every record unchanged, or say that they can't."""

import msgspec
import pytest

from aibridged.core.budgets import Check
from aibridged.records import remote_frames
from aibridged.records.facts import Reservation
from aibridged.records.jobs import BudgetExceededError, RecordingFailedError
from aibridged.records.remote_frames import (
    HEADER_BYTES,
    Answers,
    Batch,
    Bye,
    Hello,
    Settled,
    UnencodableError,
    decode_from_worker,
    decode_to_worker,
    encodable,
    framed,
    results_of,
)


def test_a_batch_arrives_as_it_was(new_start, new_facts, clock):
    check = Check("user:ann", clock.wall().date(), 5)
    start = new_start(
        metadata={"a": 1, "b": None, "c": 0.5},
        tool_result_ids=("x", "y"),
        reservation=Reservation(amount=2**40, checks=(check,), charged_to=("group:1",)),
    )
    batch = Batch(7, [start], new_facts(start.id), True)
    frame = framed(batch)
    assert int.from_bytes(frame[:HEADER_BYTES], "big") == len(frame) - HEADER_BYTES
    assert decode_from_worker(memoryview(frame)[HEADER_BYTES:]) == batch


@pytest.mark.parametrize("message", [Hello(1, 2**63 - 1), Bye()])
def test_other_messages_of_workers(message):
    assert decode_from_worker(framed(message)[HEADER_BYTES:]) == message


def test_what_became_of_starts(new_start):
    outcomes = [(), (5, 6), BudgetExceededError((7,)), RecordingFailedError()]
    answers = Answers([Settled(1, results_of(outcomes)), Settled(2, results_of([(), ()]))], 9, True)
    told = decode_to_worker(framed(answers)[HEADER_BYTES:])
    assert told.settled[0].results == [(True, ()), (True, (5, 6)), (False, (7,)), None]
    assert told.settled[1].results == []
    assert (told.taken, told.refuses) == (9, True)


def test_what_is_no_unicode_is_replaced(new_start):
    start = new_start(model="\ud800", metadata={"k\ud800": "v\udfff", "n": 1})
    with pytest.raises(UnencodableError):
        framed(Batch(1, [start], []))
    mended = encodable(start)
    assert (mended.model, mended.metadata) == ("?", {"k?": "v?", "n": 1})
    framed(Batch(1, [mended], []))


def test_what_no_frame_can_carry_is_left_out(new_facts):
    _, usage, *_ = new_facts("1")
    assert encodable(msgspec.structs.replace(usage, input_tokens=2**70)) is None


def test_a_record_beyond_a_frame_is_cut(new_facts, monkeypatch):
    monkeypatch.setattr(remote_frames, "MAX_FRAME_BYTES", 10_000)
    monkeypatch.setattr(remote_frames, "MAX_RECORD_BYTES", 4_000)
    prompt, usage, *_ = new_facts("1")
    long = msgspec.structs.replace(prompt, prompt="x" * 20_000)
    with pytest.raises(UnencodableError):
        framed(Batch(1, [], [usage, long]))
    cut = encodable(long)
    assert (len(cut.prompt), cut.metadata) == (1_000, {"cut": True})
    framed(Batch(1, [], [encodable(usage), cut]))
