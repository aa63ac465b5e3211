"""A destination gets what fits, in time, and nobody waits for it."""

import asyncio

import pytest

from aibridged.config.proxy_url import ProxyUrl
from aibridged.config.secret import Secret
from aibridged.telemetry.destination import (
    GIVE_UP_S,
    MAX_PAUSE_S,
    MAX_QUEUE_BYTES,
    MAX_QUEUE_ITEMS,
    SENDERS,
)
from aibridged.wire.telemetry import Signal
from tests.telemetry.conftest import batch
from tests.waiting import until


async def test_a_batch_is_sent_with_the_configured_headers(make, receiver, counts):
    destination = make(f"{receiver.url}/otlp", headers=(("X-Key", Secret("k3y")),))
    destination.put(batch(signal=Signal.TRACES))
    await destination.close(10)
    [(method, path, headers, body)] = receiver.requests
    assert (method, path, body) == ("POST", "/otlp/v1/traces", b"abc")
    assert (headers["X-Key"], headers["Content-Type"]) == ("k3y", "application/x-protobuf")
    assert counts.relayed == {(f"{receiver.url}/otlp", "traces"): 1}
    assert counts.dropped == {}


async def test_a_busy_receiver_is_asked_again_with_pauses(make, receiver, counts, pauses, log):
    receiver.statuses = [503, 429, 502, 504]
    destination = make(receiver.url)
    destination.put(batch())
    await destination.close(10)
    assert [body for *_, body in receiver.requests] == [b"abc"] * 5
    assert pauses == [1, 2, 4, 8]
    assert counts.relayed == {(receiver.url, "logs"): 1}
    assert log == [f"Telemetry can't be relayed to {receiver.url}: it responded with 503\n"]


@pytest.mark.parametrize(
    ("given", "first"), [("7", 7), ("3600", MAX_PAUSE_S), ("9" * 400, 1), ("soon", 1), ("-1", 1)]
)
async def test_a_receiver_may_ask_for_a_longer_pause(make, receiver, pauses, given, first):
    receiver.statuses, receiver.headers = [503], {"Retry-After": given}
    destination = make(receiver.url)
    destination.put(batch())
    await destination.close(10)
    assert pauses == [first]


async def test_a_batch_is_tried_for_a_minute(make, receiver, counts, pauses):
    receiver.statuses = [503] * 100
    destination = make(receiver.url)
    destination.put(batch())
    await destination.close(10)
    assert GIVE_UP_S - MAX_PAUSE_S < sum(pauses) <= GIVE_UP_S
    assert counts.dropped == {(receiver.url, "unavailable"): 1}


@pytest.mark.parametrize("status", [301, 400, 401, 413, 500])
async def test_what_is_refused_is_not_sent_again(make, receiver, counts, pauses, status):
    receiver.statuses, receiver.headers = [status], {"Location": "/elsewhere"}
    destination = make(receiver.url)
    destination.put(batch())
    await destination.close(10)
    assert (len(receiver.requests), pauses) == (1, [])
    assert counts.dropped == {(receiver.url, "refused"): 1}


async def test_a_receiver_that_is_away_costs_a_line(make, unused_url, counts, log):
    destination = make(unused_url, headers=(("X-Key", Secret("canary")),))
    for _ in range(3):
        destination.put(batch())
    await destination.close(10)
    assert counts.dropped == {(unused_url, "unavailable"): 3}
    assert len(log) == 2, "once a minute"
    assert "connection refused" in log[0]
    assert "canary" not in "".join(log)


async def test_a_silent_receiver_has_a_deadline(make_session, make, receiver, counts, log):
    receiver.may_answer.clear()
    destination = make(receiver.url, session=await make_session(0.01))
    destination.put(batch())
    await destination.close(10)
    assert counts.dropped == {(receiver.url, "unavailable"): 1}
    assert "it didn't respond in time" in log[0]


async def test_places_have_a_bound(make, receiver, counts):
    receiver.may_answer.clear()
    destination = make(receiver.url)
    for _ in range(SENDERS):
        destination.put(batch())
    await until(lambda: len(receiver.requests) == SENDERS)
    for _ in range(MAX_QUEUE_ITEMS + 7):
        destination.put(batch(b"x"))
    assert counts.dropped == {(receiver.url, "queue_full"): 7}
    assert len(receiver.requests) == SENDERS
    await destination.close(0)


async def test_bytes_have_a_bound(make, receiver, counts):
    receiver.may_answer.clear()
    destination, half = make(receiver.url), bytes(MAX_QUEUE_BYTES // 2)
    for body in (half, half, b"x"):
        destination.put(batch(body))
    assert counts.dropped == {(receiver.url, "queue_full"): 1}
    receiver.may_answer.set()
    await until(lambda: sum(counts.relayed.values()) == 2)
    destination.put(batch(b"x"))
    await destination.close(10)
    assert sum(counts.relayed.values()) == 3, "what was sent makes room"


async def test_the_end_waits_a_moment_and_drops_the_rest(make, receiver, counts):
    receiver.may_answer.clear()
    destination = make(receiver.url)
    for _ in range(SENDERS + 3):
        destination.put(batch())
    await until(lambda: len(receiver.requests) == SENDERS)
    async with asyncio.timeout(5):
        await destination.close(0.01)
    assert counts.dropped == {(receiver.url, "shutdown"): SENDERS + 3}


async def test_a_proxy_gets_the_request(make, receiver):
    host, _, port = receiver.url.removeprefix("http://").partition(":")
    proxy = ProxyUrl("http", host, int(port), Secret("Basic eDp5"))
    destination = make("http://otlp.invalid", proxy=proxy)
    destination.put(batch())
    await destination.close(10)
    [(_, _, headers, _)] = receiver.requests
    assert headers["Host"] == "otlp.invalid"
    assert headers["Proxy-Authorization"] == "Basic eDp5"
