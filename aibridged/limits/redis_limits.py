"""Limits that replicas on several machines share by Redis: slots, rates, and people's own limits.

Each is asked for in one round trip, for all of a request at once. While Redis is away, each replica
goes on with its share: the limit divided by the number of replicas, and at least 1. What it has
admitted before counts against that.
"""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from aibridged.core.concurrency import Slots
from aibridged.core.limiters import share
from aibridged.core.policies import PersonLimits
from aibridged.core.rate_limit import RateLimiter
from aibridged.limits.redis_lane import Answer, Holder, Holdings, Lane
from aibridged.limits.redis_script import Ask, Code, Operation

MOST_PEOPLE = 200
"""People in a batch; further ones are told of in the next."""
_KEY_BYTES = 16

NO_TIME = 1 << 31
"""A limit that is never reached."""


def share_of(limit: int, replicas: int) -> int:
    """The part of a limit that one replica has while Redis is away; 0 stays unlimited."""
    return share(limit, replicas) if limit else 0


def digest(text: str) -> str:
    """A key that doesn't reveal what it is of."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_KEY_BYTES).hexdigest()


class Person(msgspec.Struct, frozen=True):
    """A person with limits of their own; 0 is unlimited."""

    id: str
    rate: int
    most: int


class Wanted(msgspec.Struct, frozen=True):
    """What a request needs: a slot, one of a caller's requests a second, and a person's."""

    slot: bool = False
    caller: bytes = b""
    rate: int = 0
    person: Person | None = None


class RedisLimits(Holder):
    """What this process holds of the shared limits.

    `slots` and `people` are this machine's own counts, which count everything that is admitted, so
    that they know what is left of the share when Redis goes away. `rates` is the rate limiter for
    that time. `local` counts the decisions made without Redis.
    """

    def __init__(self, replicas: int, slots: Slots, people: PersonLimits) -> None:
        self.replicas = replicas
        self.local = 0
        self.lane: Lane
        self._slots = slots
        self._people = people
        self._held = 0
        self._places: dict[str, int] = {}
        self._changed: dict[str, None] = {}

    async def admit(self, wanted: Wanted, rates: RateLimiter | None) -> Code:
        """Whether a request may go on; each that is admitted needs `release` of what it was given.

        It takes no longer than the lane's deadline.
        """
        person = wanted.person
        if person is None and not wanted.rate and not self._slots.limit:
            return self._count_slot(wanted)  # nothing is limited
        ask = Ask(int(wanted.slot), wanted.caller.hex(), wanted.rate)
        if person is not None:
            ask = Ask(*_words(ask), digest(person.id), person.rate, person.most)
        answered = self.lane.ask(ask)
        answer: Answer | None = None
        if answered is not None:
            try:
                answer = await answered
            except asyncio.CancelledError:
                self._undo(answered, ask)
                raise
        if answer is None:
            return self._admit_locally(wanted, rates)
        code = Code(answer) if isinstance(answer, int) else Code.NO_SLOT
        if wanted.slot and code not in _REFUSED:
            self._slots.take(0)
        if person is not None and person.most and code is Code.ADMITTED:
            self._people.take(person.id, NO_TIME)
        if code is Code.TOO_FAST and rates is not None:
            rates.note_refused(wanted.caller)
        return code

    def release_slot(self) -> None:
        """Give a slot back."""
        self._slots.release()
        self._held -= 1
        self.lane.report(soon=False)

    def release_place(self, person: str) -> None:
        """Give back one of a person's places."""
        self._people.release(person)
        self._give_back(digest(person))
        self.lane.report()

    def _count_slot(self, wanted: Wanted) -> Code:
        if wanted.slot:
            self._slots.take(0)
            self._held += 1
        return Code.ADMITTED

    def _admit_locally(self, wanted: Wanted, rates: RateLimiter | None) -> Code:
        self.local += 1
        person = wanted.person
        if wanted.slot and not self._slots.take(share_of(self._slots.limit, self.replicas)):
            return Code.NO_SLOT
        if wanted.rate and rates is not None and not rates.admit(wanted.caller):
            if wanted.slot:
                self._slots.release()
            return Code.TOO_FAST
        self._held += wanted.slot
        if person is None:
            return Code.ADMITTED
        if person.rate and not self._people.admit(person.id, share_of(person.rate, self.replicas)):
            return Code.PERSON_TOO_FAST
        if person.most:
            if not self._people.take(person.id, share_of(person.most, self.replicas)):
                return Code.PERSON_HAS_NO_PLACE
            key = digest(person.id)
            self._places[key] = self._places.get(key, 0) + 1
            self._changed[key] = None
        return Code.ADMITTED

    def holdings(self, operations: Sequence[Operation], *, all: bool) -> Holdings:
        if all:
            self._changed.update(dict.fromkeys(self._places))
        people = {
            each.person: self._places.get(each.person, 0)
            for each in operations
            if isinstance(each, Ask) and each.person_most
        }
        while self._changed and len(people) < MOST_PEOPLE:
            key, _ = self._changed.popitem()
            people[key] = self._places.get(key, 0)
        return Holdings(self._slots.limit, self._held, [*people.items()], bool(self._changed))

    def settle(self, operation: Operation, answer: Answer) -> None:
        if not isinstance(operation, Ask) or answer in _REFUSED:
            return
        self._held += operation.slot
        if operation.person_most and answer == Code.ADMITTED:
            self._places[operation.person] = self._places.get(operation.person, 0) + 1

    def unsettled(self, holdings: Holdings, operations: Sequence[Operation]) -> None:
        self._changed.update(dict.fromkeys(person for person, _ in holdings.people))

    def _undo(self, answered: asyncio.Future[Answer | None], ask: Ask) -> None:
        """Give back what was granted to a request that ended before it learned of that."""
        if answered.cancelled() or not answered.done():
            answered.cancel()
            return
        answer = answered.result()
        if answer is None or answer in _REFUSED:
            return
        self._held -= ask.slot
        if ask.person_most and answer == Code.ADMITTED:
            self._give_back(ask.person)
        self.lane.report()

    def _give_back(self, key: str) -> None:
        left = self._places[key] - 1
        if left:
            self._places[key] = left
        else:
            del self._places[key]
        self._changed[key] = None


def _words(ask: Ask) -> tuple[int, str, int]:
    return ask.slot, ask.caller, ask.rate


_REFUSED: Mapping[object, None] = dict.fromkeys((Code.NO_SLOT, Code.TOO_FAST))
