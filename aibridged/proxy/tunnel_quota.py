"""Quota of tunnels, in total and per caller, so that descriptors remain for the gateway."""

import resource
from collections.abc import Callable
from functools import partial

from aibridged.core.shares import Shares, Shortage
from aibridged.errors import AT_CAPACITY, GatewayError

_MOST = 50_000
_DESCRIPTORS = 2  # per tunnel: the client's connection and the server's
_RETRY_S = 5
_REFUSALS = {
    Shortage.ALL: "The AI Proxy has reached its maximum number of open tunnels.",
    Shortage.CALLER: "You have reached the maximum number of open tunnels per user.",
}


def most_tunnels() -> int:
    """The number of tunnels that half of the process's file descriptors are enough for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2 // _DESCRIPTORS)


class Places:
    """`total` places, of which one caller may have half, but at least one."""

    def __init__(self, total: int) -> None:
        self._shares = Shares(total, max(1, total // 2))

    def take(self, caller: str) -> Callable[[], None]:
        """Take a place; returns the function that gives it back, to be called once.

        Raises:
            GatewayError: there is none left, in total or for this caller.
        """
        if (shortage := self._shares.take(caller)) is not None:
            raise GatewayError(AT_CAPACITY, _REFUSALS[shortage], retry_after=_RETRY_S)
        return partial(self._shares.release, caller)
