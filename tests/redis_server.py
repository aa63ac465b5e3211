"""A real Redis for one test: killed, frozen, restarted empty."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from aibridged.clock import SystemClock
from aibridged.limits.redis_script import PREFIX

_PROGRAMS = ("redis-server", "valkey-server")
_PATIENCE_S = 10.0


def find_redis() -> str:
    """The server's program; without one the test is skipped, but fails under CI."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        reason = "NOT TESTED WITH REDIS: neither redis-server nor valkey-server is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class RedisProcess:
    """A server on a Unix socket, or on an address, that keeps nothing on disk.

    `inside` is put before the command.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        *,
        bind: str | None = None,
        inside: tuple[str, ...] = (),
    ) -> None:
        socket = directory / "redis.sock"
        self.url = f"unix://{socket}" if bind is None else f"redis://{bind}:6379"
        self.client = redis.Redis.from_url(f"unix://{socket}")
        address = ("--port", "0") if bind is None else ("--bind", bind, "--protected-mode", "no")
        self.command = [
            *inside,
            program,
            *address,
            *("--unixsocket", str(socket), "--save", "", "--dir", str(directory)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, aged: bool = True) -> None:
        """Start it, empty; `aged`: as if all replicas had told it long since what they hold."""
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        until = SystemClock().monotonic() + _PATIENCE_S
        while True:
            try:
                self.client.ping()
                break
            except redis.ConnectionError:
                assert SystemClock().monotonic() < until, "Redis doesn't start"
                time.sleep(0.01)
        if aged:
            self.client.set(f"{PREFIX}since", 1)

    def kill(self) -> None:
        """End it at once, with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections, as the kernel does for it, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def redis_server(tmp_path_factory) -> Iterator[RedisProcess]:
    """A running, empty server of this test's own."""
    server = RedisProcess(find_redis(), tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()
