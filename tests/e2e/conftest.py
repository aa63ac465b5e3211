"""The gateway over real sockets: in this process with a clock to move, or as the real daemon."""

import asyncio
import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from aiohttp import web

from aibridged.config.kinds import Address
from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.secret import Secret
from aibridged.daemon.gateway import Gateway
from aibridged.fake_provider import FakeProvider
from aibridged.records import schema
from tests.migrated import migrate

ANTHROPIC_KEY = "sk-ant-organisation"
OPENAI_KEY = "sk-openai-organisation"


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """A scripted provider on a free port."""
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def start_gateway(fake, clock, tmp_path) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    """Starts gateways in front of `fake`, with the settings that are given and a moved clock."""
    started: list[Gateway] = []

    async def start(**changes: object) -> Gateway:
        state_dir = tmp_path / f"state-{len(started)}"
        if not {"state_dir", "postgres_url"} & changes.keys():
            state_dir.mkdir(mode=0o700)
            migrate(state_dir)
        settings = {
            "http_address": Address("127.0.0.1", 0),
            "providers": (
                ProviderSettings("anthropic", "anthropic", Secret(ANTHROPIC_KEY), fake.base_url),
                ProviderSettings("openai", "openai", Secret(OPENAI_KEY), f"{fake.base_url}/v1"),
            ),
            "shutdown_timeout": 0.0,
            "auth": "none",
            "state_dir": state_dir,
            **changes,
        }
        gateway = Gateway(replace(Settings(), **settings), clock)
        await gateway.start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        await gateway.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client that decodes and follows nothing."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
async def received_spans(monkeypatch) -> AsyncIterator[bytearray]:
    """A receiver of traces, which the variables name; what it has received, as it came."""
    received = bytearray()

    async def receive(request: web.BaseRequest) -> web.Response:
        received.extend(await request.read())
        return web.Response()

    async with await asyncio.get_running_loop().create_server(
        web.Server(receive), "127.0.0.1", 0
    ) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield received


class Recording:
    """A database, and gateways that record in it, one after the other."""

    def __init__(self, database: Any, start: Callable[..., Awaitable[Gateway]]) -> None:
        self.database = database
        self._start = start
        self._gateway: Gateway | None = None

    async def start(self, **changes: object) -> Gateway:
        """Start a gateway, once the one before it has stopped."""
        await self.stop()
        url = self.database.url.render_as_string(hide_password=False)
        settings = {
            "state_dir": self.database.state_dir,
            "postgres_url": None if self.database.is_sqlite else Secret(url),
            "shutdown_timeout": 10.0,
        }
        self._gateway = await self._start(**{**settings, **changes})
        return self._gateway

    async def stop(self) -> None:
        """Let the requests that run end, with their records."""
        if self._gateway is not None:
            await self._gateway.stop()

    async def rows(self) -> list[dict[str, Any]]:
        """Stop; every interception, the oldest first, with the rows of the other tables.

        They are whole but for ids, times and money (see `costs`). Where a column names an
        interception, it is by its place in this list.
        """
        await self.stop()
        found = sorted(self.database.rows(schema.interceptions), key=lambda row: row["started_at"])
        places = {row["id"]: place for place, row in enumerate(found)}
        own = [
            {
                name: value if isinstance(value, dict) else places.get(value, value)
                for name, value in row.items()
                if name not in ("id", "recorder_id", "started_at", "ended_at", *_MONEY)
            }
            for row in found
        ]
        assert all(row["ended_at"] is None or row["started_at"] <= row["ended_at"] for row in found)
        whole = [{"interception": row, **{table.name: [] for table in _BELONGING}} for row in own]
        dropped = ("id", "interception_id", "created_at", *_MONEY)
        for table in _BELONGING:
            for row in self.database.rows(table):
                kept = {name: value for name, value in row.items() if name not in dropped}
                if table is schema.token_usages:
                    notes = kept["metadata"] or {}
                    if not any(kept[name] for name in schema.TOKEN_COUNTS) and _GUESSED in notes:
                        continue
                    told = {name: value for name, value in notes.items() if name not in _NOTES}
                    kept["metadata"] = told or None
                whole[places[row["interception_id"]]][table.name].append(kept)
        return whole

    async def usages(self) -> list[dict[str, Any]]:
        """Stop; the rows of token usage, those of the oldest interception first."""
        return [usage for row in await self.rows() for usage in row["aibridge_token_usages"]]

    async def costs(self) -> list[tuple[Any, list[Any]]]:
        """Stop; the cost of each interception, the oldest first, with those of its usages.

        A cost is an amount with its label; a usage's has the source of its rates, too.
        """
        await self.stop()
        found = sorted(self.database.rows(schema.interceptions), key=lambda row: row["started_at"])
        parts: dict[str, list[Any]] = {row["id"]: [] for row in found}
        for row in sorted(self.database.rows(schema.token_usages), key=lambda row: row["id"]):
            priced = (row["cost_nanos"], row["cost_label"], row["price_version"])
            parts[row["interception_id"]].append(priced)
        return [((row["cost_nanos"], row["cost_label"]), parts[row["id"]]) for row in found]


_GUESSED = "estimated_input"
_NOTES = (_GUESSED, "estimated_output", "cost_reasons")
_MONEY = ("cost_nanos", "cost_label", "price_version", "reserved_nanos", "charged_to")
_BELONGING = (
    schema.token_usages,
    schema.user_prompts,
    schema.tool_usages,
    schema.model_thoughts,
)


@pytest.fixture
def recording(database, start_gateway) -> Recording:
    """Gateways in front of `fake` that record on SQLite and on PostgreSQL, in turn."""
    return Recording(database, start_gateway)


@pytest.fixture
async def connect_sdk() -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of the official SDKs: `connect_sdk("anthropic", url, **options)`.

    Unlike the SDKs' own they load no certificates, which takes longer than most tests.
    """
    made = []

    def connect(name: str, url: str, **options: Any) -> Any:
        module = {"anthropic": anthropic, "openai": openai}[name]
        kind = anthropic.AsyncAnthropic if name == "anthropic" else openai.AsyncOpenAI
        path = "/anthropic" if name == "anthropic" else "/openai/v1"
        sdk = kind(
            base_url=url + path,
            max_retries=0,
            http_client=module.DefaultAsyncHttpxClient(verify=False),
            **{"api_key": "gateway-token", **options},
        )
        made.append(sdk)
        return sdk

    yield connect
    for sdk in made:
        await sdk.close()


@dataclass
class RawReply:
    """A response as it came over the socket; `status` is 0 where there was none.

    Text is Latin-1, so that each character is a byte; the body is chunked if the answer was.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


async def _exchange(url: str, request: bytes) -> RawReply:
    match = re.fullmatch(r"http://(.+):(\d+)", url)
    assert match is not None
    reader, writer = await asyncio.open_connection(match[1], int(match[2]))
    try:
        writer.write(request)
        got = bytearray()
        with suppress(ConnectionResetError):  # it may not have read all of a refused request
            while chunk := await reader.read(1 << 16):
                got += chunk
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        return RawReply(int(first.split()[1]) if first else 0, headers, body)
    finally:
        writer.close()


@pytest.fixture
def raw() -> Callable[[str, bytes], Awaitable[RawReply]]:
    """Sends bytes as they are to a URL's host and reads to the end of the connection."""
    return _exchange


@dataclass
class Daemon:
    """The real daemon; `log` is what it has said so far."""

    process: asyncio.subprocess.Process
    url: str
    log: list[str]
    spoke: asyncio.Event
    silent: asyncio.Event
    """Set once nothing more can come."""

    async def until(self, text: str, times: int = 1) -> None:
        """Wait for a line with `text`, or so many of them."""
        async with asyncio.timeout(10):
            while sum(text in line for line in self.log) < times:
                self.spoke.clear()
                await self.spoke.wait()

    async def metrics_url(self) -> str:
        """Where it says that its metrics are."""
        await self.until("Metrics are served at http://")
        (line,) = (line for line in self.log if "Metrics are served at" in line)
        return next(word for word in line.split() if word.startswith("http"))


LISTENS = re.compile(r"listens on (https?://[^;\s]+)")
"""Finds the URL in a daemon's log."""


def daemon_environment(provider_url: str, state: str) -> dict[str, str]:
    """The environment of a daemon in front of a provider, with no other settings than these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}
    return {
        **kept,
        "CODER_HTTP_ADDRESS": "127.0.0.1:0",
        "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": provider_url,
        "CODER_AIBRIDGE_ANTHROPIC_KEY": ANTHROPIC_KEY,
        "CODER_AIBRIDGE_OPENAI_BASE_URL": f"{provider_url}/v1",
        "CODER_AIBRIDGE_OPENAI_KEY": OPENAI_KEY,
        "CODER_AIBRIDGE_AUTH": "none",
        "CODER_STATE_DIR": state,
    }


# Does what systemd does between fork and exec: sockets get the numbers from 3 on.
_PASSING = """
import fcntl, os, sys
count = int(sys.argv[1])
given, command = sys.argv[2 : 2 + count], sys.argv[2 + count :]
apart = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in given]
for index, fd in enumerate(apart):
    os.dup2(fd, 3 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(command[0], command)
"""

_LIMITING = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execv(sys.argv[3], sys.argv[3:])
"""


@asynccontextmanager
async def _daemon(
    provider_url: str,
    *flags: str,
    passed: Sequence[socket.socket] = (),
    stdout: int | None = None,
    descriptors: tuple[int, int] | None = None,
    **variables: str,
) -> AsyncIterator[Daemon]:
    fds = [each.fileno() for each in passed]
    before: list[str] = []
    if fds:
        before = [sys.executable, "-c", _PASSING, str(len(fds)), *map(str, fds)]
    if descriptors is not None:
        before += [sys.executable, "-c", _LIMITING, *map(str, descriptors)]
    with tempfile.TemporaryDirectory() as state:
        if not {"CODER_STATE_DIR", "CODER_PG_CONNECTION_URL"} & variables.keys():
            migrate(Path(state))
        running = _running(provider_url, state, before, fds, stdout, *flags, **variables)
        async with running as daemon:
            yield daemon


@asynccontextmanager
async def _running(
    provider_url: str,
    state: str,
    before: Sequence[str],
    fds: Sequence[int],
    stdout: int | None,
    *flags: str,
    **variables: str,
) -> AsyncIterator[Daemon]:
    process = await asyncio.create_subprocess_exec(
        *before,
        sys.executable,
        "-m",
        "aibridged",
        "serve",
        *flags,
        pass_fds=fds,
        env={**daemon_environment(provider_url, state), **variables},
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )
    log: list[str] = []
    spoke, silent = asyncio.Event(), asyncio.Event()
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def follow() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            log.append(line.decode())
            spoke.set()
            match = LISTENS.search(log[-1])
            if match and not listening.done():
                listening.set_result(match[1])
        silent.set()
        if not listening.done():
            listening.set_exception(AssertionError("".join(log)))

    following = asyncio.get_running_loop().create_task(follow())
    try:
        yield Daemon(process, await listening, log, spoke, silent)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await following


@pytest.fixture(scope="session")
def daemon_in_front_of() -> Callable[..., AbstractAsyncContextManager[Daemon]]:
    """Runs `aibridged serve` as a process in front of a provider's URL, while it is entered."""
    return _daemon


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its exit status, and what it has written."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def command() -> Callable[..., Awaitable[Finished]]:
    """Runs `aibridged` as a process, for 80 columns and with no other settings than these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}

    async def run(*args: str, **variables: str) -> Finished:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "aibridged", *args),
            env={**kept, "COLUMNS": "80", **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        return Finished(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
async def start_daemon(fake) -> AsyncIterator[Callable[..., Awaitable[Daemon]]]:
    """Starts `aibridged serve` as a process in front of `fake`, with the variables given.

    `passed` are listening sockets that it gets as systemd passes them, `descriptors` its soft and
    its hard limit of them.
    """
    async with AsyncExitStack() as running:

        async def start(*flags: str, **options: Any) -> Daemon:
            return await running.enter_async_context(_daemon(fake.base_url, *flags, **options))

        yield start
