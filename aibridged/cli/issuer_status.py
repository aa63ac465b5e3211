"""Status of the OpenID Connect provider, for `check-config --connect`."""

from typing import TYPE_CHECKING, Any

from aibridged.cli.table import indented
from aibridged.counted import counted

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.oidc.probe import IssuerCheck


def reach(settings: "Settings") -> "IssuerCheck | None":
    """Ask the issuer of the settings; None: there is none."""
    if not settings.oidc_issuer_url:
        return None
    import asyncio

    from aibridged.oidc.probe import probe_issuer

    return asyncio.run(probe_issuer(settings))


def as_text(check: "IssuerCheck", access_url: str | None) -> str:
    """What came of asking, and where the provider has to send people back to."""
    if check.error is not None:
        lines = indented(f"{check.issuer}: FAILED: {check.error}", "  ")
    else:
        lines = indented(f"{check.issuer}: discovered, with {counted(check.keys, 'key')}", "  ")
    for note in (*check.notes, f"Its redirect URI for the gateway: {access_url}/oauth/callback"):
        lines += indented(note, "    ")
    return "\n".join(["OpenID Connect provider", *lines])


def as_data(check: "IssuerCheck | None") -> dict[str, Any] | None:
    """The same for programs."""
    if check is None:
        return None
    return {
        "issuer": check.issuer,
        "reachable": check.error is None,
        "keys": check.keys,
        "error": check.error,
        "notes": list(check.notes),
    }
