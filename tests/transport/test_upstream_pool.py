import asyncio
from dataclasses import replace

import pytest

from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.secret import Secret
from aibridged.transport.in_flight import InFlight
from aibridged.transport.upstream_pool import Upstreams

ONE = ProviderSettings("anthropic", "one", None, "http://one")
TWO = ProviderSettings("openai", "two", None, "http://two")
SETTINGS = Settings(providers=(ONE, TWO))


class Upstream:
    closed = False

    def __init__(self, key):
        self.key = key

    async def close(self):
        self.closed = True


@pytest.fixture
def in_flight():
    return InFlight()


@pytest.fixture
def upstreams(in_flight):
    return Upstreams(in_flight, lambda key: Upstream(key))


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


@pytest.mark.parametrize(
    "change",
    [
        {"proxy": ProxyUrl("http", "proxy", 3128, None)},
        {"keepalive_timeout": 1.0},
        {"name": "other"},
    ],
    ids=str,
)
async def test_what_tells_connections_apart(upstreams, in_flight, change):
    first, _ = configure(upstreams, in_flight, SETTINGS)
    changed = replace(SETTINGS, providers=(replace(ONE, **change), TWO))
    second, _ = configure(upstreams, in_flight, changed)
    assert not {*first.values()} & {second[change.get("name", "one")]}
    assert second["two"] is first["two"]


async def test_an_idle_connection_is_kept_as_long_as_its_provider_says(upstreams, in_flight):
    providers = (replace(ONE, keepalive_timeout=0.0), TWO)
    settings = replace(SETTINGS, providers=providers, upstream_keepalive_timeout=60.0)
    made, _ = configure(upstreams, in_flight, settings)
    assert {name: each.key.keepalive_timeout for name, each in made.items()} == {
        "one": 0.0,
        "two": 60.0,
    }


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
