"""A real daemon of two workers in front of the fake provider."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.processes import children

PATH = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}
PATIENCE_S = 60


class Group:
    """The daemon, its workers, and what is asked of them."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon
        self.url = daemon.url

    @property
    def workers(self) -> list[int]:
        """The ids of the workers' processes, the oldest first."""
        return [pid for pid in children(self.daemon.process.pid) if pid not in self.writers]

    @property
    def writers(self) -> list[int]:
        """The id of the process that writes for them, if there is one."""
        return [
            pid
            for pid in children(self.daemon.process.pid)
            if b"\0writer\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    async def until(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.said(text)) < times:
                self.daemon.spoke.clear()
                await self.daemon.spoke.wait()

    def said(self, text: str) -> list[str]:
        return [line for line in self.daemon.log if text in line]

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.daemon.process.wait()

    async def outputs_closed(self) -> None:
        """Wait until no process has the daemon's standard error any more."""
        async with asyncio.timeout(PATIENCE_S):
            await self.daemon.silent.wait()

    async def ask(self) -> tuple[int, bool] | None:
        """A request on a connection of its own; None: the connection was lost."""
        async with aiohttp.ClientSession() as client:
            return await self.ask_with(client)

    async def ask_with(self, client: aiohttp.ClientSession) -> tuple[int, bool] | None:
        try:
            async with client.post(self.url + PATH, json=REQUEST) as response:
                return response.status, b"message_stop" in await response.read()
        except (aiohttp.ClientError, OSError):
            return None


@pytest.fixture
async def start_group(start_daemon, postgres_database) -> Callable[..., Awaitable[Group]]:
    """Starts a daemon of two workers that listen, with the options of `start_daemon`."""
    url = postgres_database.url.render_as_string(hide_password=False)

    async def start(*flags: str, **options: Any) -> Group:
        variables = {"CODER_PG_CONNECTION_URL": url, "CODER_AIBRIDGE_WORKERS": "2", **options}
        group = Group(await start_daemon(*flags, **variables))
        await group.until("2 workers serve")
        return group

    return start
