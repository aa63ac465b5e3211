"""The frames between workers and the process that writes their records: MessagePack, length first.

A worker says `Hello`, is told `Welcome` or `Refusal`, and sends batches from then on, each of which
is answered once its starts are committed or refused. What the writer has taken of the facts, it
tells with the next answer.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from aibridged.records.facts import Fact, InterceptionStart
from aibridged.records.jobs import Admission, BudgetExceededError, RecordingFailedError
from aibridged.records.storable import storable
from aibridged.records.truncation import MAX_ENCODED, cut_short

PROTOCOL = 1
"""Of these frames: processes of one group are of one release, but for one that replaces it."""
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A longer frame that arrives ends its connection."""
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""What a longer record is cut to, where `--aibridge-max-stored-text` allows for more."""
MAX_BATCH_TEXT = 512 * 1024
"""Characters of the texts of facts that are sent together, unless one alone has more: the event
loop encodes and copies them."""

HEADER_BYTES = 4

Result = tuple[bool, tuple[int, ...]] | None
"""What became of a start: whether it is recorded, and what was used before for each check of its
reservation; None: it couldn't be recorded."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The first frame of a worker."""

    protocol: int
    recorder_id: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="batch", gc=False):
    """Facts, and starts that come after them.

    Batches are numbered from 1 on. `is_urgent` facts are committed at once.
    """

    number: int
    starts: list[InterceptionStart]
    facts: list[Fact]
    is_urgent: bool = False


class Bye(msgspec.Struct, frozen=True, array_like=True, tag="bye"):
    """The last frame of a worker: no facts will come that could be written with what waits."""


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The writer takes batches."""

    refuses: bool


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """The writer can't take this worker's batches; the connection ends."""

    reason: str


class Settled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a batch's starts: `results` is empty if all are recorded and nothing used."""

    number: int
    results: list[Result] = []


class Answers(msgspec.Struct, frozen=True, array_like=True, tag="answers", gc=False):
    """Batches whose starts are settled, the last batch up to which all facts are kept, and whether
    starts are refused at the moment."""

    settled: list[Settled]
    taken: int
    refuses: bool


FromWorker = Hello | Batch | Bye
ToWorker = Welcome | Refusal | Answers

T = TypeVar("T", bound=InterceptionStart | Fact)

_encoder = msgspec.msgpack.Encoder()
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
_ENCODING_ERRORS = (TypeError, ValueError, OverflowError)


class UnencodableError(Exception):
    """A record has a value that no frame can carry."""


def framed(message: FromWorker | ToWorker) -> bytes | bytearray:
    """The frame of a message.

    Raises:
        UnencodableError: one of its records is to be left out; see `encodable`.
    """
    frame = bytearray(HEADER_BYTES)
    try:
        _encoder.encode_into(message, frame, HEADER_BYTES)
    except _ENCODING_ERRORS:
        raise UnencodableError from None
    if len(frame) > MAX_FRAME_BYTES:
        raise UnencodableError
    frame[:HEADER_BYTES] = (len(frame) - HEADER_BYTES).to_bytes(HEADER_BYTES, "big")
    return frame


def encodable(record: T) -> T | None:
    """The record with texts that a frame can carry, as they would be stored; None: it can't."""
    changes: dict[str, Any] = {
        name: storable(value)
        for name in record.__struct_fields__
        if isinstance(value := getattr(record, name), str)
    }
    if metadata := getattr(record, "metadata", None):
        changes["metadata"] = {
            storable(key): storable(value) if isinstance(value, str) else value
            for key, value in metadata.items()
        }
    if isinstance(record, InterceptionStart):
        changes["tool_result_ids"] = tuple(map(storable, record.tool_result_ids))
    changed = msgspec.structs.replace(record, **changes)
    try:
        length = len(_encoder.encode(changed))
    except _ENCODING_ERRORS:
        return None
    if length > MAX_RECORD_BYTES and not isinstance(changed, InterceptionStart):
        changed, _ = cut_short(changed, MAX_RECORD_BYTES // MAX_ENCODED)
    return changed


def result_of(outcome: Admission | RecordingFailedError) -> Result:
    """How a frame says what became of a start."""
    if isinstance(outcome, RecordingFailedError):
        return None
    if isinstance(outcome, BudgetExceededError):
        return False, outcome.used
    return True, outcome


def results_of(outcomes: Sequence[Admission | RecordingFailedError]) -> list[Result]:
    """The same for the starts of a batch."""
    if not any(outcomes):  # errors are true
        return []
    return [result_of(each) for each in outcomes]
