"""Settings of providers, limits, circuit breaker and MCP."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass
from pathlib import Path

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.secret import Secret


@dataclass(frozen=True, init=False, repr=False, eq=False)
class GatewayRows:
    """Rows of `options.Settings`."""

    enabled: bool = option(
        "aibridge-enabled",
        yaml="aibridge.enabled",
        kind=kinds.BOOL,
        default="true",
        group=Group.GATEWAY,
        help="Master switch; if false, serve logs that it is disabled and exits with status 0.",
        restart=True,
    )
    allow_byok: bool = option(
        "aibridge-allow-byok",
        yaml="aibridge.allow_byok",
        kind=kinds.BOOL,
        default="true",
        group=Group.GATEWAY,
        help="Permission for users to bring their own provider key (BYOK).",
    )
    send_actor_headers: bool = option(
        "aibridge-send-actor-headers",
        yaml="aibridge.send_actor_headers",
        kind=kinds.BOOL,
        default="false",
        group=Group.GATEWAY,
        help="User's identity in X-AI-Bridge-Actor-* headers on requests to providers.",
    )
    dump_dir: Path | None = option(
        "aibridge-dump-dir",
        yaml="aibridge.api_dump_dir",
        kind=kinds.OPTIONAL_DIRECTORY,
        default="",
        group=Group.GATEWAY,
        help="Directory for debug dumps of every request and response, with secrets redacted.",
    )
    anthropic_base_url: str = option(
        "aibridge-anthropic-base-url",
        yaml="aibridge.anthropic_base_url",
        kind=kinds.BASE_URL,
        default="https://api.anthropic.com/",
        group=Group.PROVIDERS,
        help="Base URL of the provider anthropic.",
    )
    anthropic_key: Secret | None = option(
        "aibridge-anthropic-key",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.PROVIDERS,
        help="The organisation's API key for the provider anthropic.",
    )
    openai_base_url: str = option(
        "aibridge-openai-base-url",
        yaml="aibridge.openai_base_url",
        kind=kinds.BASE_URL,
        default="https://api.openai.com/v1/",
        group=Group.PROVIDERS,
        help="Base URL of the provider openai, including /v1.",
    )
    openai_key: Secret | None = option(
        "aibridge-openai-key",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.PROVIDERS,
        help="The organisation's API key for the provider openai.",
    )
    upstream_connect_timeout: float = option(
        "aibridge-upstream-connect-timeout",
        yaml="aibridge.upstream_connect_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.PROVIDERS,
        help="Upstream connect timeout.",
    )
    upstream_idle_timeout: float = option(
        "aibridge-upstream-idle-timeout",
        yaml="aibridge.upstream_idle_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10m",
        group=Group.PROVIDERS,
        help="Idle timeout before and between bytes of a provider's response.",
    )
    upstream_keepalive_timeout: float = option(
        "aibridge-upstream-keepalive-timeout",
        yaml="aibridge.upstream_keepalive_timeout",
        kind=kinds.DURATION,
        default="15s",
        group=Group.PROVIDERS,
        help="Time that an idle connection to a provider is kept for reuse; 0 is not at all.",
    )
    upstream_proxy: ProxyUrl | None = option(
        "aibridge-upstream-proxy",
        yaml="aibridge.upstream_proxy",
        kind=kinds.PROXY_URL,
        default="",
        group=Group.PROVIDERS,
        help="Proxy for all outgoing requests (defaults to HTTPS_PROXY, HTTP_PROXY, ALL_PROXY).",
        restart=True,
    )
    max_concurrency: int = option(
        "aibridge-max-concurrency",
        yaml="aibridge.max_concurrency",
        kind=kinds.COUNT,
        default="0",
        group=Group.LIMITS,
        help="Maximum number of concurrent requests; 0 is unlimited.",
    )
    rate_limit: int = option(
        "aibridge-rate-limit",
        yaml="aibridge.rate_limit",
        kind=kinds.COUNT,
        default="0",
        group=Group.LIMITS,
        help="Maximum number of requests per second per token; 0 is unlimited.",
    )
    max_request_bytes: int = option(
        "aibridge-max-request-bytes",
        yaml="aibridge.max_request_bytes",
        kind=kinds.SIZE,
        default="32MiB",
        group=Group.LIMITS,
        help="Maximum size of a request body, in bytes or as 32MiB.",
    )
    max_inflight_bytes: int | None = option(
        "aibridge-max-inflight-bytes",
        yaml="aibridge.max_inflight_bytes",
        kind=kinds.SIZE_OR_AUTO,
        default="auto",
        group=Group.LIMITS,
        help="Memory budget for request bodies in flight; auto is a quarter of the memory.",
    )
    redis_url: Secret | None = option(
        "aibridge-redis-url",
        yaml=None,
        kind=kinds.REDIS_URL,
        default="",
        group=Group.LIMITS,
        help="Redis or Valkey server by which replicas share their limits: redis:, rediss:, unix:.",
        restart=True,
    )
    replicas: int = option(
        "aibridge-replicas",
        yaml="aibridge.replicas",
        kind=kinds.REPLICAS,
        default="1",
        group=Group.LIMITS,
        help="Number of replicas that share limits; each has its part of them while Redis is away.",
        restart=True,
    )
    circuit_breaker_enabled: bool = option(
        "aibridge-circuit-breaker-enabled",
        yaml="aibridge.circuit_breaker_enabled",
        kind=kinds.BOOL,
        default="false",
        group=Group.BREAKER,
        help="Circuit breaker for overloaded or unreachable providers.",
    )
    circuit_breaker_failure_threshold: int = option(
        "aibridge-circuit-breaker-failure-threshold",
        yaml="aibridge.circuit_breaker_failure_threshold",
        kind=kinds.POSITIVE,
        default="5",
        group=Group.BREAKER,
        help="Number of consecutive failures that open a circuit.",
    )
    circuit_breaker_interval: float = option(
        "aibridge-circuit-breaker-interval",
        yaml="aibridge.circuit_breaker_interval",
        kind=kinds.DURATION,
        default="10s",
        group=Group.BREAKER,
        help="Interval at which a closed circuit resets its failure count; 0 is never.",
    )
    circuit_breaker_timeout: float = option(
        "aibridge-circuit-breaker-timeout",
        yaml="aibridge.circuit_breaker_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="30s",
        group=Group.BREAKER,
        help="Time that an open circuit rejects requests before it becomes half-open.",
    )
    circuit_breaker_max_requests: int = option(
        "aibridge-circuit-breaker-max-requests",
        yaml="aibridge.circuit_breaker_max_requests",
        kind=kinds.POSITIVE,
        default="3",
        group=Group.BREAKER,
        help="Number of probes in a half-open circuit, all of which must succeed to close it.",
    )
    mcp_init_timeout: float = option(
        "aibridge-mcp-init-timeout",
        yaml="aibridge.mcp_init_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.MCP,
        help="Timeout for connecting to an MCP server and listing its tools.",
    )
    mcp_max_tools: int = option(
        "aibridge-mcp-max-tools",
        yaml="aibridge.mcp_max_tools",
        kind=kinds.POSITIVE,
        default="128",
        group=Group.MCP,
        help="Maximum number of tools per MCP server; a server with more is left out.",
    )
    mcp_call_timeout: float = option(
        "aibridge-mcp-call-timeout",
        yaml="aibridge.mcp_call_timeout",
        kind=kinds.POSITIVE_DURATION,
        default="60s",
        group=Group.MCP,
        help="Timeout of an MCP tool call.",
    )
    mcp_result_bytes: int = option(
        "aibridge-mcp-result-bytes",
        yaml="aibridge.mcp_result_bytes",
        kind=kinds.SIZE,
        default="256KiB",
        group=Group.MCP,
        help="Maximum size of an MCP tool result sent to the model, in bytes or as 256KiB.",
    )
    mcp_max_turns: int = option(
        "aibridge-mcp-max-turns",
        yaml="aibridge.mcp_max_turns",
        kind=kinds.POSITIVE,
        default="25",
        group=Group.MCP,
        help="Maximum number of model turns with tool results per request.",
    )
