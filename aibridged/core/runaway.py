"""Sessions that run away: caps of cost and requests, and loops that agents don't leave.

Of each session what it has come to is counted: its cost, its requests, the most often that a tool
call was repeated, the most compactions without progress, the most tokens within a minute. It has
run away once one of these numbers has reached its limit. None of them ever goes down, so that it
stays so, unless the limit is raised, or the session is forgotten after a day without requests.

A call is known by a fingerprint. Agents of one session run side by side, so that the calls of one
come between those of another; but each request brings the results of its own agent's calls, whose
ids tell which turn it goes on from.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from aibridged.clock import Clock
from aibridged.config.options import SessionSettings
from aibridged.core.expiring import Expiring
from aibridged.core.money import shown
from aibridged.counted import counted

MAX_SESSIONS = 4096
"""Sessions that are remembered, those that were ended among them."""
SESSION_S = 24 * 60 * 60.0
"""Seconds without a request after which a session is forgotten."""
MAX_AGENTS = 16
"""Agents of one session whose calls are told apart; one more takes the place of the oldest."""
MAX_CALLS = 64
"""Results of one request that are looked at, and times that one turn counts for."""
MAX_BETWEEN = 3
"""Requests between two compactions that are no progress."""

MAX_DUMP = 1600
"""Bytes: agents have at most 64 of a trail and 30 of compactions."""

_MINUTE_S = 60.0
_MOST = 1 << 62


class Sign(StrEnum):
    """What shows that a session has run away; the values are the names of the limits."""

    MAX_COST = "max_cost"
    MAX_REQUESTS = "max_requests"
    REPEATED_CALLS = "repeated_calls"
    COMPACTIONS = "compactions"
    TOKENS_PER_MINUTE = "tokens_per_minute"


_COST, _REQUESTS, _REPEATED, _COMPACTIONS, _TOKENS = range(len(Sign))


class Call(NamedTuple):
    """A tool call; `id` is a hash of its id, and so are `answers` of a turn.

    The fingerprint of one that isn't whole is None: it is like no other.
    """

    id: int
    fingerprint: int | None


class Turn(NamedTuple):
    """A request and its whole answer, as far as they tell of a loop.

    `began` is monotonic. `agent` is a hash of the id that some programs send of their agents, 0
    without one. `cost` is in nano-dollars. `tokens` excludes what was read from a cache.
    `answers` are the calls whose results the request brings. A `steered` one brings
    words of a person's. `calls` are those of the answer, `waits` says that they only wait for what
    runs already.
    """

    began: float
    cost: int
    tokens: int
    agent: int = 0
    answers: Sequence[int] = ()
    calls: Sequence[Call] = ()
    steered: bool = False
    compacts: bool = False
    waits: bool = False


class _Trail(NamedTuple):
    """The last turns of one agent, the newest first, by their fingerprints.

    `same` says for each period how many turns in a row were as the one a period before.
    """

    last: tuple[int | None, int | None, int | None] = (None, None, None)
    same: tuple[int, int, int] = (0, 0, 0)

    def then(self, turn: int) -> "_Trail":
        # Written out: it is done at the end of each request.
        (first, second, third), (one, two, three) = self
        return _Trail(
            (turn, first, second),
            (
                one + 1 if turn == first else 0,
                two + 1 if turn == second else 0,
                three + 1 if turn == third else 0,
            ),
        )

    @property
    def rounds(self) -> int:
        """How often in a row it has done the same; at least once."""
        one, two, three = self.same
        return max(one, two // 2, three // 3) + 1


_NOTHING = _Trail()


class _Compactions:
    """The compactions of one agent in a row, the end of the last one, and requests since then."""

    __slots__ = ("at", "count", "since")

    def __init__(self) -> None:
        self.count = 0
        self.at = 0.0
        self.since = 0


class Session:
    """One session, by what it has come to; see the module."""

    __slots__ = ("_compactions", "_minute", "_reached", "_told", "_trails")

    def __init__(self) -> None:
        self._reached = [0] * len(Sign)
        self._told: set[Sign] = set()
        self._trails: dict[int, _Trail] = {}  # by the call whose result goes on, oldest first
        self._compactions: dict[int, _Compactions] = {}  # by agent, oldest first
        self._minute = (0.0, 0, 0)  # its number, its tokens, and those of the one before

    def reached(self, limits: SessionSettings) -> Sign | None:
        """The first limit that the session has reached."""
        reached = self._reached
        if limits.max_cost is not None and reached[_COST] >= limits.max_cost:
            return Sign.MAX_COST
        if limits.max_requests is not None and reached[_REQUESTS] >= limits.max_requests:
            return Sign.MAX_REQUESTS
        if limits.repeated_calls is not None and reached[_REPEATED] >= limits.repeated_calls:
            return Sign.REPEATED_CALLS
        if limits.compactions is not None and reached[_COMPACTIONS] >= limits.compactions:
            return Sign.COMPACTIONS
        most = limits.tokens_per_minute
        return Sign.TOKENS_PER_MINUTE if most is not None and reached[_TOKENS] >= most else None

    def admit(self, limits: SessionSettings) -> Sign | None:
        """Count a request, unless a limit that the session has reached ends it; returns that
        limit."""
        sign = self.reached(limits)
        if sign is None or not limits.ends:
            self._reached[_REQUESTS] += 1
        return sign

    def observe(self, turn: Turn, limits: SessionSettings, now: float) -> Sign | None:
        """Count a turn that has ended at `now`; the limit that it reached, told once in each
        session."""
        self._reached[_COST] += turn.cost
        self._count_tokens(turn.tokens, now)
        if turn.compacts:
            self._compact(turn, now)
        elif turn.answers or turn.calls or turn.steered:  # not what an agent asks beside
            self._follow(turn)
        sign = self.reached(limits)
        if sign is None or sign in self._told:
            return None
        self._told.add(sign)
        return sign

    def dump(self) -> bytes:
        """All that it is, in less than `MAX_DUMP` bytes."""
        told = [number for number, sign in enumerate(Sign) if sign in self._told]
        compactions = [
            (agent, each.count, each.at, each.since) for agent, each in self._compactions.items()
        ]
        number, *tokens = self._minute
        minute = (number, *(min(each, _MOST) for each in tokens))
        reached = [min(each, _MOST) for each in self._reached]
        return _dumped((reached, told, list(self._trails.items()), compactions, minute))

    def load(self, dump: bytes) -> None:
        """Be as the session that was dumped."""
        reached, told, trails, compactions, self._minute = _loaded(dump)
        signs = list(Sign)
        self._reached = reached
        self._told = {signs[number] for number in told}
        self._trails = dict(trails)
        self._compactions = {}
        for agent, count, at, since in compactions:
            found = self._compactions[agent] = _Compactions()
            found.count, found.at, found.since = count, at, since

    def _raise(self, number: int, count: int) -> None:
        if count > self._reached[number]:
            self._reached[number] = count

    def _count_tokens(self, tokens: int, now: float) -> None:
        """Of the last minute as far as it lies in the one before, a share of that one's."""
        number, rest = divmod(now, _MINUTE_S)
        then, this, before = self._minute
        if number != then:
            this, before = 0, this if number == then + 1 else 0
        this += tokens
        self._minute = number, this, before
        self._raise(_TOKENS, this + int(before * (1 - rest / _MINUTE_S)))

    def _compact(self, turn: Turn, now: float) -> None:
        found = self._compactions.get(turn.agent)
        if found is None:
            found = self._compactions[turn.agent] = _Compactions()
            if len(self._compactions) > MAX_AGENTS:
                del self._compactions[next(iter(self._compactions))]
        if turn.began < found.at:
            return  # of agents that can't be told apart, at the same time
        found.count = found.count + 1 if found.since <= MAX_BETWEEN else 1
        found.at, found.since = now, 0
        self._raise(_COMPACTIONS, found.count)

    def _follow(self, turn: Turn) -> None:
        trail, trails = _NOTHING, self._trails
        if (compactions := self._compactions.get(turn.agent)) is not None:
            compactions.since += 1
        for id in turn.answers[-MAX_CALLS:]:
            trail = trails.pop(id, trail)
        if turn.steered:
            trail = _NOTHING
            self._compactions.pop(turn.agent, None)
        calls = turn.calls
        if not calls:
            return
        if not turn.waits:
            trail = _after(trail, calls)
            self._raise(_REPEATED, trail.rounds)
        trails[calls[-1].id] = trail
        if len(trails) > MAX_AGENTS:
            del trails[next(iter(trails))]


_Compacted = tuple[int, int, float, int]
_Dump = tuple[
    list[int], list[int], list[tuple[int, _Trail]], list[_Compacted], tuple[float, int, int]
]
_dumped = msgspec.msgpack.Encoder().encode
_loaded = msgspec.msgpack.Decoder(_Dump).decode


def _after(trail: _Trail, calls: Sequence[Call]) -> _Trail:
    """The trail after a turn with these calls; several of the same are as many turns."""
    first = calls[0].fingerprint
    if len(calls) > 1:
        prints = {call.fingerprint for call in calls}
        if len(prints) > 1:
            return _NOTHING if None in prints else trail.then(hash(frozenset(prints)))
    if first is None:
        return _NOTHING
    for _ in calls[:MAX_CALLS]:
        trail = trail.then(first)
    return trail


def in_words(sign: Sign, limits: SessionSettings) -> str:
    """What a session has done that has reached this limit: a sentence without its subject."""
    limit = getattr(limits, sign) or 0
    match sign:
        case Sign.MAX_COST:
            return f"has cost {shown(limit, None)}, which is its limit"
        case Sign.MAX_REQUESTS:
            return f"has made {counted(limit, 'request')}, which is its limit"
        case Sign.REPEATED_CALLS:
            return f"has made the same tool calls {counted(limit, 'time')} in a row"
        case Sign.COMPACTIONS:
            return f"has compacted its context {counted(limit, 'time')} with no progress between"
        case Sign.TOKENS_PER_MINUTE:
            return f"has used more than {counted(limit, 'token')} within a minute"


class Sessions:
    """The sessions of all people, `most` at a time.

    `mark` makes a number of a text, by which calls and agents are told apart.

    One more takes the place of the least recently used one of the person with the most: so nobody
    can have those of others forgotten by making up ids.
    """

    def __init__(self, clock: Clock, most: int = MAX_SESSIONS) -> None:
        self.mark: Callable[[str], int] = hash
        self._clock = clock
        self._most = most
        self._people: OrderedDict[str, Expiring[Session]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, person: str, session_id: str) -> Session:
        """A person's session, a new one unless it is known."""
        own = self._people.get(person)
        if own is None:
            own = self._people[person] = Expiring(self._most, self._clock)
        self._people.move_to_end(person)
        before, key = len(own), session_id.encode(errors="surrogatepass")
        found = own.get(key) or Session()
        own.put(key, found, SESSION_S)
        self._count += len(own) - before
        if self._count > self._most:
            self._forget_one()
        return found

    def _forget_one(self) -> None:
        person, sessions = max(self._people.items(), key=lambda each: len(each[1]))
        sessions.drop_oldest()
        self._count -= 1
        if not len(sessions):
            del self._people[person]
