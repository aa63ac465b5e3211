"""API routes of the running daemon itself: its providers' health, and its settings."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from aibridged.api.routes import Call, Route


class Percentiles(msgspec.Struct, kw_only=True):
    """The median and the 95th percentile in seconds; null where nothing was measured."""

    p50: float | None
    p95: float | None


class ProviderKey(msgspec.Struct, kw_only=True):
    """The organisation's key: masked, and whether the provider has refused it lately.

    `setting` is where it comes from. `refused_status` is the status of a refusal within the last
    minutes, `refused_s` how many seconds ago it was.
    """

    hint: str | None
    setting: str
    refused_status: int | None
    refused_s: float | None


class ProviderCircuit(msgspec.Struct, kw_only=True):
    """A circuit that isn't closed, or has failures in a row."""

    endpoint: str
    model: str
    key: str
    state: str
    failures: int
    retry_in_s: float | None


class ProviderStatus(msgspec.Struct, kw_only=True):
    """One provider: its requests of the last hour, at most 1,000, and refusals since the start.

    `proxy` is what requests go through, without credentials. `statuses` counts its responses by
    status, with 0 for those that never came. `refusals` counts the gateway's own, by code.
    """

    name: str
    type: str
    host: str
    proxy: str | None
    connections: int
    key: ProviderKey
    circuits: list[ProviderCircuit]
    requests: int
    failed: int
    statuses: dict[str, int]
    duration: Percentiles
    first_byte: Percentiles
    refusals: dict[str, int]


class Providers(msgspec.Struct, kw_only=True):
    """All providers, in the order of the settings. `breaker_threshold` is null where it is off.

    `refusals` are those of requests that were refused before their provider was known.
    """

    providers: list[ProviderStatus]
    breaker_threshold: int | None
    circuits_left_out: int
    refusals: dict[str, int]


class Setting(msgspec.Struct, kw_only=True):
    """A setting in force: its value for people, and where that comes from; secrets are masked.

    `source` is one of flag, environment, credential, file and default; `where` is its name.
    """

    name: str
    group: str
    value: str
    source: str
    where: str | None


class SettingsInForce(msgspec.Struct, kw_only=True):
    """All settings in force. `waiting` need a restart, `warnings` are those of the last load.

    `outgoing_requests` says which way requests leave.
    """

    settings: list[Setting]
    outgoing_requests: list[str]
    waiting: list[str]
    warnings: list[str]


def routes(
    status: Callable[[], Awaitable[Any]],
    status_shape: type,
    providers: Callable[[], Awaitable[Providers]],
    settings: Callable[[], SettingsInForce],
) -> Sequence[Route]:
    """The routes, for `Api.serve`; all are for administrators."""

    async def serve_status(_: Call) -> Any:
        return await status()

    async def serve_providers(_: Call) -> Providers:
        return await providers()

    async def serve_settings(_: Call) -> SettingsInForce:
        return settings()

    return (
        Route(
            "/status",
            "Get the status of the daemon, as `aibridged status` shows it; for administrators",
            None,
            status_shape,
            for_admins=True,
            serve=serve_status,
        ),
        Route(
            "/providers/health",
            "Get the health of the providers: circuits, keys, latencies, refusals; for"
            " administrators",
            None,
            Providers,
            for_admins=True,
            serve=serve_providers,
        ),
        Route(
            "/settings",
            "Get the settings in force and where they come from, secrets masked; for"
            " administrators",
            None,
            SettingsInForce,
            for_admins=True,
            serve=serve_settings,
        ),
    )
