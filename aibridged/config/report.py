"""Report of the effective settings, as text and as JSON, with secrets masked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from aibridged.config.kinds import origin_of
from aibridged.config.options import Settings
from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.resolution import Mistake, Resolution, Value
from aibridged.config.wrapping import wrapped
from aibridged.counted import counted

_WIDTH = 80
_TUNNELS = "--aibridge-proxy-upstream"


def as_text(resolution: Resolution) -> str:
    """Every value with its source, the routes, then the warnings, then the mistakes."""
    parts = [_values(group, list(values)) for group, values in _by_group(resolution.values)]
    if resolution.settings is not None:
        parts.append(_routes(resolution))
        lines = [_wrapped(way, "      ", "  ") for way in ways(resolution.settings)]
        parts.append("\n".join(["Outgoing requests", *lines]))
    return "\n\n".join(part for part in (*parts, problems(resolution)) if part)


def problems(resolution: Resolution) -> str:
    """The warnings and the mistakes, in the words that `serve` and `check-config` share."""
    parts = [_wrapped(f"Warning: {warning}", "  ") for warning in resolution.warnings]
    parts += [mistake_text(mistake) for mistake in resolution.mistakes]
    count = len(resolution.mistakes)
    if count:
        parts.append(f"{counted(count, 'mistake')}: nothing can be served.")
    return "\n\n".join(parts)


def as_data(resolution: Resolution) -> dict[str, Any]:
    """The same for programs, ready to be encoded as JSON."""
    return {
        "valid": resolution.settings is not None,
        "settings": [
            {
                "name": value.name,
                "value": value.data,
                "source": {"kind": value.source.kind, "name": value.source.name or None},
            }
            for value in resolution.values
        ],
        "providers": [
            {
                "route": f"/{provider.name}",
                "type": provider.type,
                "base_url": provider.base_url,
                "key": str(provider.key) if provider.key else None,
                "proxy": str(provider.proxy) if provider.proxy else None,
            }
            for provider in (resolution.settings.providers if resolution.settings else ())
        ],
        "outgoing_requests": list(ways(resolution.settings)) if resolution.settings else [],
        "warnings": list(resolution.warnings),
        "mistakes": [
            {"where": mistake.where, "what": mistake.what, "remedy": mistake.remedy}
            for mistake in resolution.mistakes
        ],
    }


def ways(settings: Settings) -> Iterator[str]:
    """Which way requests leave, a line for each proxy and one for what is asked directly."""
    by_way: dict[str, list[str]] = {}
    for what, proxy in _asked(settings):
        way = "directly" if proxy is None else f"through {proxy} ({proxy.source})"
        by_way.setdefault(way, []).append(what)
    for way, asked in by_way.items():
        yield f"{way}: {', '.join(asked)}"


def _asked(settings: Settings) -> Iterator[tuple[str, ProxyUrl | None]]:
    """What requests go to, each with the proxy on the way."""
    for provider in settings.providers:
        yield provider.name, provider.proxy
    for server in settings.mcp_servers:
        yield f"MCP server {server.id}", server.proxy
    for destination in settings.telemetry:
        yield f"telemetry to {destination.url}", destination.proxy
    if settings.budget_webhook_url is not None:
        url = settings.budget_webhook_url.reveal()
        yield f"budget alerts to {origin_of(url)}", settings.outbound.for_url(url)
    for asked in (settings.coder_url, settings.proxy_target):
        if asked is not None:
            yield asked, settings.outbound.for_url(asked)
    if issuer := settings.oidc_issuer_url:
        yield issuer, settings.outbound.for_url(issuer)
    if settings.proxy_enabled:
        own = settings.proxy_upstream
        tunnels = settings.outbound.https if own is None else replace(own, source=_TUNNELS)
        yield "tunnels of the AI Proxy", tunnels


def _by_group(values: Sequence[Value]) -> Iterator[tuple[str, Iterator[Value]]]:
    order = list(dict.fromkeys(value.group for value in values))
    return groupby(sorted(values, key=lambda value: order.index(value.group)), lambda v: v.group)


def _values(group: str, values: Sequence[Value]) -> str:
    lines = [group]
    for value in values:
        line = f"  {value.name:<33}  {value.text or '-'}"
        if value.source.kind == "default":
            lines.append(f"{line:<66} default")
        else:
            lines += [line, f"      from {value.source}"]
    return "\n".join(lines)


def _routes(resolution: Resolution) -> str:
    lines = ["Routes"]
    providers = resolution.settings.providers if resolution.settings else ()
    width = max((len(provider.name) for provider in providers), default=0)
    for provider in providers:
        key = f"key {provider.key}" if provider.key else "no key"
        lines.append(f"  /{provider.name:<{width}}  {provider.type}, {provider.base_url}, {key}")
    return "\n".join(lines)


def sentence(mistake: Mistake) -> str:
    """A mistake on one line, for the log."""
    return " ".join(f"{mistake.where}: {mistake.what}. {mistake.remedy}".split("\n")).rstrip()


def mistake_text(mistake: Mistake) -> str:
    """A mistake and its remedy, wrapped, for a terminal."""
    what = _wrapped(f"{mistake.where}: {mistake.what}.", "  ")
    if not mistake.remedy:
        return what
    remedy, *commands = mistake.remedy.split("\n")
    # A command is on a line of its own: one that is wrapped can't be pasted.
    lines = [what, _wrapped(remedy, "    ", first="  → "), *(f"      {each}" for each in commands)]
    return "\n".join(lines)


def _wrapped(text: str, indent: str, first: str = "") -> str:
    return wrapped(text, _WIDTH, indent, first)
