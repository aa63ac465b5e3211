"""Settings of the HTTP server: addresses, timeouts, connections and TLS."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass
from pathlib import Path

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.kinds import Address, Network


@dataclass(frozen=True, init=False, repr=False, eq=False)
class ServerRows:
    """Rows of `options.Settings`."""

    http_address: Address = option(
        "http-address",
        yaml="networking.http.httpAddress",
        kind=kinds.ADDRESS,
        default="127.0.0.1:4001",
        group=Group.LISTENING,
        help="Listen address; :4001 is every interface.",
        alias_env="CODER_AI_GATEWAY_HTTP_ADDRESS",
        restart=True,
    )
    workers: int | None = option(
        "aibridge-workers",
        yaml="aibridge.workers",
        kind=kinds.WORKERS,
        default="1",
        group=Group.LISTENING,
        help="Number of processes that serve; auto is one per usable core.",
        restart=True,
    )
    http_read_timeout: float = option(
        "http-read-timeout",
        yaml="networking.http.readTimeout",
        kind=kinds.POSITIVE_DURATION,
        default="30s",
        group=Group.LISTENING,
        help="Timeout for reading request headers and between chunks of a request body.",
    )
    http_write_timeout: float = option(
        "http-write-timeout",
        yaml="networking.http.writeTimeout",
        kind=kinds.POSITIVE_DURATION,
        default="5m",
        group=Group.LISTENING,
        help="Write timeout for clients that stop reading.",
    )
    http_allow_half_close: bool = option(
        "http-allow-half-close",
        yaml="networking.http.allowHalfClose",
        kind=kinds.BOOL,
        default="false",
        group=Group.LISTENING,
        help="Responses to clients that half-close; those that left are noticed on writing.",
    )
    shutdown_timeout: float = option(
        "shutdown-timeout",
        yaml="networking.http.shutdownTimeout",
        kind=kinds.DURATION,
        default="30s",
        group=Group.LISTENING,
        help="Grace period for running requests after SIGTERM.",
    )
    max_idle_connections: int = option(
        "aibridge-max-idle-connections",
        yaml="aibridge.max_idle_connections",
        kind=kinds.POSITIVE,
        default="4096",
        group=Group.LISTENING,
        help="Maximum number of idle client connections; beyond that, the oldest is closed.",
    )
    max_idle_connections_per_address: int = option(
        "aibridge-max-idle-connections-per-address",
        yaml="aibridge.max_idle_connections_per_address",
        kind=kinds.POSITIVE,
        default="256",
        group=Group.LISTENING,
        help="Maximum number of idle connections per address; --proxy-trusted-origins are exempt.",
    )
    tls_cert_file: Path | None = option(
        "tls-cert-file",
        yaml="networking.tls.certFile",
        kind=kinds.PATH,
        default="",
        group=Group.LISTENING,
        help="Certificate chain (PEM) for serving HTTPS; requires --tls-key-file.",
        alias_env="CODER_AI_GATEWAY_TLS_CERT_FILE",
        restart=True,
    )
    tls_key_file: Path | None = option(
        "tls-key-file",
        yaml="networking.tls.keyFile",
        kind=kinds.PATH,
        default="",
        group=Group.LISTENING,
        help="Private key (PEM, unencrypted) of --tls-cert-file.",
        alias_env="CODER_AI_GATEWAY_TLS_KEY_FILE",
        restart=True,
    )
    proxy_trusted_headers: tuple[str, ...] = option(
        "proxy-trusted-headers",
        yaml="networking.proxyTrustedHeaders",
        kind=kinds.HEADERS,
        default="",
        group=Group.LISTENING,
        help="Headers that carry the client's IP address, such as X-Forwarded-For.",
    )
    proxy_trusted_origins: tuple[Network, ...] = option(
        "proxy-trusted-origins",
        yaml="networking.proxyTrustedOrigins",
        kind=kinds.NETWORKS,
        default="",
        group=Group.LISTENING,
        help="Addresses and networks of reverse proxies whose --proxy-trusted-headers are trusted.",
    )
