"""Tools live in their caller's bridge and with the configuration, and nothing outlives them."""

import asyncio
import gc
import logging
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aibridged.config.options import McpServerSettings, Settings
from aibridged.pipeline.bridge_pool import BridgeKey, BridgePool


@pytest.fixture
def pool(clock):
    """A pool whose bridges are the callers' tools, by a clock that is moved."""

    def make(tools, **options):
        settings = {"ttl": 900.0, "max_items": 5000, **options}
        return BridgePool(
            lambda key: tools.of(key.initiator_id),
            lambda caller: caller.close(),
            clock,
            **settings,
        )

    return make


async def use(pool, initiator):
    lease = pool.acquire(BridgeKey(initiator, None))
    try:
        return await lease.bridge.open()
    finally:
        lease.release()


async def test_without_a_server_there_is_nothing(offer):
    assert offer({}).of("somebody") is None


def test_the_sdk_is_loaded_with_the_first_server():
    code = (
        "import sys, asyncio; from aibridged.daemon import compose\n"
        "from aibridged.mcp.factory import McpTools\n"
        "from aibridged.config.options import Settings\n"
        "McpTools(Settings(), None, None)\n"
        "print(sorted({'mcp', 'httpx2', 'jsonschema', 'cryptography'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_it_is_loaded_whole_before_a_request_waits_for_it():
    """An import holds up the event loop, and would use up the time that a request waits."""
    code = (
        "import sys, asyncio; from aibridged.daemon import compose\n"
        "from aibridged.clock import SystemClock\n"
        "from aibridged.mcp.credentials import no_credentials\n"
        "from aibridged.mcp.factory import McpTools\n"
        "from aibridged.config.options import McpServerSettings, Settings\n"
        "async def main():\n"
        "    settings = Settings(mcp_servers=(McpServerSettings('docs', 'http://127.0.0.1:1'),))\n"
        "    tools = McpTools(settings, SystemClock(), no_credentials)\n"
        "    before = set(sys.modules)\n"
        "    assert await tools.of('ann').open() is None\n"
        "    loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "    print(sorted(loaded - sys.stdlib_module_names))\n"
        "asyncio.run(main())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # It chooses its event loop by the one that it finds running.
    assert shown.stdout.strip() == "['anyio']"


async def test_a_bridge_keeps_its_sessions_for_its_time(offer, pool, tiny, clock):
    tools = offer({"docs": tiny.url})
    bridges = pool(tools)
    first = await use(bridges, "ann")
    clock.advance(899)
    assert await use(bridges, "ann") is first
    assert tiny.methods().count("initialize") == 1
    clock.advance(1)
    assert await use(bridges, "ann") is not first
    assert tiny.methods().count("initialize") == 2
    bridges.close()
    await tools.close()
    assert tiny.sessions == set()


async def test_a_bridge_in_use_keeps_its_sessions_until_its_last_request(offer, pool, tiny, clock):
    tools = offer({"docs": tiny.url})
    bridges = pool(tools)
    lease = bridges.acquire(BridgeKey("ann", None))
    box = await lease.bridge.open()
    clock.advance(900)
    await use(bridges, "bob")
    assert (await box.call(box.tools[0], b"{}")).text == "{}"
    lease.release()
    assert (await box.call(box.tools[0], b"{}")).is_error
    bridges.close()


async def test_a_caller_has_the_tools_of_the_servers_that_are_granted(offer, tiny, foreign_server):
    tools = offer({"docs": tiny.url, "other": foreign_server.url})
    caller = tools.of("ann", ("other", "gone"))
    assert {tool.server for tool in (await caller.open()).tools} == {"other"}
    assert "initialize" not in tiny.methods(), "the other one isn't even asked"
    assert tools.of("ann", ("gone",)) is None
    assert tools.of("ann", ()) is None
    caller.close()


async def test_a_reload_is_for_the_bridges_that_come_after_it(offer, pool, tiny, foreign_server):
    tools = offer({"docs": tiny.url})
    bridges = pool(tools)
    before = await use(bridges, "ann")
    servers = (McpServerSettings("other", foreign_server.url),)
    other = replace(Settings(), mcp_servers=servers)
    assert tools.configure(other)
    assert not tools.configure(other)
    assert await use(bridges, "ann") is before
    bridges.close()
    assert [tool.name for tool in (await use(bridges, "ann")).tools] == [
        "bmcp_other_fail",
        "bmcp_other_shout",
    ]
    tools.configure(Settings())
    assert tools.of("ann") is None
    bridges.close()


async def test_the_sdk_says_nothing_of_what_it_sends(offer, pool, tiny, caplog):
    caplog.set_level(logging.DEBUG)
    tools = offer({"docs": tiny.url})
    caller = tools.of("ann")
    box = await caller.open()
    await box.call(box.tools[0], b'{"canary": 1}')
    caller.close()
    assert "canary" not in caplog.text
    assert [record.name for record in caplog.records if record.name.startswith("mcp.client")] == []


def open_sockets():
    """How many this process has."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


async def test_a_thousand_bridges_leave_nothing_behind(
    offer, pool, tiny, clock, speaking_modern, monkeypatch
):
    """Every fifth has a session to end; 200 are pushed out, the others' time is over."""
    # Hundreds end at once here, and the machine may be busy: it isn't the limit that is tested.
    monkeypatch.setattr("aibridged.mcp.session._CLOSING_S", 30.0)
    modern = dict(tiny.answers)
    tools = offer({"docs": tiny.url})
    gc.collect()  # what other tests have left
    sockets, tasks = open_sockets(), len(asyncio.all_tasks())
    bridges = pool(tools, max_items=800)
    for batch in range(0, 1000, 50):
        tiny.answers = {} if batch % 250 == 0 else modern
        await asyncio.gather(*(use(bridges, f"user-{batch + n}") for n in range(50)))
        tiny.received.clear()
    assert (len(bridges), bridges.stats.evictions) == (800, 200)
    clock.advance(900)
    await use(bridges, "the last")
    assert (len(bridges), bridges.stats.evictions) == (1, 1000)
    bridges.close()
    async with asyncio.timeout(30):
        await tools._shared.tasks.idle()
    await tiny.left()
    assert tiny.sessions == set()
    assert tools.failures == {}
    gc.collect()
    assert (open_sockets(), len(asyncio.all_tasks())) == (sockets, tasks)
