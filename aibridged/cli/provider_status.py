"""Status of the providers, for `check-config --connect`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aibridged.cli.table import indented

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.daemon.provider_probe import ProviderCheck


def reach(settings: "Settings") -> "list[ProviderCheck]":
    """Ask all providers of the settings."""
    import asyncio

    from aibridged.clock import SystemClock
    from aibridged.daemon.provider_probe import probe_providers

    return asyncio.run(probe_providers(settings, SystemClock()))


def all_well(checks: "Sequence[ProviderCheck]") -> bool:
    """Whether all providers that are meant to be used can be."""
    return all(each.is_well for each in checks)


def as_text(checks: "Sequence[ProviderCheck]") -> str:
    """The providers, each with what came of asking it."""
    return "\n".join(["Providers", *(line for each in checks for line in _lines(each))])


def as_data(check: "ProviderCheck") -> dict[str, Any]:
    """The same for programs."""
    return {
        "reachable": check.error is None,
        "status": check.status,
        "key": check.key,
        "error": check.error,
    }


def _lines(check: "ProviderCheck") -> list[str]:
    provider = check.provider
    way = "directly" if provider.proxy is None else f"through {provider.proxy}"
    text = f"{provider.name}: {_said(check)} ({provider.base_url}, {way})"
    return indented(text, "  ")


def _said(check: "ProviderCheck") -> str:
    provider, status = check.provider, check.status
    match check.key:
        case _ if check.error is not None:
            return f"FAILED: {check.error}"
        case "accepted":
            return f"reachable, and accepts the key {provider.key}"
        case "refused":
            return f"REFUSES the key {provider.key} (status {status}): check {provider.key_setting}"
        case "needless":
            return "reachable, and needs no key"
        case "none":
            return f"reachable, without a key (status {status}): callers need one of their own"
        case _:
            unchecked = f", so the key {provider.key} is unchecked" if provider.key else ""
            return f"reachable, but it lists no models (status {status}){unchecked}"
