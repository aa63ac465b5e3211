"""The spend limits in force: kept in memory, and read again every few seconds, off the event loop.

A thread reads them, since the database may hang; requests never wait for it.
"""

import threading
from collections.abc import Callable, Sequence

from loguru import logger

from aibridged.clock import Clock
from aibridged.core.budgets import Limit, SpendLimits
from aibridged.identity.tables import StoreUnavailableError

INTERVAL_S = 5.0
STALE_S = 60.0
"""The age from which on nobody knows whether they are still in force."""


class LimitsInForce:
    """The limits in force; `current` are those that were read last. Threads may share it.

    `read` reads them from the database, as `spend_limits.read_limits` does.
    """

    def __init__(
        self, read: Callable[[], Sequence[Limit]], clock: Clock, *, interval: float = INTERVAL_S
    ) -> None:
        self.current = SpendLimits()
        self._read = read
        self._monotonic = clock.monotonic
        self._interval = interval
        self._read_at = float("-inf")
        self._wanted = threading.Event()
        self._closing = False
        self._is_away = False
        self._reading = threading.Lock()

    @property
    def are_stale(self) -> bool:
        """Whether they couldn't be read for `STALE_S`."""
        return self._monotonic() - self._read_at > STALE_S

    def start(self) -> None:
        """Read them now, and again every few seconds. Blocks.

        Raises:
            StoreUnavailableError: the database failed.
        """
        self.read()
        threading.Thread(target=self._run, name="spend limits", daemon=True).start()

    def read(self) -> None:
        """Read them now: what has been changed is in force when this returns. Blocks.

        Raises:
            StoreUnavailableError: the database failed.
        """
        with self._reading:
            began = self._monotonic()
            limits, before = self._read(), self.current.limits
            # One by one: a comparison of all would keep the event loop waiting.
            is_same = len(limits) == len(before) and all(
                now == then for now, then in zip(limits, before, strict=True)
            )
            if not is_same:
                self.current = SpendLimits(limits)
            self._read_at = began

    def read_soon(self) -> None:
        """Have them read at once, by the thread."""
        self._wanted.set()

    def close(self) -> None:
        """Stop reading."""
        self._closing = True
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait(self._interval)
            self._wanted.clear()
            if self._closing:
                return
            try:
                self.read()
            except StoreUnavailableError as error:
                if not self._is_away:
                    logger.error("The spend limits can't be read: {}", error)
                self._is_away = True
            else:
                self._is_away = False
