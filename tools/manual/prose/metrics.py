"""What `aibridged-metrics(7)` says beyond the tables of metrics and spans."""

from collections.abc import Mapping

from tools.manual.prose import Example, Part

ABOUT: tuple[Part, ...] = (
    "The daemon exports metrics to Prometheus, and traces to an OpenTelemetry collector.",
    Example(
        "To enable both:",
        """\
$ export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317
$ aibridged serve --prometheus-enable --trace
$ curl http://127.0.0.1:2112/metrics
""",
    ),
)

METRICS: tuple[Part, ...] = (
    "Names that begin with coder_ are those of Coder's AI Gateway, with its labels,"
    " so that its dashboards work. By default each is also exported under the name that it had as "
    "AI Bridge: coder_aibridged_ in place of coder_ai_gateway_, and coder_aibridgeproxyd_ in place "
    "of coder_ai_gateway_proxy_. `--aibridge-prometheus-names` selects one of the two."
    " A histogram has the series _bucket, _sum and _count.",
    "Labels with caller-supplied values, such as model, have bounded cardinality; "
    "further values are counted as other.",
)

QUERIES = (
    Example(
        "Tokens per second, by model:",
        "sum by (model) (rate(coder_ai_gateway_tokens_total[5m]))",
    ),
    Example(
        "Dollars in the last day, by group:",
        "sum by (group) (increase(aibridged_cost_dollars_total[1d]))",
    ),
    Example(
        "Requests per second refused by the gateway itself, by reason:",
        "sum by (reason) (rate(aibridged_rejections_total[5m]))",
    ),
    Example(
        "Latency that the gateway adds to a request, p99:",
        """\
histogram_quantile(0.99,
  sum by (le) (rate(aibridged_request_overhead_seconds_bucket[5m])))
""",
    ),
)

SPANS: tuple[Part, ...] = (
    "Each request has a span, named after its method and route, which continues the "
    "trace of the caller's traceparent header. Spans never contain prompts, "
    "responses or keys.",
)

ENVIRONMENT: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "OTLP endpoint; defaults to `http://localhost:4317`. "
    "`https://` enables TLS.",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "Protocol: `grpc` (the default) or `http/protobuf`.",
    "OTEL_EXPORTER_OTLP_HEADERS": "Additional headers, such as an API key: "
    "`name=value,other=value`.",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "Path of the CA certificate, for TLS.",
    "OTEL_TRACES_SAMPLER": "Sampler: `parentbased_always_on` (the default) traces every request, "
    "unless its caller's trace isn't sampled. That costs more than the request "
    "itself: under high load use"
    " `parentbased_traceidratio`, with the sampling ratio in OTEL_TRACES_SAMPLER_ARG, such as "
    "`0.01`.",
    "OTEL_SERVICE_NAME": "Service name; defaults to aibridged.",
    "OTEL_*": "All other variables of the OpenTelemetry SDK are supported.",
}

SEE_ALSO = ("aibridged(1)", "aibridged-serve(1)", "aibridged.yaml(5)")
