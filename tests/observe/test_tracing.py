"""Spans as OpenTelemetry's SDK makes them."""

import logging

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aibridged.observe.otlp import TracingError
from aibridged.observe.tracing import Tracing, open_tracing

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
async def tracing(exporter, clock):
    return Tracing(exporter, clock)


@pytest.fixture
def sent(tracing, exporter):
    """Closes the tracing; what it has sent, by name."""

    async def sent():
        await tracing.close()
        return {span.name: span for span in exporter.get_finished_spans()}

    return sent


async def test_a_span_tells_where_it_stands_and_for_how_long(tracing, sent, clock):
    began = clock.monotonic()
    clock.advance(1)
    root = tracing.begin("request", {}, began)
    root.child("before", began, {"n": 1}).end(clock.monotonic())
    child = root.child("now", to_provider=True)
    clock.advance(0.5)
    child.annotate({"m": "x"})
    child.event("happened", {"e": True})
    child.end()
    root.rename("GET /")
    root.end(error="at_capacity")
    spans = await sent()
    assert set(spans) == {"before", "now", "GET /"}
    start = spans["GET /"].start_time
    assert (start, spans["GET /"].end_time) == (start, start + 1_500_000_000)
    assert start == (clock.wall().timestamp() - 1.5) * 1e9
    before, now = spans["before"], spans["now"]
    assert (before.start_time, before.end_time) == (start, start + 1_000_000_000)
    assert (now.start_time, now.end_time) == (start + 1_000_000_000, start + 1_500_000_000)
    for below in (before, now):
        assert below.parent.span_id == spans["GET /"].context.span_id
        assert below.status.status_code is StatusCode.UNSET
    assert [spans[name].kind for name in ("GET /", "now", "before")] == [
        SpanKind.SERVER,
        SpanKind.CLIENT,
        SpanKind.INTERNAL,
    ]
    assert (dict(before.attributes), dict(now.attributes)) == ({"n": 1}, {"m": "x"})
    [event] = now.events
    assert (event.name, dict(event.attributes)) == ("happened", {"e": True})
    assert event.timestamp == now.end_time
    assert spans["GET /"].attributes["error.type"] == "at_capacity"
    assert spans["GET /"].status.status_code is StatusCode.ERROR


async def test_a_callers_trace_is_continued(tracing, sent, clock):
    root = tracing.begin("request", SAMPLED, clock.monotonic())
    assert root.trace_id == TRACE_ID
    root.end()
    span = (await sent())["request"]
    assert f"{span.parent.span_id:016x}" == PARENT_ID
    assert f"{span.context.span_id:016x}" == root.span_id


@pytest.mark.parametrize("value", ["", "00-zz", f"00-{'0' * 32}-{PARENT_ID}-01"])
async def test_what_is_no_trace_isnt_continued(tracing, clock, value):
    root = tracing.begin("request", {"traceparent": value}, clock.monotonic())
    assert root.is_sampled
    assert root.trace_id not in (TRACE_ID, "0" * 32)


async def test_a_caller_may_say_that_its_trace_isnt_sampled(tracing, sent, clock):
    root = tracing.begin("request", NOT_SAMPLED, clock.monotonic())
    assert not root.is_sampled
    assert root.trace_id == TRACE_ID
    root.child("below").end()
    root.end()
    assert await sent() == {}


async def test_the_sampler_is_that_of_the_variables(monkeypatch, exporter, clock):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    tracing = Tracing(exporter, clock)
    assert not tracing.begin("request", {}, clock.monotonic()).is_sampled
    assert tracing.begin("request", SAMPLED, clock.monotonic()).is_sampled
    await tracing.close()


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "aibridged"),
        ({"OTEL_SERVICE_NAME": "gateway"}, "gateway"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=eu,deployment.environment=test"}, "eu"),
    ],
)
async def test_the_service_is_named(monkeypatch, exporter, clock, variables, name):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    tracing = Tracing(exporter, clock)
    tracing.begin("request", {}, clock.monotonic()).end()
    await tracing.close()
    [span] = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == name
    assert ("deployment.environment" in span.resource.attributes) is (name == "eu")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "rar"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ],
)
def test_a_variable_that_cannot_be_used_is_an_error(monkeypatch, clock, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(TracingError, match=value):
        open_tracing(clock)


async def test_no_header_is_quoted(monkeypatch, clock, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "bad name=canary")
    await open_tracing(clock).close()
    assert "canary" not in caplog.text
    logging.getLogger("opentelemetry.util.re").disabled = False


async def test_no_span_shows_the_secret_of_a_token(tracing, sent):
    secret = "s" * 43
    token = f"aib_0123456789_{secret}"
    root = tracing.begin("request", {**SAMPLED, "tracestate": f"vendor={token}"}, 0)
    child = root.child("child", attributes={"model": token, "n": 1})
    child.annotate({"tool": f"x {token}", "is": True})
    child.event(f"said {token}", {"field": token})
    child.rename(f"POST /{token}")
    child.end(error=token)
    root.end()
    spans = await sent()
    assert secret not in "".join(span.to_json() for span in spans.values())
    [shown] = [span for name, span in spans.items() if name.startswith("POST")]
    assert shown.attributes["model"] == "aib_0123456789_***"
    assert (shown.attributes["n"], shown.attributes["is"]) == (1, True)
    assert spans["request"].context.trace_state == {}
