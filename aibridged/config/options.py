"""THE table of settings: each is declared once, as a field of `Settings`.

The flags, the environment variables, the YAML keys, `--help`, the sample file, `check-config` and
the documentation are made from these rows. To add a setting is to add a row.
"""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from aibridged.config import kinds
from aibridged.config.declare import Group, Option, option
from aibridged.config.kinds import Address, Network
from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.secret import Secret

ProviderType = Literal["anthropic", "openai"]
UserCredentials = Literal["none", "optional", "required"]


@dataclass(frozen=True)
class ProviderSettings:
    """An upstream: its `name` is its route; `base_url` ends without a slash.

    Without a key it serves callers who bring their own, or a local server that needs none.
    """

    type: ProviderType
    name: str
    key: Secret | None
    base_url: str


@dataclass(frozen=True)
class McpServerSettings:
    """A server of tools: its `id` is part of their names, `url` its streamable HTTP endpoint.

    Deny wins over allow; neither means all tools. The expressions are searched for in the names
    that the server gives. `user_credentials` says whether a caller's own token takes the place of
    `token`: `required` is for callers who have one, and nobody else is offered the tools.
    """

    id: str
    url: str = field(repr=False)  # its query may hold a key
    token: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    tool_allow_regex: re.Pattern[str] | None = None
    tool_deny_regex: re.Pattern[str] | None = None
    user_credentials: UserCredentials = "none"


@dataclass(frozen=True)
class Settings:
    """The effective settings, read at the start and at each reload. Durations are in seconds."""

    enabled: bool = option(
        "aibridge-enabled",
        yaml="aibridge.enabled",
        kind=kinds.BOOL,
        default="true",
        group=Group.GATEWAY,
        help="Whether to serve at all; with false, serve says so and exits 0.",
        restart=True,
    )
    allow_byok: bool = option(
        "aibridge-allow-byok",
        yaml="aibridge.allow_byok",
        kind=kinds.BOOL,
        default="true",
        group=Group.GATEWAY,
        help="Whether callers may bring their own provider key.",
    )
    send_actor_headers: bool = option(
        "aibridge-send-actor-headers",
        yaml="aibridge.send_actor_headers",
        kind=kinds.BOOL,
        default="false",
        group=Group.GATEWAY,
        help="Tell the provider in X-AI-Bridge-Actor-* headers who is asking.",
    )
    dump_dir: Path | None = option(
        "aibridge-dump-dir",
        yaml="aibridge.api_dump_dir",
        kind=kinds.OPTIONAL_DIRECTORY,
        default="",
        group=Group.GATEWAY,
        help="Write every request and response into this folder, secrets redacted; for debugging.",
    )
    anthropic_base_url: str = option(
        "aibridge-anthropic-base-url",
        yaml="aibridge.anthropic_base_url",
        kind=kinds.BASE_URL,
        default="https://api.anthropic.com/",
        group=Group.PROVIDERS,
        help="Where requests to the provider anthropic go.",
    )
    anthropic_key: Secret | None = option(
        "aibridge-anthropic-key",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.PROVIDERS,
        help="The organisation's key for the provider anthropic.",
    )
    openai_base_url: str = option(
        "aibridge-openai-base-url",
        yaml="aibridge.openai_base_url",
        kind=kinds.BASE_URL,
        default="https://api.openai.com/v1/",
        group=Group.PROVIDERS,
        help="Where requests to the provider openai go, with its /v1.",
    )
    openai_key: Secret | None = option(
        "aibridge-openai-key",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.PROVIDERS,
        help="The organisation's key for the provider openai.",
    )
    upstream_connect_timeout: float = option(
        "aibridge-upstream-connect-timeout",
        yaml="aibridge.upstream_connect_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.PROVIDERS,
        help="How long connecting to a provider may take.",
    )
    upstream_idle_timeout: float = option(
        "aibridge-upstream-idle-timeout",
        yaml="aibridge.upstream_idle_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10m",
        group=Group.PROVIDERS,
        help="How long a provider may be silent, before its answer and within it.",
    )
    max_concurrency: int = option(
        "aibridge-max-concurrency",
        yaml="aibridge.max_concurrency",
        kind=kinds.COUNT,
        default="0",
        group=Group.LIMITS,
        help="How many requests are served at once; 0 is unlimited.",
    )
    rate_limit: int = option(
        "aibridge-rate-limit",
        yaml="aibridge.rate_limit",
        kind=kinds.COUNT,
        default="0",
        group=Group.LIMITS,
        help="How many requests a second each caller may send; 0 is unlimited.",
    )
    max_request_bytes: int = option(
        "aibridge-max-request-bytes",
        yaml="aibridge.max_request_bytes",
        kind=kinds.SIZE,
        default="32MiB",
        group=Group.LIMITS,
        help="The largest request body that is taken, in bytes or as 32MiB.",
    )
    circuit_breaker_enabled: bool = option(
        "aibridge-circuit-breaker-enabled",
        yaml="aibridge.circuit_breaker_enabled",
        kind=kinds.BOOL,
        default="false",
        group=Group.BREAKER,
        help="Pause requests to a provider that is overloaded or gone.",
    )
    circuit_breaker_failure_threshold: int = option(
        "aibridge-circuit-breaker-failure-threshold",
        yaml="aibridge.circuit_breaker_failure_threshold",
        kind=kinds.POSITIVE,
        default="5",
        group=Group.BREAKER,
        help="How many failures in a row open the circuit.",
    )
    circuit_breaker_interval: float = option(
        "aibridge-circuit-breaker-interval",
        yaml="aibridge.circuit_breaker_interval",
        kind=kinds.DURATION,
        default="10s",
        group=Group.BREAKER,
        help="How often a closed circuit forgets its failures; 0 is never.",
    )
    circuit_breaker_timeout: float = option(
        "aibridge-circuit-breaker-timeout",
        yaml="aibridge.circuit_breaker_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="30s",
        group=Group.BREAKER,
        help="How long an open circuit rejects before it lets probes through.",
    )
    circuit_breaker_max_requests: int = option(
        "aibridge-circuit-breaker-max-requests",
        yaml="aibridge.circuit_breaker_max_requests",
        kind=kinds.POSITIVE,
        default="3",
        group=Group.BREAKER,
        help="How many probes a half-open circuit admits, and must see succeed to close.",
    )
    mcp_init_timeout: float = option(
        "aibridge-mcp-init-timeout",
        yaml="aibridge.mcp_init_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.MCP,
        help="How long connecting to an MCP server and listing its tools may take.",
    )
    mcp_max_tools: int = option(
        "aibridge-mcp-max-tools",
        yaml="aibridge.mcp_max_tools",
        kind=kinds.POSITIVE,
        default="128",
        group=Group.MCP,
        help="How many tools an MCP server may offer; one that offers more is left out.",
    )
    mcp_call_timeout: float = option(
        "aibridge-mcp-call-timeout",
        yaml="aibridge.mcp_call_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="60s",
        group=Group.MCP,
        help="How long an MCP tool may run.",
    )
    mcp_result_bytes: int = option(
        "aibridge-mcp-result-bytes",
        yaml="aibridge.mcp_result_bytes",
        kind=kinds.SIZE,
        default="256KiB",
        group=Group.MCP,
        help="How much of an MCP tool's result the model is given, in bytes or as 256KiB.",
    )
    mcp_max_turns: int = option(
        "aibridge-mcp-max-turns",
        yaml="aibridge.mcp_max_turns",
        kind=kinds.POSITIVE,
        default="25",
        group=Group.MCP,
        help="How often a model may be asked again with tools' results, for one request.",
    )
    auth: str = option(
        "aibridge-auth",
        yaml="aibridge.auth",
        kind=kinds.AUTH,
        default="token",
        group=Group.IDENTITY,
        help="Who knows the callers: own tokens, a Coder deployment, or nobody (loopback only).",
        restart=True,
    )
    coder_url: str | None = option(
        "coder-url",
        yaml="aibridge.coder_url",
        kind=kinds.OPTIONAL_URL,
        default="",
        group=Group.IDENTITY,
        help="The Coder deployment that knows the tokens; goes with --aibridge-auth coder.",
        env="CODER_URL",
        restart=True,
    )
    auth_cache_ttl: float = option(
        "aibridge-auth-cache-ttl",
        yaml="aibridge.auth_cache_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="60s",
        group=Group.IDENTITY,
        help="How long a token that was good is not looked up again.",
    )
    auth_cache_bad_ttl: float = option(
        "aibridge-auth-cache-bad-ttl",
        yaml="aibridge.auth_cache_bad_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.IDENTITY,
        help="How long a token that was refused is not looked up again.",
    )
    pool_ttl: float = option(
        "aibridge-pool-ttl",
        yaml="aibridge.pool_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="15m",
        group=Group.IDENTITY,
        help="How long what is kept warm for a caller lives, from its making.",
    )
    pool_max_items: int = option(
        "aibridge-pool-max-items",
        yaml="aibridge.pool_max_items",
        kind=kinds.POSITIVE,
        default="5000",
        group=Group.IDENTITY,
        help="For how many callers something is kept warm.",
    )
    state_dir: Path = option(
        "state-dir",
        yaml="aibridge.state_dir",
        kind=kinds.DIRECTORY,
        default="~/.local/state/aibridged",
        group=Group.RECORDS,
        help="Where the database and the spool are (systemd's STATE_DIRECTORY counts, too).",
        fallback_env="STATE_DIRECTORY",
        restart=True,
    )
    postgres_url: Secret | None = option(
        "postgres-url",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.RECORDS,
        help="The PostgreSQL database to keep users, tokens and records in, instead of SQLite.",
        env="CODER_PG_CONNECTION_URL",
        restart=True,
    )
    retention: float = option(
        "aibridge-retention",
        yaml="aibridge.retention",
        kind=kinds.DURATION,
        default="60d",
        group=Group.RECORDS,
        help="How long interceptions are kept; 0 is for ever.",
    )
    structured_logging: bool = option(
        "aibridge-structured-logging",
        yaml="aibridge.structured_logging",
        kind=kinds.BOOL,
        default="false",
        group=Group.RECORDS,
        help="Log every record, prompts included, as one JSON line each, for a SIEM.",
        restart=True,
    )
    http_address: Address = option(
        "http-address",
        yaml="networking.http.httpAddress",
        kind=kinds.ADDRESS,
        default="127.0.0.1:4001",
        group=Group.LISTENING,
        help="Where to listen; :4001 is every interface.",
        restart=True,
    )
    http_read_timeout: float = option(
        "http-read-timeout",
        yaml="networking.http.readTimeout",
        kind=kinds.POSITIVE_DURATION,
        default="30s",
        group=Group.LISTENING,
        help="How long request headers, or the next part of a request body, may take.",
    )
    http_write_timeout: float = option(
        "http-write-timeout",
        yaml="networking.http.writeTimeout",
        kind=kinds.POSITIVE_DURATION,
        default="5m",
        group=Group.LISTENING,
        help="How long a client may stop reading before its connection is closed.",
    )
    shutdown_timeout: float = option(
        "shutdown-timeout",
        yaml="networking.http.shutdownTimeout",
        kind=kinds.DURATION,
        default="30s",
        group=Group.LISTENING,
        help="How long running requests may go on after SIGTERM.",
    )
    tls_cert_file: Path | None = option(
        "tls-cert-file",
        yaml="networking.tls.certFile",
        kind=kinds.PATH,
        default="",
        group=Group.LISTENING,
        help="Certificate chain (PEM), to serve HTTPS; goes with --tls-key-file.",
        restart=True,
    )
    tls_key_file: Path | None = option(
        "tls-key-file",
        yaml="networking.tls.keyFile",
        kind=kinds.PATH,
        default="",
        group=Group.LISTENING,
        help="Private key (PEM, not encrypted) of --tls-cert-file.",
        restart=True,
    )
    proxy_trusted_headers: tuple[str, ...] = option(
        "proxy-trusted-headers",
        yaml="networking.proxyTrustedHeaders",
        kind=kinds.HEADERS,
        default="",
        group=Group.LISTENING,
        help="Headers that name the client's IP address, such as X-Forwarded-For.",
    )
    proxy_trusted_origins: tuple[Network, ...] = option(
        "proxy-trusted-origins",
        yaml="networking.proxyTrustedOrigins",
        kind=kinds.NETWORKS,
        default="",
        group=Group.LISTENING,
        help="Addresses and networks of the proxies whose --proxy-trusted-headers count.",
    )
    proxy_enabled: bool = option(
        "aibridge-proxy-enabled",
        yaml="aibridgeproxy.enabled",
        kind=kinds.BOOL,
        default="false",
        group=Group.AI_PROXY,
        help="Serve the AI Proxy, for clients that know HTTPS_PROXY but no other base URL.",
        restart=True,
    )
    proxy_listen_addr: Address = option(
        "aibridge-proxy-listen-addr",
        yaml="aibridgeproxy.listen_addr",
        kind=kinds.ADDRESS,
        default="127.0.0.1:8888",
        group=Group.AI_PROXY,
        help="Where the AI Proxy listens; :8888 is every interface.",
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
        help="Private key (PEM, not encrypted) of --aibridge-proxy-tls-cert-file.",
        restart=True,
    )
    proxy_cert_file: Path | None = option(
        "aibridge-proxy-cert-file",
        yaml="aibridgeproxy.cert_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Certificate (PEM) of the CA that clients trust; aibridged proxy init-ca makes one.",
        restart=True,
    )
    proxy_key_file: Path | None = option(
        "aibridge-proxy-key-file",
        yaml="aibridgeproxy.key_file",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="Private key (PEM, not encrypted) of --aibridge-proxy-cert-file.",
        restart=True,
    )
    proxy_upstream: ProxyUrl | None = option(
        "aibridge-proxy-upstream",
        yaml="aibridgeproxy.upstream_proxy",
        kind=kinds.PROXY_URL,
        default="",
        group=Group.AI_PROXY,
        help="The proxy through which tunnels leave, as http[s]://[user:password@]host:port.",
        restart=True,
    )
    proxy_upstream_ca: Path | None = option(
        "aibridge-proxy-upstream-ca",
        yaml="aibridgeproxy.upstream_proxy_ca",
        kind=kinds.PATH,
        default="",
        group=Group.AI_PROXY,
        help="CA certificate (PEM) to trust an https:// --aibridge-proxy-upstream by.",
        restart=True,
    )
    proxy_allowed_private_cidrs: tuple[Network, ...] = option(
        "aibridge-proxy-allowed-private-cidrs",
        yaml="aibridgeproxy.allowed_private_cidrs",
        kind=kinds.NETWORKS,
        default="",
        group=Group.AI_PROXY,
        help="Networks that may be tunneled to although they are private or reserved.",
        restart=True,
    )
    proxy_target: str | None = option(
        "aibridge-proxy-target",
        yaml="aibridgeproxy.target",
        kind=kinds.OPTIONAL_URL,
        default="",
        group=Group.AI_PROXY,
        help="The gateway behind aibridged proxy, which runs the AI Proxy alone.",
        restart=True,
    )
    log_human: str = option(
        "log-human",
        yaml="introspection.logging.humanPath",
        kind=kinds.LOG_TARGET,
        default="/dev/stderr",
        group=Group.LOGGING,
        help='Write logs for people to this file; "" is off (/dev/null in a variable).',
        env="CODER_LOGGING_HUMAN",
    )
    log_json: str = option(
        "log-json",
        yaml="introspection.logging.jsonPath",
        kind=kinds.LOG_TARGET,
        default="",
        group=Group.LOGGING,
        help="Write logs as JSON lines to this file.",
        env="CODER_LOGGING_JSON",
    )
    log_stackdriver: str = option(
        "log-stackdriver",
        yaml="introspection.logging.stackdriverPath",
        kind=kinds.LOG_TARGET,
        default="",
        group=Group.LOGGING,
        help="Write logs as Google Cloud Logging (Stackdriver) reads them to this file.",
        env="CODER_LOGGING_STACKDRIVER",
    )
    log_filter: tuple[str, ...] = option(
        "log-filter",
        yaml="introspection.logging.filter",
        kind=kinds.PATTERNS,
        default="",
        group=Group.LOGGING,
        help="Log the debug messages that match one of these regular expressions; .* is all.",
    )
    verbose: bool = option(
        "verbose",
        yaml="introspection.logging.verbose",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Log all debug messages.",
    )
    trace: bool = option(
        "trace",
        yaml="introspection.tracing.enable",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Send traces over OTLP, as the OTEL_* variables say.",
        env="CODER_TRACE_ENABLE",
        restart=True,
    )
    trace_logs: bool = option(
        "trace-logs",
        yaml="introspection.tracing.captureLogs",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Show the log lines of a request in its trace; goes with --trace.",
        env="CODER_TRACE_LOGS",
        restart=True,
    )
    prometheus_enable: bool = option(
        "prometheus-enable",
        yaml="introspection.prometheus.enable",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Serve metrics for Prometheus on --prometheus-address.",
        restart=True,
    )
    prometheus_address: Address = option(
        "prometheus-address",
        yaml="introspection.prometheus.address",
        kind=kinds.ADDRESS,
        default="127.0.0.1:2112",
        group=Group.LOGGING,
        help="Where to serve metrics, to whoever can connect.",
        restart=True,
    )
    prometheus_initiator_labels: bool = option(
        "aibridge-prometheus-initiator-labels",
        yaml="aibridge.prometheus_initiator_labels",
        kind=kinds.BOOL,
        default="true",
        group=Group.LOGGING,
        help="Tell callers apart in metrics, by initiator_id; with false that label is empty.",
        restart=True,
    )
    providers: tuple[ProviderSettings, ...] = ()
    mcp_servers: tuple[McpServerSettings, ...] = ()


OPTIONS: tuple[Option, ...] = tuple(
    replace(row.metadata["option"], name=row.name)
    for row in fields(Settings)
    if "option" in row.metadata
)
