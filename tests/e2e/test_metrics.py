"""Metrics of the running daemon, as Prometheus gets them from its listener."""

import asyncio
import gzip
import json
import socket
import subprocess
import threading
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from functools import partial

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from aibridged.config.kinds import Address
from aibridged.config.options import PriceSettings
from aibridged.core.breaker import BreakerKey
from aibridged.daemon import metrics_endpoint as endpoint
from aibridged.daemon import recording
from aibridged.daemon.gateway import CannotStartError, Gateway
from aibridged.fake_provider import Answer, Script, ToolCall, Usage
from aibridged.identity.tokens import TokenStore
from aibridged.observe.labels import OTHER
from aibridged.observe.log_outputs import Loss, count_lost
from aibridged.observe.metric import Kind
from aibridged.observe.metric_table import METRICS
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts
from aibridged.records.database import database_url, make_engine
from aibridged.records.journal import Journal
from aibridged.records.recorder import Recorder

MESSAGES = "/anthropic/v1/messages"
RESPONSES = "/openai/v1/responses"
NOBODY = "00000000-0000-0000-0000-000000000000"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}
ANSWER = Answer(
    text="yes",
    calls=(ToolCall("Bash"), ToolCall("Read")),
    usage=Usage(input=3, output=11, cache_read=5, cache_write=7),
)
PLAIN = {"Accept-Encoding": "identity"}
ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def start(start_gateway):
    return partial(start_gateway, prometheus_enable=True, prometheus_address=ANYWHERE)


class Scrapes:
    """All that Prometheus was told so far, and `latest`: values by the sample's name and labels."""

    def __init__(self, client):
        self._client = client
        self.seen = defaultdict(list)
        self.latest = {}

    async def __call__(self, gateway):
        async with self._client.get(gateway.metrics_urls[0], headers=PLAIN) as response:
            assert response.status == 200
            text = await response.text()
        self.latest = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in plain(text)
            for sample in family.samples
        }
        for (name, *_), value in self.latest.items():
            self.seen[name].append(value)
        return self.latest

    def value(self, name, /, **labels):
        """The latest sample of that name whose labels include these, 0 if there is none."""
        found = [
            value
            for (sample, *pairs), value in self.latest.items()
            if sample == name and labels.items() <= dict(pairs).items()
        ]
        assert len(found) <= 1
        return found[0] if found else 0

    async def until(self, gateway, name, value, /, **labels):
        """Ask again until the daemon has counted: its last words come after the answer's end."""
        async with asyncio.timeout(10):
            while await self(gateway) and self.value(name, **labels) != value:
                pass


@pytest.fixture
def scrape(client):
    return Scrapes(client)


@pytest.fixture
def post(client):
    """Asks, and reads the answer to its end; returns the status."""

    async def post(gateway, path=MESSAGES, body=REQUEST, token=None):
        headers = {"X-Coder-Token": token} if token else {}
        async with client.post(gateway.url + path, json=body, headers=headers) as response:
            await response.read()
            return response.status

    return post


async def test_an_interception_under_the_names_of_coders_dashboards(start, fake, post, scrape):
    gateway = await start()
    fake.play(Script(answer=ANSWER))
    assert await post(gateway) == 200
    await scrape.until(gateway, "coder_ai_gateway_interceptions_total", 1)
    whose = {"provider": "anthropic", "model": "m", "initiator_id": NOBODY, "client": "Unknown"}
    what = {"provider": "anthropic", "model": "m"}

    def key(metric, /, **labels):
        return (metric, *sorted(labels.items()))

    told = {
        key(
            "coder_ai_gateway_interceptions_total",
            **whose,
            status="completed",
            route="/v1/messages",
            method="POST",
        ): 1,
        key("coder_ai_gateway_interceptions_duration_seconds_count", **what): 1,
        key("coder_ai_gateway_prompts_total", **whose): 1,
        key("coder_ai_gateway_tokens_total", **whose, type="input"): 3,
        key("coder_ai_gateway_tokens_total", **whose, type="output"): 11,
        key("coder_ai_gateway_tokens_total", **whose, type="cache_read_input_tokens"): 5,
        key("coder_ai_gateway_tokens_total", **whose, type="cache_write_input_tokens"): 7,
        key("coder_ai_gateway_non_injected_tool_selections_total", **what, name="Bash"): 1,
        key("coder_ai_gateway_non_injected_tool_selections_total", **what, name="Read"): 1,
    }
    assert {name: scrape.latest.get(name) for name in told} == told


async def test_tokens_of_another_model_are_told_under_its_name(start, fake, post, scrape):
    advice = {"type": "advisor_message", "model": "big", "input_tokens": 800, "output_tokens": 70}
    usage = {"input_tokens": 3, "output_tokens": 11, "iterations": [advice]}
    fake.play(Script(body=json.dumps({"id": "msg_1", "content": [], "usage": usage}).encode()))
    gateway = await start()
    assert await post(gateway, body={**REQUEST, "stream": False}) == 200
    tokens = "coder_ai_gateway_tokens_total"
    await scrape.until(gateway, tokens, 70, model="big", type="output")
    assert scrape.value(tokens, model="big", type="input") == 800
    assert scrape.value(tokens, model="m", type="input") == 3


async def test_what_is_under_way_is_told_and_when_it_has_ended(start, fake, client, scrape):
    gateway = await start(max_concurrency=7)
    go_on = asyncio.Event()
    fake.play(Script(before_write={1: go_on}))
    under_way = {
        "coder_ai_gateway_interceptions_inflight": {
            "provider": "openai",
            "model": "m",
            "route": "/v1/responses",
        },
        "aibridged_requests_in_flight": {},
        "aibridged_slots_in_use": {},
        "aibridged_upstream_connections": {"provider": "openai", "state": "in_use"},
        "aibridged_client_connections": {"state": "busy"},
    }
    body = {"model": "m", "stream": True, "input": "hi"}
    async with client.post(gateway.url + RESPONSES, json=body) as response:
        await response.content.readany()
        await scrape(gateway)
        assert {name: scrape.value(name, **of) for name, of in under_way.items()} == dict.fromkeys(
            under_way, 1
        )
        assert scrape.value("aibridged_slots_limit") == 7
        go_on.set()
        await response.read()
    for name, of in under_way.items():
        await scrape.until(gateway, name, 0, **of)
    assert scrape.value("aibridged_upstream_connections", provider="openai", state="idle") == 1
    assert scrape.value("aibridged_client_connections", state="idle") == 1
    assert scrape.value("aibridged_client_places") == gateway.components.connection_limiter.places


async def test_each_time_is_told_apart(start, fake, client, clock, scrape):
    """1 s until the head, 2 s more to the first byte, 8 s from there to the 11th token."""
    gateway = await start()
    head, first, rest = asyncio.Event(), asyncio.Event(), asyncio.Event()
    fake.play(Script(answer=ANSWER, before_headers=head, before_write={0: first, 1: rest}))
    asking = asyncio.get_running_loop().create_task(
        client.post(gateway.url + MESSAGES, json=REQUEST)
    )
    await fake.received()
    clock.advance(1)
    head.set()
    async with await asking as response:
        clock.advance(2)
        first.set()
        await response.content.readany()
        clock.advance(8)
        rest.set()
        await response.read()
    name = "coder_ai_gateway_interceptions_duration_seconds_sum"
    await scrape.until(gateway, name, 11)
    assert scrape.value("aibridged_time_to_first_byte_seconds_sum") == 3
    assert scrape.value("aibridged_time_between_tokens_seconds_sum") == pytest.approx(0.8)
    assert scrape.value("aibridged_request_overhead_seconds_sum") == 0


async def test_a_slow_client_is_no_overhead_of_the_gateways(start, client, clock, scrape):
    gateway = await start()
    arrived = asyncio.Event()

    async def slowly():
        yield b'{"model":"m","max_tokens":9,'
        await arrived.wait()
        yield b'"messages":[{"role":"user","content":"hi"}]}'

    async def ask():
        async with client.post(gateway.url + MESSAGES, data=slowly()) as response:
            await response.read()

    asking = asyncio.get_running_loop().create_task(ask())
    await scrape.until(gateway, "aibridged_requests_in_flight", 1)
    clock.advance(60)
    arrived.set()
    await asking
    await scrape.until(gateway, "aibridged_request_overhead_seconds_count", 1)
    assert scrape.value("aibridged_request_overhead_seconds_sum") == 0


async def test_rejections_are_told_by_their_reason(start, client, post, scrape):
    gateway = await start(rate_limit=1)
    assert await post(gateway) == 200
    assert await post(gateway) == 429
    async with client.get(f"{gateway.url}/nowhere") as response:
        assert response.status == 404
    for reason in ("rate_limited", "route_not_supported"):
        await scrape.until(gateway, "aibridged_rejections_total", 1, reason=reason)
    assert scrape.value("coder_ai_gateway_interceptions_total") == 1


async def test_a_circuit_under_the_names_of_coders_dashboards(start, fake, clock, post, scrape):
    gateway = await start(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    name = "coder_ai_gateway_circuit_breaker_"
    circuit = {"provider": "openai", "endpoint": "/v1/responses", "model": "m"}
    responses = partial(post, gateway, RESPONSES, {"model": "m", "input": "hi"})
    assert await responses() == 200
    await scrape.until(gateway, f"{name}state", 0, **circuit)
    fake.play(Script(status=503))
    assert [await responses(), await responses()] == [503, 503]
    await scrape.until(gateway, f"{name}rejects_total", 1, **circuit)
    assert scrape.value(f"{name}state", **circuit) == 1
    assert scrape.value(f"{name}trips_total", **circuit) == 1
    clock.advance(30)
    await scrape.until(gateway, f"{name}state", 0.5, **circuit)
    await scrape(gateway)
    assert scrape.value(f"{name}trips_total", **circuit) == 1


async def test_a_failed_reload_is_told(start, clock, scrape):
    gateway = await start()
    started = clock.wall().timestamp()
    gateway.components.reloads.last_attempt += 60
    await scrape(gateway)
    name = "coder_ai_gateway_providers_last_reload_"
    assert scrape.value(f"{name}timestamp_seconds") == started + 60
    assert scrape.value(f"{name}success_timestamp_seconds") == started


async def test_callers_are_not_told_apart_if_that_is_switched_off(start, post, scrape):
    gateway = await start(prometheus_initiator_labels=False)
    assert await post(gateway) == 200
    await scrape.until(gateway, "coder_ai_gateway_interceptions_total", 1, initiator_id="")
    assert NOBODY not in str(scrape.latest)


@pytest.mark.parametrize(("names", "new", "old"), [("new", 1, 0), ("old", 0, 1), ("both", 1, 1)])
async def test_coders_names(start, post, scrape, names, new, old):
    gateway = await start(prometheus_names=names)
    assert await post(gateway) == 200
    await scrape.until(gateway, "aibridged_time_to_first_byte_seconds_count", 1)
    assert scrape.value("coder_ai_gateway_interceptions_total") == new
    assert scrape.value("coder_aibridged_interceptions_total") == old


async def test_many_models_and_tools_make_no_large_answer(start, client):
    """Each of 10 000 requests names another model, and one of 1 000 tools."""
    gateway = await start(circuit_breaker_enabled=True)
    metrics, breakers = gateway.components.metrics, gateway.components.breakers
    assert metrics.finished in gateway.components.on_finished
    for number in range(10_000):
        model = f"a-model-with-a-name-of-a-usual-length-{number:05}"
        gateway.components.running.began(("anthropic", model, "/v1/messages"))
        breakers.admit(BreakerKey("anthropic", "/v1/messages", model, "centralized"))
        metrics.circuit_opened("anthropic", "/v1/messages", model)
        metrics.finished(
            RequestSummary(
                request_id="r",
                interception_id="i",
                outcome=RequestOutcome.COMPLETED,
                method="POST",
                path=MESSAGES,
                status=200,
                began=0.0,
                sent_at=0.1,
                first_byte_at=0.5,
                ended=1.0,
                provider="anthropic",
                bridged=True,
                initiator_id=NOBODY,
                client="Claude Code",
                model=model,
                streamed=True,
                has_prompt=True,
                tokens=TokenCounts(1, 2, 3, 4, {"cache_ephemeral_5m_input": 4}),
                tools=(f"a_tool_with_a_long_name_{number % 1000:04}",),
            )
        )
    async with client.get(gateway.metrics_urls[0], headers=PLAIN) as response:
        body = await response.read()
    assert len(body) < 1.5 * 1024 * 1024  # most of it twice, as Coder's metrics have two names
    for label in ("model", "name"):
        assert f'{label}="{OTHER}"'.encode() in body


async def test_every_metric_of_the_manual_is_produced(
    start, fake, client, post, scrape, clock, tmp_path, monkeypatch
):
    """One daemon goes through all that a metric tells of."""
    monkeypatch.setattr(recording, "Recorder", partial(Recorder, retry_interval=0.01, linger=0.5))
    monkeypatch.setattr(recording, "Journal", partial(Journal, area_bytes=16))
    (tmp_path / "spool.jsonl").write_bytes(b"this line can't be read\n")
    gateway = await start(
        auth="token",
        state_dir=tmp_path,
        pool_max_items=1,
        max_concurrency=5,
        rate_limit=100,
        circuit_breaker_enabled=True,
        circuit_breaker_failure_threshold=1,
        prices=(PriceSettings(model="m", input=Decimal(1), output=Decimal(1)),),
    )
    store = TokenStore(make_engine(database_url(tmp_path)), clock)
    for name in ("alice", "bob"):
        store.create_user(name)
    alice, bob = (
        store.create_token(name, name="laptop", lifetime=None)[1].reveal()
        for name in ("alice", "bob")
    )
    go_on = asyncio.Event()
    fake.play(Script(answer=ANSWER, before_write={1: go_on}))
    async with client.post(
        gateway.url + MESSAGES, json=REQUEST, headers={"X-Coder-Token": alice}
    ) as response:
        await response.content.readany()
        await scrape(gateway)
        go_on.set()
        await response.read()
    assert [await post(gateway, token=alice), await post(gateway, token=bob)] == [200, 200]
    await scrape(gateway)  # while the recorder lingers

    fake.play(Script(body=b'{"id": "msg_1", "content": [], "usage": ['))  # can't be read
    assert await post(gateway, token=alice) == 200

    async with client.get(
        f"{gateway.url}/anthropic/v1/models", headers={"X-Coder-Token": alice}
    ) as response:
        assert response.status == 200

    fake.play(Script(error="overloaded_error"))
    down = {**REQUEST, "model": "down"}
    assert [await post(gateway, body=down, token=alice) for _ in range(2)] == [200, 503]

    database = tmp_path / "aibridged.db"
    away = database.rename(tmp_path / "away")
    assert await post(gateway, token=alice) == 503
    await scrape.until(gateway, "aibridged_database_up", 0)
    away.rename(database)
    await scrape.until(gateway, "aibridged_database_up", 1)

    metrics = gateway.components.metrics
    # Tests of the MCP tools, sessions, budgets and so on see that these are told.
    count_lost(Loss.UNFORMATTABLE)
    metrics.tool_invoked("anthropic", "m", "github", "search")
    gateway._composition.resources.mcp.failures["docs"] += 1
    gateway._composition.resources.mcp.ended["docs"] += 1
    counts = gateway._composition.resources.telemetry.counts
    counts.relayed["http://otlp", "logs"] += 1
    counts.dropped["http://otlp", "refused"] += 1
    alerts = gateway._composition.resources.budget_alerts
    alerts.told["80", "user", "monthly"] += 1
    alerts.posts["sent",] += 1
    gateway._composition.resources.fingerprints.counts["stored"] += 1
    metrics.signed_in("started")
    metrics.session_ran_away("repeated_calls", "end")
    metrics.soft_budget_reached("warn")
    metrics.connect_session("mitm")
    metrics.finished(
        RequestSummary(
            request_id="r",
            outcome="rejected",
            method="POST",
            path="/",
            began=0,
            ended=0,
            reason="rate_limited",
            initiator_id="alice",
        )
    )
    gateway.components.connection_limiter.idle.closed += 1
    gateway.components.shortages.counts["clients"] += 1
    metrics.proxied_request_began("anthropic")
    await scrape(gateway)
    metrics.proxied_request_ended("anthropic", 200)
    await scrape(gateway)

    suffix = {Kind.HISTOGRAM: "_count"}
    # Without Redis there are none of its own: tests of the replicas see that they are told. So it
    # is with those of several workers.
    elsewhere = ("aibridged_redis_", "aibridged_worker")
    rows = [row for row in METRICS if not row.name.startswith(elsewhere)]
    values = {row.name: scrape.seen[row.name + suffix.get(row.kind, "")] for row in rows}
    assert [name for name, seen in values.items() if not seen] == []
    assert [name for name, seen in values.items() if not any(seen)] == []


# What there is only with tokens, with Redis, or with several workers.
ABSENT = {
    "aibridged_auth_cache_hits",
    "aibridged_auth_cache_misses",
    "aibridged_redis_outages",
    "aibridged_redis_local_decisions",
    "aibridged_worker_restarts",
}


class TestEndpoint:
    @pytest.fixture
    async def gateway(self, start):
        return await start()

    @pytest.mark.parametrize("path", ["/metrics", "/", "/metrics?name=up"])
    async def test_it_answers_where_coders_server_does(self, gateway, client, path):
        url = gateway.metrics_urls[0].removesuffix("/metrics")
        async with client.get(url + path, headers=PLAIN) as response:
            assert (response.status, response.headers["Server"]) == (200, "aibridged")
            assert b"aibridged_ready 1.0" in await response.read()

    async def test_it_compresses(self, gateway, client):
        url, accepted = gateway.metrics_urls[0], {"Accept-Encoding": "gzip"}
        async with client.get(url, headers=accepted) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert b"aibridged_ready 1.0" in gzip.decompress(await response.read())

    async def test_it_speaks_openmetrics(self, gateway, client):
        asked = {**PLAIN, "Accept": "application/openmetrics-text;version=1.0.0"}
        async with client.get(gateway.metrics_urls[0], headers=asked) as response:
            assert response.content_type == "application/openmetrics-text"
            assert {family.name for family in openmetrics(await response.text())} >= {
                row.name.removesuffix("_total") for row in METRICS if row.kind is Kind.COUNTER
            } - ABSENT

    async def test_a_probe_gets_the_head_only(self, gateway, client):
        async with client.head(gateway.metrics_urls[0]) as response:
            assert (response.status, await response.read()) == (200, b"")

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/healthz", 404), ("GET", "/anthropic", 404), ("POST", "/metrics", 405)],
    )
    async def test_nothing_else_is_there(self, gateway, client, method, path, status):
        url = gateway.metrics_urls[0].removesuffix("/metrics")
        async with client.request(method, url + path) as response:
            assert response.status == status

    async def test_the_gateway_itself_serves_none(self, gateway, client):
        async with client.get(f"{gateway.url}/metrics") as response:
            assert response.status == 404

    async def test_it_is_rendered_away_from_the_event_loop(self, gateway, client, monkeypatch):
        threads, render = [], endpoint.render

        def noted(*arguments, **options):
            threads.append(threading.current_thread())
            return render(*arguments, **options)

        monkeypatch.setattr(endpoint, "render", noted)
        async with client.get(gateway.metrics_urls[0]) as response:
            assert response.status == 200
        assert threads != []
        assert threading.main_thread() not in threads

    async def test_promtool_finds_nothing_to_mend(self, gateway, client, post, program):
        assert await post(gateway) == 200
        async with client.get(gateway.metrics_urls[0], headers=PLAIN) as response:
            text = await response.read()
        promtool = await asyncio.to_thread(
            subprocess.run,
            [program("promtool"), "check", "metrics"],
            input=text,
            capture_output=True,
        )
        assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, b"", b"")


class TestListener:
    async def test_it_is_off_unless_asked_for(self, start_gateway):
        gateway = await start_gateway()
        assert gateway.metrics_urls == ()
        assert gateway.components.metrics is None

    async def test_a_taken_address_is_told_clearly(self, start):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(CannotStartError) as told:
                await start(prometheus_address=Address("127.0.0.1", port))
        assert str(told.value) == (
            f"Cannot listen on 127.0.0.1:{port}: Address already in use."
            f" Stop the process that listens there (ss -ltnp sport = :{port} names it), or choose"
            " another --prometheus-address."
        )

    async def test_a_passed_socket_counts_in_place_of_the_address(
        self, start, clock, client, tmp_path
    ):
        settings = (await start()).settings
        with socket.create_server(("127.0.0.1", 0)) as passed:
            gateway = Gateway(
                replace(settings, state_dir=tmp_path / "other"),
                clock,
                passed={"metrics": [passed.dup()]},
            )
            await gateway.start()
            host, port = passed.getsockname()
            assert gateway.metrics_urls == [f"http://{host}:{port}/metrics"]
            async with client.get(gateway.metrics_urls[0]) as response:
                assert response.status == 200
            await gateway.stop()

    async def test_it_answers_until_the_last_request_has_ended(
        self, start, fake, client, post, scrape
    ):
        gateway = await start(shutdown_timeout=10.0)
        go_on = asyncio.Event()
        fake.play(Script(before_write={1: go_on}))
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
            await response.content.readany()
            await scrape(gateway)
            assert scrape.value("aibridged_ready") == 1
            url = gateway.metrics_urls[0]
            stopping = asyncio.get_running_loop().create_task(gateway.stop())
            await scrape.until(gateway, "aibridged_ready", 0)
            go_on.set()
            await response.read()
        await stopping
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(url)

    async def test_the_daemon_says_where_it_is(self, start_daemon, client):
        daemon = await start_daemon("--prometheus-enable", CODER_PROMETHEUS_ADDRESS="127.0.0.1:0")
        async with client.get(await daemon.metrics_url(), headers=PLAIN) as response:
            assert b"process_cpu_seconds_total" in await response.read()


async def test_what_ran_in_the_background_is_counted_when_it_is_fetched(
    start, fake, scrape, client
):
    gateway = await start()
    async with client.post(
        f"{gateway.url}/openai/v1/responses",
        json={"model": "gpt-fake-large", "input": "hi", "background": True},
    ) as response:
        made = (await response.json())["id"]

    async def fetch():
        async with client.get(f"{gateway.url}/openai/v1/responses/{made}") as response:
            assert response.status == 200
            await response.read()

    goes_on = asyncio.Event()
    fake.play(Script(times=3, before_headers=goes_on))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(fetch())
        await fake.received(4)
        goes_on.set()
    await scrape.until(gateway, "coder_ai_gateway_passthrough_total", 3)
    output = {"type": "output", "provider": "openai", "model": "gpt-fake-large"}
    assert scrape.value("coder_ai_gateway_tokens_total", **output) == 6
    assert scrape.value("coder_ai_gateway_interceptions_total", provider="openai") == 1
