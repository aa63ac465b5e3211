"""What the daemon tells administrators of itself: its providers' health and its settings."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from aibridged.api.operations import (
    Percentiles,
    ProviderCircuit,
    ProviderKey,
    Providers,
    ProviderStatus,
    Setting,
    SettingsInForce,
)
from aibridged.clock import Clock
from aibridged.config import report
from aibridged.config.options import ProviderSettings, Settings
from aibridged.core.breaker import Trouble
from aibridged.daemon.loaded import Loaded
from aibridged.daemon.status import circuit, worst_of
from aibridged.observe.provider_health import Health, ProviderHealth, Times
from aibridged.pipeline import Components
from aibridged.pipeline.provider_key import KeyRefusal


def settings_in_force(loaded: Loaded, settings: Settings) -> SettingsInForce:
    """The settings for the API, as the last load has left them."""
    return SettingsInForce(
        settings=[
            Setting(
                name=value.name,
                group=value.group,
                value=value.text,
                source=value.source.kind,
                where=value.source.name or None,
            )
            for value in loaded.values
        ],
        outgoing_requests=list(report.ways(settings)),
        waiting=list(loaded.waiting),
        warnings=list(loaded.warnings),
    )


async def providers_status(
    components: Components, health: ProviderHealth, clock: Clock
) -> Providers:
    """The health of all providers."""
    breakers = components.breakers
    troubled: list[Trouble] = []
    if breakers is not None:
        troubled = await components.slices.run(breakers.troubles(), "providers")
    worst = worst_of(troubled)
    refused = components.key_refusals.latest()
    settings = {each.name: each for each in components.settings.providers}
    providers = [
        _provider(
            settings[name],
            components.providers[name].key_setting,
            refused.get(name),
            [each for each in worst if each.key.provider == name],
            health.of(name),
            _refusals(health, name),
            sum(components.upstreams[name].connections) if name in components.upstreams else 0,
            clock.monotonic(),
        )
        for name in components.providers
    ]
    return Providers(
        providers=providers,
        breaker_threshold=None if breakers is None else breakers.settings.failure_threshold,
        circuits_left_out=len(troubled) - len(worst),
        refusals=_refusals(health, None),
    )


def _provider(
    settings: ProviderSettings,
    key_setting: str,
    refused: KeyRefusal | None,
    troubled: Sequence[Trouble],
    health: Health,
    refusals: dict[str, int],
    connections: int,
    now: float,
) -> ProviderStatus:
    return ProviderStatus(
        name=settings.name,
        type=settings.type,
        host=urlsplit(settings.base_url).netloc.rpartition("@")[2],
        proxy=None if settings.proxy is None else str(settings.proxy),
        connections=connections,
        key=ProviderKey(
            hint=None if settings.key is None else str(settings.key),
            setting=key_setting,
            refused_status=None if refused is None else refused.status,
            refused_s=None if refused is None else round(now - refused.at, 1),
        ),
        circuits=[_circuit(each) for each in troubled],
        requests=health.requests,
        failed=health.failed,
        statuses={str(status): count for status, count in health.statuses.items()},
        duration=_percentiles(health.duration),
        first_byte=_percentiles(health.first_byte),
        refusals=refusals,
    )


def _circuit(trouble: Trouble) -> ProviderCircuit:
    told = circuit(trouble)
    return ProviderCircuit(
        endpoint=told.endpoint,
        model=told.model,
        key=told.key,
        state=told.state,
        failures=told.failures,
        retry_in_s=told.retry_in_s,
    )


def _percentiles(times: Times) -> Percentiles:
    return Percentiles(p50=times.p50, p95=times.p95)


def _refusals(health: ProviderHealth, provider: str | None) -> dict[str, int]:
    counts: Mapping[tuple[str | None, str], int] = health.refusals
    own = {reason: count for (name, reason), count in counts.items() if name == provider}
    return dict(sorted(own.items(), key=lambda item: -item[1]))
