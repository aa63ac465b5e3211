"""Probe that asks each provider with its key for its models once, for `check-config --connect`."""

import asyncio
from dataclasses import dataclass

from aibridged.clock import Clock
from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.providers import is_default
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.errors import GatewayError
from aibridged.observe.descriptors import Shortages
from aibridged.providers import Provider, make_providers
from aibridged.providers.base import KEY_REFUSALS
from aibridged.transport.idle_pools import Pools
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_failure import FAILURES, describe
from aibridged.transport.upstream_proxy import UpstreamProxies

DEADLINE_S = 20.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """What came of asking a provider: the `status` of its response, or the `error`: there was none.

    `key` is accepted, refused, none (there is none, and callers need one of their own), needless
    (there is none, and it answers without), or unknown: the response says nothing of it.
    """

    provider: ProviderSettings
    status: int | None
    error: str | None
    key: str

    @property
    def is_well(self) -> bool:
        """Whether it can serve, or is only there by default, and may be unused."""
        if is_default(self.provider):
            return True
        return self.error is None and self.key != "refused"


async def probe_providers(settings: Settings, clock: Clock) -> list[ProviderCheck]:
    """Ask all providers of the settings in parallel, each within `DEADLINE_S` seconds; in order."""
    pools = Pools(ConnectionLimiter(clock), Shortages(clock))
    proxies, places = UpstreamProxies(), asyncio.Semaphore(_AT_ONCE)
    providers = make_providers(settings.providers)

    async def check(each: ProviderSettings) -> ProviderCheck:
        async with places:
            upstream = Upstream(
                each.base_url,
                settings.upstream_connect_timeout,
                pools,
                proxy=proxies.of(each.proxy, settings.upstream_connect_timeout),
            )
            try:
                return await _check(each, providers[each.name], upstream)
            finally:
                await upstream.close()

    return list(await asyncio.gather(*map(check, settings.providers)))


async def _check(
    settings: ProviderSettings, provider: Provider, upstream: Upstream
) -> ProviderCheck:
    headers = {"Accept": "application/json", **provider.probe_headers}
    if provider.organisation_header is not None:
        name, value = provider.organisation_header
        headers[name] = value
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        async with asyncio.timeout(DEADLINE_S):
            response = await upstream.ask("GET", provider.probe, raw, b"", DEADLINE_S)
    except FAILURES as error:
        return ProviderCheck(settings, None, describe(error), "unknown")
    except GatewayError as error:
        return ProviderCheck(settings, None, error.message, "unknown")
    response.close()
    return ProviderCheck(settings, response.status, None, _key(settings, response.status))


def _key(settings: ProviderSettings, status: int) -> str:
    has_key = settings.key is not None
    if status in KEY_REFUSALS:
        return "refused" if has_key else "none"
    if status < 300:
        return "accepted" if has_key else "needless"
    return "unknown"
