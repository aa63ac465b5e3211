"""Cross-field validation of the AI Proxy's settings: errors and security warnings."""

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from aibridged.config.kinds import is_loopback
from aibridged.config.options import Settings
from aibridged.config.resolution import Mistake
from aibridged.config.tls_files import Where, check_pair, check_readable, holds_ca


def mistakes(settings: Settings, where: Where) -> Iterator[Mistake]:
    """Everything that keeps the AI Proxy from serving, in the daemon or standalone."""
    yield from _authority(settings, where)
    yield from check_pair(settings, where, "proxy_tls_cert_file", "proxy_tls_key_file")
    yield from _upstream_ca(settings, where)
    if settings.proxy_enabled:
        yield from _loop(settings)
    address = settings.proxy_listen_addr
    if settings.proxy_enabled and settings.auth == "none" and not is_loopback(address.host):
        yield Mistake(
            where("proxy_listen_addr"),
            f"{address} is reachable from other machines, and authentication is disabled",
            f"Listen on 127.0.0.1:{address.port} or [::1]:{address.port}, "
            "or set --aibridge-auth to token.",
        )


def _loop(settings: Settings) -> Iterator[Mistake]:
    """A shell in which clients run may have the variables that name the AI Proxy itself."""
    own = settings.proxy_listen_addr
    for proxy in filter(None, dict.fromkeys((settings.outbound.https, settings.outbound.http))):
        if proxy.port == own.port and (proxy.host == own.host or is_loopback(proxy.host)):
            yield Mistake(
                proxy.source,
                "outgoing requests would go to this AI Proxy itself",
                "Unset it for the daemon, or change --aibridge-proxy-listen-addr.",
            )


def warnings(settings: Settings) -> Iterator[str]:
    """Settings that work, but expose more than necessary."""
    key_file, address = settings.proxy_key_file, settings.proxy_listen_addr
    if key_file is not None and _others_may_read(key_file):
        yield (
            f"The AI Proxy's CA key {key_file} is readable by other users, who could "
            "impersonate any site to clients that trust the CA: chmod 600 it."
        )
    target = urlsplit(settings.proxy_target or "")
    if target.scheme == "http" and not is_loopback(target.hostname or ""):
        yield (
            "The AI Proxy sends tokens, keys and prompts to --aibridge-proxy-target "
            f"{settings.proxy_target} unencrypted: use an https:// URL."
        )
    if not settings.proxy_enabled:
        return
    if settings.proxy_tls_cert_file is None and not is_loopback(address.host):
        yield (
            f"Clients of the AI Proxy on {address} send their tokens unencrypted: set "
            "--aibridge-proxy-tls-cert-file and --aibridge-proxy-tls-key-file."
        )


def _authority(settings: Settings, where: Where) -> Iterator[Mistake]:
    cert, key = settings.proxy_cert_file, settings.proxy_key_file
    if settings.proxy_enabled and cert is None and key is None:
        yield Mistake(
            where("proxy_enabled"),
            "--aibridge-proxy-cert-file and --aibridge-proxy-key-file are missing",
            "Create them with `aibridged proxy init-ca`.",
        )
    wrong = list(check_pair(settings, where, "proxy_cert_file", "proxy_key_file"))
    yield from wrong
    if cert is not None and not wrong and not holds_ca(cert):
        yield Mistake(
            where("proxy_cert_file"),
            "the certificate is not a CA certificate",
            "Create one with `aibridged proxy init-ca`.",
        )


def _upstream_ca(settings: Settings, where: Where) -> Iterator[Mistake]:
    path, upstream = settings.proxy_upstream_ca, settings.proxy_upstream
    if path is None:
        return
    unreadable = list(check_readable(path, where("proxy_upstream_ca")))
    yield from unreadable
    if not unreadable and not holds_ca(path):
        what = "the file contains no CA certificate"
        yield Mistake(
            where("proxy_upstream_ca"), what, "Set it to a PEM file with a CA certificate."
        )
    if upstream is None or upstream.scheme != "https":
        yield Mistake(
            where("proxy_upstream_ca"),
            "requires an https:// --aibridge-proxy-upstream",
            "Remove it, or set --aibridge-proxy-upstream.",
        )


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
