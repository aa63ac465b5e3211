"""Authentication by tokens in the daemon's own database, off the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from loguru import logger

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.identity.base import Actor, AuthUnavailableError
from aibridged.identity.token_format import parse
from aibridged.identity.tokens import TokenStore

A = TypeVar("A")
R = TypeVar("R")

# Lookups are short and the cache answers nearly all: a few threads are plenty.
LOOKUPS_AT_ONCE = 4
CONNECTIONS = LOOKUPS_AT_ONCE + 1
"""One for each thread."""
LOOKUP_TIMEOUT_S = 5.0
GATHER_S = 1.0
"""How long uses of tokens wait for others, to be written together."""


class TokenAuthenticator:
    """Looks tokens up in its own threads, and records when they were used in the background.

    A lookup never waits for that: one thread writes the uses of a second together, and a database
    that can't be written to costs a log line, not a request.
    """

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        *,
        timeout: float = LOOKUP_TIMEOUT_S,
        gather: float = GATHER_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeout = timeout
        self._gather = gather
        self._lookups = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="token-lookup")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="token-uses")
        self._writing: Future[None] | None = None
        self._write_is_due: asyncio.TimerHandle | None = None
        self._used_at: dict[str, datetime] = {}
        self._seen_at: dict[str, datetime] = {}

    async def authenticate(self, token: str | None) -> Actor | None:
        """The actor behind `token`, or None.

        Raises:
            TokenRejectedError: it is no longer valid.
            AuthUnavailableError: the database fails or takes longer than the timeout.
        """
        if token is None or parse(token) is None:
            return None  # no database is needed to tell
        actor = await self._in_time(self._store.authenticate, token)
        if actor is not None and actor.api_key_id is not None:
            now = self._clock.wall()
            self._used_at[actor.api_key_id] = self._seen_at[actor.id] = now
            if self._write_is_due is None:
                self._write_later()
        return actor

    async def still_good(self, token_ids: Set[str]) -> set[str]:
        """Those of the tokens, by id, that are still valid.

        Raises:
            AuthUnavailableError: as `authenticate`.
        """
        return await self._in_time(self._store.still_good, token_ids)

    async def close(self) -> None:
        """Write the last uses and stop the threads."""
        if self._write_is_due is not None:
            self._write_is_due.cancel()
        self._write()
        for executor in (self._lookups, self._writer):
            await asyncio.to_thread(executor.shutdown)

    async def _in_time(self, ask: Callable[[A], R], argument: A) -> R:
        """Run a query of the store in one of the threads, with a deadline."""
        lookup = asyncio.get_running_loop().run_in_executor(self._lookups, ask, argument)
        try:
            async with asyncio.timeout(self._timeout):
                return await lookup
        except TimeoutError:
            raise AuthUnavailableError(
                f"The database of users and tokens took longer than {self._timeout:g} s."
            ) from None

    def _write_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._write_is_due = loop.call_later(self._gather, self._write_unless_busy)

    def _write_unless_busy(self) -> None:
        """Write what has gathered, once the write before has ended."""
        self._write_is_due = None
        if self._writing is None or self._writing.done():
            self._write()
        else:
            self._write_later()

    def _write(self) -> None:
        used_at, self._used_at = self._used_at, {}
        seen_at, self._seen_at = self._seen_at, {}
        self._writing = self._writer.submit(self._record, used_at, seen_at)

    def _record(self, used_at: Mapping[str, datetime], seen_at: Mapping[str, datetime]) -> None:
        if not used_at:
            return
        try:
            self._store.record_uses(used_at, seen_at)
        except AuthUnavailableError as error:
            tokens = counted(len(used_at), "token")
            logger.warning("The last use of {} could not be saved: {}", tokens, error)
