"""Tool lists with entries that the protocol doesn't allow."""

import pytest

from aibridged.mcp.session import ServerFailedError

OBJECT = {"type": "object"}
ECHO = {"name": "echo", "inputSchema": {**OBJECT, "properties": {}}}
BAD = {
    "schema": {"name": "b", "outputSchema": {"type": "array"}, "inputSchema": OBJECT},
    "no schema": {"name": "b"},
    "no name": {"inputSchema": OBJECT},
    "no object": 7,
    "title": {"name": "b", "title": [], "inputSchema": OBJECT},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_an_invalid_entry_is_left_out_and_the_others_are_offered(session, tiny, bad):
    tiny.tools = [bad, ECHO, bad]
    proxy = session(tiny.url)
    assert [tool.name for tool in await proxy.open(session.tasks)] == ["echo"]
    name = bad.get("name") if isinstance(bad, dict) else None
    assert len(proxy.faults) == 2
    assert proxy.faults[0].startswith(f"{str(name)!r}: invalid ")
    assert (await proxy.call("echo", {"t": "x"})).content[0].text


async def test_a_valid_list_is_asked_for_once(session, tiny):
    tiny.tools = [ECHO]
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    assert not proxy.faults
    methods = [message["method"] for message, _ in tiny.received]
    assert methods.count("tools/list") == 1


async def test_a_list_without_a_valid_entry_is_none(session, tiny):
    tiny.tools = [BAD["schema"]]
    with pytest.raises(ServerFailedError, match="its response violates the protocol"):
        await session(tiny.url).open(session.tasks)


async def test_faults_are_bounded(session, tiny):
    tiny.tools = [ECHO, *[{"name": "x" * 1000}] * 100]
    proxy = session(tiny.url)
    await proxy.open(session.tasks)
    assert len(proxy.faults) == 20
    assert all(len(fault) < 200 for fault in proxy.faults)
