"""Quota of tunnels, in total and per caller, so that descriptors remain for the gateway."""

import resource
from collections import Counter
from collections.abc import Callable
from functools import partial

from aibridged.errors import AT_CAPACITY, GatewayError

_MOST = 50_000
_DESCRIPTORS = 2  # of a tunnel: the client's connection and the server's
_RETRY_S = 5


def most_tunnels() -> int:
    """As many as half of the file descriptors that this process may have are enough for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2 // _DESCRIPTORS)


class Places:
    """`total` places, of which one caller may have half, or one of them at least."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._each = max(1, total // 2)
        self._taken: Counter[str] = Counter()

    def take(self, caller: str) -> Callable[[], None]:
        """Take a place; what is returned gives it back, and is called once.

        Raises:
            GatewayError: there is none left, or none for this caller.
        """
        if self._taken[caller] >= self._each:
            what = "You have reached the maximum number of open tunnels per user."
            raise GatewayError(AT_CAPACITY, what, retry_after=_RETRY_S)
        if not self._free:
            what = "The AI Proxy has reached its maximum number of open tunnels."
            raise GatewayError(AT_CAPACITY, what, retry_after=_RETRY_S)
        self._free -= 1
        self._taken[caller] += 1
        return partial(self._give_back, caller)

    def _give_back(self, caller: str) -> None:
        self._free += 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
