"""The loads, and a round of one on one target."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import load
from bench.cpu import cpu_seconds
from bench.targets import EVENTS, Target

_ROUND_S = 60.0
_LAST_RECORDS_S = 1.5
"""What is recorded after a response may wait for more of its kind."""
TOOLS = 100
CALL = "Please use the tool bmcp_bench_read."


@dataclass(frozen=True)
class Case:
    """A load: `times` requests of `size` bytes over each of so many concurrent connections.

    With a `rate`, requests arrive so many times a second for `seconds` instead. `only` is the name
    of the one target that it is for.
    """

    name: str
    size: int = 2_000
    connections: int = 10
    times: int = 100
    stream: bool = False
    tools: int = 0
    rate: float | None = None
    seconds: float = 0.0
    prompt: str = "How are you?"
    only: str | None = None


@dataclass
class Figures:
    """The rounds of one target under one load.

    CPU µs per unit, events per read, and of paced loads the median and the 99th percentile of the
    times taken, in milliseconds.
    """

    costs: list[float] = field(default_factory=list)
    events_a_read: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        return statistics.median(self.costs)


Results = dict[tuple[Case, Target], Figures]


def saturated(*, quick: bool) -> Sequence[Case]:
    """As many requests as the target serves."""
    times, streams = (40, 20) if quick else (100, 50)
    return (
        Case("request of 2 KB", times=times),
        Case(f"2 KB and {TOOLS} tools", times=times // 2, tools=TOOLS),
        Case("request of 60 KB", 60_000, times=times),
        Case("2 KB, and a tool is called", times=times, prompt=CALL, only="mcp"),
        Case(f"event, {streams} streams of {EVENTS}", connections=streams, times=1, stream=True),
    )


def everyday(*, quick: bool) -> Sequence[Case]:
    """As few as most installations have, at which a machine wakes up for each."""
    seconds = 1.0 if quick else 3.0
    return (
        Case("2 KB, one connection", connections=1, times=100 if quick else 500),
        Case("2 KB, 500 a second", rate=500, seconds=seconds),
        Case("2 KB, 100 a second", rate=100, seconds=seconds),
        Case("2 KB, 20 a second", rate=20, seconds=2 * seconds),
    )


async def play(case: Case, target: Target, figures: Figures) -> None:
    """Run a round, and add its figures.

    Raises: ConnectionError where a response isn't 200; TimeoutError.
    """
    request = load.message_request(
        target.path,
        target.token,
        case.size,
        stream=case.stream,
        tools=case.tools,
        prompt=case.prompt,
    )
    before = cpu_seconds(target.pid)
    async with asyncio.timeout(_ROUND_S):
        if case.rate is not None:
            took = await load.pace(target.port, request, case.rate, case.seconds)
            await asyncio.sleep(_LAST_RECORDS_S)
            units = len(took)
            figures.medians.append(statistics.median(took) * 1e3)
            figures.p99s.append(took[int(units * 0.99)] * 1e3)
        else:
            tally = await load.run(target.port, [request], case.connections, case.times)
            units = tally.events if case.stream else tally.responses
            if case.stream:
                figures.events_a_read.append(tally.events / tally.reads)
    figures.costs.append((cpu_seconds(target.pid) - before) * 1e6 / units)
