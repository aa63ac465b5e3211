"""Measures the CPU time of a request and of a streamed event, beside others in the same run.

    python -m bench [--quick] [--rounds N] [--only NAME ...]

The targets take turns in several short rounds, so that other load on the machine affects them
alike, and each figure is the median of its rounds. Compare the ratios: the microseconds are those
of this machine at this time. The daemon is measured as it is, and without a record, without logs,
with metrics, with traces, with an MCP server, and with spend limits: first with as many requests as
it serves, then with one connection and at rates as most installations have, with the time that a
response takes (`provider` is without a relay). At the end the start, the memory of a stream, and
the recorder by itself.
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
from pathlib import Path

from aibridged.daemon.runtime import loop_factory
from bench import once, recording
from bench.cases import Case, Figures, Results, everyday, play, saturated
from bench.targets import CannotStartError, Target, available, provider

# No round starts later than this, so that a slow machine has fewer of them.
_BUDGET_S = 70.0
_QUICK_BUDGET_S = 12.0
_WARM_UP = Case("warm-up", times=40)
_EVERYDAY = frozenset({"aibridged", "unrecorded", "bare aiohttp", "nginx"})
"""The targets that are measured at low rates, too."""


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
                stack.enter_context(choices[name](upstream.port, folder)) for name in options.only
            ]
            _saturated(targets, options.rounds, quick=options.quick)
            few = [each for each in targets if each.name in _EVERYDAY]
            _everyday([*few, upstream], options.rounds, quick=options.quick)
            _once(folder, quick=options.quick)
    except (CannotStartError, ConnectionError, TimeoutError) as error:
        print(f"bench: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(_machine("after"))
    _print_record(2.0 if options.quick else 10.0)
    if "nginx" not in choices:
        print("nginx is not installed: there is no ratio to it.")
    return 0


def _measure(
    cases: Sequence[Case], targets: Sequence[Target], rounds: int, budget_s: float
) -> Results:
    """Rounds of each case on each target, in turn; fewer where there is no time for them."""
    until = time.monotonic() + budget_s
    results: Results = defaultdict(Figures)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for target in targets:  # once without a result: caches fill, connections open
            runner.run(play(_WARM_UP, target, Figures()))
        for done in range(rounds):
            if done and time.monotonic() > until:
                break
            for case in cases:
                for target in targets:
                    if case.only in (None, target.name):
                        runner.run(play(case, target, results[case, target]))
    return results


def _machine(when: str) -> str:
    return f"load {when}: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


def _saturated(targets: Sequence[Target], rounds: int | None, *, quick: bool) -> None:
    cases = saturated(quick=quick)
    budget_s = _QUICK_BUDGET_S if quick else _BUDGET_S
    results = _measure(cases, targets, rounds or (2 if quick else 5), budget_s)
    _print_costs(cases, results, targets)
    streams = [each for each in cases if each.stream]
    print("\nAn event's figure holds its share of the request, the daemon's figures the records.")
    for case in streams:
        reads = [statistics.mean(results[case, each].events_a_read) for each in targets]
        _print_row("events a read of the client's", [f"{each:.2f}" for each in reads])


def _everyday(targets: Sequence[Target], rounds: int | None, *, quick: bool) -> None:
    cases = everyday(quick=quick)
    budget_s = _QUICK_BUDGET_S if quick else _BUDGET_S
    results = _measure(cases, targets, rounds or (1 if quick else 3), budget_s)
    _print_costs(cases, results, targets)
    print()
    _print_row("ms, median / 99th percentile", [target.name for target in targets])
    for case in cases:
        if case.rate is not None:
            _print_row(case.name, [_latency(results[case, each]) for each in targets])


def _latency(figures: Figures) -> str:
    return f"{statistics.median(figures.medians):.2f} / {statistics.median(figures.p99s):.2f}"


def _once(folder: Path, *, quick: bool) -> None:
    streams = 100 if quick else 1_000
    print(f"\nserve listens after {once.start_s(folder):.2f} s")
    kilobytes = asyncio.run(once.kilobytes_a_stream(folder, streams))
    print(f"each of {streams} streams takes {kilobytes:.0f} KB of memory")


def _print_costs(cases: Sequence[Case], results: Results, targets: Sequence[Target]) -> None:
    shown = [case for case in cases if any((case, target) in results for target in targets)]
    rounds = max(len(figures.costs) for figures in results.values())
    print()
    _print_row(f"CPU µs, median of {rounds} rounds", [target.name for target in targets])
    for case in shown:
        cells = [results.get((case, target)) for target in targets]
        _print_row(case.name, ["-" if each is None else f"{each.cost:.1f}" for each in cells])
    for base in (target for target in targets if target.yardstick):
        print()
        _print_row(f"times {base.name}", [target.name for target in targets])
        for case in shown:
            if case.only is None:
                least = results[case, base].cost
                shares = [results[case, target].cost / least for target in targets]
                _print_row(case.name, [f"{each:.2f}" for each in shares])


def _print_record(seconds: float) -> None:
    """Print the cost of committing a request's start before it goes upstream."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        measured = runner.run(recording.measure(recording.RATE, seconds))
    print(f"\nRecords on SQLite: {measured.line(recording.RATE)}")


def _print_row(title: str, cells: Sequence[str]) -> None:
    print(f"{title:32}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
