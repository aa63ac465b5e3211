"""Which destinations get a batch, and what a reload changes."""

import pytest

from aibridged.config.options import TelemetrySettings
from aibridged.telemetry.relay import TelemetryRelay
from aibridged.wire.telemetry import Signal
from tests.telemetry.conftest import batch
from tests.waiting import until


@pytest.fixture
async def relay(clock):
    made = TelemetryRelay(clock)
    yield made
    await made.close()


async def test_each_destination_gets_its_signals(relay, receiver):
    one = TelemetrySettings(f"{receiver.url}/one", signals=("logs",))
    two = TelemetrySettings(f"{receiver.url}/two", signals=("logs", "metrics"))
    relay.configure((one, two))
    assert [relay.wants(each) for each in Signal] == [True, True, False]
    for signal in Signal:
        relay.put(batch(signal=signal))
    await relay.close()
    assert sorted(path for _, path, *_ in receiver.requests) == [
        "/one/v1/logs",
        "/two/v1/logs",
        "/two/v1/metrics",
    ]


async def test_without_destinations_nothing_is_wanted(relay):
    relay.configure(())
    assert not any(map(relay.wants, Signal))
    relay.put(batch())
    assert relay.counts.dropped == {}


async def test_a_reload_keeps_what_is_unchanged_and_lets_the_rest_end(relay, receiver):
    kept, removed = (TelemetrySettings(f"{receiver.url}/{name}") for name in ("kept", "removed"))
    receiver.may_answer.clear()
    relay.configure((kept, removed))
    destination = relay._destinations[kept]
    relay.put(batch())
    await until(lambda: len(receiver.requests) == 2)
    relay.configure((kept,))
    assert relay._destinations == {kept: destination}
    receiver.may_answer.set()
    await relay.close()
    assert len(relay.counts.relayed) == 2
    assert relay.counts.dropped == {}
