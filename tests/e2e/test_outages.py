"""Outages of a provider, kind by kind: the answer, the circuit breaker's verdict, and the record.

The provider says its bytes as they are, over sockets, and the breaker opens at the first failure.
"""

import asyncio
import json
import socket
from typing import NamedTuple

import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.proxy_url import read_proxy_url
from aibridged.records import schema
from tests.forward_proxy import ForwardProxy

CHAT = "/p/v1/chat/completions"
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = "The provider p could not be reached"
INVALID = "The provider p sent a response that is not valid HTTP"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def first_event(error: object) -> bytes:
    return STREAM + chunk(b'data: {"error":%b}\n\n' % json.dumps(error).encode()) + b"0\r\n\r\n"


def body(status: bytes) -> bytes:
    return b"HTTP/1.1 %b -\r\nContent-Length: 2\r\n\r\n{}" % status


class Outage(NamedTuple):
    """`says` is what the provider answers: bytes, and None where it closes without any.

    `reason` and `sentence` are the gateway's, None where the provider's answer is relayed. `opens`:
    the breaker counts it. Then what is on record: the outcome, and whether tokens may have been
    used that weren't counted.
    """

    says: bytes | str | None
    status: int
    reason: str | None
    sentence: str | None
    opens: bool
    outcome: str
    uncounted: bool


def unreachable(says, sentence, *, uncounted):
    return Outage(says, 502, "upstream_unreachable", sentence, True, "failed", uncounted)


def invalid(says, why):
    return Outage(says, 502, "upstream_invalid", f"{INVALID}: {why}.", True, "failed", True)


def told(error, *, opens=True):
    return Outage(first_event(error), 200, None, None, opens, "failed", True)


OUTAGES = {
    "nobody listens": unreachable("refused", f"{REFUSED}: connection refused.", uncounted=False),
    "it hangs up": unreachable(
        None, f"{REFUSED}: it closed the connection without a response.", uncounted=True
    ),
    "it is silent": Outage(
        "silent",
        504,
        "upstream_timeout",
        "The provider p did not respond in time.",
        True,
        "failed",
        True,
    ),
    "it closes an idle connection": Outage(
        "stale",
        502,
        "upstream_unreachable",
        "The provider p closed an idle connection as the request came. Please try again.",
        False,
        "failed",
        True,
    ),
    "the proxy is away": unreachable(
        "proxy away",
        f"{REFUSED}: the upstream proxy can't be reached: connection refused.",
        uncounted=False,
    ),
    "the proxy refuses": unreachable(
        "proxy refuses",
        f"{REFUSED}: the upstream proxy responded with status 407.",
        uncounted=False,
    ),
    "the proxy is silent": unreachable(
        "proxy silent", f"{REFUSED}: connecting timed out.", uncounted=False
    ),
    "no HTTP": invalid(b"220 mail\r\n\r\n", "Expected HTTP/, RTSP/ or ICE/"),
    "gzip, chunked": invalid(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "its Transfer-Encoding is not supported, only chunked is",
    ),
    "chunked and a length": invalid(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        "Content-Length can't be present with Transfer-Encoding",
    ),
    **{
        status: Outage(body(status.encode()), int(status), None, None, opens, "failed", False)
        for status, opens in {
            "429": True,
            "503": True,
            "504": True,
            "529": True,
            "400": False,
            "500": False,
        }.items()
    },
    "code 429": told({"code": 429, "message": "slow down"}),
    'code "429"': told({"code": "429"}),
    "code 503": told({"code": 503, "type": "ServiceUnavailableError"}),
    "code 529": told({"code": 529}),
    "TooManyRequests": told({"code": "TooManyRequests"}),
    "ServiceUnavailableError": told({"type": "ServiceUnavailableError"}),
    "engine_overloaded_error": told({"type": "engine_overloaded_error", "code": None}),
    "OpenAI's word": told({"code": "rate_limit_exceeded"}),
    "Anthropic's word": told({"type": "overloaded_error"}),
    "another error": told({"code": 500, "type": "server_error"}, opens=False),
    "a caller's mistake": told({"code": 400, "type": "invalid_request_error"}, opens=False),
}


class Provider:
    """Answers every request on a connection with the next of `answers`, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.seen = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            self.seen += 1
            said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if said is None:
                break
            writer.write(said)
        writer.close()


@pytest.fixture
async def provider():
    made = Provider()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.fixture
async def settings(forward_proxy: ForwardProxy, provider):
    """The provider's settings, where an outage is one of the way to it."""

    async def settings(says):
        url, proxy = provider.url, None
        if says == "refused":
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        elif isinstance(says, str) and says.startswith("proxy"):
            address = await forward_proxy.start()
            forward_proxy.status = 407
            forward_proxy.mute = says == "proxy silent"
            if says == "proxy away":
                await forward_proxy.stop()
            url, proxy = "https://provider.test", read_proxy_url(f"http://{address}")
        return ProviderSettings("openai", "p", None, f"{url}/v1", proxy=proxy)

    return settings


async def ask(client, gateway):
    async with client.post(gateway.url + CHAT, json=BODY) as response:
        answer = await response.read()
    reason = response.headers.get("X-Aibridge-Reason")
    return response.status, reason, json.loads(answer)["message"] if reason else None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", OUTAGES)
async def test_an_outage(recording, client, provider, settings, clock, kind):
    outage = OUTAGES[kind]
    says = outage.says
    good = STREAM + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    provider.answers = [good, None] if says == "stale" else [b"" if says == "silent" else says]
    gateway = await recording.start(
        providers=(await settings(says),),
        upstream_connect_timeout=0.2,
        upstream_idle_timeout=0.2,
        circuit_breaker_enabled=True,
        circuit_breaker_failure_threshold=1,
    )
    if says == "stale":
        assert (await ask(client, gateway))[0] == 200
        clock.advance(1)
    assert await ask(client, gateway) == (outage.status, outage.reason, outage.sentence)
    clock.advance(1)
    if outage.opens:
        seen = provider.seen
        assert (await ask(client, gateway))[1] == "circuit_open"
        assert provider.seen == seen
    else:
        assert (await ask(client, gateway))[1] != "circuit_open"
    await recording.stop()
    rows = sorted(recording.database.rows(schema.interceptions), key=lambda row: row["started_at"])
    row = rows[says == "stale"]
    assert (row["outcome"], row["status_code"]) == (outage.outcome, outage.status)
    assert row["usage_partial"] is outage.uncounted
    assert row["error_source"] == ("gateway" if outage.reason else "provider")
    assert row["error_code"] == outage.reason or not outage.reason
