"""Attempts to reach a database that is away, in threads of their own.

A server that accepts and doesn't answer holds an attempt up for its whole deadline; meanwhile the
writer goes on refusing starts and spooling facts.
"""

import threading
from collections.abc import Callable

from aibridged.records.store import DatabaseAwayError, Store


class Attempt:
    """One attempt to connect the store, which nobody else uses until it is over.

    `on_end` is called then, from its thread.
    """

    def __init__(self, store: Store, on_end: Callable[[], None]) -> None:
        self.succeeded = False
        self.is_over = False
        self._store = store
        self._on_end = on_end
        self._is_abandoned = False
        self._ending = threading.Lock()
        threading.Thread(target=self._run, name="reconnection", daemon=True).start()

    def abandon(self) -> None:
        """Leave it to its end: a connection that it makes is closed. The store is closed, too."""
        with self._ending:
            self._is_abandoned = True

    def _run(self) -> None:
        try:
            self._store.connect()
        except DatabaseAwayError:
            pass
        else:
            self.succeeded = True
        with self._ending:
            self.is_over = True
            if self._is_abandoned:
                self._store.close()
        self._on_end()
