"""What isn't a cost of each request: the start, and the memory of a stream."""

import asyncio
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from bench import load
from bench.targets import daemon, provider

_STARTS = 5
_SLOW = "200ms"
"""Between events, so that all streams run at the same time."""
_DEADLINE_S = 60.0


def start_s(folder: Path) -> float:
    """Seconds from the start of `serve` until it listens, where its record is there already."""
    with provider(folder) as upstream:
        starts = []
        for number in range(_STARTS):
            with daemon(upstream.port, folder, f"start {number}") as target:
                starts.append(target.start_s)
    return statistics.median(starts)


async def kilobytes_a_stream(folder: Path, streams: int) -> float:
    """Resident memory of a stream while so many run, in KB."""
    with ExitStack() as stack:
        upstream = stack.enter_context(provider(folder, _SLOW))
        target = stack.enter_context(daemon(upstream.port, folder, "memory"))
        short = load.message_request(target.path, target.token, 2_000)
        await load.run(target.port, [short], 20, 20)
        before = _resident_kb(target.pid)
        client = load.Client(target.port)
        long = load.message_request(target.path, target.token, 2_000, stream=True)
        made = [await client.connect() for _ in range(streams)]
        for connection in made:
            connection.ask(long, lambda connection: None)
        until = time.monotonic() + _DEADLINE_S
        while client.tally.events < 3 * streams:
            if time.monotonic() > until:
                raise TimeoutError("the streams don't begin")
            await asyncio.sleep(0.05)
        after = _resident_kb(target.pid)
        for connection in made:
            connection.close()
    return (after - before) / streams


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError("the system doesn't tell the memory of a process")
