"""THE table of metrics: each is declared once, with the sentence that explains it.

The collectors, the manual and the tests of the dashboard and of the alerts are made from it. Names
that begin with `coder_` are those of Coder's AI Bridge, with its labels, so that its dashboards
work; what only this daemon tells begins with `aibridged_`.

Labels that others fill hold a bounded number of values: the rest is counted as `other`. See
`labels` and `series`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aibridged.observe.limit_table import LIMITS
from aibridged.observe.metric import Kind, Metric

# A histogram has a series for each of its buckets.
_FEW = 100
# Callers are known people, and their number is worth the space.
_MANY = 20_000

INTERCEPTIONS = Metric(
    "coder_aibridged_interceptions_total",
    Kind.COUNTER,
    "Interceptions that have ended; the status says how: completed, failed, client_closed or"
    " interrupted.",
    ("provider", "model", "status", "route", "method", "initiator_id", "client"),
    most=_MANY,
)
INTERCEPTIONS_INFLIGHT = Metric(
    "coder_aibridged_interceptions_inflight",
    Kind.GAUGE,
    "Interceptions under way.",
    ("provider", "model", "route"),
)
INTERCEPTIONS_DURATION = Metric(
    "coder_aibridged_interceptions_duration_seconds",
    Kind.HISTOGRAM,
    "How long interceptions took, from the request's head to the end of the answer; most of it is"
    " the provider's time.",
    ("provider", "model"),
    buckets=(0.5, 2, 5, 15, 30, 60, 120),
    most=_FEW,
)
PASSTHROUGH = Metric(
    "coder_aibridged_passthrough_total",
    Kind.COUNTER,
    "Requests that were only forwarded, neither read nor recorded.",
    ("provider", "route", "method"),
)
REQUESTS_IN_FLIGHT = Metric(
    "aibridged_requests_in_flight",
    Kind.GAUGE,
    "Requests of any kind under way; a shutdown waits for them.",
)
REJECTIONS = Metric(
    "aibridged_rejections_total",
    Kind.COUNTER,
    "Requests that the gateway itself refused or failed, by the reason that X-Aibridge-Reason"
    " tells the caller.",
    ("reason",),
)

PROMPTS = Metric(
    "coder_aibridged_prompts_total",
    Kind.COUNTER,
    "Prompts that users sent.",
    ("provider", "model", "initiator_id", "client"),
    most=_MANY,
)
TOKENS = Metric(
    "coder_aibridged_tokens_total",
    Kind.COUNTER,
    "Tokens that providers counted. The types input, output, cache_read_input_tokens and"
    " cache_write_input_tokens never overlap; other types break them down.",
    ("provider", "model", "type", "initiator_id", "client"),
    most=_MANY,
)
TOOL_SELECTIONS = Metric(
    "coder_aibridged_non_injected_tool_selections_total",
    Kind.COUNTER,
    "Tools that a model chose to use, without those that the gateway runs for it.",
    ("provider", "model", "name"),
)
TOOL_INVOCATIONS = Metric(
    "coder_aibridged_injected_tool_invocations_total",
    Kind.COUNTER,
    "Tools of MCP servers that the gateway ran for a model.",
    ("provider", "model", "server", "name"),
)
MCP_FAILURES = Metric(
    "aibridged_mcp_server_failures_total",
    Kind.COUNTER,
    "Sessions with MCP servers that could not be opened, so that callers lacked their tools.",
    ("server",),
)

TIME_TO_FIRST_BYTE = Metric(
    "aibridged_time_to_first_byte_seconds",
    Kind.HISTOGRAM,
    "From sending a request to the provider until the first byte of its answer had gone to the"
    " client.",
    ("provider", "model"),
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 30, 60, 120),
    most=_FEW,
)
TIME_BETWEEN_TOKENS = Metric(
    "aibridged_time_between_tokens_seconds",
    Kind.HISTOGRAM,
    "The mean time from one output token of a streamed answer to the next.",
    ("provider", "model"),
    buckets=(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1),
    most=_FEW,
)
REQUEST_OVERHEAD = Metric(
    "aibridged_request_overhead_seconds",
    Kind.HISTOGRAM,
    "What the gateway itself adds in front of the provider: from a request's head until it is sent"
    " on, without the time in which the client was sending the body.",
    ("provider",),
    buckets=(
        *(0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075),
        *(0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
    ),
)
CHUNK_OVERHEAD = Metric(
    "aibridged_chunk_overhead_seconds",
    Kind.HISTOGRAM,
    "How long the gateway is busy with a chunk of a provider's answer, from its arrival until it"
    " is written to the client and read for the record; measured on some connections.",
    ("provider",),
    buckets=(
        *(0.00001, 0.00002, 0.00003, 0.00005, 0.000075, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005),
        *(0.001, 0.0025, 0.01, 0.05),
    ),
)
EVENT_LOOP_LAG = Metric(
    "aibridged_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How late the event loop does what is due, asked four times a second; streams stand still as"
    " long.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)

BREAKER_STATE = Metric(
    "coder_aibridged_circuit_breaker_state",
    Kind.GAUGE,
    "How far open a circuit is: 0 is closed, 0.5 half-open, 1 open. Of several circuits under the"
    " same labels, such as those of callers' own keys, the one that is open furthest.",
    ("provider", "endpoint", "model"),
)
BREAKER_TRIPS = Metric(
    "coder_aibridged_circuit_breaker_trips_total",
    Kind.COUNTER,
    "How often a circuit has opened.",
    ("provider", "endpoint", "model"),
)
BREAKER_REJECTS = Metric(
    "coder_aibridged_circuit_breaker_rejects_total",
    Kind.COUNTER,
    "Requests that were refused because a circuit was open.",
    ("provider", "endpoint", "model"),
)

PROVIDER_INFO = Metric(
    "coder_aibridged_provider_info",
    Kind.GAUGE,
    "1 for each configured provider; its status is enabled.",
    ("provider_name", "provider_type", "status"),
)
RELOAD_ATTEMPT = Metric(
    "coder_aibridged_providers_last_reload_timestamp_seconds",
    Kind.GAUGE,
    "When the configuration was last read, at the start or for a reload, as Unix time.",
)
RELOAD_SUCCESS = Metric(
    "coder_aibridged_providers_last_reload_success_timestamp_seconds",
    Kind.GAUGE,
    "When the configuration was last read and found good, as Unix time; after a failed reload it"
    " is older than the last attempt.",
)
UPSTREAM_CONNECTIONS = Metric(
    "aibridged_upstream_connections",
    Kind.GAUGE,
    "Connections to a provider, by their state: in_use or idle.",
    ("provider", "state"),
)
STREAM_ERRORS = Metric(
    "aibridged_stream_errors_total",
    Kind.COUNTER,
    "Errors inside answers whose status was 200, by the provider's name for them.",
    ("provider", "type"),
)

AUTH_CACHE_HITS = Metric(
    "aibridged_auth_cache_hits_total",
    Kind.COUNTER,
    "Tokens that were known without a lookup, good or bad.",
)
AUTH_CACHE_MISSES = Metric(
    "aibridged_auth_cache_misses_total", Kind.COUNTER, "Tokens that had to be looked up."
)
POOL_HITS = Metric(
    "aibridged_bridge_pool_hits_total",
    Kind.COUNTER,
    "Requests that found the bridge of their caller warm.",
)
POOL_MISSES = Metric(
    "aibridged_bridge_pool_misses_total",
    Kind.COUNTER,
    "Requests for whose caller a bridge had to be made.",
)
POOL_ADDITIONS = Metric(
    "aibridged_bridge_pool_additions_total", Kind.COUNTER, "Bridges that came into the pool."
)
POOL_EVICTIONS = Metric(
    "aibridged_bridge_pool_evictions_total",
    Kind.COUNTER,
    "Bridges that left the pool, because their time was over or others needed the place.",
)
POOL_SIZE = Metric("aibridged_bridge_pool_size", Kind.GAUGE, "Bridges in the pool.")

RECORDER_QUEUE = Metric(
    "aibridged_recorder_queue_length",
    Kind.GAUGE,
    "Records that wait to be written; requests are refused at 10 000.",
)
_COMMIT_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
RECORDER_WAIT = Metric(
    "aibridged_recorder_start_wait_seconds",
    Kind.HISTOGRAM,
    "How long requests waited until their start was committed, before they went upstream.",
    buckets=_COMMIT_SECONDS,
)
RECORDER_COMMIT = Metric(
    "aibridged_recorder_commit_seconds",
    Kind.HISTOGRAM,
    "How long the database took to commit records.",
    buckets=_COMMIT_SECONDS,
)
RECORDER_BATCH = Metric(
    "aibridged_recorder_batch_records",
    Kind.HISTOGRAM,
    "How many records were committed together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
STARTS_REFUSED = Metric(
    "aibridged_recorder_starts_refused_total",
    Kind.COUNTER,
    "Requests that were refused because their start could not be recorded.",
)
RECORDS_SPOOLED = Metric(
    "aibridged_records_spooled_total",
    Kind.COUNTER,
    "Records that were written to the spool because the database was away.",
)
RECORDS_REPLAYED = Metric(
    "aibridged_records_replayed_total",
    Kind.COUNTER,
    "Records that were read back from the spool.",
)
RECORDS_LOST = Metric(
    "aibridged_records_lost_total",
    Kind.COUNTER,
    "Records that are kept nowhere; the log says why.",
)
SPOOL_SIZE = Metric("aibridged_spool_size_bytes", Kind.GAUGE, "The size of the spool.")
DATABASE_UP = Metric(
    "aibridged_database_up",
    Kind.GAUGE,
    "1 while the database takes records, 0 while it is away.",
)

BUILD_INFO = Metric(
    "aibridged_build_info",
    Kind.GAUGE,
    "1; the labels say which aibridged runs, on which Python.",
    ("version", "python"),
)
READY = Metric(
    "aibridged_ready",
    Kind.GAUGE,
    "1 while new requests are taken, 0 while the daemon drains before its end.",
)

PROXY_SESSIONS = Metric(
    "coder_aibridgeproxyd_connect_sessions_total",
    Kind.COUNTER,
    "CONNECT sessions of the AI Proxy, by their type: mitm or tunneled.",
    ("type",),
)
PROXY_REQUESTS = Metric(
    "coder_aibridgeproxyd_mitm_requests_total",
    Kind.COUNTER,
    "Requests that the AI Proxy intercepted and gave to the gateway.",
    ("provider",),
)
PROXY_INFLIGHT = Metric(
    "coder_aibridgeproxyd_inflight_mitm_requests",
    Kind.GAUGE,
    "Intercepted requests of the AI Proxy under way.",
    ("provider",),
)
PROXY_RESPONSES = Metric(
    "coder_aibridgeproxyd_mitm_responses_total",
    Kind.COUNTER,
    "Answers to intercepted requests of the AI Proxy, by their HTTP status.",
    ("code", "provider"),
)

# Made by prometheus_client itself, where the system has /proc; the words are its own.
_PROCESS = (
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
        "MCP servers": (MCP_FAILURES,),
        "Time": (
            TIME_TO_FIRST_BYTE,
            TIME_BETWEEN_TOKENS,
            REQUEST_OVERHEAD,
            CHUNK_OVERHEAD,
            EVENT_LOOP_LAG,
        ),
        "Limits": LIMITS,
        "Circuit breaker": (BREAKER_STATE, BREAKER_TRIPS, BREAKER_REJECTS),
        "Providers": (
            PROVIDER_INFO,
            RELOAD_ATTEMPT,
            RELOAD_SUCCESS,
            UPSTREAM_CONNECTIONS,
            STREAM_ERRORS,
        ),
        "Callers": (
            AUTH_CACHE_HITS,
            AUTH_CACHE_MISSES,
            POOL_HITS,
            POOL_MISSES,
            POOL_ADDITIONS,
            POOL_EVICTIONS,
            POOL_SIZE,
        ),
        "Records": (
            RECORDER_QUEUE,
            RECORDER_WAIT,
            RECORDER_COMMIT,
            RECORDER_BATCH,
            STARTS_REFUSED,
            RECORDS_SPOOLED,
            RECORDS_REPLAYED,
            RECORDS_LOST,
            SPOOL_SIZE,
            DATABASE_UP,
        ),
        "Daemon": (BUILD_INFO, READY, *_PROCESS),
        "AI Proxy": (PROXY_SESSIONS, PROXY_REQUESTS, PROXY_INFLIGHT, PROXY_RESPONSES),
    }
)
"""The rows, under the headings that the manual gives them."""

METRICS: tuple[Metric, ...] = tuple(row for rows in SECTIONS.values() for row in rows)
