"""How the cost of a request grows: with its body, its messages and tools, and with the load.

    python -m bench.growth [--quick] [CURVE ...]

A curve is one figure that grows, everything else being equal: CPU µs a request (of `streams` an
event), beside the bare aiohttp relay in the same run. A cost that grows faster than what it is for
shows as a growing ratio.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aibridged.clock import SystemClock
from aibridged.daemon.runtime import loop_factory
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine
from bench import load, queries
from bench.cpu import cpu_seconds
from bench.targets import CannotStartError, Target, bare_relay, daemon, provider

_NAME = "aibridged"
_ROUND_S = 120.0
_BYTES = 20_000_000
"""Of bodies a round, at most, so that a point with large ones takes no longer."""


@dataclass(frozen=True)
class Load:
    """A point of a curve; `rows` and `callers` are what the daemon has when it starts."""

    size: int = 2_000
    messages: int | None = None
    tools: int = 0
    connections: int = 10
    callers: int = 1
    rows: int = 0
    stream: bool = False


def _of(**values: Sequence[int]) -> Sequence[tuple[int, Load]]:
    [(name, points)] = values.items()
    return [(point, Load(**{name: point})) for point in points]  # type: ignore[arg-type]


CURVES: dict[str, Sequence[tuple[int, Load]]] = {
    "bytes": _of(size=(1_000, 10_000, 100_000, 1_000_000, 8_000_000)),
    "messages": [(each, Load(size=200_000, messages=each)) for each in (2, 20, 200, 2_000)],
    "tools": _of(tools=(0, 10, 50, 100, 400)),
    "connections": _of(connections=(1, 10, 100, 500)),
    "streams": [(each, Load(connections=each, stream=True)) for each in (10, 50, 200, 1_000)],
    "callers": _of(callers=(1, 10, 100, 1_000)),
    "rows": _of(rows=(0, 10_000, 100_000, 1_000_000)),
}


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer requests, for a first look")
    parser.add_argument("curves", nargs="*", choices=[*CURVES, []], metavar="CURVE")
    options = parser.parse_args()
    try:
        for name in options.curves or CURVES:
            _curve(name, CURVES[name], requests=100 if options.quick else 400)
    except (CannotStartError, ConnectionError, TimeoutError) as error:
        print(f"bench: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _curve(name: str, points: Sequence[tuple[int, Load]], requests: int) -> None:
    unit = "an event" if points[0][1].stream else "a request"
    print(f"{name:>12}{'aibridged':>12}{'bare':>10}{'ratio':>8}   CPU µs {unit}")
    for value, point in points:
        with _targets(point) as (ours, tokens, bare):
            costs = [
                [_round(each, point, which, requests) for _ in range(3)]
                for each, which in ((ours, tokens), (bare, tokens[:1]))
            ]
        cost, least = (statistics.median(each) for each in costs)
        print(f"{value:>12,}{cost:>12.1f}{least:>10.1f}{cost / least:>8.2f}", flush=True)
    print()


@contextmanager
def _targets(point: Load) -> Iterator[tuple[Target, Sequence[str], Target]]:
    """The daemon with what the point needs, tokens of its callers, and the bare relay."""
    tokens: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(provider(folder))
        prepare = partial(_prepare, point, tokens)
        ours = stack.enter_context(daemon(upstream.port, folder, _NAME, prepare=prepare))
        yield ours, tokens, stack.enter_context(bare_relay(upstream.port, folder))


def _prepare(point: Load, tokens: list[str], state: Path, settings: Mapping[str, str]) -> None:
    if point.rows:
        queries.fill(state, point.rows)
        queries.sum_up(state)
    store = TokenStore(make_engine(database_url(state)), SystemClock())
    for number in range(point.callers):
        _, token = store.create_token(_NAME, name=f"caller {number}", lifetime=None)
        tokens.append(token.reveal())


def _round(target: Target, point: Load, tokens: Sequence[str], requests: int) -> float:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_cost(target, point, tokens, requests))


async def _cost(target: Target, point: Load, tokens: Sequence[str], requests: int) -> float:
    """CPU µs a request, or an event."""
    made = [
        load.message_request(
            target.path,
            token,
            point.size,
            stream=point.stream,
            tools=point.tools,
            messages=point.messages,
        )
        for token in tokens
    ]
    most = max(10, min(requests, _BYTES // len(made[0])))
    times = 1 if point.stream else max(4, max(most, len(made)) // point.connections)
    before = cpu_seconds(target.pid)
    async with asyncio.timeout(_ROUND_S):
        tally = await load.run(target.port, made, point.connections, times)
    units = tally.events if point.stream else tally.responses
    return (cpu_seconds(target.pid) - before) * 1e6 / units


if __name__ == "__main__":
    sys.exit(main())
