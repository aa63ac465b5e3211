"""Reloading, in this process: what is kept, what changes, and what nobody notices."""

import asyncio
import gc
import ssl
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from aibridged.config.kinds import Address
from aibridged.config.options import OPTIONS, McpServerSettings, ProviderSettings, Settings
from aibridged.config.secret import Secret
from aibridged.daemon.gateway import Gateway
from aibridged.fake_provider import Script
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.transport.listeners import CannotListenError

ANY_PORT = Address("127.0.0.1", 0)
SERVER = McpServerSettings("docs", "http://127.0.0.1:1/mcp")

BODY = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def ask(client):
    """The status and the reason of a request."""

    async def ask(gateway, provider="anthropic"):
        url = f"{gateway.url}/{provider}/v1/messages"
        async with client.post(url, json=BODY) as response:
            await response.read()
            return response.status, response.headers.get("X-Aibridge-Reason")

    return ask


@pytest.fixture
def stream(client):
    """Begins a stream, which ends when the script lets it."""

    async def stream(gateway):
        response = await client.post(f"{gateway.url}/anthropic/v1/messages", json=BODY)
        await response.content.readany()
        return response

    return stream


def reload(gateway, **changes):
    gateway.reconfigure(replace(gateway.settings, **changes))


async def test_what_the_start_reads_a_reload_reads_too_or_it_needs_a_restart(
    start_gateway, monkeypatch
):
    """A setting that only the start looks at would need `restart=True` in the table."""
    read = set()
    names = {option.name for option in OPTIONS}
    make = Gateway.__init__

    def notice(settings, name):
        if name in names:
            read.add(name)
        return object.__getattribute__(settings, name)

    def make_and_notice(*arguments):
        monkeypatch.setattr(Settings, "__getattribute__", notice)
        make(*arguments)

    monkeypatch.setattr(Gateway, "__init__", make_and_notice)
    gateway = await start_gateway(circuit_breaker_enabled=True, rate_limit=1)
    at_start = set(read)
    assert {"max_concurrency", "circuit_breaker_timeout", "auth"} <= at_start
    other = replace(gateway.settings)
    read.clear()
    gateway.reconfigure(other)
    needs_restart = {option.name for option in OPTIONS if option.restart}
    assert at_start - read - needs_restart == set()
    assert gateway.components.settings is other


async def test_a_reload_leaves_nothing_behind_with_the_settings_from_before(
    start_gateway, client, tmp_path
):
    """What keeps a `Settings` would go by it for good, and be found only where it is tried."""
    gateway = await start_gateway(prometheus_enable=True, prometheus_address=ANY_PORT)
    async with client.get(f"{gateway.url}/healthz") as response:
        assert response.status == 200
    before = weakref.ref(gateway.settings)
    reload(gateway, rate_limit=5)
    gc.collect()
    assert before() is None


async def test_every_listener_lives_by_the_new_times(start_gateway, tmp_path):
    write_pair(tmp_path, 1)
    gateway = await start_gateway(
        tls_cert_file=tmp_path / "cert.pem",
        tls_key_file=tmp_path / "key.pem",
        prometheus_enable=True,
        prometheus_address=ANY_PORT,
        http_read_timeout=100.0,
    )
    reload(gateway, http_read_timeout=0.05)
    urls = [gateway.url, *gateway.metrics_urls]
    for url in map(URL, urls):  # a handshake, and a head
        reader, writer = await asyncio.open_connection(url.host, url.port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_access_to_texts_follows_a_reload(start_gateway):
    gateway = await start_gateway()
    api = gateway.components.api
    assert api.prompt_access == "admins"
    reload(gateway, prompt_access="own")
    assert gateway.components.api is api
    assert api.prompt_access == "own"


async def test_what_a_reload_leaves_as_it_was_is_kept(start_gateway):
    """For any setting but its own."""
    gateway = await start_gateway(
        circuit_breaker_enabled=True, rate_limit=9, retention=60.0, mcp_servers=(SERVER,)
    )
    composition = gateway._composition
    bridges = gateway.components.bridges
    bridges.acquire(BridgeKey("ann", None)).release()
    jobs = composition.resources.group_jobs
    before, pruning = gateway.components, jobs._pruning.task
    reload(gateway, allow_byok=False)
    assert gateway.components.rate_limiter is before.rate_limiter
    assert gateway.components.breakers is before.breakers
    assert jobs._pruning.task is pruning
    assert len(bridges) == 1
    for changes in (
        {"mcp_servers": (replace(SERVER, id="other"),)},
        {"mcp_call_timeout": 3.0},
        {"pool_max_items": 3},
    ):
        reload(gateway, **changes)
        assert len(bridges) == 0, changes
        bridges.acquire(BridgeKey("ann", None)).release()
    reload(gateway, retention=90.0)
    assert jobs._pruning.task is not pruning
    reload(gateway, retention=None)
    assert jobs._pruning.task is None
    of_audit = jobs._audit_pruning.task
    reload(gateway, audit_retention=60.0)
    assert jobs._audit_pruning.task is not of_audit
    reload(gateway, audit_retention=0.0)
    assert jobs._audit_pruning.task is None


async def test_the_cache_of_tokens_has_its_new_size(start_gateway):
    gateway = await start_gateway(auth="token")
    reload(gateway, auth_cache_size=3)
    assert gateway._composition.resources.gatekeeper._good.most == 3


async def test_slots_count_the_requests_that_are_under_way(start_gateway, fake, ask, stream):
    gateway = await start_gateway(max_concurrency=3)
    gates = [asyncio.Event(), asyncio.Event()]
    fake.play(*(Script(before_write={3: gate}) for gate in gates))
    streams = [await stream(gateway) for _ in gates]
    reload(gateway, max_concurrency=2)
    assert await ask(gateway) == (503, "at_capacity")
    reload(gateway, max_concurrency=1)
    gates[0].set()
    assert b"message_stop" in await streams[0].read()
    assert await ask(gateway) == (503, "at_capacity")
    reload(gateway, max_concurrency=2)
    assert await ask(gateway) == (200, None)
    gates[1].set()
    assert b"message_stop" in await streams[1].read()


async def test_a_stream_outlives_its_provider_and_its_connection_closes_after_it(
    start_gateway, fake, ask, stream
):
    gateway = await start_gateway()
    gate = asyncio.Event()
    fake.play(Script(before_write={3: gate}))
    upstream = gateway.components.upstreams["anthropic"]
    running = await stream(gateway)
    _, openai = gateway.settings.providers
    reload(gateway, providers=(openai,))
    assert await ask(gateway) == (400, "wrong_base_url")
    reload(gateway, providers=(openai, replace(openai, name="other")))  # others don't end it
    assert not upstream._connector.closed
    gate.set()
    assert b"message_stop" in await running.read()
    await gateway._composition._upstreams._retirements.idle()
    assert upstream._connector.closed


async def test_connections_are_kept_while_a_provider_stays_where_it_is(start_gateway, fake, ask):
    gateway = await start_gateway()
    await ask(gateway)
    before = dict(gateway.components.upstreams)
    anthropic, openai = gateway.settings.providers
    rotated = replace(anthropic, key=Secret("sk-ant-new"))
    reload(gateway, providers=(rotated, replace(openai, base_url=f"{fake.base_url}/other")))
    assert gateway.components.upstreams["anthropic"] is before["anthropic"]
    assert gateway.components.upstreams["openai"] is not before["openai"]
    await ask(gateway)
    first, second = fake.requests
    assert first.connection == second.connection
    assert second.all("x-api-key") == ["sk-ant-new"]
    reload(gateway, upstream_connect_timeout=3.0)
    assert gateway.components.upstreams["anthropic"] is not before["anthropic"]
    assert await ask(gateway) == (200, None)


async def test_a_circuit_stays_open_unless_its_settings_change(start_gateway, fake, ask):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    fake.play(Script(status=503))
    assert await ask(gateway) == (503, None)
    reload(gateway, rate_limit=100)
    assert await ask(gateway) == (503, "circuit_open")
    reload(gateway, circuit_breaker_timeout=99.0)
    assert await ask(gateway) == (200, None)
    reload(gateway, circuit_breaker_enabled=False)
    fake.play(Script(status=503, times=2))
    assert [await ask(gateway) for _ in range(3)] == [(503, None), (503, None), (200, None)]


async def test_limits_count_on_unless_they_change(start_gateway, fake, ask):
    gateway = await start_gateway(rate_limit=1)
    assert await ask(gateway) == (200, None)
    reload(gateway, allow_byok=False)
    assert await ask(gateway) == (429, "rate_limited")
    reload(gateway, rate_limit=2)
    answers = [await ask(gateway) for _ in range(3)]
    assert answers == [(200, None), (200, None), (429, "rate_limited")]
    reload(gateway, rate_limit=0)
    assert [await ask(gateway) for _ in range(3)] == [(200, None)] * 3


async def test_what_is_kept_warm_lives_by_its_new_times(start_gateway, ask, clock):
    gateway = await start_gateway(pool_ttl=100.0)
    await ask(gateway)
    reload(gateway, rate_limit=50)
    await ask(gateway)
    assert gateway.components.bridges.stats.hits == 1
    reload(gateway, pool_ttl=10.0)
    await ask(gateway)
    clock.advance(11)
    await ask(gateway)
    assert gateway.components.bridges.stats.misses == 3


async def test_a_connection_that_was_there_before_lives_by_the_new_limits(start_gateway):
    gateway = await start_gateway(http_read_timeout=100.0)
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"ok\n")
    reload(gateway, http_read_timeout=0.05)
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    assert await reader.read() == b""
    writer.close()


def write_pair(folder, serial):
    """A certificate of that number with its key, as `cert.pem` and `key.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    day = timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC) + day)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def test_a_certificate_is_read_again_and_a_bad_one_is_left(start_gateway, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def served(reader, writer):
        """The number of the connection's certificate, after a request over it."""
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readuntil(b"ok\n")
        tls = writer.get_extra_info("ssl_object")
        return x509.load_der_x509_certificate(tls.getpeercert(True)).serial_number

    async def served_anew():
        reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
        try:
            return await served(reader, writer)
        finally:
            writer.close()

    write_pair(tmp_path, 1)
    gateway = await start_gateway(tls_cert_file=cert, tls_key_file=key)
    host, port = gateway.url.removeprefix("https://").split(":")
    kept = await asyncio.open_connection(host, int(port), ssl=trusting)
    write_pair(tmp_path, 2)
    assert await served_anew() == 1
    reload(gateway)
    assert await served_anew() == 2
    old_key = key.read_bytes()
    write_pair(tmp_path, 3)
    key.write_bytes(old_key)
    with pytest.raises(CannotListenError, match="--tls-cert-file"):
        reload(gateway, rate_limit=1)
    assert gateway.settings.rate_limit == 0
    assert await served_anew() == 2
    assert await served(*kept) == 1
    kept[1].close()


async def test_a_provider_may_come_and_go_while_requests_run(start_gateway, fake, client):
    """What a request began with, it ends with."""
    gateway = await start_gateway()
    extra = ProviderSettings("anthropic", "extra", Secret("k"), fake.base_url)
    both = gateway.settings.providers
    statuses = []
    rounds = asyncio.Semaphore(0)

    async def send(name, requests):
        for _ in range(requests):
            async with client.post(f"{gateway.url}/{name}/v1/messages", json=BODY) as response:
                await response.read()
                statuses.append((name, response.status))
                rounds.release()

    async with asyncio.TaskGroup() as group:
        for name in ("anthropic", "extra") * 3:
            group.create_task(send(name, 30))
        for number in range(60):
            reload(gateway, providers=(*both, extra) if number % 2 else both)
            for _ in range(3):
                await rounds.acquire()
    assert {status for name, status in statuses if name == "anthropic"} == {200}
    assert {status for name, status in statuses if name == "extra"} == {200, 400}
    await gateway._composition._upstreams._retirements.idle()
    assert len(gateway._composition._upstreams) == len(gateway.components.upstreams)
