"""Runs what blocks, such as a store of users, off the event loop, with a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aibridged.identity.base import AuthUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 4
STORE_TIMEOUT_S = 5.0


class OffLoop:
    """Calls functions in threads of its own; `what` names the database in the error."""

    def __init__(self, what: str, timeout: float = STORE_TIMEOUT_S) -> None:
        self._what = what
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=what.replace(" ", "-"))
        self._timeout = timeout

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result.

        Raises:
            AuthUnavailableError: it took longer than the timeout; a change may still be made.
        """
        call = self._executor.submit(function, *args, **kwargs)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(call)
        except TimeoutError:
            raise AuthUnavailableError(
                f"The database of {self._what} took longer than {self._timeout:g} s."
            ) from None

    async def close(self) -> None:
        """Wait until all calls have ended."""
        await asyncio.to_thread(self._executor.shutdown)
