"""What more workers bring: requests a second, and the CPU of one over the whole process tree.

    python -m bench.scale [--postgres-url URL] [--litellm PROGRAM] [--workers N ...]

The daemon has 1 worker, 2, and as many as there are cores, with tokens, a rate limit, a limit of
concurrent requests and a spend limit, all out of reach; on SQLite, and on PostgreSQL if an empty
database is given. Beside them LiteLLM with as many workers, without a database, if its program is
given. The targets take turns. The client and the provider have a core each, if they like: what
they used is in the last column, and what is left of the machine is all that workers can get.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aibridged.daemon.runtime import loop_factory
from bench import load
from bench.cpu import tree_seconds
from bench.targets import CannotStartError, Target, litellm, provider, with_budget

_CONNECTIONS = 32
_WARM_UP = 10
_ROUND_S = 120.0


@dataclass
class Figures:
    """The rounds of a target."""

    costs: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def line(self) -> str:
        """CPU µs a request, requests a second, cores that client and provider used."""
        cost, rate, others = (
            statistics.median(each) for each in (self.costs, self.rates, self.others)
        )
        return f"{cost:>14.0f}{rate:>14.0f}{others:>24.2f}"


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--times", type=int, default=100, metavar="N", help="requests a connection")
    parser.add_argument("--postgres-url", metavar="URL")
    parser.add_argument("--litellm", metavar="PROGRAM")
    cores = sorted({1, 2, os.cpu_count() or 1})
    parser.add_argument("--workers", type=int, nargs="+", default=cores, metavar="N")
    options = parser.parse_args()
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            upstream = stack.enter_context(provider(folder))
            targets = [
                stack.enter_context(start(upstream.port, folder)) for start in _starts(options)
            ]
            figures = _measure(targets, upstream, options.rounds, options.times)
    except (CannotStartError, ConnectionError, TimeoutError) as error:
        print(f"bench: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{os.cpu_count()} cores, median of {options.rounds} rounds")
    print(f"{'':26}{'CPU µs':>14}{'requests/s':>14}{'cores of the others':>24}")
    for target, measured in zip(targets, figures, strict=True):
        print(f"{target.name:26}{measured.line()}")
    return 0


Start = Callable[[int, Path], AbstractContextManager[Target]]


def _starts(options: argparse.Namespace) -> Sequence[Start]:
    found: list[Start] = []
    for count in options.workers:
        workers = {"CODER_AIBRIDGE_WORKERS": str(count)}
        found.append(partial(with_budget, name=f"SQLite, {count} workers", more=workers))
        if options.postgres_url is not None:
            database = {"CODER_PG_CONNECTION_URL": options.postgres_url}
            name = f"PostgreSQL, {count} workers"
            found.append(partial(with_budget, name=name, more=workers | database))
        if options.litellm is not None:
            found.append(partial(litellm, program=options.litellm, workers=count))
    return found


def _measure(
    targets: Sequence[Target], upstream: Target, rounds: int, times: int
) -> Sequence[Figures]:
    figures = [Figures() for _ in targets]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for target in targets:
            runner.run(_round(target, upstream, _WARM_UP, Figures()))
        for _ in range(rounds):
            for target, measured in zip(targets, figures, strict=True):
                runner.run(_round(target, upstream, times, measured))
    return figures


async def _round(target: Target, upstream: Target, times: int, figures: Figures) -> None:
    request = load.message_request(target.path, target.token, 2_000)
    before, began = tree_seconds(target.pid), time.monotonic()
    others = time.process_time() + tree_seconds(upstream.pid)
    async with asyncio.timeout(_ROUND_S):
        tally = await load.run(target.port, [request], _CONNECTIONS, times)
    took = time.monotonic() - began
    others = time.process_time() + tree_seconds(upstream.pid) - others
    figures.costs.append((tree_seconds(target.pid) - before) * 1e6 / tally.responses)
    figures.rates.append(tally.responses / took)
    figures.others.append(others / took)


if __name__ == "__main__":
    sys.exit(main())
