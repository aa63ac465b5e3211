"""Makes and writes the fingerprints of prompts beside the requests, in a thread.

The thread is there while there is something to do. It works for a millisecond at a time and rests
as long, so that the event loop gets the interpreter; and it writes with a connection of its own,
which it keeps for its time, few rows at once, so that no start waits long for the database.
Fingerprints are an aid: what comes while it is behind is left out and counted, as is what a
database that is away can't take.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.core.cache_breaks import DIGEST, Trait, common_blocks
from aibridged.records.database import Connection, reason_of, writing_over
from aibridged.records.fingerprints import Hasher, Stored, pack, trait
from aibridged.records.schema import interceptions, prompt_fingerprints
from aibridged.tasks import start_thread
from aibridged.wire.facts import WireApi
from aibridged.wire.outline import Span
from aibridged.wire.prompt_blocks import MAX_BLOCKS, prompt_blocks

LINGER_S = 1.0
"""How long a body waits for others, which are written with it."""
MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Bytes of the bodies that wait, with the one that is being read; others are left out."""
SHARE = 4
"""A caller's own may take this part of them, so that others' have room."""
MAX_WAITING = 2_000
MAX_REMEMBERED_BYTES = 8 * 1024 * 1024
"""Of the last prompt of each conversation, on which its next one builds."""
MAX_CHAIN = 32
"""Rows that build on one another; then one has all of its blocks."""
SLICE_S = 0.001
REST_S = 0.001
_ROWS_AT_ONCE = 32
_BYTES_AT_ONCE = 256 * 1024

STORED, DROPPED, UNREADABLE = "stored", "dropped", "unreadable"
OUTCOMES = (STORED, DROPPED, UNREADABLE)
"""What became of requests: left out because too much waited, or without a prompt to be read."""

Conversation = tuple[str, str]
"""The initiator's id, and that of the client's session."""


class Sent(NamedTuple):
    """A request that was sent: its decoded body, with the positions of its fields if known."""

    interception_id: str
    conversation: Conversation
    api: WireApi
    body: bytes
    members: Mapping[str, Span] | None = None


class _Known(NamedTuple):
    """The last prompt of a conversation."""

    interception_id: str
    digests: bytes
    chain: int


class FingerprintWriter:
    """`put` is for the event loop, all else for the thread that it starts.

    `read_key` returns the installation's key; it may raise OSError or ValueError. `counts` are the
    requests by what became of them.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        read_key: Callable[[], bytes],
        *,
        linger: float = LINGER_S,
        most_bytes: int = MAX_WAITING_BYTES,
        most: int = MAX_WAITING,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self._engine = engine
        self._monotonic = clock.monotonic
        self._read_key = read_key
        self._linger = linger
        self._most_bytes = most_bytes
        self._most = most
        self._sleep = sleep
        self._lock = threading.Lock()
        self._waiting: deque[Sent] = deque()
        self._bytes = 0
        self._bytes_of: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._hasher: Hasher | None = None
        self._known = _Remembered()
        self._is_failing = False
        self._connection: Connection | None = None

    def put(self, sent: Sent) -> None:
        """Have its fingerprints made, unless too much waits for that."""
        size, caller = len(sent.body), sent.conversation[0]
        with self._lock:
            own = self._bytes_of.get(caller, 0)
            if (
                self._bytes + size > self._most_bytes
                or own + size > self._most_bytes // SHARE
                or len(self._waiting) >= self._most
                or self._closing.is_set()
            ):
                self.counts[DROPPED] += 1
                return
            self._bytes += size
            self._bytes_of[caller] = own + size
            self._waiting.append(sent)
            if self._thread is None:
                # It waits for the lock. If there is none, the next request tries again.
                self._thread = start_thread(self._run, name="fingerprints")

    def finish(self, timeout: float) -> None:
        """Block for up to so many seconds until all that waits is written; the rest is left out."""
        self._closing.set()
        if (thread := self._thread) is not None:
            thread.join(timeout)
        with self._lock:
            self.counts[DROPPED] += len(self._waiting)
            while self._waiting:
                self._release(self._waiting.popleft())

    def _run(self) -> None:
        while True:
            self._closing.wait(self._linger)
            while (rows := self._batch()) is not None:
                self._write(rows)
                self._sleep(REST_S)
            with self._lock:
                if self._waiting:
                    continue
                # The next thread may begin at once.
                self._thread = None
                connection, self._connection = self._connection, None
            _close(connection)
            return

    def _batch(self) -> Sequence[Stored] | None:
        """The rows of some of what waits, for one transaction; None where nothing does."""
        rows: list[Stored] = []
        taken = size = 0
        while taken < _ROWS_AT_ONCE and size < _BYTES_AT_ONCE:
            with self._lock:
                if not self._waiting:
                    break
                sent = self._waiting.popleft()
            taken += 1
            row = self._made(sent)
            with self._lock:
                self._release(sent)
            if row is not None:
                rows.append(row)
                size += len(row.blocks)
        return rows if taken else None

    def _release(self, sent: Sent) -> None:
        size, caller = len(sent.body), sent.conversation[0]
        self._bytes -= size
        self._bytes_of[caller] -= size
        if not self._bytes_of[caller]:
            del self._bytes_of[caller]

    def _made(self, sent: Sent) -> Stored | None:
        try:
            if self._hasher is None:
                self._hasher = Hasher(self._read_key())
        except Exception as error:  # noqa: BLE001 - whatever keeps the key from being read
            self._fail(str(error), 1)
            return None
        try:
            row = self._fingerprint(sent, self._hasher)
        except Exception as error:  # noqa: BLE001 - the next one may be readable
            self._fail(type(error).__name__, 1)
            return None
        if row is None:
            self.counts[UNREADABLE] += 1
        return row

    def _fingerprint(self, sent: Sent, hasher: Hasher) -> Stored | None:
        digests, traits = bytearray(), []
        first_message = b""
        ends = self._monotonic() + SLICE_S
        for block in prompt_blocks(sent.api, sent.body, sent.members):
            if block is not None:
                digest = hasher.digest(block)
                digests += digest
                traits.append(trait(block))
                if not first_message and block.role == "user":
                    first_message = digest
                if len(traits) == MAX_BLOCKS:
                    break
            if self._monotonic() >= ends:
                self._sleep(REST_S)
                ends = self._monotonic() + SLICE_S
        if not traits:
            return None
        return self._row(sent, hasher.key_id, bytes(digests), traits, first_message)

    def _row(
        self,
        sent: Sent,
        key_id: bytes,
        digests: bytes,
        traits: Sequence[Trait],
        first_message: bytes,
    ) -> Stored:
        key = (*sent.conversation, first_message)
        base = self._known.get(key)
        shared = first = chain = 0
        if base is not None:
            shared = common_blocks(base.digests, digests)
            if shared and base.chain < MAX_CHAIN:
                first, chain = shared, base.chain + 1
        self._known.put(key, _Known(sent.interception_id, digests, chain))
        return Stored(
            sent.interception_id,
            str(sent.api),
            base.interception_id if base is not None else None,
            shared,
            len(traits),
            pack(key_id, digests, traits, first),
        )

    def _write(self, rows: Sequence[Stored]) -> None:
        if not rows:
            return
        try:
            if self._connection is None:
                # To open one takes longer than to write some rows.
                self._connection = self._engine.connect()
            with writing_over(self._connection) as connection:
                connection.execute(_INSERT, [row._asdict() for row in rows])
        except (DBAPIError, OSError) as error:
            _close(self._connection)
            self._connection = None
            # Those that would build on them can't.
            self._known = _Remembered()
            self._fail(reason_of(error), len(rows))
        else:
            self._is_failing = False
            self.counts[STORED] += len(rows)

    def _fail(self, reason: str, count: int) -> None:
        self.counts[DROPPED] += count
        if not self._is_failing:
            logger.warning("Fingerprints of prompts can't be kept at the moment: {}", reason)
        self._is_failing = True


class _Remembered:
    """The last prompts of conversations, as many as there is room for."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str, bytes], _Known] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str, bytes]) -> _Known | None:
        return self._found.get(key)

    def put(self, key: tuple[str, str, bytes], known: _Known) -> None:
        before = self._found.pop(key, None)
        self._bytes += _size(known) - (_size(before) if before is not None else 0)
        self._found[key] = known
        while self._bytes > MAX_REMEMBERED_BYTES:
            _, oldest = self._found.popitem(last=False)
            self._bytes -= _size(oldest)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with suppress(DBAPIError):
            connection.close()


def _size(known: _Known) -> int:
    return len(known.digests) + _OVERHEAD


_OVERHEAD = 64 * DIGEST  # of its key, and what surrounds both


def _insert() -> sa.Insert:
    """Of a row whose interception is still there: it may have been erased meanwhile."""
    columns = prompt_fingerprints.c
    names = [each.name for each in columns]
    values = (sa.bindparam(each.name, type_=each.type).label(each.name) for each in columns)
    is_there = (
        sa.select(sa.literal(1))
        .where(interceptions.c.id == sa.bindparam("interception_id", type_=interceptions.c.id.type))
        .exists()
    )
    return prompt_fingerprints.insert().from_select(names, sa.select(*values).where(is_there))


_INSERT = _insert()
