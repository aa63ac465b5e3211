"""Agents' telemetry through the gateway to OTLP receivers, by OpenTelemetry's own exporters."""

import asyncio
import gzip
import json
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from aiohttp import web
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from aibridged.config.options import TelemetrySettings
from aibridged.config.secret import Secret
from aibridged.identity.tokens import TokenStore
from aibridged.pipeline.telemetry import MAX_BATCH_BYTES
from aibridged.records.database import database_url, make_engine
from tests.socket_fixtures import listening
from tests.waiting import until

BATCH = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [{"severityNumber": 9}]}]}]}
JSON = {"Content-Type": "application/json"}
KINDS = {
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
}


class Collector:
    """Decodes what it is sent, and answers when it may."""

    def __init__(self):
        self.received = []
        self.headers = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def serve(self, request):
        body = await request.content.read()
        kind = KINDS[request.path]
        is_json = request.content_type == "application/json"
        batch = json.loads(body) if is_json else kind.FromString(body)
        self.received.append((request.path, batch))
        self.headers.append(dict(request.headers))
        await self.may_answer.wait()
        return web.Response()


@pytest.fixture
async def collector():
    made = Collector()
    async with listening(made.serve) as made.url:
        yield made
        made.may_answer.set()


@pytest.fixture
async def gateway(start_gateway, collector):
    return await start_gateway(
        telemetry=(TelemetrySettings(collector.url, (("X-Key", Secret("k3y")),)),)
    )


def attributes(resource):
    return {each.key: each.value.string_value for each in resource.attributes}


def export_all(url, token):
    """What an agent's SDK does: a metric, a log record and a span."""
    claimed = {"service.name": "agent", "user.id": "root", "user.email": "root@example.com"}
    resource = Resource(claimed)
    own = {"headers": {"Authorization": f"Bearer {token}"}}
    metrics = MeterProvider(
        [
            PeriodicExportingMetricReader(
                OTLPMetricExporter(endpoint=f"{url}/v1/metrics", **own), 3_600_000
            )
        ],
        resource,
        shutdown_on_exit=False,
    )
    metrics.get_meter("m").create_counter("tokens").add(3)
    metrics.shutdown()
    logs = LoggerProvider(resource, shutdown_on_exit=False)
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs", compression=None, **own)
    logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logs.get_logger("l").emit(LogRecord(body="prompt"))
    logs.shutdown()
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces", **own))
    )
    traces.get_tracer("t").start_span("turn").end()
    traces.shutdown()


async def test_an_agents_own_exporters_are_relayed_with_the_users_identity(
    start_gateway, collector, tmp_path, clock, monkeypatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    gateway = await start_gateway(
        auth="token", state_dir=tmp_path, telemetry=(TelemetrySettings(collector.url),)
    )
    store = TokenStore(make_engine(database_url(tmp_path)), clock)
    user = store.create_user("ann", email="ann@example.com")
    token = store.create_token("ann", name="laptop", lifetime=None)[1].reveal()
    await asyncio.to_thread(export_all, gateway.url, token)
    await until(lambda: len(collector.received) == 3)
    found = dict(collector.received)
    [metrics] = found["/v1/metrics"].resource_metrics
    [logs] = found["/v1/logs"].resource_logs
    [spans] = found["/v1/traces"].resource_spans
    for group in (metrics, logs, spans):
        told = attributes(group.resource)
        assert told["service.name"] == "agent"
        assert (told["enduser.id"], told["user.id"], told["user.name"]) == (user.id, user.id, "ann")
        assert told["user.email"] == "ann@example.com"
    assert metrics.scope_metrics[0].metrics[0].sum.data_points[0].as_int == 3
    assert logs.scope_logs[0].log_records[0].body.string_value == "prompt"
    assert spans.scope_spans[0].spans[0].name == "turn"
    assert not any("Authorization" in headers for headers in collector.headers)


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
async def test_json_stays_json(gateway, collector, client, coding):
    body = json.dumps(BATCH).encode()
    coded = {None: body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[coding]
    headers = {**JSON, **({"Content-Encoding": coding} if coding else {})}
    async with client.post(f"{gateway.url}/v1/logs", data=coded, headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"{}")
        assert response.content_type == "application/json"
    await until(lambda: collector.received)
    [(path, batch)] = collector.received
    [group] = batch["resourceLogs"]
    assert path == "/v1/logs"
    assert {each["key"] for each in group["resource"]["attributes"]} >= {"enduser.id", "user.name"}
    assert group["scopeLogs"] == BATCH["resourceLogs"][0]["scopeLogs"]
    assert collector.headers[0]["X-Key"] == "k3y"
    assert "Content-Encoding" not in collector.headers[0]


@pytest.mark.parametrize("path", KINDS)
async def test_without_a_destination_the_answer_is_the_same(start_gateway, client, path):
    gateway = await start_gateway()
    for content_type, answer in (("application/json", b"{}"), ("application/x-protobuf", b"")):
        headers = {"Content-Type": content_type}
        async with client.post(gateway.url + path, data=b"{}", headers=headers) as response:
            assert (response.status, await response.read()) == (200, answer)
            assert response.content_type == content_type


async def test_nobody_waits_for_a_destination(gateway, collector, client):
    collector.may_answer.clear()
    async with asyncio.timeout(5):
        for _ in range(10):
            async with client.post(f"{gateway.url}/v1/logs", json=BATCH) as response:
                assert response.status == 200
    collector.may_answer.set()
    await gateway.stop()
    assert len(collector.received) == 10, "the end waits a moment for them"


LARGE = b'{"resourceLogs":[{"scopeLogs":"' + b"x" * MAX_BATCH_BYTES + b'"}]}'


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"\xff", {"Content-Type": "application/x-protobuf"}, 400, "invalid_request"),
        (b"[]", JSON, 400, "invalid_request"),
        (b"{}", {"Content-Type": "text/plain"}, 400, "invalid_request"),
        (b"{}", {**JSON, "Content-Encoding": "gzip"}, 400, "invalid_request"),
        (b"{}", {**JSON, "Content-Encoding": "br"}, 415, "unsupported_coding"),
        (LARGE, JSON, 413, "request_too_large"),
        (gzip.compress(LARGE), {**JSON, "Content-Encoding": "gzip"}, 413, "request_too_large"),
        (b"\x0a\x00" * 1001, {"Content-Type": "application/x-protobuf"}, 413, "request_too_large"),
    ],
    ids=range(8),
)
async def test_what_is_no_batch_is_refused(gateway, collector, client, body, headers, status, code):
    url = f"{gateway.url}/v1/logs"
    async with client.post(url, data=BytesIO(body), headers=headers) as response:
        assert (response.status, response.headers["X-Aibridge-Reason"]) == (status, code)
        assert response.headers["X-Should-Retry"] == "false"
    assert collector.received == []


async def test_a_batch_of_unknown_length_has_the_same_bound(gateway, collector, client):
    async def pieces():
        for at in range(0, len(LARGE), 65536):
            yield LARGE[at : at + 65536]

    async with client.post(f"{gateway.url}/v1/logs", data=pieces(), headers=JSON) as response:
        assert response.status == 413
    assert collector.received == []


async def test_batches_share_a_budget_of_their_own(gateway, collector, client):
    budget, body = gateway._composition._telemetry_budget, json.dumps(BATCH).encode()
    coded = {"data": gzip.compress(body), "headers": {**JSON, "Content-Encoding": "gzip"}}
    for size, status in ((len(body) * 2, 200), (len(body), 503)):
        budget.resize(size, size)
        async with client.post(f"{gateway.url}/v1/logs", **coded) as response:
            assert response.status == status
    async with client.post(f"{gateway.url}/v1/logs", data=body, headers=JSON) as response:
        assert response.status == 200, "all has been given back"
    budget.resize(len(body) - 1, 1)
    async with client.post(f"{gateway.url}/v1/logs", data=body, headers=JSON) as response:
        assert response.headers["X-Aibridge-Reason"] == "at_capacity"
    await until(lambda: len(collector.received) == 2)


async def test_only_callers_who_are_known_are_relayed(start_gateway, collector, client):
    gateway = await start_gateway(auth="token", telemetry=(TelemetrySettings(collector.url),))
    async with client.post(f"{gateway.url}/v1/logs", json=BATCH) as response:
        assert response.status == 401
    async with client.get(f"{gateway.url}/v1/logs") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert "Use POST for this path." in await response.text()
    assert collector.received == []


async def test_a_reload_changes_the_destinations(gateway, collector, client):
    gateway.reconfigure(replace(gateway.settings, telemetry=()))
    async with client.post(f"{gateway.url}/v1/logs", json=BATCH) as response:
        assert response.status == 200
    wanted = TelemetrySettings(collector.url, signals=("logs",))
    gateway.reconfigure(replace(gateway.settings, telemetry=(wanted,)))
    for path in KINDS:
        async with client.post(gateway.url + path, json=BATCH) as response:
            assert response.status == 200
    await gateway.stop()
    assert [path for path, _ in collector.received] == ["/v1/logs"]
