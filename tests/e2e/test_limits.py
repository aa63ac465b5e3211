"""Concurrency and rate limit through sockets, with a clock that is moved by hand."""

import asyncio
from ipaddress import ip_network

import aiohttp
import pytest

from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import Script

MESSAGES = "/anthropic/v1/messages"
REQUEST = {
    "model": "m",
    "stream": True,
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "hi"}],
}


def reason(response):
    return response.headers.get("X-Aibridge-Reason")


@pytest.fixture
def ask(client):
    """Asks, reads the answer to its end, and returns the gateway's reason to refuse, if any."""

    async def ask(gateway, path=MESSAGES, *, method="POST", headers=None, **options):
        options = options or {"json": REQUEST}
        async with client.request(
            method, gateway.url + path, headers=headers, **options
        ) as response:
            await response.read()
            return reason(response)

    return ask


class TestConcurrency:
    @pytest.fixture
    async def gateway(self, start_gateway):
        return await start_gateway(max_concurrency=1)

    async def test_a_slot_is_held_until_the_stream_ends(self, gateway, fake, client, ask):
        gate = asyncio.Event()
        fake.play(Script(before_write={3: gate}))
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as stream:
            await stream.content.readany()
            async with client.post(gateway.url + MESSAGES, json=REQUEST) as refused:
                assert (refused.status, reason(refused)) == (503, "at_capacity")
                assert refused.headers["Retry-After"] == "1"
                body = await refused.json()
            assert (
                body["message"]
                == body["error"]["message"]
                == "AI Bridge is currently at capacity. Please try again later."
            )
            assert await ask(gateway, "/anthropic/v1/models", method="GET") == "at_capacity"
            gate.set()
            assert b"message_stop" in await stream.content.read()
        assert await ask(gateway) is None

    async def test_a_slot_is_free_once_the_client_is_gone(self, gateway, fake, client, ask):
        fake.play(Script(stall_after=2))
        async with client.post(gateway.url + MESSAGES, json=REQUEST) as stream:
            await stream.content.readany()
            upstream = await fake.received()
        async with asyncio.timeout(10):
            await upstream.disconnected.wait()
        assert await ask(gateway) is None

    @pytest.mark.parametrize(
        "script",
        [
            Script(status=500),
            Script(status=429),
            Script(close=True),
            Script(cut_after=50),
            Script(error="overloaded_error"),
            Script(body=b""),
        ],
    )
    async def test_a_slot_is_free_after_any_answer(self, gateway, fake, ask, script):
        fake.play(script)
        try:
            await ask(gateway)
        except aiohttp.ClientPayloadError:
            assert script.cut_after
        assert await ask(gateway) is None

    async def test_a_slot_is_free_after_an_answer_that_stops_being_http(
        self, start_gateway, client, ask
    ):
        """aiohttp's client closes such a connection without a word to whoever reads the body."""
        head_is_there = asyncio.Event()

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await head_is_there.wait()
            writer.write(b"no chunk\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            provider = ProviderSettings("anthropic", "anthropic", None, url)
            gateway = await start_gateway(max_concurrency=1, providers=(provider,))
            async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
                head_is_there.set()
                async with asyncio.timeout(10):
                    with pytest.raises(aiohttp.ClientError):
                        await response.read()
                assert await ask(gateway) != "at_capacity"

    async def test_a_slot_is_free_after_any_refusal(self, start_gateway, ask):
        gateway = await start_gateway(max_concurrency=1, max_request_bytes=1000, allow_byok=False)
        basic = {"Authorization": "Basic x"}
        byok = {"X-Coder-Token": "t", "X-Api-Key": "k"}
        assert await ask(gateway, headers=basic) == "unauthenticated"
        assert await ask(gateway, headers=byok) == "byok_disabled"
        assert await ask(gateway, data=b"x") == "invalid_request"
        assert await ask(gateway, data=b"x" * 2000) == "request_too_large"
        assert await ask(gateway) is None

    async def test_capacity_is_checked_before_anything_is_read(self, gateway, fake, client):
        fake.play(Script(stall_after=2))
        async with client.post(gateway.url + MESSAGES, json=REQUEST):
            host, port = gateway.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
            writer.write(head.encode())
            assert b"at_capacity" in await reader.readuntil(b"}}")
            writer.close()

    async def test_without_a_limit_all_get_in(self, start_gateway, fake, client):
        gateway = await start_gateway(max_concurrency=0)
        gate = asyncio.Event()
        fake.play(Script(before_headers=gate, times=50))

        async def ask():
            async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
                return response.status

        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask()) for _ in range(50)]
            await fake.received(50)
            gate.set()
        assert {task.result() for task in asking} == {200}

    async def test_of_many_at_once_exactly_the_limit_gets_in(self, start_gateway, fake, client):
        gateway = await start_gateway(max_concurrency=7)
        gate = asyncio.Event()
        fake.play(Script(before_headers=gate, times=7))
        statuses = []

        async def ask():
            async with client.post(gateway.url + MESSAGES, json=REQUEST) as response:
                statuses.append(response.status)
            if len(statuses) == 33:
                gate.set()

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(ask())
        assert statuses == [503] * 33 + [200] * 7
        assert fake.seen == 7


class TestRateLimit:
    async def drain(self, ask, gateway, **options):
        """How many requests get through before one is refused."""
        for count in range(100):
            if (said := await ask(gateway, **options)) is not None:
                assert said == "rate_limited"
                return count
        raise AssertionError("nothing was refused")

    async def test_a_burst_and_what_drains(self, start_gateway, fake, clock, client, ask):
        gateway = await start_gateway(rate_limit=4)
        token = {"X-Api-Key": "t"}
        assert await self.drain(ask, gateway, headers=token) == 4
        async with client.post(gateway.url + MESSAGES, json=REQUEST, headers=token) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
            body = await refused.json()
        assert body["error"]["type"] == "rate_limit_error"
        clock.advance(0.25)
        assert await self.drain(ask, gateway, headers=token) == 1
        clock.advance(0.24)
        assert await self.drain(ask, gateway, headers=token) == 0
        clock.advance(1)
        assert await self.drain(ask, gateway, headers=token) == 4
        clock.advance(3600)
        assert await self.drain(ask, gateway, headers=token) == 4
        assert fake.seen == 13

    async def test_who_waits_as_told_gets_in(self, start_gateway, clock, ask):
        gateway = await start_gateway(rate_limit=1)
        for _ in range(3):
            assert await self.drain(ask, gateway) == 1
            clock.advance(1)

    async def test_callers_do_not_affect_each_other(self, start_gateway, ask):
        gateway = await start_gateway(rate_limit=2)
        for token in ("a", "b", "c"):
            assert await self.drain(ask, gateway, headers={"X-Api-Key": token}) == 2
        assert await self.drain(ask, gateway) == 2  # and who has no token is yet another

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Api-Key": "t"},
            {"Authorization": "Bearer t"},
            {"X-Coder-AI-Governance-Token": "t"},
            {"X-Coder-Token": "t", "Authorization": "Bearer own", "X-Api-Key": "own"},
            {"Authorization": "Bearer t", "X-Api-Key": "other"},
        ],
    )
    async def test_one_token_is_one_caller_in_whatever_header(self, start_gateway, ask, headers):
        gateway = await start_gateway(rate_limit=1)
        assert await ask(gateway, headers={"X-Coder-Token": "t"}) is None
        assert await ask(gateway, headers=headers) == "rate_limited"

    async def test_every_route_and_provider_counts(self, start_gateway, ask):
        gateway = await start_gateway(rate_limit=3)
        assert await ask(gateway) is None
        assert await ask(gateway, "/openai/v1/models", method="GET") is None
        assert await ask(gateway, "/api/v2/aibridge/openai/v1/chat/completions") is None
        assert await ask(gateway, "/anthropic/v1/models", method="GET") == "rate_limited"

    async def test_malformed_tokens_count_against_the_address(self, start_gateway, ask):
        gateway = await start_gateway(rate_limit=2)
        for number in range(2):
            headers = {"Authorization": f"Bearer a b{number}"}
            assert await ask(gateway, headers=headers) == "unauthenticated"
        assert await ask(gateway, headers={"Authorization": "Basic x"}) == "rate_limited"
        assert await ask(gateway) == "rate_limited"
        assert await ask(gateway, headers={"X-Api-Key": "t"}) is None


class TestAddresses:
    """Callers without a token are told apart by their address."""

    @pytest.fixture
    async def start(self, start_gateway, ask):
        async def start(*origins):
            gateway = await start_gateway(
                rate_limit=1,
                proxy_trusted_headers=("X-Real-Ip", "X-Forwarded-For"),
                proxy_trusted_origins=tuple(ip_network(origin) for origin in origins),
            )

            async def limited(**headers):
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await ask(gateway, headers=named) == "rate_limited"

            return limited

        return start

    async def test_a_header_counts_only_from_a_trusted_proxy(self, start):
        limited = await start("192.0.2.0/24")
        assert not await limited(X_Forwarded_For="198.51.100.1")
        assert await limited(X_Forwarded_For="198.51.100.2")

    async def test_of_a_list_the_last_address_that_is_no_proxy_counts(self, start):
        limited = await start("127.0.0.0/8", "10.0.0.0/8")
        assert not await limited(X_Forwarded_For="198.51.100.1")
        assert await limited(X_Forwarded_For="203.0.113.9, 198.51.100.1, 10.1.2.3")
        assert not await limited(X_Forwarded_For="198.51.100.1, 198.51.100.2")
        assert await limited(X_Real_Ip="198.51.100.1", X_Forwarded_For="198.51.100.77")

    async def test_an_ipv6_customer_is_one_caller(self, start):
        limited = await start("127.0.0.1/32")
        assert not await limited(X_Real_Ip="2001:db8:0:1::1")
        assert await limited(X_Real_Ip="2001:db8:0:1:ffff::2")
        assert not await limited(X_Real_Ip="2001:db8:0:2::1")

    async def test_an_ipv4_address_is_the_same_in_ipv6_clothes(self, start):
        limited = await start("127.0.0.1/32")
        assert not await limited(X_Real_Ip="198.51.100.1")
        assert await limited(X_Real_Ip="::ffff:198.51.100.1")

    async def test_what_is_no_address_counts_as_the_proxys_own(self, start):
        limited = await start("127.0.0.1/32")
        assert not await limited(X_Forwarded_For="unknown")
        assert await limited(X_Forwarded_For="<script>")
        assert await limited()
