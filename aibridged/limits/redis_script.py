"""What Redis is asked, and the batches that go to its script: one round trip for all that waits.

Everything is decided in Redis by its own clock, and each batch states what its sender holds: counts
are absolute, so that nothing drifts when a batch or its answer is lost. A batch that arrives after
a later one of its sender is ignored.

Keys, all of which expire (`{digest}` is of a token, an address, a person or a circuit):

- `aibridged:1:replicas`: per replica its lease, the number of its last batch, and its slots in use
- `aibridged:1:rate:{digest}`, `aibridged:1:person-rate:{digest}`: when a bucket is empty, as in
  `core.rate_limit`
- `aibridged:1:person:{digest}`: per replica the places that a person has there
- `aibridged:1:guesses:{digest}`, `aibridged:1:failures:{digest}`: counts
- `aibridged:1:circuits`: those that are open
- `aibridged:1:since`: since when this Redis has been asked
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec

PREFIX = "aibridged:1:"
CHANNEL = f"{PREFIX}news"

LEASE_S = 5.0
"""How long a replica that has died or lost Redis keeps its slots."""
GRACE_S = 3.0
"""How long after an empty start of Redis each replica has only its share: until all have told what
they hold."""
MAX_CIRCUITS = 1000


class Code(IntEnum):
    """The answer to an `Ask`: `PERSON_…` are admitted, but for the person's own limits."""

    ADMITTED = 0
    NO_SLOT = 1
    TOO_FAST = 2
    PERSON_TOO_FAST = 3
    PERSON_HAS_NO_PLACE = 4


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="a", gc=False):
    """Asks for a slot, and for one request of a caller and of a person.

    What is 0 or empty isn't asked for; keys are digests in hex, as Redis reads no binary ones.
    """

    slot: int = 0
    caller: str = ""
    rate: int = 0
    person: str = ""
    person_rate: int = 0
    person_most: int = 0


class TakeGuess(msgspec.Struct, frozen=True, array_like=True, tag="g", gc=False):
    """Counts a guess; answered by 1 if there have been too many."""

    key: str
    most: int
    period_ms: int


class GiveBackGuess(msgspec.Struct, frozen=True, array_like=True, tag="b", gc=False):
    """Forgets a guess that was right."""

    key: str


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="f", gc=False):
    """Counts a failure of a closed circuit; answered by 1 if it opens for that."""

    key: str
    circuit: str
    threshold: int
    interval_ms: int
    timeout_ms: int


class Success(msgspec.Struct, frozen=True, array_like=True, tag="s", gc=False):
    """Clears the count of failures."""

    key: str


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """Tells all replicas of a circuit that has opened."""

    key: str
    circuit: str
    timeout_ms: int


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="c", gc=False):
    """Tells all replicas of a circuit that has closed."""

    key: str
    circuit: str


class OpenCircuits(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """Asks for the circuits that are open: pairs of the circuit and the milliseconds left."""


class Tell(msgspec.Struct, frozen=True, array_like=True, tag="p", gc=False):
    """Tells all replicas of something."""

    kind: str
    body: str


class Leave(msgspec.Struct, frozen=True, array_like=True, tag="x", gc=False):
    """Gives back all slots of a replica that ends."""


Operation = (
    Ask
    | TakeGuess
    | GiveBackGuess
    | Failure
    | Success
    | Opened
    | Closed
    | OpenCircuits
    | Tell
    | Leave
)


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Operations of one replica, in order, with what it holds besides.

    `number` grows with each batch. `replicas` are all processes that send some. `limit` is of
    slots, of which `held` are in use; `people` are the places of those persons for whom they have
    changed, or who are asked for.
    """

    replica: str
    number: int
    replicas: int
    limit: int
    held: int
    people: Sequence[tuple[str, int]]
    operations: Sequence[Operation]


class News(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message on the channel: what kind of news `sender` has; `left_ms` is of open circuits."""

    sender: str
    kind: str
    left_ms: int
    body: str


CHANGED, SPEND_LIMITS = "changed", "limits"
"""Kinds of news that commands tell, too: of users and tokens, and of spend limits."""


class BadAnswerError(Exception):
    """Redis has answered something that the script doesn't."""


_CROWDED, _ROOMY = 1, 2
_LAST_CODE = max(Code)

_encode = msgspec.msgpack.Encoder().encode
_decode_answer = msgspec.msgpack.Decoder(tuple[int, list[int | list[tuple[str, int]]], int]).decode
_decode_news = msgspec.msgpack.Decoder(News).decode

MAX_NEWS_BYTES = 65_536


def encode_news(kind: str) -> bytes:
    """A message of a command: something of this kind has changed."""
    return _encode(News("", kind, 0, ""))


def encode(batch: Batch) -> bytes:
    """The script's argument."""
    return _encode(batch)


def decode(
    answer: Any, operations: Sequence[Operation]
) -> tuple[bool, list[int | list[tuple[str, int]]], int]:
    """Whether at most half of the slots are in use, the answers to these operations, and how many
    processes share the limits at present.

    Each answer is one that the script gives to its operation.

    Raises:
        BadAnswerError: these aren't.
    """
    try:
        state, answers, seen = _decode_answer(answer)
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError):
        raise BadAnswerError("Redis's answer is not the script's") from None
    if state not in (_CROWDED, _ROOMY) or len(answers) != len(operations):
        raise BadAnswerError(f"Redis has {len(answers)} answers to {len(operations)} questions")
    if not all(map(_answers, operations, answers)):
        raise BadAnswerError("Redis has an answer that isn't to what it was asked")
    return state == _ROOMY, answers, seen


def _answers(operation: Operation, answer: int | list[tuple[str, int]]) -> bool:
    if isinstance(answer, list):
        return isinstance(operation, OpenCircuits) and len(answer) <= MAX_CIRCUITS
    if isinstance(operation, OpenCircuits):
        return False
    return 0 <= answer <= (_LAST_CODE if isinstance(operation, Ask) else 1)


def decode_news(message: Any) -> News | None:
    """A message; None: it isn't one of ours."""
    if not isinstance(message, bytes) or len(message) > MAX_NEWS_BYTES:
        return None
    try:
        return _decode_news(message)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
