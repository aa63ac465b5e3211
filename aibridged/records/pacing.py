"""The pace of deletions: little at a time, and a share of all time.

Starts wait for what is being deleted, so that takes about `BATCH_S` at once, and leaves room for
others' commits and for the disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.records.remote_journal import have_living
from aibridged.records.spool import SPOOL_FILE, is_in_use

MOST_AT_ONCE = 50
"""Interceptions, at most."""
FIRST_BATCH = 5
BATCH_S = 0.001
"""How long a batch takes, about."""
SHARE = 0.05
"""Of all time, what is spent on it at most: some hundred interceptions a second."""
SHARE_ALONE = 0.5
"""The share where no daemon uses the database."""
REVISED_S = 0.02
REVISED_SHARE = 0.25
"""The same for a command that changes rows: its transactions alone take longer than `BATCH_S`, so
that its batches would be of a single row, with pauses as for fifty."""
LEAST_PAUSE_S = 0.002


class Pace:
    """How many rows may be deleted at once, and when the next ones may, by what the last took."""

    def __init__(self, clock: Clock, share: float = SHARE, batch_s: float = BATCH_S) -> None:
        self.batch = FIRST_BATCH
        self._batch_s = batch_s
        self._clock = clock
        self._share = share
        self._next_at = float("-inf")

    def seconds_left(self, now: float) -> float:
        """How long until it is time for the next batch, from that monotonic time on."""
        return max(0.0, self._next_at - now)

    def done(self, began: float) -> None:
        """A batch was deleted, which began at that monotonic time."""
        now = self._clock.monotonic()
        took = now - began
        fitting = int(self.batch * self._batch_s / took) if took > 0 else MOST_AT_ONCE
        self.batch = max(1, min(fitting, 2 * self.batch, MOST_AT_ONCE))
        self._next_at = now + max(took * (1 / self._share - 1), LEAST_PAUSE_S)

    @contextmanager
    def turn(self, sleep: Callable[[float], object]) -> Iterator[None]:
        """Sleep until it is time for the next batch, which is what is done within."""
        sleep(self.seconds_left(self._clock.monotonic()))
        began = self._clock.monotonic()
        yield
        self.done(began)


def may_have_daemon(engine: sa.Engine, state_dir: Path) -> bool:
    """Whether a daemon may be using the database now; that is known of SQLite only."""
    if engine.dialect.name != "sqlite":
        return True
    try:
        return is_in_use(state_dir / SPOOL_FILE) or have_living(state_dir)
    except OSError:
        return True


def pace_beside_daemon(engine: sa.Engine, state_dir: Path, clock: Clock) -> Pace:
    """The pace for a command: a quick one where no daemon can be using the database."""
    return Pace(clock, SHARE if may_have_daemon(engine, state_dir) else SHARE_ALONE)


def revising_pace(engine: sa.Engine, state_dir: Path, clock: Clock) -> Pace:
    """The pace for a command that changes rows."""
    is_shared = may_have_daemon(engine, state_dir)
    return Pace(clock, REVISED_SHARE if is_shared else SHARE_ALONE, REVISED_S)
