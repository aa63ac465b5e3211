"""Tracing: spans over OTLP, with OpenTelemetry's SDK, configured by its `OTEL_*` variables.

Imported only if tracing is enabled: it needs the libraries of the extra `tracing`.
"""

import asyncio
import logging
import os
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aibridged import __version__
from aibridged.clock import Clock
from aibridged.gateway_tokens import blanked
from aibridged.observe.otlp import TracingError, protocol
from aibridged.observe.scope import Attributes

_UNNAMED = "unknown_service"

_NO_ATTRIBUTES: Attributes = {}
_FAILED = StatusCode.ERROR


class Tracing:
    """Creates the spans of requests, and exports them in the background."""

    def __init__(self, exporter: SpanExporter, clock: Clock) -> None:
        self._clock = clock
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("aibridged", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, headers: Mapping[str, str], began: float) -> "OtelSpan":
        """The span of a request, in the trace of its `traceparent` or in a new one."""
        timeline = _Timeline(self._clock)
        context = self._propagator.extract(headers, Context(), _ONE_VALUE)
        span = self._tracer.start_span(
            name, context, SpanKind.SERVER, start_time=timeline.nanoseconds(began)
        )
        return OtelSpan(self._tracer, timeline, span)

    async def close(self) -> None:
        """Export what is left, within `OTEL_EXPORTER_OTLP_TIMEOUT`."""
        await asyncio.to_thread(self._provider.shutdown)


class OtelSpan:
    """A `Span` of OpenTelemetry's. Thread-safe."""

    __slots__ = ("_below", "_span", "_timeline", "_tracer")

    def __init__(self, tracer: trace.Tracer, timeline: "_Timeline", span: trace.Span) -> None:
        self._tracer = tracer
        self._timeline = timeline
        self._span = span
        self._below: Context | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether it is exported, and its children."""
        return self._span.is_recording()

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        return trace.format_span_id(self._span.get_span_context().span_id)

    def child(
        self,
        name: str,
        began: float | None = None,
        attributes: Attributes = _NO_ATTRIBUTES,
        *,
        to_provider: bool = False,
    ) -> "OtelSpan":
        """Start a child span; `to_provider` marks a call of another service."""
        if self._below is None:
            self._below = trace.set_span_in_context(self._span, Context())
        span = self._tracer.start_span(
            name,
            self._below,
            SpanKind.CLIENT if to_provider else SpanKind.INTERNAL,
            _shown(attributes),
            start_time=self._timeline.nanoseconds(began),
        )
        return OtelSpan(self._tracer, self._timeline, span)

    def rename(self, name: str) -> None:
        """Set the name, which wasn't known when it started."""
        self._span.update_name(blanked(name))

    def annotate(self, attributes: Attributes) -> None:
        self._span.set_attributes(_shown(attributes))

    def event(self, name: str, attributes: Attributes) -> None:
        self._span.add_event(blanked(name), _shown(attributes), self._timeline.nanoseconds(None))

    def end(self, ended: float | None = None, error: str | None = None) -> None:
        if error is not None:
            error = blanked(error)
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(_FAILED, error))
        self._span.end(self._timeline.nanoseconds(ended))


def _shown(attributes: Attributes) -> Attributes:
    """The attributes with gateway tokens redacted from values that come from outside."""
    return {
        name: blanked(value) if isinstance(value, str) else value
        for name, value in attributes.items()
    }


class _Timeline:
    """Converts a request's monotonic times to wall times.

    The wall clock is read once per request: no span ends before it began, even if it steps back.
    """

    __slots__ = ("_clock", "_monotonic", "_wall")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic()
        self._wall = int(clock.wall().timestamp() * 1e6) * 1000

    def nanoseconds(self, at: float | None) -> int:
        moment = self._clock.monotonic() if at is None else at
        return self._wall + int((moment - self._monotonic) * 1e9)


class _OneValue(Getter[Mapping[str, str]]):
    """Reads a request's headers, of which aiohttp returns the first value.

    Values with a gateway token are ignored: `tracestate` is exported with the spans.
    """

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key)
        return None if value is None or blanked(value) != value else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


_ONE_VALUE = _OneValue()


def open_tracing(clock: Clock) -> Tracing:
    """Start exporting spans as the variables say.

    Raises:
        TracingError: the variables are invalid.
    """
    # It quotes malformed headers, which contain keys.
    logging.getLogger("opentelemetry.util.re").disabled = True
    # What it could say is checked by then, or the default: a ratio that isn't given is 1.
    logging.getLogger("opentelemetry.sdk.trace.sampling").disabled = True
    try:
        return Tracing(_exporter(protocol(os.environ)), clock)
    except TracingError:
        raise
    except Exception as error:  # noqa: BLE001 - the SDK raises anything at what it can't use
        raise TracingError(f"Spans can't be sent as the OTEL_* variables say: {error}.") from None


def _exporter(name: str) -> SpanExporter:
    # One of them is enough, and each takes a while to import.
    if name == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

    return http.OTLPSpanExporter()


def _resource() -> Resource:
    """The variables' description of this service, by default with our name."""
    resource = Resource.create({SERVICE_VERSION: __version__})
    name = str(resource.attributes.get(SERVICE_NAME, _UNNAMED))
    if name.startswith(_UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: "aibridged"}))
    return resource
