import asyncio
from dataclasses import replace

import pytest

from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.secret import Secret
from aibridged.transport.in_flight import InFlight
from aibridged.transport.upstream_pool import Upstreams

ONE = ProviderSettings("anthropic", "one", None, "http://one")
TWO = ProviderSettings("openai", "two", None, "http://two")
SETTINGS = Settings(providers=(ONE, TWO))


class Upstream:
    closed = False

    async def close(self):
        self.closed = True


@pytest.fixture
def in_flight():
    return InFlight()


@pytest.fixture
def upstreams(in_flight):
    return Upstreams(in_flight, lambda name, base_url, connect_timeout: Upstream())


def configure(upstreams, in_flight, settings):
    """What a configuration gets, with the count of its requests."""
    return upstreams.for_providers(settings), in_flight.next_generation()


async def test_a_provider_keeps_its_connections_while_it_is_where_it_was(upstreams, in_flight):
    first, _ = configure(upstreams, in_flight, SETTINGS)
    assert list(first) == ["one", "two"]
    moved = replace(TWO, base_url="http://three")
    settings = replace(SETTINGS, providers=(moved, replace(ONE, key=Secret("new"))))
    second, _ = configure(upstreams, in_flight, settings)
    assert list(second) == ["two", "one"]
    assert second["one"] is first["one"]
    assert second["two"] is not first["two"]
    settings = replace(settings, upstream_connect_timeout=1.0)
    third, _ = configure(upstreams, in_flight, settings)
    assert not {*third.values()} & {*second.values()}
    await upstreams._retirements.idle()
    assert [each.closed for each in (*first.values(), *third.values())] == [True] * 2 + [False] * 2
    assert len(upstreams) == 2


async def test_connections_close_after_every_request_that_may_use_them(upstreams, in_flight):
    """Also after those that began with a configuration in between."""
    used, before = configure(upstreams, in_flight, SETTINGS)
    before.enter()
    _, between = configure(upstreams, in_flight, replace(SETTINGS, rate_limit=1))
    between.enter()
    _, latest = configure(upstreams, in_flight, replace(SETTINGS, providers=(ONE,)))
    latest.enter()
    for generation in (before, between):
        for _ in range(5):
            await asyncio.sleep(0)
        assert not used["two"].closed
        assert len(upstreams) == 2
        generation.leave()
    await upstreams._retirements.idle()
    assert used["two"].closed
    assert not used["one"].closed


async def test_the_end_closes_all(upstreams, in_flight):
    used, before = configure(upstreams, in_flight, SETTINGS)
    before.enter()
    latest, _ = configure(upstreams, in_flight, replace(SETTINGS, providers=(ONE,)))
    await upstreams.close()
    assert all(each.closed for each in (*used.values(), *latest.values()))
