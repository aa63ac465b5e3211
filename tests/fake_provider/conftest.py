"""A running fake and the official SDKs in front of it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import anthropic
import openai
import pydantic
import pytest

from aibridged.fake_provider import FakeProvider

KEY = "sk-any"


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    fake = FakeProvider()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def claude(fake: FakeProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    client = anthropic.AsyncAnthropic(base_url=fake.base_url, api_key=KEY, max_retries=0)
    async with client:
        yield client


@pytest.fixture
async def gpt(fake: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    client = openai.AsyncOpenAI(base_url=fake.openai_url, api_key=KEY, max_retries=0)
    async with client:
        yield client


@pytest.fixture
async def http(fake: FakeProvider) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client with a key, in front of `fake`."""
    async with aiohttp.ClientSession(fake.base_url, headers={"x-api-key": KEY}) as session:
        yield session


@pytest.fixture
def strictly() -> Callable[[Any, bytes], Any]:
    """Reads JSON as a type of an SDK, without the leniency that SDKs have: no field may be unknown.

    The SDKs themselves take whatever comes, so that their acceptance alone would prove little.
    """

    def read(kind: Any, data: bytes) -> Any:
        value = pydantic.TypeAdapter(kind).validate_json(data)
        _refuse_unknown(value, type(value).__name__)
        return value

    return read


def _refuse_unknown(value: Any, path: str) -> None:
    if isinstance(value, pydantic.BaseModel):
        assert not value.model_extra, f"{path} has unknown fields {value.model_extra}"
        for name in value.model_fields_set:
            _refuse_unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_unknown(item, f"{path}[{number}]")


@pytest.fixture
def sse() -> Callable[[tuple[bytes, ...]], list[tuple[str, bytes]]]:
    """The names and data of rendered events; each piece must be one event, whole."""

    def read(pieces: tuple[bytes, ...]) -> list[tuple[str, bytes]]:
        events = []
        for piece in pieces:
            assert piece.endswith(b"\n\n")
            lines = piece[:-2].split(b"\n")
            fields = dict(line.split(b": ", 1) for line in lines)
            events.append((fields.get(b"event", b"").decode(), fields[b"data"]))
        return events

    return read
