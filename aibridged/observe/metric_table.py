"""THE table of metrics: each is declared once, with its help text.

The collectors, the manual and the tests of the dashboard and of the alerts are made from it. Names
that begin with `coder_` are those of Coder's AI Gateway, with its labels, so that its dashboards
work (`metric.Names` says under which prefix); this daemon's own begin with `aibridged_`.

Labels with values from outside have a bounded number of values: the rest is counted as `other`. See
`labels` and `series`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aibridged.observe.budget_table import BUDGETS
from aibridged.observe.limit_table import LIMITS
from aibridged.observe.mcp_table import MCP_SERVERS
from aibridged.observe.metric import Across, Kind, Metric
from aibridged.observe.record_table import RECORDS
from aibridged.observe.telemetry_table import TELEMETRY

# A histogram has a series for each of its buckets.
_FEW = 100
# Callers are known users, and their number is worth the space.
_MANY = 20_000

INTERCEPTIONS = Metric(
    "coder_ai_gateway_interceptions_total",
    Kind.COUNTER,
    "Ended interceptions, by status: completed, failed, client_closed or interrupted.",
    ("provider", "model", "status", "route", "method", "initiator_id", "client"),
    most=_MANY,
)
INTERCEPTIONS_INFLIGHT = Metric(
    "coder_ai_gateway_interceptions_inflight",
    Kind.GAUGE,
    "Interceptions in flight.",
    ("provider", "model", "route"),
)
INTERCEPTIONS_DURATION = Metric(
    "coder_ai_gateway_interceptions_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of interceptions, from the request head to the end of the response; "
    "most of it is the provider's time.",
    ("provider", "model"),
    buckets=(0.5, 2, 5, 15, 30, 60, 120),
    most=_FEW,
)
PASSTHROUGH = Metric(
    "coder_ai_gateway_passthrough_total",
    Kind.COUNTER,
    "Passthrough requests, forwarded without being parsed or recorded.",
    ("provider", "route", "method"),
)
REQUESTS_IN_FLIGHT = Metric(
    "aibridged_requests_in_flight",
    Kind.GAUGE,
    "Requests of any kind in flight; a shutdown waits for them.",
)
REJECTIONS = Metric(
    "aibridged_rejections_total",
    Kind.COUNTER,
    "Requests that the gateway itself refused or failed, by the reason in X-Aibridge-Reason.",
    ("reason",),
)

PROMPTS = Metric(
    "coder_ai_gateway_prompts_total",
    Kind.COUNTER,
    "Prompts sent by users.",
    ("provider", "model", "initiator_id", "client"),
    most=_MANY,
)
TOKENS = Metric(
    "coder_ai_gateway_tokens_total",
    Kind.COUNTER,
    "Tokens reported by providers, by the model that used them. The types input, output,"
    " cache_read_input_tokens and cache_write_input_tokens never overlap; other types break them"
    " down.",
    ("provider", "model", "type", "initiator_id", "client"),
    most=_MANY,
)
COSTS = Metric(
    "aibridged_cost_dollars_total",
    Kind.COUNTER,
    "Dollars that ended interceptions cost, by the requested model, and by the first of the"
    " initiator's groups. The label is exact, estimated, or unpriced for those whose parts don't"
    " all have a price.",
    ("provider", "model", "group", "label"),
)
UNPRICED = Metric(
    "aibridged_unpriced_total",
    Kind.COUNTER,
    "Interceptions whose cost isn't known, or not whole, since a model has no price.",
    ("provider", "model"),
)
TOOL_SELECTIONS = Metric(
    "coder_ai_gateway_non_injected_tool_selections_total",
    Kind.COUNTER,
    "Tool calls by models, except for tools that the gateway runs (injected tools).",
    ("provider", "model", "name"),
)
TOOL_INVOCATIONS = Metric(
    "coder_ai_gateway_injected_tool_invocations_total",
    Kind.COUNTER,
    "Calls of MCP tools that the gateway ran for a model.",
    ("provider", "model", "server", "name"),
)

TIME_TO_FIRST_BYTE = Metric(
    "aibridged_time_to_first_byte_seconds",
    Kind.HISTOGRAM,
    "Time to first byte, from sending a request to the provider until the first byte "
    "of its response was sent to the client.",
    ("provider", "model"),
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 30, 60, 120),
    most=_FEW,
)
TIME_BETWEEN_TOKENS = Metric(
    "aibridged_time_between_tokens_seconds",
    Kind.HISTOGRAM,
    "Mean time between output tokens of a streamed response.",
    ("provider", "model"),
    buckets=(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1),
    most=_FEW,
)
REQUEST_OVERHEAD = Metric(
    "aibridged_request_overhead_seconds",
    Kind.HISTOGRAM,
    "Latency that the gateway adds before the provider: from the request head until "
    "it is forwarded, excluding the time in which the client was sending the body.",
    ("provider",),
    buckets=(
        *(0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075),
        *(0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
    ),
)
CHUNK_OVERHEAD = Metric(
    "aibridged_chunk_overhead_seconds",
    Kind.HISTOGRAM,
    "Processing time per chunk of a provider's response, from its arrival until it "
    "is written to the client and parsed for the record; sampled on some connections.",
    ("provider",),
    buckets=(
        *(0.00001, 0.00002, 0.00003, 0.00005, 0.000075, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005),
        *(0.001, 0.0025, 0.01, 0.05),
    ),
)
EVENT_LOOP_LAG = Metric(
    "aibridged_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "Event loop lag, sampled four times a second; streams stall for as long.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)

BREAKER_STATE = Metric(
    "coder_ai_gateway_circuit_breaker_state",
    Kind.GAUGE,
    "State of a circuit breaker: 0 is closed, 0.5 half-open, 1 open. With several "
    "circuits under the same labels, such as those of users' own keys, the most open "
    "one. A half-open one without requests is left out after another timeout.",
    ("provider", "endpoint", "model"),
    across=Across.MAX,
)
BREAKER_TRIPS = Metric(
    "coder_ai_gateway_circuit_breaker_trips_total",
    Kind.COUNTER,
    "Number of times a circuit has opened.",
    ("provider", "endpoint", "model"),
)
BREAKER_REJECTS = Metric(
    "coder_ai_gateway_circuit_breaker_rejects_total",
    Kind.COUNTER,
    "Requests rejected by an open circuit.",
    ("provider", "endpoint", "model"),
)

USER_INFO = Metric(
    "aibridged_user_info",
    Kind.GAUGE,
    "Always 1; the labels are the id and the username of each initiator that is counted. Join by"
    " initiator_id for metrics by name.",
    ("initiator_id", "username"),
    across=Across.MAX,
)
PROVIDER_INFO = Metric(
    "coder_ai_gateway_provider_info",
    Kind.GAUGE,
    "1 for each configured provider; its status is enabled.",
    ("provider_name", "provider_type", "status"),
    across=Across.MAX,
)
RELOAD_ATTEMPT = Metric(
    "coder_ai_gateway_providers_last_reload_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last attempt to load the configuration, at startup or on reload.",
    across=Across.MAX,
)
RELOAD_SUCCESS = Metric(
    "coder_ai_gateway_providers_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last successful load of the configuration; after a failed "
    "reload it is older than the last attempt.",
    across=Across.MIN,
)
UPSTREAM_CONNECTIONS = Metric(
    "aibridged_upstream_connections",
    Kind.GAUGE,
    "Connections to a provider, by state: in_use or idle.",
    ("provider", "state"),
)
STREAM_ERRORS = Metric(
    "aibridged_stream_errors_total",
    Kind.COUNTER,
    "Errors within responses with status 200, by the provider's error type.",
    ("provider", "type"),
)
UPSTREAM_RESPONSES = Metric(
    "aibridged_upstream_responses_total",
    Kind.COUNTER,
    "Responses of providers, by their status and by whose key was sent: centralized (the "
    "gateway's) or byok. With 401 or 403 to the gateway's key, the provider refuses it.",
    ("provider", "status", "key"),
)
SIGN_INS = Metric(
    "aibridged_sign_ins_total",
    Kind.COUNTER,
    "Steps of sign-ins, by outcome: a device started, its user signed_in or denied it, it was "
    "issued its tokens, which were refreshed or revoked. refused, refresh_refused and reused: the "
    "person or the token is not accepted. provider_unavailable and refresh_unavailable: the "
    "identity provider is away. wrong_state, cross_site and too_many: nobody's own attempts.",
    ("outcome",),
)
UNREAD = Metric(
    "aibridged_unread_responses_total",
    Kind.COUNTER,
    "Responses of which a part could not be read for the record, by the first such part.",
    ("provider", "kind"),
)

AUTH_CACHE_HITS = Metric(
    "aibridged_auth_cache_hits_total",
    Kind.COUNTER,
    "Token cache hits, for valid and rejected tokens.",
)
AUTH_CACHE_MISSES = Metric(
    "aibridged_auth_cache_misses_total",
    Kind.COUNTER,
    "Token cache misses, which required a lookup.",
)
POOL_HITS = Metric(
    "aibridged_bridge_pool_hits_total",
    Kind.COUNTER,
    "Requests with a cached bridge.",
)
POOL_MISSES = Metric(
    "aibridged_bridge_pool_misses_total",
    Kind.COUNTER,
    "Requests that required a new bridge.",
)
POOL_ADDITIONS = Metric(
    "aibridged_bridge_pool_additions_total", Kind.COUNTER, "Bridges added to the pool."
)
POOL_EVICTIONS = Metric(
    "aibridged_bridge_pool_evictions_total",
    Kind.COUNTER,
    "Bridges evicted from the pool, on expiry or to make room.",
)
POOL_SIZE = Metric("aibridged_bridge_pool_size", Kind.GAUGE, "Bridges in the pool.")

BUILD_INFO = Metric(
    "aibridged_build_info",
    Kind.GAUGE,
    "Always 1; the labels are the versions of aibridged and Python.",
    ("version", "python"),
    across=Across.MAX,
)
READY = Metric(
    "aibridged_ready",
    Kind.GAUGE,
    "1 while new requests are accepted; 0 while the daemon drains or can't record them.",
    across=Across.MIN,
)

LOG_LINES_LOST = Metric(
    "aibridged_log_lines_lost_total",
    Kind.COUNTER,
    "Log lines lost, by reason: unwritable (a full disk), too_slow (a stuck reader or disk) or "
    "unformattable.",
    ("reason",),
)

PROXY_SESSIONS = Metric(
    "coder_ai_gateway_proxy_connect_sessions_total",
    Kind.COUNTER,
    "CONNECT sessions of the AI Proxy, by type: mitm or tunneled.",
    ("type",),
)
PROXY_REQUESTS = Metric(
    "coder_ai_gateway_proxy_mitm_requests_total",
    Kind.COUNTER,
    "Requests that the AI Proxy intercepted (MITM) and passed to the gateway.",
    ("provider",),
)
PROXY_INFLIGHT = Metric(
    "coder_ai_gateway_proxy_inflight_mitm_requests",
    Kind.GAUGE,
    "Intercepted requests of the AI Proxy in flight.",
    ("provider",),
)
PROXY_RESPONSES = Metric(
    "coder_ai_gateway_proxy_mitm_responses_total",
    Kind.COUNTER,
    "Responses to intercepted requests of the AI Proxy, by HTTP status.",
    ("code", "provider"),
)

# Made by prometheus_client itself, where the system has /proc; the help texts are its own.
PROCESS = (
    Metric(
        "process_cpu_seconds_total",
        Kind.COUNTER,
        "Total user and system CPU time spent in seconds.",
    ),
    Metric("process_resident_memory_bytes", Kind.GAUGE, "Resident memory size in bytes."),
    Metric("process_virtual_memory_bytes", Kind.GAUGE, "Virtual memory size in bytes."),
    Metric(
        "process_start_time_seconds",
        Kind.GAUGE,
        "Start time of the process since unix epoch in seconds.",
    ),
    Metric("process_open_fds", Kind.GAUGE, "Number of open file descriptors."),
    Metric("process_max_fds", Kind.GAUGE, "Maximum number of open file descriptors."),
)

WORKERS = Metric(
    "aibridged_workers",
    Kind.GAUGE,
    "Processes of a daemon with several workers, by kind (worker, or the writer of their records) "
    "and state: wanted or serving. One that doesn't answer isn't serving.",
    ("kind", "state"),
)
WORKER_RESTARTS = Metric(
    "aibridged_worker_restarts_total",
    Kind.COUNTER,
    "Number of times that a worker, or the writer of the workers' records, was started again after "
    "its end.",
    ("worker",),
)
SECTIONS: Mapping[str, tuple[Metric, ...]] = MappingProxyType(
    {
        "Requests": (
            INTERCEPTIONS,
            INTERCEPTIONS_INFLIGHT,
            INTERCEPTIONS_DURATION,
            PASSTHROUGH,
            REQUESTS_IN_FLIGHT,
            REJECTIONS,
        ),
        "Tokens, prompts and tools": (PROMPTS, TOKENS, TOOL_SELECTIONS, TOOL_INVOCATIONS),
        "Costs": (COSTS, UNPRICED),
        "MCP servers": MCP_SERVERS,
        "Time": (
            TIME_TO_FIRST_BYTE,
            TIME_BETWEEN_TOKENS,
            REQUEST_OVERHEAD,
            CHUNK_OVERHEAD,
            EVENT_LOOP_LAG,
        ),
        "Limits": LIMITS,
        "Budgets": BUDGETS,
        "Circuit breaker": (BREAKER_STATE, BREAKER_TRIPS, BREAKER_REJECTS),
        "Providers": (
            PROVIDER_INFO,
            RELOAD_ATTEMPT,
            RELOAD_SUCCESS,
            UPSTREAM_CONNECTIONS,
            STREAM_ERRORS,
            UPSTREAM_RESPONSES,
            UNREAD,
        ),
        "Callers": (
            USER_INFO,
            SIGN_INS,
            AUTH_CACHE_HITS,
            AUTH_CACHE_MISSES,
            POOL_HITS,
            POOL_MISSES,
            POOL_ADDITIONS,
            POOL_EVICTIONS,
            POOL_SIZE,
        ),
        "Records": RECORDS,
        "Telemetry of agents": TELEMETRY,
        "Daemon": (BUILD_INFO, READY, WORKERS, WORKER_RESTARTS, LOG_LINES_LOST, *PROCESS),
        "AI Proxy": (PROXY_SESSIONS, PROXY_REQUESTS, PROXY_INFLIGHT, PROXY_RESPONSES),
    }
)
"""The rows, under their headings in the manual."""

METRICS: tuple[Metric, ...] = tuple(row for rows in SECTIONS.values() for row in rows)
