"""Validation of the settings of the web page: who can reach it, and by which URL."""

from collections.abc import Iterator

from aibridged.config.kinds import Address, is_loopback
from aibridged.config.options import OPTIONS, Settings
from aibridged.config.resolution import Mistake
from aibridged.config.tls_files import Where


def mistakes(settings: Settings, where: Where) -> Iterator[Mistake]:
    """Without authentication, anyone who can reach the page could read the record."""
    address = _own_address(settings)
    if settings.auth == "none" and address is not None and not is_loopback(address.host):
        yield Mistake(
            where("ui_address"),
            f"{address} is reachable from other machines, and authentication is disabled",
            f"Listen on 127.0.0.1:{address.port} or [::1]:{address.port}, "
            "or set --aibridge-auth to token.",
        )


def warnings(settings: Settings) -> Iterator[str]:
    """What visitors of the page meet: sessions in the clear, and links that lead nowhere."""
    if settings.ui_enabled == "false":
        if settings.ui_address is not None:
            yield f"{_FLAG} has no effect with --aibridge-ui-enabled=false."
        return
    address = _address(settings)
    if address is None or is_loopback(address.host):
        return
    # Without any, the gateway warns that its clients send their tokens in the clear.
    if settings.tls_cert_file is None and settings.access_url is None:
        yield (
            f"The web page on {address} is served without TLS: passwords, sessions and prompts are "
            "sent unencrypted. Set --tls-cert-file and --tls-key-file, or --access-url to the "
            "https:// URL of the reverse proxy in front."
        )
    elif settings.access_url is None:
        yield (
            f"The web page on {address} doesn't know its own URL: set --access-url to the one that "
            "people use, so that links, sign-ins and cookies are for it."
        )
    elif settings.access_url.startswith("http:"):
        yield (
            f"The web page is used at {settings.access_url} by plain HTTP: sessions and prompts "
            "are sent unencrypted. Set --access-url to an https:// URL."
        )


def _own_address(settings: Settings) -> Address | None:
    return settings.ui_address if settings.ui_enabled != "false" else None


def _address(settings: Settings) -> Address | None:
    """Where the page is served, None where it isn't."""
    if (own := _own_address(settings)) is not None:
        return own
    return settings.http_address if settings.ui_enabled == "true" else None


_FLAG = next(option.flag for option in OPTIONS if option.name == "ui_address")
