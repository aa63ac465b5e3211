"""What `aibridged-metrics(7)` says beyond the tables of metrics and spans."""

from collections.abc import Mapping

from tools.manual.prose import Example, Part

ABOUT: tuple[Part, ...] = (
    "The daemon shows what it does as metrics, which Prometheus collects,"
    " and as traces, which it sends to an OpenTelemetry collector.",
    Example(
        "To see both:",
        """\
$ export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317
$ aibridged serve --prometheus-enable --trace
$ curl http://127.0.0.1:2112/metrics
""",
    ),
)

METRICS: tuple[Part, ...] = (
    "Names that begin with coder_ are those of Coder's AI Bridge, with its labels,"
    " so that its dashboards work."
    " A histogram has the series _bucket, _sum and _count.",
    "A label that callers can fill, such as model, has a bounded number of values;"
    " further ones are counted as other.",
)

QUERIES = (
    Example(
        "Tokens a second, by model:",
        "sum by (model) (rate(coder_aibridged_tokens_total[5m]))",
    ),
    Example(
        "Requests a second that the gateway itself refused, by reason:",
        "sum by (reason) (rate(aibridged_rejections_total[5m]))",
    ),
    Example(
        "What the gateway adds to a request, for the slowest one in a hundred:",
        """\
histogram_quantile(0.99,
  sum by (le) (rate(aibridged_request_overhead_seconds_bucket[5m])))
""",
    ),
)

SPANS: tuple[Part, ...] = (
    "A request has a span of its own, named after its method and route; it continues the trace"
    " that the caller's traceparent header names. No span holds a prompt, an answer or a key.",
)

ENVIRONMENT: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where spans are sent;"
    " `http://localhost:4317` where it is not set. `https://` is TLS.",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "How: `grpc`, which is the default, or `http/protobuf`.",
    "OTEL_EXPORTER_OTLP_HEADERS": "What to send along, such as a key: `name=value,other=value`.",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "A file with the CA's certificate, for TLS.",
    "OTEL_TRACES_SAMPLER": "Which requests are traced: `parentbased_always_on`, which is the"
    " default, traces each, unless its caller's trace isn't recorded."
    " That costs more than the request itself: for many requests choose"
    " `parentbased_traceidratio`, with OTEL_TRACES_SAMPLER_ARG the share, such as `0.01`.",
    "OTEL_SERVICE_NAME": "Who sends them; aibridged where it is not set.",
    "OTEL_*": "The others of OpenTelemetry's SDK count, too.",
}

SEE_ALSO = ("aibridged(1)", "aibridged-serve(1)", "aibridged.yaml(5)")
