"""Traces, as a real OTLP receiver gets them."""

import asyncio
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import aiohttp
import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from aibridged.daemon.gateway import CannotStartError
from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.observe.spans import REQUEST, SPANS, SpanName
from tests.tls_files import CERT, KEY

MESSAGES = "/anthropic/v1/messages"
BODY = {
    "model": "claude-sonnet-4-5",
    "stream": True,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "canary-prompt"}],
}
ANSWER = Answer(
    text="canary-text",
    thinking="canary-thought",
    calls=(ToolCall("weather", json.dumps({"city": "canary-argument"})),),
)
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "v=1", "baggage": "a=b"}


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent, over gRPC and over HTTP."""

    def __init__(self):
        self.spans = []
        self.resources = []
        self.metadata = {}

    def Export(self, request, context):  # noqa: N802 - the service's name for it
        self.metadata = dict(context.invocation_metadata())
        return self._keep(request)

    async def post(self, request):
        assert request.path == "/v1/traces"
        self.metadata = {name.lower(): value for name, value in request.headers.items()}
        message = trace_service_pb2.ExportTraceServiceRequest()
        message.ParseFromString(await request.read())
        return web.Response(body=self._keep(message).SerializeToString())

    def _keep(self, request):
        for resource in request.resource_spans:
            self.resources.append(_values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name):
        """The one span of that name."""
        [span] = [span for span in self.spans if span.name == name]
        return span

    def parents(self):
        """How often each span stands below which other, by their names."""
        names = {span.span_id: span.name for span in self.spans}
        return Counter((span.name, names.get(span.parent_span_id)) for span in self.spans)


def _values(attributes):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@pytest.fixture
def receiver():
    return Receiver()


def listen_to_grpc(receiver, credentials=None):
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, port


@pytest.fixture
def over_grpc(receiver, monkeypatch):
    """The address of a gRPC receiver, which the variables name."""
    server, port = listen_to_grpc(receiver)
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    yield url
    server.stop(None).wait()


async def ask(client, gateway, path=MESSAGES, body=BODY, **headers):
    async with client.post(gateway.url + path, json=body, headers=headers) as response:
        return response.status, await response.read()


async def test_one_streaming_request_shows_every_span_below_its_parent(
    start_gateway, client, fake, receiver, over_grpc
):
    gateway = await start_gateway(trace=True)
    fake.play(Script(answer=ANSWER))
    status, body = await ask(client, gateway)
    assert (status, b"message_stop" in body) == (200, True)
    await gateway.stop()

    root = f"POST {MESSAGES}"
    not_there = {REQUEST, SpanName.PASSTHROUGH, SpanName.TOOL_CALL} | {
        SpanName.MCP_INIT,
        SpanName.MCP_SERVER_INIT,
        SpanName.MCP_FETCH_TOOLS,
    }
    told = {span.name: span for span in SPANS}
    assert receiver.parents() == {
        (root, None): 1,
        **{
            (name, root if told[name].parent == REQUEST else told[name].parent): 1
            for name in told
            if name not in not_there
        },
    }
    assert {span.trace_id for span in receiver.spans} == {receiver.named(root).trace_id}
    for span in receiver.spans:
        row = told[REQUEST if span.name == root else span.name]
        assert _values(span.attributes).keys() <= set(row.attributes)
        assert span.status.code == 0
        assert "canary" not in str(span)
        assert "sk-" not in str(span)
    assert receiver.resources[0]["service.name"] == "aibridged"


async def test_the_attributes(start_gateway, client, fake, receiver, over_grpc):
    gateway = await start_gateway(trace=True)
    fake.play(Script(answer=ANSWER))
    await ask(client, gateway)
    await gateway.stop()
    root = _values(receiver.named(f"POST {MESSAGES}").attributes)
    assert len(root.pop("request_id")) == 16
    user = root["user_id"]
    assert root == {
        "http.request.method": "POST",
        "http.route": MESSAGES,
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "outcome": "completed",
        "user_id": user,
        "provider": "anthropic",
    }
    intercept = _values(receiver.named("Intercept").attributes)
    interception_id = intercept["interception_id"]
    of_interception = {
        "interception_id": interception_id,
        "request_path": MESSAGES,
        "user_id": user,
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "streaming": True,
    }
    assert intercept == {**of_interception, "outcome": "completed"}
    upstream = _values(receiver.named("Intercept.ProcessRequest.Upstream").attributes)
    assert upstream.pop("gen_ai.response.id").startswith("msg_")
    usage = {name: upstream.pop(name) for name in sorted(upstream) if ".usage." in name}
    assert usage["gen_ai.usage.output_tokens"] > 0
    assert usage["gen_ai.usage.input_tokens"] > 0
    assert upstream.pop("cost_dollars") > 0
    assert upstream.pop("cost_label") == "estimated"  # by the prices of the API's maker
    assert upstream == {
        **of_interception,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "claude-sonnet-4-5",
        "gen_ai.response.time_to_first_chunk": 0.0,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(fake.base_url.rpartition(":")[2]),
    }
    assert _values(receiver.named("CachedBridgePool.Acquire").attributes) == {"user_id": user}
    assert _values(receiver.named("Intercept.RecordTokenUsage").attributes) == {
        "interception_id": interception_id
    }


async def test_spans_last_as_long_as_what_they_tell_of(
    start_gateway, client, fake, receiver, over_grpc, clock
):
    gateway = await start_gateway(trace=True)
    gate = asyncio.Event()
    fake.play(Script(answer=ANSWER, before_write={3: gate}))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        await response.content.readany()
        clock.advance(2)
        gate.set()
        await response.read()
    await gateway.stop()
    began = receiver.named("Intercept").start_time_unix_nano
    assert began == int(clock.wall().timestamp() - 2) * 10**9
    for name, start, end in (
        ("Intercept", 0, 2),
        ("Intercept.RecordInterception", 0, 0),
        ("Intercept.ProcessRequest.Upstream", 0, 2),
        ("Intercept.RecordTokenUsage", 2, 2),
        ("Intercept.RecordInterceptionEnded", 2, 2),
    ):
        span = receiver.named(name)
        assert span.start_time_unix_nano - began == start * 10**9, name
        assert span.end_time_unix_nano - began == end * 10**9, name


async def test_a_callers_trace_is_continued_and_no_provider_learns_of_it(
    start_gateway, client, fake, receiver, over_grpc
):
    gateway = await start_gateway(trace=True)
    assert (await ask(client, gateway, **SAMPLED))[0] == 200
    await gateway.stop()
    root = receiver.named(f"POST {MESSAGES}")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert root.trace_state == "v=1"
    names = {name.lower() for name, _ in fake.requests[-1].raw_headers}
    assert names.isdisjoint({b"traceparent", b"tracestate", b"baggage"})


@pytest.mark.parametrize(
    ("headers", "variables"),
    [
        ({"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}, {}),
        ({}, {"OTEL_TRACES_SAMPLER": "always_off"}),
        ({}, {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}),
        ({}, {"OTEL_SDK_DISABLED": "true"}),
    ],
)
async def test_what_isnt_sampled_leaves_nothing(
    start_gateway, client, receiver, over_grpc, monkeypatch, headers, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    gateway = await start_gateway(trace=True)
    assert (await ask(client, gateway, **headers))[0] == 200
    await gateway.stop()
    assert receiver.spans == []


async def test_a_route_that_is_only_forwarded(start_gateway, client, fake, receiver, over_grpc):
    gateway = await start_gateway(trace=True)
    async with client.get(f"{gateway.url}/anthropic/v1/models/secret?key=secret") as response:
        assert response.status == 404
    await gateway.stop()
    root = "GET /anthropic/v1/models/*"
    assert receiver.parents() == {(root, None): 1, ("Passthrough", root): 1}
    attributes = _values(receiver.named("Passthrough").attributes)
    assert attributes["passthrough_url"] == "/v1/models/*"
    assert attributes["passthrough_upstream_url"] == f"{fake.base_url}/v1/models/*"
    assert attributes["passthrough_method"] == "GET"
    assert attributes["error.type"] == "404"
    assert "secret" not in str(receiver.spans)


async def test_probes_leave_nothing(start_gateway, client, receiver, over_grpc):
    gateway = await start_gateway(trace=True)
    async with client.get(f"{gateway.url}/healthz") as response:
        assert response.status == 200
    await gateway.stop()
    assert receiver.spans == []


UPSTREAM = "Intercept.ProcessRequest.Upstream"
FAILURES = [
    (Script(status=400), {UPSTREAM: "invalid_request_error", "POST": ""}),
    (Script(status=529), {UPSTREAM: "overloaded_error", "POST": "overloaded_error"}),
    (Script(close=True), {UPSTREAM: "upstream_unreachable", "POST": "upstream_unreachable"}),
    (Script(cut_after=300), {UPSTREAM: "broken_off", "POST": "broken_off"}),
    (
        Script(error="overloaded_error", error_after=2),
        {UPSTREAM: "overloaded_error", "POST": "overloaded_error"},
    ),
]


@pytest.mark.parametrize(("script", "errors"), FAILURES)
async def test_what_failed_says_so(
    start_gateway, client, fake, receiver, over_grpc, script, errors
):
    gateway = await start_gateway(trace=True)
    fake.play(script)
    with suppress(aiohttp.ClientError):
        await ask(client, gateway)
    await gateway.stop()
    for name in ("Intercept", "Intercept.ProcessRequest"):
        assert _values(receiver.named(name).attributes)["error.type"] == errors[UPSTREAM]
    for span in receiver.spans:
        error = errors.get(span.name.partition(" ")[0])
        if error is not None:
            assert (span.status.code, span.status.message) == (2 if error else 0, error)


async def test_a_request_that_is_refused(start_gateway, client, receiver, over_grpc):
    gateway = await start_gateway(trace=True)
    assert (await ask(client, gateway, path="/anthropic/v1/secret"))[0] == 404
    assert (await ask(client, gateway, body={"model": 1}))[0] == 400
    await gateway.stop()
    assert receiver.parents() == {
        ("POST", None): 1,
        (f"POST {MESSAGES}", None): 1,
    }
    assert _values(receiver.named(f"POST {MESSAGES}").attributes)["outcome"] == "rejected"


async def test_a_client_that_leaves_is_no_failure(start_gateway, client, fake, receiver, over_grpc):
    gateway = await start_gateway(trace=True, shutdown_timeout=5.0)
    fake.play(Script(answer=ANSWER, stall_after=3))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        await response.content.readany()
        response.close()
    await gateway.stop()
    intercept = receiver.named("Intercept")
    assert _values(intercept.attributes)["outcome"] == "client_closed"
    assert intercept.status.code == 0


@pytest.fixture
async def over_http(receiver, monkeypatch):
    """The variables name an HTTP receiver."""
    application = web.Application()
    application.router.add_post("/{path:.*}", receiver.post)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield
    await runner.cleanup()


async def test_spans_go_over_http_with_headers(
    start_gateway, client, receiver, over_http, monkeypatch
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary")
    gateway = await start_gateway(trace=True)
    assert (await ask(client, gateway))[0] == 200
    await gateway.stop()
    assert receiver.named("Intercept")
    assert receiver.metadata["x-key"] == "canary"


async def test_spans_go_through_the_proxy_that_the_variables_name(
    start_daemon, client, receiver, over_http, monkeypatch, forward_proxy
):
    forward_proxy.to["traces.test"] = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].split("/")[2]
    daemon = await start_daemon(
        "--trace",
        HTTP_PROXY=f"http://{await forward_proxy.start()}",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://traces.test",
    )
    assert (await ask(client, daemon))[0] == 200
    daemon.process.terminate()
    assert await daemon.process.wait() == 0
    assert receiver.named("Intercept")
    assert set(forward_proxy.targets) == {"POST http://traces.test/v1/traces"}


@pytest.mark.parametrize("trusted", [True, False])
async def test_grpc_goes_over_tls_to_whom_the_certificate_names(
    start_gateway, client, receiver, monkeypatch, trusted
):
    pair = (KEY.read_bytes(), CERT.read_bytes())
    server, port = listen_to_grpc(receiver, grpc.ssl_server_credentials([pair]))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://localhost:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    if trusted:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(CERT))
    gateway = await start_gateway(trace=True)
    assert (await ask(client, gateway))[0] == 200
    await gateway.stop()
    assert bool(receiver.spans) is trusted
    server.stop(None).wait()


async def test_variables_that_cannot_be_used_are_an_error_at_the_start(start_gateway, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon")
    with pytest.raises(CannotStartError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'pigeon'"):
        await start_gateway(trace=True)


async def test_the_daemon_sends_the_last_spans_at_its_end(
    start_daemon, client, receiver, over_grpc, tmp_path
):
    log = tmp_path / "log.json"
    daemon = await start_daemon(
        "--trace", "--trace-logs", "--log-json", str(log), OTEL_EXPORTER_OTLP_ENDPOINT=over_grpc
    )
    status, _ = await ask(client, daemon, "/openai/v1/responses", {"model": "m", "input": "hi"})
    assert status == 200
    daemon.process.terminate()
    assert await daemon.process.wait() == 0
    root = receiver.named("POST /openai/v1/responses")
    assert receiver.named("Intercept.RecordInterceptionEnded")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    [entry] = [each for each in entries if each["msg"].startswith("POST ")]
    assert entry["trace_id"] == root.trace_id.hex()
    assert entry["span_id"] in {span.span_id.hex() for span in receiver.spans}
    assert all("trace_id" not in each for each in entries if each is not entry)
    told = [event for span in receiver.spans for event in span.events]
    [event] = told
    assert event.name == entry["msg"]
    assert _values(event.attributes)["interception_id"] == entry["fields"]["interception_id"]
