"""One caller who sends what hurts, and another who must not feel it; each a process of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PROBER = "tests.e2e.abuse.prober"
ROOT = Path(__file__).parents[3]
REQUEST_P99_MS = 250
HEALTHZ_P99_MS = 100
_ANSWER_S = 60.0

AT_LENGTH = "AIBRIDGED_ABUSE" in os.environ
"""Whether larger bodies are wanted, and each shape in each field."""
RESULT = "abuse"
"""The property of a test that says its area, how many cases were tried and how many were bad."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if AT_LENGTH:
        terminalreporter.write_line(f"\n{'area':40} cases  bad")
        for reports in terminalreporter.stats.values():
            for name, value in (each for one in reports for each in _properties(one)):
                if name == RESULT:
                    area, cases, bad = value
                    terminalreporter.write_line(f"{area:40} {cases:5} {bad:4}")


def _properties(report: Any) -> list[tuple[str, Any]]:
    """What a test has noted about itself, once: its set-up and its end have reports, too."""
    return report.user_properties if getattr(report, "when", "") == "call" else []


@pytest.fixture
def at_length() -> bool:
    """Whether the longer version is wanted."""
    return AT_LENGTH


@pytest.fixture
def limit(at_length: bool) -> int:
    """The largest request body, in bytes."""
    return (32 if at_length else 8) * 1024 * 1024


@dataclass(frozen=True)
class Attack:
    """A request that is meant to hurt: `path`, further header lines, and a body."""

    name: str
    body: bytes = field(repr=False)
    headers: str = ""
    path: str = "/anthropic/v1/messages"


@pytest.fixture
def attack() -> type[Attack]:
    """Makes attacks."""
    return Attack


class Seen(NamedTuple):
    """A request of the other caller's, in seconds, as the prober tells it."""

    began: float
    took: float
    waited: float
    status: int
    kind: str

    @property
    def own(self) -> float:
        """What it took apart from waiting for a processor, which others may keep busy."""
        return max(0.0, self.took - self.waited)


class Arena:
    """The daemon in front of a fake provider, a hostile caller, and another who only asks."""

    def __init__(
        self, pid: int, url: str, token: str, limit: int, note: Callable[[str, object], None]
    ) -> None:
        match = re.fullmatch(r"http://([^:]+):(\d+)", url)
        assert match is not None
        self.address = match[1], int(match[2])
        self.seen: list[Seen] = []
        self._saw = asyncio.Event()
        self._token = token
        self._limit = limit
        self._note = note
        self._pid = pid

    async def fares_well(self, area: str, attacks: Iterable[Attack]) -> None:
        """Make the attacks, one after the other; the other caller must not notice any of them."""
        bad, cases = [], 0
        await self._asked_since(asyncio.get_running_loop().time())
        for attack in attacks:
            cases += 1
            trouble = await self._trouble(attack)
            # What else the machine does hurts, too, but not the same case twice.
            if trouble and (trouble := await self._trouble(attack)):
                bad.append(f"{attack.name}: {trouble}")
        self._note(RESULT, (area, cases, len(bad)))
        assert not bad, "\n".join(bad)

    async def follow(self, prober: asyncio.subprocess.Process) -> None:
        """Take down what the prober tells of the other caller."""
        assert prober.stdout is not None
        async for line in prober.stdout:
            began, took, waited, status, kind = line.decode().split()
            self.seen.append(Seen(float(began), float(took), float(waited), int(status), kind))
            self._saw.set()

    async def _trouble(self, attack: Attack) -> str:
        before = self._peak_memory()
        began = asyncio.get_running_loop().time()
        status = await self._send(attack)
        seen = await self._asked_since(began)
        grown = self._peak_memory() - before
        found = [
            f"{kind} p99 {p99:.0f} ms"
            for kind, most in (("request", REQUEST_P99_MS), ("healthz", HEALTHZ_P99_MS))
            if (p99 := _p99([each.own for each in seen if each.kind == kind])) > most
        ]
        refused = sum(each.status != 200 for each in seen)
        if refused:
            found.append(f"{refused} of the other's requests failed")
        if grown > 4 * self._limit:
            found.append(f"memory grew by {grown >> 20} MiB")
        if status not in (200, 400, 413, 415):
            found.append(f"answered {status}")
        return ", ".join(found)

    async def _send(self, attack: Attack) -> int:
        """The status of the answer, or 0 where there was none."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            async with asyncio.timeout(_ANSWER_S):
                head = (
                    f"POST {attack.path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {self._token}\r\n"
                    f"Content-Length: {len(attack.body)}\r\nConnection: close\r\n"
                    f"{attack.headers}\r\n"
                )
                writer.write(head.encode())
                with suppress(ConnectionError):  # refused before all of it was sent
                    writer.write(attack.body)
                    await writer.drain()
                answer = await reader.read()
        finally:
            writer.close()
        return int(answer.split()[1]) if answer else 0

    async def _asked_since(self, began: float) -> "list[Seen]":
        """What the other caller asked meanwhile, once there is an answer to something later."""
        ended = asyncio.get_running_loop().time()
        async with asyncio.timeout(_ANSWER_S):
            while not self.seen or self.seen[-1].began < ended:
                self._saw.clear()
                await self._saw.wait()
        return [
            each for each in self.seen if each.began + each.took >= began and each.began <= ended
        ]

    def _peak_memory(self) -> int:
        """The most bytes in memory since this was last asked."""
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._pid}/status").read_text())
        assert peak is not None
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        return int(peak[1]) * 1024


def _p99(waits: list[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)] * 1000 if waits else 0.0


async def _spawn(stack: AsyncExitStack, *command: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.communicate()

    stack.push_async_callback(end)
    return process


async def _run(*command: str) -> str:
    async with AsyncExitStack() as stack:
        process = await _spawn(stack, "-m", "aibridged", *command)
        out, _ = await process.communicate()
        assert process.returncode == 0, out
        return out.decode()


@pytest.fixture
async def enter(
    daemon_in_front_of: Callable[..., Any],
    tmp_path: Path,
    limit: int,
    record_property: Callable[[str, object], None],
) -> AsyncIterator[Callable[["Provider"], Awaitable[Arena]]]:
    """Starts an arena in front of a provider."""
    async with AsyncExitStack() as stack:

        async def enter(provider: Provider, **settings: str) -> Arena:
            place = ("--state-dir", str(tmp_path))
            for name in ("hostile", "other"):
                await _run("users", "create", name, *place)
            tokens = [
                re.findall(r"aib_\w+", await _run("tokens", "create", "--user", name, *place))[0]
                for name in ("hostile", "other")
            ]
            daemon = await stack.enter_async_context(
                daemon_in_front_of(
                    provider.url,
                    CODER_AIBRIDGE_AUTH="token",
                    CODER_STATE_DIR=str(tmp_path),
                    CODER_AIBRIDGE_MAX_REQUEST_BYTES=str(limit),
                    **settings,
                )
            )
            arena = Arena(daemon.process.pid, daemon.url, tokens[0], limit, record_property)
            host, port = arena.address
            pids = map(str, (daemon.process.pid, provider.pid))
            prober = await _spawn(stack, "-m", PROBER, host, str(port), tokens[1], *pids)
            following = asyncio.get_running_loop().create_task(arena.follow(prober))
            stack.callback(following.cancel)
            return arena

        yield enter


class Provider(NamedTuple):
    """A provider's URL, and its process."""

    url: str
    pid: int


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A fake provider in a process of its own."""
    async with AsyncExitStack() as stack:
        command = ("-m", "aibridged", "fake-provider", "--address", "127.0.0.1:0", "--keep", "0")
        process = await _spawn(stack, *command)
        assert process.stdout is not None
        async with asyncio.timeout(_ANSWER_S):
            line = await process.stdout.readline()
        match = re.search(rb"http://[0-9.:]+\d", line)
        assert match is not None, line
        draining = asyncio.get_running_loop().create_task(process.stdout.read())
        stack.callback(draining.cancel)
        yield Provider(match[0].decode(), process.pid)
