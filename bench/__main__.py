"""Measures the CPU time of a request and of a streamed event, beside others in the same run.

    python -m bench [--quick] [--rounds N] [--only NAME ...]

The targets take turns in several short rounds, so that other load on the machine affects them
alike, and each figure is the median of its rounds. Compare the ratios: the microseconds are those
of this machine at this time. The daemon is measured as it is, and without logs, with metrics, with
traces, with an MCP server whose tool no response calls, and with spend limits; at the end, its
recorder by itself.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aibridged.daemon.runtime import loop_factory
from bench import load, recording
from bench.cpu import cpu_seconds
from bench.targets import EVENTS, CannotStartError, Target, available, provider

# No round starts later than this, so that a slow machine has fewer of them.
_BUDGET_S = 70.0
_QUICK_BUDGET_S = 12.0
_ROUND_S = 30.0


@dataclass(frozen=True)
class Case:
    """A load: `times` requests of `size` bytes over each of so many concurrent connections."""

    name: str
    size: int
    connections: int
    times: int
    stream: bool = False


@dataclass
class Figures:
    """The rounds of one target under one load: CPU µs per unit, and events per read."""

    costs: list[float] = field(default_factory=list)
    events_a_read: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)


Results = dict[tuple[Case, Target], Figures]


def main() -> int:
    """Measure and print; returns the exit status."""
    choices = available()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds, for a first look")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (default 5, quick 2)")
    parser.add_argument("--only", nargs="+", choices=choices, default=list(choices), metavar="NAME")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(_machine("before"), flush=True)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            upstream = stack.enter_context(provider(folder))
            targets: list[Target] = [
                stack.enter_context(choices[name](upstream, folder)) for name in options.only
            ]
            results, rounds = _measure(targets, options.rounds, quick=options.quick)
    except (CannotStartError, ConnectionError, TimeoutError) as error:
        print(f"bench: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(_machine("after"))
    _print(results, targets, rounds)
    _print_record(2.0 if options.quick else 10.0)
    if "nginx" not in choices:
        print("nginx is not installed: there is no ratio to it.")
    return 0


def _cases(*, quick: bool) -> tuple[Case, ...]:
    times, connections = (40, 20) if quick else (100, 50)
    return (
        Case("request of 2 KB", 2_000, 10, times),
        Case("request of 60 KB", 60_000, 10, times),
        Case(f"event, {connections} streams of {EVENTS}", 2_000, connections, 1, stream=True),
    )


def _measure(targets: list[Target], rounds: int | None, *, quick: bool) -> tuple[Results, int]:
    """The results, and the number of rounds."""
    rounds = rounds or (2 if quick else 5)
    until = time.monotonic() + (_QUICK_BUDGET_S if quick else _BUDGET_S)
    cases = _cases(quick=quick)
    results: Results = defaultdict(Figures)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for target in targets:  # once without a result: caches fill, connections open
            for case in _cases(quick=True)[:2]:
                runner.run(_round(case, target, Figures()))
        for done in range(rounds):
            if done and time.monotonic() > until:
                return results, done
            for case in cases:
                for target in targets:
                    runner.run(_round(case, target, results[case, target]))
    return results, rounds


async def _round(case: Case, target: Target, figures: Figures) -> None:
    request = load.message_request(target.path, target.token, case.size, stream=case.stream)
    before = cpu_seconds(target.pid)
    async with asyncio.timeout(_ROUND_S):
        tally = await load.run(target.port, request, case.connections, case.times)
    used = cpu_seconds(target.pid) - before
    figures.costs.append(used * 1e6 / (tally.events if case.stream else tally.responses))
    if case.stream:
        figures.events_a_read.append(tally.events / tally.reads)


def _machine(when: str) -> str:
    return f"load {when}: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


def _print(results: Results, targets: Sequence[Target], rounds: int) -> None:
    cases = list(dict.fromkeys(case for case, _ in results))
    print()
    _print_row(f"CPU µs, median of {rounds} rounds", [target.name for target in targets])
    for case in cases:
        _print_row(case.name, [f"{results[case, target].cost:.1f}" for target in targets])
    for base in (target for target in targets if target.yardstick):
        print()
        _print_row(f"times {base.name}", [target.name for target in targets])
        for case in cases:
            least = results[case, base].cost
            _print_row(
                case.name, [f"{results[case, target].cost / least:.2f}" for target in targets]
            )
    streams = cases[-1]
    reads = [f"{statistics.mean(results[streams, each].events_a_read):.2f}" for each in targets]
    print("\nAn event's figure holds its share of the request, the daemon's figures the records.")
    _print_row("events a read of the client's", reads)


def _print_record(seconds: float) -> None:
    """Print the cost of committing a request's start before it goes upstream."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        measured = runner.run(recording.measure(recording.RATE, seconds))
    print(f"\nRecords on SQLite: {measured.line(recording.RATE)}")


def _print_row(title: str, cells: Sequence[str]) -> None:
    print(f"{title:32}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
