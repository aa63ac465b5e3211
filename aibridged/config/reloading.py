"""Diff of two configurations on reload: what changes at once, and what requires a restart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aibridged.config.declare import Option
from aibridged.config.options import (
    OPTIONS,
    McpServerSettings,
    ProviderSettings,
    Settings,
    routed,
)
from aibridged.config.providers import SINGLES, single_settings

# Changes of these settings are reported by provider.
_OF_PROVIDERS = {row.name for kind in SINGLES for row in single_settings(kind)}


class CannotReloadError(Exception):
    """The new settings can't be applied; the message says why and how to fix it."""


@dataclass(slots=True)
class ReloadStats:
    """The last load of the configuration, for the metrics; times are Unix seconds.

    The start counts as a successful load.
    """

    last_attempt: float
    last_success: float
    succeeded: bool = True


@dataclass(frozen=True)
class Change:
    """The result of a reload.

    `settings` are to be applied: the new ones, except that those that need a restart are unchanged.
    `changes` describes the changes; `waiting` are the settings that need the restart.
    """

    settings: Settings
    changes: Sequence[str]
    waiting: Sequence[Option]


def change(running: Settings, wanted: Settings) -> Change:
    """Compare the current settings with the new ones."""
    differing = [row for row in OPTIONS if getattr(running, row.name) != getattr(wanted, row.name)]
    waiting = [row for row in differing if row.restart]
    settings = replace(wanted, **{row.name: getattr(running, row.name) for row in waiting})
    settings = routed(settings, running.outbound)
    at_once = [row.flag for row in differing if not row.restart and row.name not in _OF_PROVIDERS]
    changes = [
        *at_once,
        *_provider_changes(running.providers, settings.providers),
        *_server_changes(running.mcp_servers, settings.mcp_servers),
        *(["the policies"] if running.policies != settings.policies else []),
        *(["the prices"] if running.prices != settings.prices else []),
        *(["the telemetry destinations"] if running.telemetry != settings.telemetry else []),
    ]
    return Change(settings, changes, waiting)


def _provider_changes(
    before: Sequence[ProviderSettings], after: Sequence[ProviderSettings]
) -> Iterator[str]:
    old, new = ({each.name: each for each in providers} for providers in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield f"provider {name} removed"
        elif name not in old:
            yield f"provider {name} added"
        elif old[name] != new[name]:
            only_key = replace(old[name], key=new[name].key) == new[name]
            yield f"the key of provider {name}" if only_key else f"provider {name}"


def _server_changes(
    before: Sequence[McpServerSettings], after: Sequence[McpServerSettings]
) -> Iterator[str]:
    old, new = ({each.id: each for each in servers} for servers in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield f"MCP server {name} removed"
        elif name not in old:
            yield f"MCP server {name} added"
        elif old[name] != new[name]:
            yield f"MCP server {name}"
    if set(old) == set(new) and list(old) != list(new):
        yield "the order of the MCP servers"
