"""What is done before a spend limit is reached: a warning, or a cheaper model."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from aibridged.config.globs import matcher
from aibridged.config.options import SoftBudgetSettings
from aibridged.core.expiring import Kept

MAX_CALLERS = 50_000
"""Callers whose share is remembered: persons with each of their tokens."""


class Step(NamedTuple):
    """What is done with a request: `model` is asked in place of the requested one, if any."""

    percent: int
    model: str | None = None


def step(settings: SoftBudgetSettings, used: float | None, model: str) -> Step | None:
    """What is done with a request for this model; None: nothing.

    `used` is the percentage that is used of the limit that is closest to its end; None where there
    is none, or nothing is known yet.
    """
    if used is None:
        return None
    percent = int(used)
    if settings.switch_at is not None and percent >= settings.switch_at:
        for fits, target in _switches(settings.models):
            if fits(model):
                if target != model:
                    return Step(percent, target)
                break
    if settings.warn_at is not None and percent >= settings.warn_at:
        return Step(percent)
    return None


class UsedShares:
    """How much each caller had used of their spend limits at their last request, in percent.

    It is that of the limit that is closest to its end, until its period is over. It is noted where
    a policy has a soft budget, so the first request after a reload that brings one passes as it is.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, person: str, token: str | None, percent: float, resets_in: timedelta) -> None:
        """A request has been admitted when so much was used."""
        self._kept.put(_key(person, token), percent, resets_in.total_seconds())

    def of(self, person: str, token: str | None) -> float | None:
        """The share; None where there is no limit, or no request in its period so far."""
        return self._kept.get(_key(person, token))


def _key(person: str, token: str | None) -> bytes:
    return f"{person}\n{token or ''}".encode(errors="surrogatepass")


@lru_cache(maxsize=64)
def _switches(
    models: tuple[tuple[str, str], ...],
) -> tuple[tuple[Callable[[str], bool], str], ...]:
    return tuple((matcher([glob]), target) for glob, target in models)
