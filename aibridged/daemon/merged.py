"""What this process and its siblings each know a part of, told as one answer."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from aibridged.api.operations import Percentiles, ProviderKey, Providers, ProviderStatus
from aibridged.api.problems import MOST, Problems
from aibridged.daemon.workers.siblings import Siblings

T = TypeVar("T")

ANSWER_S = 2.0
"""For another worker's part; of one that takes longer, it is left out."""


class Merged(Generic[T]):
    """`own` is this process's part, of the type `gives`; `together` makes one of several."""

    def __init__(
        self,
        siblings: Siblings,
        kind: str,
        own: Callable[[], Awaitable[T]],
        gives: type[T],
        together: Callable[[Sequence[T]], T],
    ) -> None:
        self._siblings = siblings
        self._kind = kind
        self._own = own
        self._gives = gives
        self._together = together
        siblings.on(kind, self._told)

    async def __call__(self) -> T:
        """The whole."""
        own = await self._own()
        others = await self._siblings.ask(self._kind, gives=self._gives, within=ANSWER_S)
        return self._together([own, *others]) if others else own

    async def _told(self, _: object) -> T:
        return await self._own()


def problems_of_all(found: Sequence[Problems]) -> Problems:
    """Each problem once, the severe first."""
    each = {(one.kind, one.subject): one for part in found for one in part.problems}
    problems = sorted(each.values(), key=lambda one: not one.is_severe)
    left_out = max(part.left_out for part in found) + max(0, len(problems) - MOST)
    return Problems(problems=problems[:MOST], left_out=left_out)


def providers_of_all(found: Sequence[Providers]) -> Providers:
    """Counts are summed up; of times, which can't be, the longest are told."""
    first = found[0]
    others = [{each.name: each for each in part.providers} for part in found[1:]]
    return Providers(
        providers=[
            _provider([own, *(part[own.name] for part in others if own.name in part)])
            for own in first.providers
        ],
        breaker_threshold=first.breaker_threshold,
        circuits_left_out=max(part.circuits_left_out for part in found),
        refusals=_summed(part.refusals for part in found),
    )


def _provider(parts: Sequence[ProviderStatus]) -> ProviderStatus:
    own = parts[0]
    circuits = {
        (each.endpoint, each.model, each.key): each for part in parts for each in part.circuits
    }
    return ProviderStatus(
        name=own.name,
        type=own.type,
        host=own.host,
        proxy=own.proxy,
        connections=sum(part.connections for part in parts),
        key=_key([part.key for part in parts]),
        circuits=[*circuits.values()],
        requests=sum(part.requests for part in parts),
        failed=sum(part.failed for part in parts),
        statuses=_summed(part.statuses for part in parts),
        duration=_longest([part.duration for part in parts]),
        first_byte=_longest([part.first_byte for part in parts]),
        refusals=_summed(part.refusals for part in parts),
    )


def _key(parts: Sequence[ProviderKey]) -> ProviderKey:
    """That with the latest refusal."""
    refused = [(each.refused_s, each) for each in parts if each.refused_s is not None]
    return min(refused, key=lambda item: item[0])[1] if refused else parts[0]


def _longest(parts: Sequence[Percentiles]) -> Percentiles:
    return Percentiles(
        p50=max((each.p50 for each in parts if each.p50 is not None), default=None),
        p95=max((each.p95 for each in parts if each.p95 is not None), default=None),
    )


def _summed(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total.most_common())
