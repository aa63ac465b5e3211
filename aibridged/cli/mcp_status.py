"""Status of the MCP servers, for `check-config --connect`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aibridged.cli.table import WIDTH, indented, shortened
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.mcp.probe import ProbeResult


def reach(settings: "Settings") -> "list[ProbeResult]":
    """Probe all MCP servers of the settings."""
    if not settings.mcp_servers:
        return []
    import asyncio

    from aibridged.clock import SystemClock
    from aibridged.mcp.factory import silence_sdk
    from aibridged.mcp.probe import probe_all

    silence_sdk()
    return asyncio.run(probe_all(settings, SystemClock()))


def all_well(reached: "Sequence[ProbeResult]") -> bool:
    """Whether every probed server offers its tools."""
    return all(each.selection is None or each.selection.error is None for each in reached)


def as_text(reached: "Sequence[ProbeResult]") -> str:
    """The servers, each with its tools or its error."""
    if not reached:
        return "No MCP server is configured."
    return "\n".join(["MCP servers", *(line for each in reached for line in _lines(each))])


def as_data(reached: "Sequence[ProbeResult]") -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "id": each.server.id,
            "asked": each.selection is not None,
            "error": each.selection.error if each.selection else None,
            "tools": [
                {"name": tool.name, "tool": tool.tool, "description": tool.description}
                for tool in (each.selection.tools if each.selection else ())
            ],
            "hidden": list(each.selection.hidden) if each.selection else [],
            "faults": list(each.selection.faults) if each.selection else [],
        }
        for each in reached
    ]


def _lines(reached: "ProbeResult") -> Iterator[str]:
    name, selection = reached.server.id, reached.selection
    if selection is None:
        yield from indented(f"{name}: skipped, each user needs their own token", "  ")
        return
    if selection.error is not None:
        yield from indented(f"{name}: FAILED: {selection.error}", "  ")
        return
    found = len(selection.tools) + len(selection.hidden) + len(selection.faults)
    yield f"  {name}: {counted(found, 'tool')}, {len(selection.tools)} offered"
    for tool in selection.tools:
        yield f"    {shortened(f'{tool.name} {tool.description}', WIDTH - 4)}"
    if selection.hidden:
        yield from indented(f"excluded by regex: {', '.join(selection.hidden)}", "    ")
    for fault in selection.faults:
        yield from indented(f"skipped: {fault}", "    ")
