"""An OTLP receiver over a real socket, and destinations with a clock to move."""

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web
from loguru import logger

from aibridged.config.options import TelemetrySettings
from aibridged.telemetry.destination import Batch, Counts, Destination
from aibridged.wire.telemetry import Encoding, Signal
from tests.socket_fixtures import listening


class Receiver:
    """Answers when `may_answer`, with each of `statuses` and then with 200."""

    def __init__(self):
        self.requests = []
        self.statuses = []
        self.headers = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def serve(self, request):
        body = await request.content.read()
        self.requests.append((request.method, request.path, dict(request.headers), body))
        await self.may_answer.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers=self.headers, body=b"x" * 100_000)


def batch(body=b"abc", signal=Signal.LOGS):
    return Batch(signal, Encoding.PROTOBUF, body)


@pytest.fixture
async def receiver():
    made = Receiver()
    async with listening(made.serve) as made.url:
        yield made
        made.may_answer.set()


@pytest.fixture
def unused_url():
    """Where nobody listens, and nobody can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def log():
    lines = []
    sink = logger.add(lines.append, format="{message}", level=0)
    yield lines
    logger.remove(sink)


@pytest.fixture
async def make_session():
    made = []

    async def make(seconds=10):
        made.append(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
async def make(make_session, clock, counts, pauses):
    """Makes destinations whose pauses are noted, and take no time but the clock's."""
    usual = await make_session()

    def make(url, *, session=usual, **fields):
        async def sleep(seconds):
            pauses.append(seconds)
            clock.advance(seconds)
            await asyncio.sleep(0)

        return Destination(TelemetrySettings(url, **fields), session, clock, counts, sleep)

    return make
