"""Settings of the AI Proxy."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass
from pathlib import Path

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.kinds import Address, Network
from aibridged.config.proxy_url import ProxyUrl


@dataclass(frozen=True, init=False, repr=False, eq=False)
class AiProxyRows:
    """Rows of `options.Settings`."""

    proxy_enabled: bool = option(
        "aibridge-proxy-enabled",
        yaml="aibridgeproxy.enabled",
        kind=kinds.BOOL,
        default="false",
        group=Group.AI_PROXY,
        help="AI Proxy listener, for clients that support HTTPS_PROXY but no custom base URL.",
        restart=True,
    )
    proxy_listen_addr: Address = option(
        "aibridge-proxy-listen-addr",
        yaml="aibridgeproxy.listen_addr",
        kind=kinds.ADDRESS,
        default="127.0.0.1:8888",
        group=Group.AI_PROXY,
        help="Listen address of the AI Proxy; :8888 is every interface.",
        restart=True,
    )
    proxy_tls_cert_file: Path | None = option(
        "aibridge-proxy-tls-cert-file",
        yaml="aibridgeproxy.tls_cert_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Certificate chain (PEM) of the AI Proxy itself, for HTTPS_PROXY=https://….",
        restart=True,
    )
    proxy_tls_key_file: Path | None = option(
        "aibridge-proxy-tls-key-file",
        yaml="aibridgeproxy.tls_key_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Private key (PEM, unencrypted) of --aibridge-proxy-tls-cert-file.",
        restart=True,
    )
    proxy_cert_file: Path | None = option(
        "aibridge-proxy-cert-file",
        yaml="aibridgeproxy.cert_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Certificate (PEM) of the CA that clients trust; see aibridged proxy init-ca.",
        restart=True,
    )
    proxy_key_file: Path | None = option(
        "aibridge-proxy-key-file",
        yaml="aibridgeproxy.key_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Private key (PEM, unencrypted) of --aibridge-proxy-cert-file.",
        restart=True,
    )
    proxy_upstream: ProxyUrl | None = option(
        "aibridge-proxy-upstream",
        yaml="aibridgeproxy.upstream_proxy",
        kind=kinds.PROXY_URL,
        default="",
        group=Group.AI_PROXY,
        help="Upstream proxy for outgoing tunnels, as http[s]://[user:password@]host:port.",
        restart=True,
    )
    proxy_upstream_ca: Path | None = option(
        "aibridge-proxy-upstream-ca",
        yaml="aibridgeproxy.upstream_proxy_ca",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="CA certificate (PEM) for verifying an https:// --aibridge-proxy-upstream.",
        restart=True,
    )
    proxy_allowed_private_cidrs: tuple[Network, ...] = option(
        "aibridge-proxy-allowed-private-cidrs",
        yaml="aibridgeproxy.allowed_private_cidrs",
        kind=kinds.NETWORKS,
        default="",
        group=Group.AI_PROXY,
        help="Private or reserved networks to which tunnels are allowed.",
        restart=True,
    )
    proxy_target: str | None = option(
        "aibridge-proxy-target",
        yaml="aibridgeproxy.target",
        kind=kinds.OPTIONAL_URL,
        default="",
        group=Group.AI_PROXY,
        help="URL of the gateway behind a standalone AI Proxy (aibridged proxy).",
        restart=True,
    )
