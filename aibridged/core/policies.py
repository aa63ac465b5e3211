"""Policies: which models, providers and limits the members of a group have (authorisation).

The first policy whose groups fit a person counts. Without policies everything is granted; with
them, nothing to those whom none fits.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from aibridged.clock import Clock
from aibridged.config.globs import matcher
from aibridged.config.options import PolicySettings
from aibridged.core.rate_limit import RateLimiter

MAX_REMEMBERED = 4096
"""Answers that are kept, for each question: models and sets of groups that callers have."""


def named_groups(settings: Sequence[PolicySettings]) -> set[str]:
    """The groups that these policies are for."""
    return {group for policy in settings for group in policy.groups or ()}


class Policy:
    """One policy; `number` counts from 1. Its answers about models are memoised."""

    __slots__ = ("_granted", "_models", "number", "settings")

    def __init__(self, number: int, settings: PolicySettings) -> None:
        self.number = number
        self.settings = settings
        self._models: Callable[[str], bool] | None = None
        # A policy that has `*` restricts no models.
        if settings.models is not None and "*" not in settings.models:
            self._models = matcher(settings.models)
        self._granted: dict[str, bool] = {}

    @property
    def restricts_models(self) -> bool:
        return self._models is not None

    def grants_model(self, model: str) -> bool:
        """Whether a model of this name may be used."""
        if self._models is None:
            return True
        granted = self._granted.get(model)
        if granted is None:
            if len(self._granted) >= MAX_REMEMBERED:
                self._granted.clear()
            granted = self._granted[model] = self._models(model)
        return granted

    def fits(self, groups: Collection[str]) -> bool:
        """Whether it is for a person in these groups."""
        wanted = self.settings.groups
        return wanted is None or not set(wanted).isdisjoint(groups)

    def granting_glob(self, model: str) -> str | None:
        """The first glob that grants a model; None where none is needed, or none does."""
        return next((glob for glob in self.settings.models or () if matcher([glob])(model)), None)

    def grants_provider(self, name: str) -> bool:
        """Whether a provider of this name may be used."""
        return self.settings.providers is None or name in self.settings.providers


class Policies:
    """The policies in their order; at least one."""

    def __init__(self, settings: Sequence[PolicySettings]) -> None:
        self.settings = tuple(settings)
        self.restrict_models = False
        self._policies = [Policy(number, each) for number, each in enumerate(settings, 1)]
        self.restrict_models = any(each.restricts_models for each in self._policies)
        self.soften_budgets = any(each.budget is not None for each in settings)
        self._found: dict[tuple[str, ...], Policy | None] = {}

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies)

    def of(self, groups: tuple[str, ...]) -> Policy | None:
        """The policy of a person in these groups; None where none fits, so that nothing is
        granted."""
        try:
            return self._found[groups]
        except KeyError:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[groups] = next(self._fitting(groups), None)
            return found

    def _fitting(self, groups: tuple[str, ...]) -> Iterator[Policy]:
        return (policy for policy in self._policies if policy.fits(groups))


class PersonLimits:
    """Requests per second and at once of each person, whichever tokens they use.

    There are as many counts as requests in flight, and a limiter for each rate that a policy has,
    each of which is bounded.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limiters: dict[int, RateLimiter] = {}
        self._in_flight: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def keep(self, rates: Collection[int]) -> None:
        """Forget the limiters of all other rates."""
        self._limiters = {rate: each for rate, each in self._limiters.items() if rate in rates}

    def admit(self, person: str, rate: int) -> bool:
        """Count a request of a person who has `rate` requests per second."""
        limiter = self._limiters.get(rate)
        if limiter is None:
            limiter = self._limiters[rate] = RateLimiter(rate, self._clock)
        return limiter.admit(person.encode(errors="surrogatepass"))

    def take(self, person: str, most: int) -> bool:
        """Take one of a person's `most` places; false if all are taken. Each true needs one
        `release`."""
        count = self._in_flight.get(person, 0)
        if count >= most:
            return False
        self._in_flight[person] = count + 1
        return True

    def release(self, person: str) -> None:
        """Give a place back."""
        count = self._in_flight[person] - 1
        if count:
            self._in_flight[person] = count
        else:
            del self._in_flight[person]
