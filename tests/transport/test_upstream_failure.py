"""A client is told what went wrong with its provider, and nothing that the provider said."""

import aiohttp
import pytest

from aibridged.transport.upstream_connection import InvalidResponseError
from aibridged.transport.upstream_failure import FAILURES, refusal_of, was_sent

CASES = [
    (
        aiohttp.ConnectionTimeoutError(),
        (502, "upstream_unreachable", "It could not be reached."),
        False,
    ),
    (TimeoutError(), (504, "upstream_timeout", "It did not respond in time."), True),
    (
        aiohttp.ServerDisconnectedError("sk-secret"),
        (502, "upstream_unreachable", "It could not be reached."),
        True,
    ),
    (
        aiohttp.ClientPayloadError("sk-secret"),
        (502, "upstream_unreachable", "It could not be reached."),
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


@pytest.mark.parametrize(("error", "expected", "sent"), CASES, ids=lambda case: repr(case))
def test_a_failure_becomes_a_refusal(error, expected, sent):
    assert isinstance(error, FAILURES)
    refusal = refusal_of(error, "It")
    assert (refusal.kind.status, refusal.kind.code, refusal.message) == expected
    assert was_sent(error) is sent
