"""Settings of logging, tracing and metrics."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.kinds import Address


@dataclass(frozen=True, init=False, repr=False, eq=False)
class LoggingRows:
    """Rows of `options.Settings`."""

    log_human: str = option(
        "log-human",
        yaml="introspection.logging.humanPath",
        kind=kinds.LOG_TARGET,
        default="/dev/stderr",
        group=Group.LOGGING,
        help='Log file in human-readable format; "" is off (/dev/null in a variable).',
        env="CODER_LOGGING_HUMAN",
    )
    log_json: str = option(
        "log-json",
        yaml="introspection.logging.jsonPath",
        kind=kinds.LOG_TARGET,
        default="",
        group=Group.LOGGING,
        help="Log file in JSON Lines format.",
        env="CODER_LOGGING_JSON",
    )
    log_stackdriver: str = option(
        "log-stackdriver",
        yaml="introspection.logging.stackdriverPath",
        kind=kinds.LOG_TARGET,
        default="",
        group=Group.LOGGING,
        help="Log file in Google Cloud Logging (Stackdriver) format.",
        env="CODER_LOGGING_STACKDRIVER",
    )
    log_filter: tuple[str, ...] = option(
        "log-filter",
        yaml="introspection.logging.filter",
        kind=kinds.PATTERNS,
        default="",
        group=Group.LOGGING,
        help="Regular expressions that select the debug messages to log; .* is all.",
    )
    verbose: bool = option(
        "verbose",
        yaml="introspection.logging.verbose",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Debug logging of all messages.",
        alias_env="CODER_AI_GATEWAY_VERBOSE",
    )
    trace: bool = option(
        "trace",
        yaml="introspection.tracing.enable",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Trace export over OTLP, configured by the OTEL_* variables.",
        env="CODER_TRACE_ENABLE",
        restart=True,
    )
    trace_logs: bool = option(
        "trace-logs",
        yaml="introspection.tracing.captureLogs",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Log lines of a request as events in its trace; requires --trace.",
        env="CODER_TRACE_LOGS",
        restart=True,
    )
    prometheus_enable: bool = option(
        "prometheus-enable",
        yaml="introspection.prometheus.enable",
        kind=kinds.BOOL,
        default="false",
        group=Group.LOGGING,
        help="Prometheus metrics endpoint on --prometheus-address.",
        restart=True,
    )
    prometheus_address: Address = option(
        "prometheus-address",
        yaml="introspection.prometheus.address",
        kind=kinds.ADDRESS,
        default="127.0.0.1:2112",
        group=Group.LOGGING,
        help="Listen address of the unauthenticated Prometheus metrics endpoint.",
        restart=True,
    )
    prometheus_initiator_labels: bool = option(
        "aibridge-prometheus-initiator-labels",
        yaml="aibridge.prometheus_initiator_labels",
        kind=kinds.BOOL,
        default="true",
        group=Group.LOGGING,
        help="Per-user metrics, by initiator_id; if false, that label is empty.",
        restart=True,
    )
    prometheus_names: str = option(
        "aibridge-prometheus-names",
        yaml="aibridge.prometheus_names",
        kind=kinds.METRIC_NAMES,
        default="both",
        group=Group.LOGGING,
        help="Names of Coder's metrics: new (coder_ai_gateway_*), old (coder_aibridged_*) or both.",
        restart=True,
    )
