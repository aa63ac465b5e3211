"""Writes looks at the texts of other people's requests to the audit log.

Looks of one viewer at the same texts of one person have one row in `WINDOW_S`: paging through a
list, or following it, is one look. Of different ones, the last row of `MOST` says that there may be
more, so that a program that walks through the record can't fill the log.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from cachetools import TTLCache

from aibridged.clock import Clock
from aibridged.core.looks import Look, UnrecordedLookError
from aibridged.identity.audit import Trail
from aibridged.identity.tables import StoreUnavailableError, audit, transaction

WINDOW_S = 900.0
MOST = 20
"""Rows of a viewer, a person and a kind of view within the window."""
AND_MORE = "and_more"
"""Is true in the last of them."""
_REMEMBERED = 20_000
_SUBJECTS_AT_ONCE = 500

_encode = msgspec.json.Encoder(order="deterministic").encode


class Looks:
    """Looks at the record of one database. Thread-safe; everything blocks."""

    def __init__(self, engine: sa.Engine | Callable[[], sa.Engine], clock: Clock) -> None:
        """`engine` may be a function that opens the database, for the first row."""
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: TTLCache[tuple[str, str, bytes, str], None] = TTLCache(
            _REMEMBERED, WINDOW_S, clock.monotonic
        )

    def note(self, actor: str | None, by: str, look: Look) -> None:
        """Write what isn't there yet. Without an `actor`, it is the user of the operating system.

        `by` is what shows the texts: `cli`, `api` or `page`.

        Raises:
            UnrecordedLookError: the database failed.
        """
        trail, action, what = (
            Trail(self._clock, actor),
            f"texts.{look.view}",
            {"by": by, **look.what},
        )
        known = (trail.actor, action, _encode(what))
        with self._lock:
            missing = sorted(each for each in look.subjects if (*known, each) not in self._noted)
        if not missing:
            return
        try:
            engine = self._opened()
            for start in range(0, len(missing), _SUBJECTS_AT_ONCE):
                few = missing[start : start + _SUBJECTS_AT_ONCE]
                self._write(engine, trail, action, few, what)
        except StoreUnavailableError as error:
            raise UnrecordedLookError(str(error)) from None
        with self._lock:
            self._noted.update({(*known, each): None for each in missing})

    def _opened(self) -> sa.Engine:
        with self._lock:
            if not isinstance(self._engine, sa.Engine):
                self._engine = self._engine()
            return self._engine

    def _write(
        self,
        engine: sa.Engine,
        trail: Trail,
        action: str,
        subjects: Collection[str],
        what: Mapping[str, Any],
    ) -> None:
        since = self._clock.wall() - timedelta(seconds=WINDOW_S)
        recent = sa.select(audit.c.target, audit.c.after).where(
            audit.c.at > since,
            audit.c.actor == trail.actor,
            audit.c.action == action,
            audit.c.target.in_(subjects),
        )
        # Read by itself: SQLite can't turn a transaction that reads into one that writes.
        with transaction(engine) as connection:
            found: dict[str, list[Any]] = {subject: [] for subject in subjects}
            for row in connection.execute(recent.limit(MOST * len(subjects))):
                found[row.target].append({**(row.after or {}), AND_MORE: False})
        states = {}
        for subject, noted in found.items():
            if len(noted) < MOST and {**what, AND_MORE: False} not in noted:
                is_last = len(noted) == MOST - 1
                states[subject] = (None, {**what, **({AND_MORE: True} if is_last else {})})
        if states:
            with transaction(engine) as connection:
                trail.note_all(connection, action, states)
