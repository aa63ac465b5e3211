"""Guesses that are counted over all replicas. See `core.guesses`."""

from aibridged.core.guesses import Guesses
from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_limits import digest
from aibridged.limits.redis_script import GiveBackGuess, TakeGuess


class RedisGuesses(Guesses):
    """At most `most` attempts per key within a period, in all replicas together.

    `share` counts while Redis is away; it has this replica's share of them. `name` tells what is
    guessed, so that keys of several kinds don't meet.
    """

    def __init__(self, share: Guesses, most: int, name: str, lane: Lane) -> None:
        self.period_s = share.period_s
        self._share = share
        self._all = most
        self._name = name
        self._lane = lane

    def __len__(self) -> int:
        return len(self._share)

    def take(self, key: bytes) -> bool:
        return self._share.take(key)

    async def taken(self, key: bytes) -> bool:
        ask = TakeGuess(self._key(key), self._all, int(self.period_s * 1000))
        answered = self._lane.ask(ask)
        answer = None if answered is None else await answered
        return self._share.take(key) if answer is None else answer == 0

    def give_back(self, key: bytes) -> None:
        self._lane.tell(GiveBackGuess(self._key(key)))
        self._share.give_back(key)

    def _key(self, key: bytes) -> str:
        return digest(f"{self._name}:{key.hex()}")
