"""A client is told what went wrong with its provider, and nothing that the provider said."""

import aiohttp
import pytest

from aibridged.transport.upstream_connection import InvalidResponseError, StaleConnectionError
from aibridged.transport.upstream_failure import FAILURES, is_failure, refusal_of, was_sent
from aibridged.transport.upstream_proxy import UpstreamProxyError

CASES = [
    (
        aiohttp.ConnectionTimeoutError(),
        (502, "upstream_unreachable", "It could not be reached: connecting timed out."),
        False,
    ),
    (TimeoutError(), (504, "upstream_timeout", "It did not respond in time."), True),
    (
        aiohttp.ServerDisconnectedError("sk-secret"),
        (
            502,
            "upstream_unreachable",
            "It could not be reached: it closed the connection without a response.",
        ),
        True,
    ),
    (
        aiohttp.ClientPayloadError("sk-secret"),
        (
            502,
            "upstream_unreachable",
            "It could not be reached: it closed the connection within its response.",
        ),
        True,
    ),
    (
        InvalidResponseError("its head is too large"),
        (
            502,
            "upstream_invalid",
            "It sent a response that is not valid HTTP: its head is too large.",
        ),
        True,
    ),
]


CASES += [
    (
        UpstreamProxyError("the upstream proxy responded with status 407"),
        (
            502,
            "upstream_unreachable",
            "It could not be reached: the upstream proxy responded with status 407.",
        ),
        False,
    ),
    (
        StaleConnectionError(),
        (
            502,
            "upstream_unreachable",
            "It closed an idle connection as the request came. Please try again.",
        ),
        True,
    ),
]


def test_only_an_idle_connection_that_ends_tells_the_breaker_nothing():
    told = [error for error, _, _ in CASES if not is_failure(error)]
    assert [type(error) for error in told] == [StaleConnectionError]


@pytest.mark.parametrize(("error", "expected", "sent"), CASES, ids=lambda case: repr(case))
def test_a_failure_becomes_a_refusal(error, expected, sent):
    assert isinstance(error, FAILURES)
    refusal = refusal_of(error, "It", "https://x.example")
    assert (refusal.kind.status, refusal.kind.code, refusal.message) == expected
    assert was_sent(error) is sent
    assert refusal.reason == "https://x.example"
