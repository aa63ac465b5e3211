"""What is remembered of the providers: the last hour, so many requests, and every refusal."""

import pytest

from aibridged.observe.provider_health import REMEMBERED, WITHIN_S, ProviderHealth, Times
from aibridged.observe.request_summary import RequestOutcome, RequestSummary


@pytest.fixture
def health(clock) -> ProviderHealth:
    return ProviderHealth(clock)


def request(clock, seconds=1.0, *, first=None, status=200, **changes) -> RequestSummary:
    now = clock.monotonic()
    fields = {
        "provider": "anthropic",
        "sent_at": now - seconds,
        "upstream_status": status,
        "first_byte_at": None if first is None else now - seconds + first,
        **changes,
    }
    return RequestSummary(
        request_id="r",
        outcome=RequestOutcome.COMPLETED,
        method="POST",
        path="/anthropic/v1/messages",
        began=now - seconds - 5,
        ended=now,
        **fields,
    )


def test_times_are_the_providers(health, clock):
    for number in range(1, 101):
        health.note(request(clock, number / 10, first=number / 100))
    found = health.of("anthropic")
    assert (found.requests, found.failed) == (100, 0)
    assert found.duration == Times(pytest.approx(5.1), pytest.approx(9.5))
    assert found.first_byte == Times(pytest.approx(0.51), pytest.approx(0.95))


def test_failures_are_the_providers_refusals_and_silence(health, clock):
    for status in (200, 204, 529, 429, None):
        health.note(request(clock, status=status))
    found = health.of("anthropic")
    assert (found.requests, found.failed) == (5, 3)
    assert found.statuses == {0: 1, 200: 1, 204: 1, 429: 1, 529: 1}


def test_what_never_went_there_is_a_refusal_alone(health, clock):
    health.note(request(clock, sent_at=None, reason="circuit_open"))
    health.note(request(clock, sent_at=None, provider=None, reason="unauthenticated"))
    assert health.of("anthropic").requests == 0
    assert health.refusals == {("anthropic", "circuit_open"): 1, (None, "unauthenticated"): 1}


def test_an_hour_and_so_many_are_remembered(health, clock):
    for _ in range(REMEMBERED + 10):
        health.note(request(clock))
    assert health.of("anthropic").requests == REMEMBERED
    clock.advance(WITHIN_S + 1)
    found = health.of("anthropic")
    assert (found.requests, found.duration) == (0, Times(None, None))


def test_of_an_unknown_provider_nothing_is_known(health):
    assert health.of("other").requests == 0
