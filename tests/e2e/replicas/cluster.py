"""Three replicas behind HAProxy, with one PostgreSQL and one Redis, and clients that never rest."""

import asyncio
import os
import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from aibridged.clock import SystemClock
from aibridged.fake_provider import FakeProvider, Script
from aibridged.records.spool import SPOOL_FILE
from tests.e2e.replicas.network import Machine
from tests.waiting import until

REPLICAS, SLOTS, RATE = 3, 12, 40
ANSWERS_IN_S = 0.2
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
now = SystemClock().monotonic

_HAPROXY = """
global
    log stderr format raw local0 alert
defaults
    mode http
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
    timeout queue 10s
    option redispatch 1
    retries 3
    retry-on conn-failure
frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 200ms fall 2 rise 1
{servers}
"""


class CountingProvider(FakeProvider):
    """A provider that counts what runs there at once: each of them has a slot somewhere."""

    def __init__(self) -> None:
        super().__init__(default=Script(delay_headers=ANSWERS_IN_S), keep=1)
        self.running = self.most = self.begun = 0

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.running += 1
        self.begun += 1
        self.most = max(self.most, self.running)
        try:
            return await super()._handle(request)
        finally:
            self.running -= 1


class Replica:
    """A daemon on a machine of its own."""

    def __init__(self, machine: Machine, state_dir: Path, settings: dict[str, str]) -> None:
        self.machine = machine
        self.url = f"http://{machine.address}:4001"
        self.spool = state_dir / SPOOL_FILE
        self._settings = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CODER_")},
            "CODER_HTTP_ADDRESS": f"{machine.address}:4001",
            "CODER_STATE_DIR": str(state_dir),
            **settings,
        }
        self._log = state_dir / "log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        command = (*self.machine.inside, sys.executable, "-m", "aibridged", "serve")
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, env=self._settings, stdout=log, stderr=log
            )
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await is_ready(session, self.url):
                assert self.process.returncode is None, self._log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal, and wait until it has."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)  # `ip` has become the daemon
            await self.process.wait()


async def is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a replica says that it is."""
    try:
        async with session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def start_haproxy(
    folder: Path, port: int, replicas: list[Replica]
) -> asyncio.subprocess.Process:
    """HAProxy in front of the replicas."""
    servers = "\n".join(
        f"    server r{number} {each.machine.address}:4001" for number, each in enumerate(replicas)
    )
    file = folder / "haproxy.cfg"
    file.write_text(_HAPROXY.format(port=port, servers=servers))
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") or "haproxy"
    return await asyncio.create_subprocess_exec(program, "-db", "-f", str(file))


@dataclass
class Seen:
    """What clients and the provider have seen in a phase."""

    answers: Counter[str] = field(default_factory=Counter)
    by_token: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    slowest: float = 0.0
    most: int = 0
    seconds: float = 0.0


class Clients:
    """Clients that send one request after the other, each with its own connections."""

    def __init__(self, url: str, tokens: list[str], provider: CountingProvider) -> None:
        self.seen = Seen()
        self.whole = self.lost = 0
        self._url = f"{url}/anthropic/v1/messages"
        self.tokens = tokens
        self._provider = provider
        self._stopping = False

    async def run(self, count: int) -> None:
        """Send until `stop`."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            tokens = self.tokens
            await asyncio.gather(
                *(self._one(session, tokens[n % len(tokens)]) for n in range(count))
            )

    def stop(self) -> None:
        """Let each end its last request."""
        self._stopping = True

    async def phase(self, seconds: float) -> Seen:
        """What is seen within so many seconds."""
        self.seen = Seen()
        self._provider.most = self._provider.running
        began = now()
        await asyncio.sleep(seconds)
        seen, self.seen = self.seen, Seen()
        seen.most, seen.seconds = self._provider.most, now() - began
        return seen

    async def _one(self, session: aiohttp.ClientSession, token: str) -> None:
        while not self._stopping:
            began = now()
            try:
                async with session.post(
                    self._url, json=BODY, headers={"X-Coder-Token": token}
                ) as answer:
                    await answer.read()
            except aiohttp.ClientError:
                self.seen.lost += 1
                self.lost += 1
                continue
            seen = self.seen
            reason = answer.headers.get("X-Aibridge-Reason", str(answer.status))
            seen.answers[reason] += 1
            self.lost += reason in ("502", "504")
            seen.slowest = max(seen.slowest, now() - began)
            if answer.status == 200:
                self.whole += 1
                seen.by_token[token] += 1
            else:
                await asyncio.sleep(0.05)


async def quiet(provider: CountingProvider) -> None:
    """Wait until nothing runs."""
    await until(lambda: provider.running == 0, 30)
